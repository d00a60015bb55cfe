/* StarPU's library, opened at run time: the calls that motley makes of it. */
#ifndef MLY_RUNTIME_STARPU_LIBRARY_H
#define MLY_RUNTIME_STARPU_LIBRARY_H

#include <stdbool.h>

#include <starpu.h>

#include <motley/status.h>

struct starpu_library {
    void (*get_version)(int *major, int *minor, int *release);
    int (*is_initialized)(void);
    int (*conf_init)(struct starpu_conf *conf);
    int (*init)(struct starpu_conf *conf);
    void (*shutdown)(void);
    struct starpu_sched_policy **(*predefined_policies)(void);
    int (*min_priority)(void);
    int (*max_priority)(void);
    int (*driver_init)(struct starpu_driver *driver);
    int (*driver_run_once)(struct starpu_driver *driver);
    int (*driver_deinit)(struct starpu_driver *driver);
    struct starpu_task *(*task_create)(void);
    int (*task_submit)(struct starpu_task *task);
    char version[32];
};

/*
 * Opens it once for the process; *out is static. MLY_E_ABSENT names the library and what failed;
 * MLY_E_IO when the folder for StarPU's files cannot be made.
 */
enum mly_status mly__starpu_library(const struct starpu_library **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* Has it a policy of that name that motley can use? MLY_E_INVALID names those it has. */
enum mly_status mly__starpu_check_policy(const struct starpu_library *library, const char *name,
                                         struct mly_error *err) MLY_MUST_CHECK;
/* The names in one line; NULL when memory is short. Free with mly_free. */
char *mly__starpu_policies(const struct starpu_library *library);

#endif

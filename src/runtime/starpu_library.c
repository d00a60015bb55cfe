/*
 * Opening StarPU's library. It is not linked: a motley that never runs the `starpu` executor loads
 * none of it, and runs where it is not installed. It is never closed, as it leaves threads' keys
 * behind.
 */
#include "starpu_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/os.h"

/* Policies that motley does not offer, and why. */
static const char *const unusable[] = {
    /* run one task on several workers */
    "pheft", "peager",
    /* wait for the application to say when */
    "graph_test",
    /* order by kinds of processors, of which StarPU sees one only */
    "heteroprio"};
/* Policies made of modules stand still now and then when the application drives the workers (1.3.10, 1.4.7). */
static const char modular[] = "modular-";

static struct starpu_library opened;
static enum mly_status opened_status;
static struct mly_error opened_error;

/* ISO C has no conversion from an object's address to a function's; POSIX promises that the bytes
 * are the same. */
static bool find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

/* The first symbol that the library lacks, or NULL. */
static const char *find_all(void *handle)
{
    const struct {
        const char *name;
        void *function;
    } symbols[] = {
        {"starpu_get_version", &opened.get_version},
        {"starpu_is_initialized", &opened.is_initialized},
        {"starpu_conf_init", &opened.conf_init},
        {"starpu_init", &opened.init},
        {"starpu_shutdown", &opened.shutdown},
        {"starpu_sched_get_predefined_policies", &opened.predefined_policies},
        {"starpu_sched_get_min_priority", &opened.min_priority},
        {"starpu_sched_get_max_priority", &opened.max_priority},
        {"starpu_driver_init", &opened.driver_init},
        {"starpu_driver_run_once", &opened.driver_run_once},
        {"starpu_driver_deinit", &opened.driver_deinit},
        {"starpu_task_create", &opened.task_create},
        {"starpu_task_submit", &opened.task_submit},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        if (!find(handle, symbols[i].name, symbols[i].function))
            return symbols[i].name;
    }
    return NULL;
}

/*
 * StarPU takes these from the environment only, when it starts. Its files (bus speeds; no
 * calibration is asked for) go to motley's cache, not to the user's home; it prints nothing; every
 * worker has costs of its own; threads are pinned by us.
 */
static enum mly_status set_environment(struct mly_error *err)
{
    char *folder = NULL;
    enum mly_status status = mly_cache_dir("starpu", &folder, err);
    if (status != MLY_OK)
        return status;
    const char *const values[][2] = {{"STARPU_HOME", folder},
                                     {"STARPU_SILENT", "1"},
                                     {"STARPU_PERF_MODEL_HOMOGENEOUS_CPU", "0"},
                                     {"STARPU_WORKERS_NOBIND", "1"}};
    for (size_t i = 0; i < sizeof values / sizeof *values && status == MLY_OK; i++) {
        if (setenv(values[i][0], values[i][1], 1) != 0)
            status = mly_error_os(err, errno, "cannot set %s", values[i][0]);
    }
    mly_free(folder);
    return status;
}

static enum mly_status open_library(struct mly_error *err)
{
    enum mly_status status = set_environment(err);
    if (status != MLY_OK)
        return status;
    void *handle = dlopen(MLY_STARPU_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return mly_error_set(err, MLY_E_ABSENT,
                             "StarPU cannot be opened: %s; tools/setup installs it", dlerror());
    const char *missing = find_all(handle);
    if (missing)
        return mly_error_set(err, MLY_E_ABSENT, "%s has no '%s'", MLY_STARPU_LIBRARY, missing);
    int major = 0, minor = 0, release = 0;
    opened.get_version(&major, &minor, &release);
    if (major != STARPU_MAJOR_VERSION || minor != STARPU_MINOR_VERSION)
        return mly_error_set(
            err, MLY_E_ABSENT, "%s is StarPU %d.%d; this motley was built for %d.%d",
            MLY_STARPU_LIBRARY, major, minor, STARPU_MAJOR_VERSION, STARPU_MINOR_VERSION);
    snprintf(opened.version, sizeof opened.version, "%d.%d.%d", major, minor, release);
    return MLY_OK;
}

static void open_once(void)
{
    opened_status = open_library(&opened_error);
}

enum mly_status mly__starpu_library(const struct starpu_library **out, struct mly_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    if (opened_status != MLY_OK)
        return mly_error_set(err, opened_status, "%s", opened_error.message);
    *out = &opened;
    return MLY_OK;
}

/* --- policies --- */

static bool is_usable(const char *name)
{
    for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++) {
        if (strcmp(name, unusable[i]) == 0)
            return false;
    }
    return strncmp(name, modular, strlen(modular)) != 0;
}

char *mly__starpu_policies(const struct starpu_library *library)
{
    char *line = mly_strdup("");
    struct starpu_sched_policy **policies = library->predefined_policies();
    for (size_t i = 0; line && policies[i]; i++) {
        if (!is_usable(policies[i]->policy_name))
            continue;
        char *longer = mly_strfmt("%s%s%s", line, *line ? " " : "", policies[i]->policy_name);
        mly_free(line);
        line = longer;
    }
    return line;
}

enum mly_status mly__starpu_check_policy(const struct starpu_library *library, const char *name,
                                         struct mly_error *err)
{
    struct starpu_sched_policy **policies = library->predefined_policies();
    for (size_t i = 0; policies[i]; i++) {
        if (strcmp(policies[i]->policy_name, name) == 0 && is_usable(name))
            return MLY_OK;
    }
    char *names = mly__starpu_policies(library);
    mly_error_set(err, MLY_E_INVALID,
                  "StarPU %s has no policy '%s' that motley can use; it has: %s", library->version,
                  name, names ? names : "?");
    mly_free(names);
    return MLY_E_INVALID;
}

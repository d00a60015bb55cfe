/* Executors by name. */
#ifndef MLY_RUNTIME_EXECUTOR_H
#define MLY_RUNTIME_EXECUTOR_H

#include <motley/status.h>

/*
 * Is there an executor of that name ("native", "starpu", "starpu:NAME"; NULL: native)? Opens StarPU's
 * library for the names of its policies, and starts nothing. MLY_E_INVALID where there is none;
 * MLY_E_ABSENT, MLY_E_IO as mly_engine_create.
 */
enum mly_status mly_executor_check(const char *executor, struct mly_error *err) MLY_MUST_CHECK;

#endif

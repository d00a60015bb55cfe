/*
 * The `starpu` executor: the crew's tasks as StarPU tasks. StarPU chooses the worker of every task
 * that is ready, by one of its own scheduling policies and our costs; all else (requests, sessions,
 * order, cancelling, retrying, statistics) is that of the native executor.
 *
 * Each processor of the crew is one StarPU CPU worker, driven by the crew's thread for that
 * processor, which sleeps while StarPU has nothing. StarPU's state is the process's: one crew at a
 * time may use it.
 */
#ifndef MLY_RUNTIME_STARPU_H
#define MLY_RUNTIME_STARPU_H

#include "runtime/native.h"

struct mly__starpu;

/*
 * Opens the library and takes StarPU for this crew. policy is a name from mly__starpu_policies (NULL
 * or "": dmda), copied.
 * Errors: MLY_E_ABSENT when this motley was built without StarPU or its library is not there;
 * MLY_E_INVALID for a policy that the library does not have; MLY_E_BUSY when StarPU is in use in
 * this process; MLY_E_NO_MEMORY; MLY_E_IO when motley's cache folder, where StarPU keeps its files,
 * cannot be made.
 */
enum mly_status mly__starpu_create(struct mly__crew *crew, const char *policy,
                                   struct mly__starpu **out, struct mly_error *err) MLY_MUST_CHECK;
/* The errors of mly__starpu_create that need no crew: the library and its policies. */
enum mly_status mly__starpu_check(const char *policy, struct mly_error *err) MLY_MUST_CHECK;
/* Gives StarPU back; its workers must have ended. NULL is fine. */
void mly__starpu_destroy(struct mly__starpu *starpu);
/*
 * Before the crew hires: starts StarPU with so many workers, unless it runs with as many already.
 * MLY_E_LIMIT if it runs with fewer, or was built for fewer; MLY_E_INTERNAL if it does not start.
 */
enum mly_status mly__starpu_start(struct mly__starpu *starpu, uint32_t wanted,
                                  struct mly_error *err) MLY_MUST_CHECK;

/* What a core of the crew hands its tasks to. */
struct mly__placer *mly__starpu_placer(struct mly__starpu *starpu);
/* With the crew's lock held: submits what was placed; the workers that may take it are woken. */
void mly__starpu_submit(struct mly__starpu *starpu, const struct mly__worker *self,
                        struct mly__wakes *wakes);
/* With the crew's lock held: forgets what was placed and stopped before it was submitted. */
void mly__starpu_purge(struct mly__starpu *starpu);
/* A worker's life with StarPU, until the crew stops. Called without the lock. */
void mly__starpu_work(struct mly__starpu *starpu, struct mly__worker *worker);

/*
 * What `motley` can say of it. *version is "1.3.10" (static), *policies its usable policies in one
 * line (mly_free), *workers how many it was built for. Each pointer may be NULL. MLY_E_ABSENT says
 * why there is none.
 */
enum mly_status mly__starpu_probe(const char **version, char **policies, uint32_t *workers,
                                  struct mly_error *err) MLY_MUST_CHECK;

#endif

/* The experiments: what there is, and running one. */
#ifndef MLY_BENCH_BENCH_H
#define MLY_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/status.h>

#include "bench/result.h"

/* What an experiment is run with; zeroed is what most want. All pointers are borrowed for the call. */
struct mly_bench_options {
    const mly_machine *machine; /* needed */
    const char *processors;     /* as after -d; NULL: the experiment's own */
    bool quick;                 /* a few sizes only: seconds, for a look and for tests */
    const char
        *published; /* folder of published measurements in their authors' layout; NULL: those that
                              motley quotes */
    uint64_t seed;
    const atomic_bool *stop; /* set from anywhere, a signal handler too; may be NULL */
    /* Told now and then from the calling thread; may be NULL. */
    void (*progress)(void *user, double fraction, const char *what);
    void *user;
};

/* What an experiment's code gets; src/bench/experiment.h. */
struct mly_bench;

struct mly_experiment {
    const char *name;       /* "tpu-capacity" */
    const char *summary;    /* one line */
    const char *source;     /* paper and figure that it re-creates */
    const char *numbers;    /* what is measured and what is modelled, in a few words */
    const char *processors; /* the default for -d; NULL: it takes none */
    enum mly_status (*run)(struct mly_bench *bench, struct mly_error *err);
};

/* NULL past the end. In the order in which they are listed. Static. */
const struct mly_experiment *mly_experiment_at(size_t index);
const struct mly_experiment *mly_experiment_find(const char *name);
/*
 * All names with commas, for a message: "a, b". The caller's (mly_free); NULL when memory is short.
 */
char *mly_experiment_names(void);

/*
 * Runs an experiment to its end. *out is the caller's (mly_result_destroy). Errors: MLY_E_INVALID for
 * processors that it does not take; MLY_E_CANCELLED when stopped; those of what it runs. Threads: one at
 * a time in a process, because it uses the whole box.
 */
enum mly_status mly_experiment_run(const struct mly_experiment *experiment,
                                   const struct mly_bench_options *options, mly_result **out,
                                   struct mly_error *err) MLY_MUST_CHECK;

#endif

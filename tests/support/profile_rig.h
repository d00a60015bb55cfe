/*
 * A back end whose sessions do nothing but count, and fail or wait when told: for tests of
 * measuring. It takes any model and gives one f32 per output.
 */
#ifndef MOTLEY_TEST_PROFILE_RIG_H
#define MOTLEY_TEST_PROFILE_RIG_H

#include "backend/backend.h"
#include "profile/profile.h"
#include "support/expect.h"

#define COUNTING "counting" /* its name, for mly_profile_options.backend */

/* What it is told. Zeroed: everything works. */
struct counting_orders {
    const char *version;         /* NULL: "1" */
    uint64_t fail_open;          /* the n-th open from now fails */
    uint32_t fail_batch;         /* runs of batches from this on fail; 0: none */
    enum mly_status fail_status; /* with this */
    uint64_t fail_run;           /* the n-th run from now fails */
    bool refuses_random;         /* runs fail unless all of the first input is 0 or all is 1 */
    bool refuses_zeros, refuses_ones;
    bool hold;                         /* runs wait until they are cancelled */
    bool no_node_times;                /* node_times fails */
    bool changing_shapes;              /* output memory of the run before is refused */
    const struct mly_node_time *nodes; /* what node_times tells */
    uint32_t node_count;
};

/* Registers the back end (once); forgets all counts and gives it orders. */
void counting_reset(const struct counting_orders *orders);

uint64_t counting_opens(void);
uint64_t counting_runs(void);
/* Runs of sessions of that kind with that batch. threads 0: with the runtime's defaults. */
uint64_t counting_runs_of(uint32_t threads, bool spin, uint32_t batch);
/* Sessions open, and outputs not released, now. */
int counting_left(void);
/* Waits until a run waits (hold). */
void counting_wait_held(void);

/* Remarks given, one a line; the callback of mly_profile_options and mly_decide_options. */
struct remarks {
    char text[8192];
    int count;
};
void remarks_take(const char *text, void *user);

/* This box, as far as this process may use it. */
mly_machine *rig_machine(void);
/* Number of configurations that are measured by default on it: the baseline and all groupings. */
uint32_t rig_configs(const mly_machine *machine);

/* x[N, W, H] -> Relu -> y, with W and H free, in a file that is removed again. */
mly_model *rig_free_dims_model(void);
/* x[1, ?] and state[2, ?] -> MatMul -> y; any, of unknown rank -> Relu -> z. */
mly_model *rig_nameless_model(void);

#endif

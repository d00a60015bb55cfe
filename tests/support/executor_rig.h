/*
 * What tests of executors share: batches with memory of their own, a record of `done` calls,
 * submitting threads.
 */
#ifndef MOTLEY_TEST_EXECUTOR_RIG_H
#define MOTLEY_TEST_EXECUTOR_RIG_H

#include <pthread.h>

#include <motley/engine.h>

#include "support/fake_backend.h"

enum { RIG_PORTS = 4, RIG_ROWS = 3, RIG_RECORDS = 4096 };

/* One batch to submit. Must not move while it is in flight. */
struct rig_batch {
    struct rig *rig;
    int64_t tag;
    int64_t memory[RIG_PORTS][RIG_ROWS * FAKE_WIDTH];
    struct mly_tensor inputs[RIG_PORTS];
    mly_request *request; /* NULL when it releases itself */
    uint32_t done_calls;  /* under the rig's lock */
    enum mly_status status;
    bool right; /* its outputs, as seen by `done` */
};

/* An engine under test, with a copy of its flow for the oracle. */
struct rig {
    mly_engine *engine;
    struct mly_flow flow;
    pthread_mutex_t lock; /* protects the record and the batches' results */
    pthread_cond_t changed;
    int64_t order[RIG_RECORDS]; /* tags as `done` was called */
    uint32_t done_count;
};

/* How an executor under test is started. */
typedef enum mly_status (*rig_create_fn)(struct mly_flow *flow,
                                         const struct mly_engine_options *options, mly_engine **out,
                                         struct mly_error *err);

/*
 * Opens an engine on the described flow (see fake_flow_init), and resets the fake back end after
 * warming.
 */
void rig_open(struct rig *rig, rig_create_fn create, const struct mly_backend_ops *ops,
              const struct mly_engine_options *options, const char *inputs, const char *outputs,
              uint32_t processors, const char *const *segments, uint32_t segment_count);
/* Destroys the engine, if there is one still; then checks that nothing of the back end is left. */
void rig_close(struct rig *rig);

void rig_fill(struct rig *rig, struct rig_batch *batch, int64_t tag);
/* Submits with the rig's `done`, keeping the request if `keep`. */
enum mly_status rig_submit(struct rig_batch *batch, bool wait, bool keep, struct mly_error *err);
/* Fills, submits and expects MLY_OK. */
void rig_send(struct rig *rig, struct rig_batch *batch, int64_t tag);
/* Blocks until `done` was called `count` times. */
void rig_await_done(struct rig *rig, uint32_t count);
uint32_t rig_done_count(struct rig *rig);

#endif

/* The rig of executor tests. */
#include "support/executor_rig.h"

#include <string.h>

#include "support/test.h"

void rig_open(struct rig *rig, rig_create_fn create, const struct mly_backend_ops *ops,
              const struct mly_engine_options *options, const char *inputs, const char *outputs,
              uint32_t processors, const char *const *segments, uint32_t segment_count)
{
    struct mly_error err = {0};
    struct mly_flow flow;
    memset(rig, 0, sizeof *rig);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->changed, NULL);
    fake_reset();
    assert_int_equal(
        fake_flow_init(ops, inputs, outputs, processors, segments, segment_count, &rig->flow, &err),
        MLY_OK);
    assert_int_equal(
        fake_flow_init(ops, inputs, outputs, processors, segments, segment_count, &flow, &err),
        MLY_OK);
    enum mly_status status = create(&flow, options, &rig->engine, &err);
    if (status != MLY_OK)
        fail_msg("create: %s", err.message);
    fake_reset();
}

void rig_close(struct rig *rig)
{
    mly_engine_destroy(rig->engine);
    mly_flow_fini(&rig->flow);
    pthread_cond_destroy(&rig->changed);
    pthread_mutex_destroy(&rig->lock);
    assert_int_equal(fake_open_sessions(), 0);
    assert_int_equal(fake_live_tensors(), 0);
}

void rig_fill(struct rig *rig, struct rig_batch *batch, int64_t tag)
{
    memset(batch, 0, sizeof *batch);
    batch->rig = rig;
    batch->tag = tag;
    for (uint32_t i = 0; i < rig->flow.input_count; i++)
        fake_fill(&batch->inputs[i], batch->memory[i], 1 + tag % RIG_ROWS, tag, i);
}

static void note_done(mly_request *request, enum mly_status status, void *user)
{
    struct rig_batch *batch = user;
    struct rig *rig = batch->rig;
    size_t count = 0;
    const struct mly_tensor *outputs = mly_request_outputs(request, &count);
    bool right = outputs && count == rig->flow.output_count &&
                 fake_is_right(&rig->flow, batch->inputs, outputs);
    pthread_mutex_lock(&rig->lock);
    batch->done_calls++;
    batch->status = status;
    batch->right = right;
    if (rig->done_count < RIG_RECORDS)
        rig->order[rig->done_count] = batch->tag;
    rig->done_count++;
    pthread_cond_broadcast(&rig->changed);
    pthread_mutex_unlock(&rig->lock);
}

enum mly_status rig_submit(struct rig_batch *batch, bool wait, bool keep, struct mly_error *err)
{
    struct rig *rig = batch->rig;
    return mly_engine_submit(rig->engine, batch->inputs, rig->flow.input_count, NULL, wait,
                             note_done, batch, keep ? &batch->request : NULL, err);
}

void rig_send(struct rig *rig, struct rig_batch *batch, int64_t tag)
{
    struct mly_error err = {0};
    rig_fill(rig, batch, tag);
    enum mly_status status = rig_submit(batch, true, true, &err);
    if (status != MLY_OK)
        fail_msg("batch %lld: %s", (long long)tag, err.message);
}

void rig_await_done(struct rig *rig, uint32_t count)
{
    pthread_mutex_lock(&rig->lock);
    while (rig->done_count < count)
        pthread_cond_wait(&rig->changed, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
}

uint32_t rig_done_count(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    uint32_t count = rig->done_count;
    pthread_mutex_unlock(&rig->lock);
    return count;
}

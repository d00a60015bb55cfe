/* A back end that computes nothing and keeps processors busy. */
#include "support/work_backend.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/clock.h"

static _Atomic int64_t work_ns, began_ns;

void work_set_ns(int64_t ns)
{
    atomic_store(&work_ns, ns);
}

int64_t work_began_ns(void)
{
    return atomic_load(&began_ns);
}

static enum mly_status open_session(const mly_model *model, const struct mly_segment *segment,
                                    const struct mly_session_options *options, mly_session **out,
                                    struct mly_error *err)
{
    (void)model;
    (void)options;
    struct mly_session_info *info = mly_alloc(sizeof *info);
    if (!info)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory");
    info->input_count = segment->input_count;
    info->output_count = segment->output_count;
    *out = (mly_session *)(void *)info;
    return MLY_OK;
}

static enum mly_status run(mly_session *session, const struct mly_tensor *inputs,
                           struct mly_tensor *outputs, struct mly_error *err)
{
    (void)err;
    int64_t begin_ns = mly_now_ns(), now_ns = begin_ns;
    atomic_store_explicit(&began_ns, begin_ns, memory_order_relaxed);
    const struct mly_session_info *info = (const void *)session;
    for (uint32_t i = 0; i < info->output_count; i++) {
        outputs[i] = inputs[0];
        outputs[i].release = NULL;
    }
    while (now_ns - begin_ns < atomic_load_explicit(&work_ns, memory_order_relaxed))
        now_ns = mly_now_ns();
    return MLY_OK;
}

static void close_session(mly_session *session)
{
    mly_free(session);
}

static const struct mly_session_info *info_of(const mly_session *session)
{
    return (const void *)session;
}

const struct mly_backend_ops work_ops = {
    .name = "work", .open = open_session, .run = run, .close = close_session, .info = info_of};

/* Times of single nodes. */
#include "base/alloc.h"
#include "ort_session.h"

void mly_node_times_fini(struct mly_node_times *times)
{
    mly_free(times->arena);
    *times = (struct mly_node_times){0};
}

enum mly_status mly__ort_profile_begin(struct mly__ort_session *session, OrtSessionOptions *options,
                                       struct mly_error *err)
{
    (void)session;
    (void)options;
    (void)err;
    return MLY_OK;
}

enum mly_status mly__ort_node_times(mly_session *session, struct mly_node_times *out,
                                    struct mly_error *err)
{
    (void)session;
    (void)out;
    return mly_error_set(err, MLY_E_UNSUPPORTED, "times of single nodes are not measured yet");
}

void mly__ort_profile_end(struct mly__ort_session *session)
{
    (void)session;
}

/*
 * ONNX Runtime's sessions: opening and closing, and the table of what this back end does.
 *
 * Memory: every session has an arena of its own, which grows to what its largest batch needs and
 * keeps that until the session is closed: batches come from a bounded ladder, and giving memory back
 * between them would cost page faults at every change. Closing returns what is free to the system.
 */
#include "ort_session.h"

#include <malloc.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "prepared_store.h"

static enum mly_status probe(const char **version, struct mly_error *err)
{
    const struct mly__ort *ort;
    enum mly_status status = mly__ort_get(&ort, err);
    if (status == MLY_OK)
        *version = ort->version;
    return status;
}

static bool drives(const char *processor_kind)
{
    return strcmp(processor_kind, "cpu") == 0;
}

/* The file as it is, with all of the runtime's own defaults. */
static enum mly_status load_defaults(struct mly__ort_session *s, OrtSessionOptions *options,
                                     struct mly_error *err)
{
    return mly__ort_check(
        s->ort,
        s->ort->api->CreateSession(s->ort->env, mly_model_path(s->model), options, &s->session),
        err);
}

/* A copy that cannot be had is worth a word, once: everything works, only slower to open. */
static void tell_plain(const struct mly_error *why)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    mly_log(atomic_flag_test_and_set(&told) ? MLY_LOG_DEBUG : MLY_LOG_WARNING,
            "no prepared copy of the model is kept: %s; sessions take longer to open and share no "
            "memory",
            why->message);
}

static bool is_final(enum mly_status status)
{
    return status == MLY_E_NO_MEMORY || status == MLY_E_UNSUPPORTED || status == MLY_E_MISMATCH;
}

static enum mly_status load(struct mly__ort_session *s, const struct mly_session_options *wanted,
                            struct mly_error *err)
{
    OrtSessionOptions *options = NULL;
    struct mly_error why = {0};
    enum mly_status status = mly__ort_options(s->ort, wanted, &options, err);
    if (status == MLY_OK && wanted->profile_nodes)
        status = mly__ort_profile_begin(s, options, err);
    if (status == MLY_OK && wanted->runtime_defaults)
        status = load_defaults(s, options, err);
    if (status == MLY_OK && !s->session && !wanted->no_prepared_copy) {
        status = mly__ort_open_prepared(s->ort, s->model, s->segment, options, &s->session,
                                        &s->prepared_key, &s->prepared_model, &why);
        s->info.prepared_copy = status == MLY_OK;
        if (!is_final(status))
            status = MLY_OK;
        else if (err)
            *err = why;
    }
    if (status == MLY_OK && !s->session) {
        status = mly__ort_load(s->ort, s->model, s->segment, options, &s->session, err);
        if (status == MLY_OK && why.message[0])
            tell_plain(&why);
    }
    if (options)
        s->ort->api->ReleaseSessionOptions(options);
    return status;
}

static void ort_close(mly_session *session)
{
    struct mly__ort_session *s = mly__ort_session_of(session);
    if (!s)
        return;
    const OrtApi *api = s->ort->api;
    mly__ort_unbind(s);
    if (s->run_options)
        api->ReleaseRunOptions(s->run_options);
    if (s->session) {
        mly__ort_profile_end(s);
        api->ReleaseSession(s->session);
        malloc_trim(0); /* the runtime frees into malloc's lists, which keep it */
    }
    mly__ort_profile_end(s);
    mly__prepared_release(s->prepared_key);
    mly_free(s->prepared_key);
    mly_free(s->prepared_model);
    if (s->lock_made)
        pthread_mutex_destroy(&s->lock);
    mly_free(s);
}

static enum mly_status ort_open(const mly_model *model, const struct mly_segment *segment,
                                const struct mly_session_options *options, mly_session **out,
                                struct mly_error *err)
{
    const int64_t begun_ns = mly_now_ns();
    const struct mly__ort *ort;
    enum mly_status status = mly__ort_check_options(options, err);
    if (status == MLY_OK)
        status = mly__ort_get(&ort, err);
    if (status != MLY_OK)
        return status;
    struct mly__ort_session *s = mly_alloc(sizeof *s);
    if (!s)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    s->ort = ort;
    s->model = model;
    s->segment = segment;
    s->lock_made = pthread_mutex_init(&s->lock, NULL) == 0;
    if (!s->lock_made)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    if (status == MLY_OK)
        status = load(s, options, err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, ort->api->CreateRunOptions(&s->run_options), err);
    if (status == MLY_OK)
        status = mly__ort_bind_ports(s, err);
    if (status != MLY_OK) {
        ort_close((mly_session *)s);
        return status;
    }
    s->info.open_ns = mly_now_ns() - begun_ns;
    *out = (mly_session *)s;
    return MLY_OK;
}

static const struct mly_session_info *info(const mly_session *session)
{
    return &((const struct mly__ort_session *)(const void *)session)->info;
}

static void cancel(mly_session *session)
{
    struct mly__ort_session *s = mly__ort_session_of(session);
    pthread_mutex_lock(&s->lock);
    if (s->running && !s->terminated) {
        mly__ort_ignore(s->ort, s->ort->api->RunOptionsSetTerminate(s->run_options));
        s->terminated = true;
    }
    pthread_mutex_unlock(&s->lock);
}

const struct mly_backend_ops mly__ort_ops = {
    .name = "ort",
    .description = "ONNX Runtime on CPUs",
    .probe = probe,
    .drives = drives,
    .open = ort_open,
    .run = mly__ort_run,
    .close = ort_close,
    .info = info,
    .cancel = cancel,
    .node_times = mly__ort_node_times,
    .infer_shapes = mly__ort_infer_shapes,
};

/*
 * Sessions on prepared copies.
 *
 * 1. The copy is looked for; if it is there and looks right, it is opened: the runtime maps its
 *    weights, already packed, and optimises nothing.
 * 2. Else one process makes it while others wait: the runtime opens the segment at full optimisation
 *    and writes what it made of it. That session goes; the copy is opened, which proves it, and only
 *    then published. The runtime cannot read back the packed weights of some quantised networks:
 *    these are written again without.
 * 3. A published copy that does not open is removed and made again, once.
 */
#include <malloc.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "ort_session.h"
#include "prepared_store.h"

/* Smaller initialisers stay in the model. The runtime cannot read back files with smaller limits. */
#define EXTERNAL_MIN_BYTES "1024"

struct preparation {
    const struct mly__ort *ort;
    const mly_model *model;
    const struct mly_segment *segment;
    const OrtSessionOptions *options; /* of the session that is wanted */
    bool packed;                      /* kernels gain from packed weights */
    char *folder;
    char key[MLY_HASH_TEXT_BYTES];
};

/* 1. */
static enum mly_status open_copy(const struct preparation *p, const char *model_path,
                                 OrtSession **out, struct mly_error *err)
{
    const OrtApi *api = p->ort->api;
    OrtSessionOptions *options = NULL;
    enum mly_status status =
        mly__ort_check(p->ort, api->CloneSessionOptions(p->options, &options), err);
    if (status == MLY_OK)
        status = mly__ort_check(
            p->ort, api->SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL), err);
    if (status == MLY_OK && !p->packed)
        status = mly__ort_option(p->ort, options, "session.disable_prepacking", "1", err);
    if (status == MLY_OK)
        status =
            mly__ort_check(p->ort, api->CreateSession(p->ort->env, model_path, options, out), err);
    if (options)
        api->ReleaseSessionOptions(options);
    return status;
}

/* 2. */
static enum mly_status write_copy(const struct preparation *p, const char *model_path, bool packed,
                                  struct mly_error *err)
{
    static const struct mly_session_options one_thread = {.threads = 1};
    const struct mly__ort *ort = p->ort;
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    enum mly_status status = mly__ort_options(ort, &one_thread, &options, err);
    if (status == MLY_OK)
        status = mly__ort_check(
            ort, ort->api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL), err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, ort->api->SetOptimizedModelFilePath(options, model_path), err);
    if (status == MLY_OK)
        status =
            mly__ort_option(ort, options, "session.optimized_model_external_initializers_file_name",
                            MLY__PREPARED_WEIGHTS, err);
    if (status == MLY_OK)
        status = mly__ort_option(ort, options,
                                 "session.optimized_model_external_initializers_min_size_in_bytes",
                                 EXTERNAL_MIN_BYTES, err);
    if (status == MLY_OK)
        status =
            mly__ort_option(ort, options, "session.save_external_prepacked_constant_initializers",
                            packed ? "1" : "0", err);
    if (status == MLY_OK && !packed)
        status = mly__ort_option(ort, options, "session.disable_prepacking", "1", err);
    if (status == MLY_OK)
        status = mly__ort_load(ort, p->model, p->segment, options, &session, err);
    if (options)
        ort->api->ReleaseSessionOptions(options);
    if (session) {
        ort->api->ReleaseSession(session);
        malloc_trim(0); /* it held the weights twice */
    }
    return status;
}

static enum mly_status write_and_try(const struct preparation *p, const char *temporary,
                                     bool packed, bool *written, OrtSession **out,
                                     struct mly_error *err)
{
    char *path = mly_strfmt("%s/" MLY__PREPARED_MODEL, temporary);
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = write_copy(p, path, packed, err);
    if (status == MLY_OK)
        status = mly__prepared_align(temporary, err);
    *written = status == MLY_OK;
    if (status == MLY_OK)
        status = open_copy(p, path, out, err);
    mly_free(path);
    return status;
}

/* A lower bound of what the copy will take. */
static uint64_t expected_bytes(const struct preparation *p)
{
    const struct mly_graph *graph = mly_model_graph(p->model);
    uint64_t bytes = p->segment->onnx_bytes;
    for (uint32_t i = 0; i < p->segment->node_count; i++) {
        const struct mly_graph_node *node = &graph->nodes[p->segment->nodes[i]];
        for (uint32_t k = 0; k < node->input_count; k++)
            if (node->inputs[k] != MLY_NO_INDEX)
                bytes += graph->tensors[node->inputs[k]].weight_bytes;
    }
    return bytes;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum mly_status make_copy(const struct preparation *p, OrtSession **out,
                                 struct mly_error *err)
{
    char *temporary = NULL;
    OrtSession *session = NULL;
    const char *folder;
    enum mly_status status = mly__prepared_make_room(p->folder, expected_bytes(p), err);
    if (status == MLY_OK)
        status = mly__prepared_begin(p->folder, &temporary, err);
    if (status != MLY_OK)
        return status;
    struct mly_error why = {0};
    bool written;
    status = write_and_try(p, temporary, p->packed, &written, &session, &why);
    if (status == MLY_E_BACKEND && written && p->packed) {
        mly_log(MLY_LOG_DEBUG, "%s: made again without packed weights: %s",
                mly_model_path(p->model), why.message);
        status = mly_dir_remove(temporary, &why);
        mly_free(temporary);
        temporary = NULL;
        if (status == MLY_OK)
            status = mly__prepared_begin(p->folder, &temporary, &why);
        if (status == MLY_OK)
            status = write_and_try(p, temporary, false, &written, &session, &why);
    }
    if (status == MLY_E_BACKEND && written && strstr(why.message, "invalid model"))
        mly__prepared_refuse(p->folder, p->key, why.message);
    if (status != MLY_OK && err)
        *err = why;
    /* Was the file not written to meanwhile? Then the copy is of what was hashed. */
    if (status == MLY_OK)
        status = mly_model_folder(p->model, &folder, err);
    if (status == MLY_OK)
        status = mly__prepared_publish(p->folder, p->key, temporary,
                                       file_name(mly_model_path(p->model)), p->ort->version, err);
    if (status == MLY_OK && mly__prepared_make_room(p->folder, 0, &why) != MLY_OK)
        mly_log(MLY_LOG_DEBUG, "%s", why.message);
    if (status != MLY_OK) {
        if (session)
            p->ort->api->ReleaseSession(session);
        if (temporary && mly_dir_remove(temporary, &why) != MLY_OK)
            mly_log(MLY_LOG_DEBUG, "%s", why.message);
        session = NULL;
    }
    mly_free(temporary);
    *out = session;
    return status;
}

/* 3. *out stays NULL, with MLY_OK, when there is no copy that can be used. */
static enum mly_status try_copy(const struct preparation *p, const char *model_path,
                                OrtSession **out, struct mly_error *err)
{
    struct mly_error why = {0};
    if (!mly__prepared_check(p->folder, p->key))
        return MLY_OK;
    enum mly_status status = open_copy(p, model_path, out, &why);
    if (status == MLY_OK)
        mly__prepared_touch(p->folder, p->key);
    if (status != MLY_E_BACKEND) {
        if (status != MLY_OK && err)
            *err = why;
        return status;
    }
    mly_log(MLY_LOG_DEBUG, "prepared copy %s is made again: %s", p->key, why.message);
    return mly__prepared_remove(p->folder, p->key, err);
}

static enum mly_status open_or_make(const struct preparation *p, const char *model_path,
                                    OrtSession **out, struct mly_error *err)
{
    struct mly__prepared_lock lock = {0};
    enum mly_status status = try_copy(p, model_path, out, err);
    if (status == MLY_OK && !*out)
        status = mly__prepared_refused(p->folder, p->key, err);
    if (status != MLY_OK || *out)
        return status;
    status = mly__prepared_lock(p->folder, p->key, &lock, err);
    if (status != MLY_OK)
        return status;
    status = try_copy(p, model_path, out, err); /* somebody made it while we waited */
    if (status == MLY_OK && !*out) {
        status = mly__prepared_remove(p->folder, p->key, err); /* what does not look right */
        if (status == MLY_OK)
            status = make_copy(p, out, err);
    }
    mly__prepared_unlock(&lock);
    return status;
}

enum mly_status mly__ort_open_prepared(const struct mly__ort *ort, const mly_model *model,
                                       const struct mly_segment *segment,
                                       const OrtSessionOptions *options, OrtSession **out,
                                       char **key, char **path, struct mly_error *err)
{
    struct preparation p = {.ort = ort,
                            .model = model,
                            .segment = segment,
                            .options = options,
                            .packed = mly__ort_needs_packing(model, segment)};
    char *kept_key = NULL, *model_path = NULL;
    bool held = false;
    enum mly_status status = mly__prepared_key(model, segment, ort->version, p.packed, p.key, err);
    if (status == MLY_OK)
        status = mly__prepared_folder(&p.folder, err);
    if (status == MLY_OK) {
        kept_key = mly_strdup(p.key);
        model_path = mly_strfmt("%s/%s/" MLY__PREPARED_MODEL, p.folder, p.key);
        status = kept_key && model_path ? mly__prepared_hold(p.key, err)
                                        : mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        held = status == MLY_OK;
    }
    if (status == MLY_OK)
        status = open_or_make(&p, model_path, out, err);
    if (status == MLY_OK) {
        *key = kept_key;
        *path = model_path;
    } else {
        if (held)
            mly__prepared_release(p.key);
        mly_free(kept_key);
        mly_free(model_path);
    }
    mly_free(p.folder);
    return status;
}

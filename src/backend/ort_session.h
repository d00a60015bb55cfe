/* A segment opened in ONNX Runtime; for src/backend only. */
#ifndef MLY_BACKEND_ORT_SESSION_H
#define MLY_BACKEND_ORT_SESSION_H

#include <pthread.h>

#include "backend/backend.h"
#include "ort_api.h"

extern const struct mly_backend_ops mly__ort_ops;

/* Where an output's dimension comes from: dimension `dim` of input `input`, which has the same
 * name. */
struct mly__dim_source {
    bool known;
    uint32_t input;
    int32_t dim;
};

/* A tensor as it was bound by the last run: the binding is kept while the caller's tensor is the
 * same. */
struct mly__bound {
    OrtValue *value; /* NULL when nothing of the caller's is bound */
    const void *data;
    size_t size_bytes;
    struct mly_shape shape;
};

struct mly__ort_session {
    const struct mly__ort *ort;
    OrtSession *session;
    OrtRunOptions *run_options;
    OrtIoBinding *binding;

    struct mly_session_info info; /* names are borrowed from the model */
    struct mly_session_port *inputs;
    struct mly_session_port *outputs;
    bool *input_is_optional;               /* [inputs] has a default in the file */
    struct mly__dim_source *output_source; /* [outputs][MLY_RANK_MAX] */
    struct mly__bound *bound_inputs;
    struct mly__bound *bound_outputs;
    struct mly_tensor *results;           /* [outputs] scratch of one run */
    bool *is_preset;                      /* [outputs] scratch of one run */
    struct mly__ort_block **blocks;       /* [outputs] of one run; NULL where none is used */
    struct mly__ort_results *result_pool; /* memory for results that callers bring none for */
    bool no_blocks; /* the model's file is wrong about its outputs' shapes: the runtime's memory */

    const mly_model *model;            /* borrowed */
    const struct mly_segment *segment; /* borrowed */
    char *prepared_key;                /* of the copy that is mapped, else NULL */
    char *prepared_model;    /* path of its model file, or NULL; the file may be gone by now */
    char *profile_directory; /* where the runtime writes times, or NULL */

    pthread_mutex_t lock; /* protects running and terminated */
    bool lock_made;
    bool running, terminated;
};

static inline struct mly__ort_session *mly__ort_session_of(mly_session *session)
{
    return (struct mly__ort_session *)(void *)session;
}

/*
 * ort_options.c: the runtime's options for one session. level and what is particular to plain and
 * prepared sessions are the caller's to add. *out is owned by the caller (ReleaseSessionOptions).
 */
enum mly_status mly__ort_options(const struct mly__ort *ort,
                                 const struct mly_session_options *options, OrtSessionOptions **out,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* Threads that the options ask for, checked. */
enum mly_status mly__ort_check_options(const struct mly_session_options *options,
                                       struct mly_error *err) MLY_MUST_CHECK;

/*
 * ort_load.c: gives the runtime the segment itself, weights by reference to the files that they lie
 * in. An operator that the runtime does not know is reported with its node's name.
 */
enum mly_status mly__ort_load(const struct mly__ort *ort, const mly_model *model,
                              const struct mly_segment *segment, OrtSessionOptions *options,
                              OrtSession **out, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__ort_option(const struct mly__ort *ort, OrtSessionOptions *options,
                                const char *key, const char *value,
                                struct mly_error *err) MLY_MUST_CHECK;

/* ort_packing.c: do its kernels run faster with packed weights? The same for every session of a segment, as long as
 * its shapes are known. */
bool mly__ort_needs_packing(const mly_model *model, const struct mly_segment *segment);

/*
 * ort_prepared.c: opens the segment's prepared copy, which is made if there is none. *key (mly_free;
 * given back by mly__prepared_release) and *path (mly_free) name it. MLY_E_IO and others: there is
 * no copy to be had, and the plain way is open; MLY_E_NO_MEMORY, MLY_E_UNSUPPORTED, MLY_E_BACKEND:
 * the plain way would fail in the same way.
 */
enum mly_status mly__ort_open_prepared(const struct mly__ort *ort, const mly_model *model,
                                       const struct mly_segment *segment,
                                       const OrtSessionOptions *options, OrtSession **out,
                                       char **key, char **path,
                                       struct mly_error *err) MLY_MUST_CHECK;

/* ort_binding.c */
enum mly_status mly__ort_bind_ports(struct mly__ort_session *session,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__ort_unbind(struct mly__ort_session *session);
enum mly_status mly__ort_run(mly_session *session, const struct mly_tensor *inputs,
                             struct mly_tensor *outputs, struct mly_error *err) MLY_MUST_CHECK;

/* ort_results.c: memory of results, used again. Blocks may be released by any thread, also after
 * close. */
struct mly__ort_results *mly__ort_results_create(uint32_t output_count); /* NULL: no memory */
void mly__ort_results_close(struct mly__ort_results *results);           /* NULL is fine */
/* A block of at least so many bytes for that output, by one thread at a time; NULL: no memory. */
struct mly__ort_block *mly__ort_block_take(struct mly__ort_results *results, uint32_t output,
                                           size_t bytes);
void *mly__ort_block_data(const struct mly__ort_block *block);
void mly__ort_block_release(void *owner); /* a block */

/* ort_profile.c */
enum mly_status mly__ort_profile_begin(struct mly__ort_session *session, OrtSessionOptions *options,
                                       struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__ort_node_times(mly_session *session, struct mly_node_times *out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__ort_profile_end(struct mly__ort_session *session);

/* ort_shapes.c */
enum mly_status mly__ort_infer_shapes(mly_model *model, const struct mly_dim_binding *bindings,
                                      size_t binding_count, struct mly_error *err) MLY_MUST_CHECK;
/* Type and shape that the runtime tells; *is_tensor false for sequences and the like. names, of
 * MLY_RANK_MAX, may be NULL; they are borrowed from info. */
enum mly_status mly__ort_describe(const struct mly__ort *ort, const OrtTypeInfo *info,
                                  bool *is_tensor, enum mly_dtype *dtype, struct mly_shape *shape,
                                  const char **names, struct mly_error *err) MLY_MUST_CHECK;

#endif

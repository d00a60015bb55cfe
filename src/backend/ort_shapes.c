/*
 * Types and shapes of all tensors, as the runtime infers them.
 *
 * 1. The model is opened with everything that its nodes make as an output, and only basic
 *    optimisation, which folds the arithmetic on shapes. Nothing is run.
 * 2. The runtime tells each output's type.
 * 3. What it tells is given to the model, as the file would have told it.
 * 4. A reshape that computes with the batch loses its name: where dimensions stayed open, the runtime is
 *    asked again for three sizes of the batch. What is the same for all is a constant, what grows with the
 *    batch a multiple of it; the rest stays open.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ort_session.h"

enum mly_status mly__ort_describe(const struct mly__ort *ort, const OrtTypeInfo *info,
                                  bool *is_tensor, enum mly_dtype *dtype, struct mly_shape *shape,
                                  const char **names, struct mly_error *err)
{
    const OrtApi *api = ort->api;
    const OrtTensorTypeAndShapeInfo *tensor = NULL;
    enum ONNXType kind;
    enum ONNXTensorElementDataType element;
    size_t rank;
    enum mly_status status = mly__ort_check(ort, api->GetOnnxTypeFromTypeInfo(info, &kind), err);
    if (status != MLY_OK)
        return status;
    *is_tensor = kind == ONNX_TYPE_TENSOR;
    *dtype = MLY_DTYPE_UNDEFINED;
    *shape = (struct mly_shape){.rank = -1};
    if (!*is_tensor)
        return MLY_OK;
    status = mly__ort_check(ort, api->CastTypeInfoToTensorInfo(info, &tensor), err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, api->GetTensorElementType(tensor, &element), err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, api->GetDimensionsCount(tensor, &rank), err);
    if (status != MLY_OK)
        return status;
    *dtype = mly_dtype_from_onnx((int32_t)element);
    if (ort->has_shape && !ort->has_shape(tensor))
        return MLY_OK;
    if (!ort->has_shape && rank == 0)
        return MLY_OK; /* a scalar, or unknown: this runtime does not say which */
    if (rank > MLY_RANK_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "a tensor has %zu dimensions; the limit is %d", rank,
                             MLY_RANK_MAX);
    status = mly__ort_check(ort, api->GetDimensions(tensor, shape->dims, rank), err);
    if (status == MLY_OK && names)
        status = mly__ort_check(ort, api->GetSymbolicDimensions(tensor, names, rank), err);
    if (status != MLY_OK)
        return status;
    shape->rank = (int32_t)rank;
    for (size_t i = 0; i < rank; i++)
        if (shape->dims[i] < 0)
            shape->dims[i] = MLY_DIM_UNKNOWN;
    return MLY_OK;
}

/* 1. */
static enum mly_status open_observed(const struct mly__ort *ort, const mly_model *model,
                                     const struct mly_segment *segment,
                                     const struct mly_dim_binding *bindings, size_t binding_count,
                                     OrtSession **out, struct mly_error *err)
{
    const OrtApi *api = ort->api;
    OrtSessionOptions *options = NULL;
    enum mly_status status = mly__ort_check(ort, api->CreateSessionOptions(&options), err);
    if (status == MLY_OK)
        status = mly__ort_check(
            ort, api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_BASIC), err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, api->SetIntraOpNumThreads(options, 1), err);
    if (status == MLY_OK)
        status = mly__ort_check(ort, api->SetInterOpNumThreads(options, 1), err);
    if (status == MLY_OK)
        status = mly__ort_option(ort, options, "session.disable_prepacking", "1", err);
    for (size_t i = 0; status == MLY_OK && i < binding_count; i++)
        status = mly__ort_check(
            ort, api->AddFreeDimensionOverrideByName(options, bindings[i].name, bindings[i].size),
            err);
    if (status == MLY_OK)
        status = mly__ort_load(ort, model, segment, options, out, err);
    if (options)
        api->ReleaseSessionOptions(options);
    return status;
}

struct answers {
    struct mly_value_type *types;
    char **names;        /* the runtime's, which types borrow */
    OrtTypeInfo **infos; /* likewise */
    size_t count;
};

/* 2. */
static enum mly_status ask(const struct mly__ort *ort, OrtSession *session, struct answers *answers,
                           struct mly_error *err)
{
    const OrtApi *api = ort->api;
    size_t count;
    enum mly_status status = mly__ort_check(ort, api->SessionGetOutputCount(session, &count), err);
    if (status != MLY_OK)
        return status;
    answers->types = mly_alloc_array(count + 1, sizeof *answers->types);
    answers->names = mly_alloc_array(count + 1, sizeof *answers->names);
    answers->infos = mly_alloc_array(count + 1, sizeof(OrtTypeInfo *));
    if (!answers->types || !answers->names || !answers->infos)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    answers->count = count;
    for (size_t i = 0; i < count; i++) {
        struct mly_value_type *type = &answers->types[i];
        bool is_tensor = false;
        status = mly__ort_check(
            ort, api->SessionGetOutputName(session, i, ort->allocator, &answers->names[i]), err);
        if (status == MLY_OK)
            status = mly__ort_check(
                ort, api->SessionGetOutputTypeInfo(session, i, &answers->infos[i]), err);
        if (status == MLY_OK)
            status = mly__ort_describe(ort, answers->infos[i], &is_tensor, &type->dtype,
                                       &type->shape, type->dim_names, err);
        if (status != MLY_OK)
            return status;
        type->name = answers->names[i];
        type->is_sequence_or_optional = !is_tensor;
    }
    return MLY_OK;
}

static void answers_fini(const struct mly__ort *ort, struct answers *answers)
{
    for (size_t i = 0; i < answers->count; i++) {
        mly__ort_free(ort, answers->names[i]);
        if (answers->infos[i])
            ort->api->ReleaseTypeInfo(answers->infos[i]);
    }
    mly_free(answers->types);
    mly_free(answers->names);
    mly_free(answers->infos);
}

/*
 * The runtime refused the model with all its tensors as outputs. Does it take it as it is? Then shapes
 * stay unknown, which is no failure.
 */
static enum mly_status open_as_it_is(const struct mly__ort *ort, const mly_model *model,
                                     struct mly_error *err)
{
    struct mly_segment whole = {0};
    OrtSession *session = NULL;
    enum mly_status status = mly_segment_whole(model, &whole, err);
    if (status == MLY_OK)
        status = open_observed(ort, model, &whole, NULL, 0, &session, err);
    if (session)
        ort->api->ReleaseSession(session);
    mly_segment_fini(&whole);
    return status;
}

/* --- 4. --- */

enum {
    PROBES = 3,
    DIM_NAME_BYTES = 160, /* longer names of the batch are cut short, and then mean nothing */
};
static const int64_t probe_batches[PROBES] = {2, 3, 5};

struct probes {
    OrtSession *sessions[PROBES];
    struct answers answers[PROBES];
};

static bool is_open(const struct mly_graph *graph)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->producer == MLY_NO_INDEX || tensor->is_sequence_or_optional)
            continue;
        if (tensor->shape.rank < 0)
            return true;
        for (int32_t d = 0; d < tensor->shape.rank; d++)
            if (tensor->shape.dims[d] < 0 && !tensor->dim_names[d][0])
                return true;
    }
    return false;
}

/* All symbols of the batch, and what the caller binds. */
static enum mly_status open_for_batch(const struct mly__ort *ort, const mly_model *model,
                                      const struct mly_segment *segment, int64_t batch,
                                      const struct mly_dim_binding *bindings, size_t binding_count,
                                      OrtSession **out, struct mly_error *err)
{
    size_t count;
    const char *const *symbols = mly_graph_batch_symbols(model, &count);
    struct mly_dim_binding *all = mly_alloc_array(count + binding_count + 1, sizeof *all);
    if (!all)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (size_t i = 0; i < count; i++)
        all[i] = (struct mly_dim_binding){.name = symbols[i], .size = batch};
    for (size_t i = 0; i < binding_count; i++)
        all[count + i] = bindings[i];
    enum mly_status status =
        open_observed(ort, model, segment, all, count + binding_count, out, err);
    mly_free(all);
    return status;
}

/* The same size for all batches, or a multiple of the batch, whose name is then in *name. */
static void combine_dim(const struct mly_value_type *const types[PROBES], int32_t d,
                        const char *symbol, char *text, int64_t *size, const char **name)
{
    const int64_t *batch = probe_batches;
    int64_t at[PROBES];
    *size = MLY_DIM_UNKNOWN;
    *name = "";
    for (int i = 0; i < PROBES; i++)
        at[i] = types[i]->shape.dims[d];
    if (at[0] < 0 || at[1] < 0 || at[2] < 0)
        return;
    if (at[0] == at[1] && at[1] == at[2]) {
        *size = at[0];
        return;
    }
    int64_t factor = at[0] / batch[0];
    for (int i = 0; i < PROBES; i++)
        if (factor < 1 || at[i] != factor * batch[i])
            return;
    *name = symbol;
    if (factor > 1) {
        snprintf(text, DIM_NAME_BYTES, "%" PRId64 "*%s", factor, symbol);
        *name = text;
    }
}

/* combined->name stays NULL where the answers do not agree on what it is. */
static void combine(const struct probes *probes, size_t index, const char *symbol,
                    char text[MLY_RANK_MAX][DIM_NAME_BYTES], struct mly_value_type *combined)
{
    const struct mly_value_type *types[PROBES];
    for (int i = 0; i < PROBES; i++)
        types[i] = &probes->answers[i].types[index];
    for (int i = 1; i < PROBES; i++)
        if (strcmp(types[i]->name, types[0]->name) != 0 || types[i]->dtype != types[0]->dtype ||
            types[i]->shape.rank != types[0]->shape.rank)
            return;
    if (types[0]->is_sequence_or_optional || types[0]->shape.rank < 0)
        return;
    *combined = *types[0];
    for (int32_t d = 0; d < combined->shape.rank; d++)
        combine_dim(types, d, symbol, text[d], &combined->shape.dims[d], &combined->dim_names[d]);
}

/* Tells the model what the answers have in common. */
static enum mly_status add_combined(mly_model *model, const struct probes *probes,
                                    struct mly_error *err)
{
    size_t count = probes->answers[0].count, symbol_count, known = 0, length = 0;
    const char *const *symbols = mly_graph_batch_symbols(model, &symbol_count);
    for (int i = 1; i < PROBES; i++)
        if (probes->answers[i].count != count)
            return MLY_OK;
    struct mly_value_type *types = mly_alloc_array(count + 1, sizeof *types);
    char(*texts)[MLY_RANK_MAX][DIM_NAME_BYTES] = mly_alloc_array(count + 1, sizeof *texts);
    void *onnx = NULL;
    enum mly_status status =
        types && texts ? MLY_OK : mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (size_t i = 0; status == MLY_OK && i < count; i++) {
        types[known] = (struct mly_value_type){0};
        combine(probes, i, symbols[0], texts[i], &types[known]);
        known += types[known].name != NULL;
    }
    if (status == MLY_OK)
        status = mly_value_types_pack(types, known, &onnx, &length, err);
    if (status == MLY_OK)
        status = mly_model_add_shapes(model, onnx, length, err);
    mly_free(onnx);
    mly_free(texts);
    mly_free(types);
    return status;
}

/* A model that does not take every batch, or not with other dimensions open, stays as it is. */
static enum mly_status probe_batch(const struct mly__ort *ort, mly_model *model,
                                   const struct mly_segment *segment,
                                   const struct mly_dim_binding *bindings, size_t binding_count,
                                   struct mly_error *err)
{
    struct probes probes = {0};
    struct mly_error why = {0};
    enum mly_status status = MLY_OK;
    for (int i = 0; status == MLY_OK && i < PROBES; i++) {
        status = open_for_batch(ort, model, segment, probe_batches[i], bindings, binding_count,
                                &probes.sessions[i], &why);
        if (status == MLY_OK)
            status = ask(ort, probes.sessions[i], &probes.answers[i], &why);
    }
    if (status == MLY_OK)
        status = add_combined(model, &probes, &why);
    for (int i = 0; i < PROBES; i++) {
        answers_fini(ort, &probes.answers[i]);
        if (probes.sessions[i])
            ort->api->ReleaseSession(probes.sessions[i]);
    }
    if (status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "%s", why.message);
    if (status != MLY_OK)
        mly_log(MLY_LOG_DEBUG, "%s: shapes stay open: %s", mly_model_path(model), why.message);
    return MLY_OK;
}

enum mly_status mly__ort_infer_shapes(mly_model *model, const struct mly_dim_binding *bindings,
                                      size_t binding_count, struct mly_error *err)
{
    const struct mly__ort *ort;
    struct mly_segment segment = {0};
    struct answers answers = {0};
    OrtSession *session = NULL;
    void *onnx = NULL;
    size_t length = 0;
    enum mly_status status = mly__ort_get(&ort, err);
    if (status == MLY_OK)
        status = mly_segment_observed(model, &segment, err);
    if (status == MLY_OK) {
        struct mly_error why = {0};
        status = open_observed(ort, model, &segment, bindings, binding_count, &session, &why);
        if (status == MLY_E_BACKEND) {
            mly_log(MLY_LOG_DEBUG, "%s: no shapes: %s", mly_model_path(model), why.message);
            mly_segment_fini(&segment);
            return open_as_it_is(ort, model, err);
        }
        if (status != MLY_OK && err)
            *err = why;
    }
    if (status == MLY_OK)
        status = ask(ort, session, &answers, err);
    if (status == MLY_OK) /* 3. */
        status = mly_value_types_pack(answers.types, answers.count, &onnx, &length, err);
    if (status == MLY_OK)
        status = mly_model_add_shapes(model, onnx, length, err);
    mly_free(onnx);
    answers_fini(ort, &answers);
    if (session)
        ort->api->ReleaseSession(session);
    if (status == MLY_OK && mly_model_fixed_batch(model) == 0 && is_open(mly_model_graph(model)))
        status = probe_batch(ort, model, &segment, bindings, binding_count, err);
    mly_segment_fini(&segment);
    return status;
}

#include "support/backend_rig.h"

#include <math.h>
#include <sched.h>

#include "base/half.h"
#include "model/zoo.h"

/*
 * ThreadSanitizer does not see how the runtime's threads synchronise, as the runtime is not built with
 * it: what it finds inside the runtime is no finding. It calls this by name.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libonnxruntime.so";
}

const struct mly_processor *rig_processor(void)
{
    static uint32_t cpus[CPU_SETSIZE];
    static struct mly_processor processor;
    if (processor.cpu_count == 0) {
        cpu_set_t set;
        assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
        for (uint32_t i = 0; i < CPU_SETSIZE; i++)
            if (CPU_ISSET(i, &set))
                cpus[processor.cpu_count++] = i;
        snprintf(processor.id, sizeof processor.id, "cpu:rig");
        snprintf(processor.kind, sizeof processor.kind, "cpu");
        processor.cpus = cpus;
        processor.usable = true;
    }
    return &processor;
}

struct mly_session_options rig_options(uint32_t threads)
{
    const struct mly_processor *processor = rig_processor();
    return (struct mly_session_options){
        .processor = processor,
        .threads = threads < processor->cpu_count ? threads : processor->cpu_count,
    };
}

void rig_load(struct rig *rig, const char *path)
{
    struct mly_error err = {0};
    *rig = (struct rig){0};
    expect_ok(mly_model_load(path, NULL, &rig->model, &err), err);
    expect_ok(mly_segment_whole(rig->model, &rig->whole, &err), err);
}

void rig_free(struct rig *rig)
{
    mly_segment_fini(&rig->whole);
    mly_model_destroy(rig->model);
}

static void fill(struct mly_tensor *tensor, uint64_t seed)
{
    uint64_t state = seed * 2654435761u + 1;
    if (tensor->dtype != MLY_DTYPE_F32)
        return; /* zeros are valid everywhere */
    float *values = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes / sizeof *values; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(int32_t)(state >> 32) / 2147483648.0f;
    }
}

struct mly_tensor *rig_inputs(const struct mly_session_info *info, int64_t batch, uint64_t seed)
{
    struct mly_error err = {0};
    struct mly_tensor *tensors = calloc((size_t)info->input_count + 1, sizeof *tensors);
    assert_non_null(tensors);
    for (uint32_t i = 0; i < info->input_count; i++) {
        struct mly_shape shape = info->inputs[i].shape;
        shape.rank = shape.rank < 0 ? 0 : shape.rank;
        for (int32_t d = 0; d < shape.rank; d++)
            if (shape.dims[d] < 0)
                shape.dims[d] = d == 0 ? batch : 1;
        expect_ok(mly_tensor_init(info->inputs[i].dtype, &shape, &tensors[i], &err), err);
        fill(&tensors[i], seed + i);
    }
    return tensors;
}

struct mly_tensor *rig_outputs(const struct mly_session_info *info)
{
    struct mly_tensor *tensors = calloc((size_t)info->output_count + 1, sizeof *tensors);
    assert_non_null(tensors);
    return tensors;
}

void tensors_free(struct mly_tensor *tensors, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mly_tensor_fini(&tensors[i]);
    free(tensors);
}

static double value_at(const struct mly_tensor *tensor, size_t index)
{
    switch (tensor->dtype) {
    case MLY_DTYPE_F32:
        return ((const float *)tensor->data)[index];
    case MLY_DTYPE_F64:
        return ((const double *)tensor->data)[index];
    case MLY_DTYPE_F16:
        return mly_f16_to_f32(((const uint16_t *)tensor->data)[index]);
    case MLY_DTYPE_I64:
        return (double)((const int64_t *)tensor->data)[index];
    case MLY_DTYPE_I32:
        return ((const int32_t *)tensor->data)[index];
    default:
        return ((const uint8_t *)tensor->data)[index];
    }
}

bool tensors_close(const struct mly_tensor *a, const struct mly_tensor *b, double absolute,
                   double relative)
{
    if (a->dtype != b->dtype || !mly_shape_equal(&a->shape, &b->shape) ||
        a->size_bytes != b->size_bytes)
        return false;
    const bool known = a->dtype == MLY_DTYPE_F32 || a->dtype == MLY_DTYPE_F64 ||
                       a->dtype == MLY_DTYPE_F16 || a->dtype == MLY_DTYPE_I64 ||
                       a->dtype == MLY_DTYPE_I32;
    const size_t step = known ? mly_dtype_bits(a->dtype) / 8 : 1;
    for (size_t i = 0; i < a->size_bytes / step; i++) {
        const double x = value_at(a, i), y = value_at(b, i);
        if (x == y || (isnan(x) && isnan(y)))
            continue;
        if (!(fabs(x - y) <= absolute + relative * fabs(y)))
            return false;
    }
    return true;
}

void rig_run_once(const struct mly_backend_ops *ops, const struct rig *rig,
                  const struct mly_session_options *options, uint64_t seed,
                  struct mly_tensor *result, bool *prepared)
{
    struct mly_error err = {0};
    mly_session *session = NULL;
    expect_ok(ops->open(rig->model, &rig->whole, options, &session, &err), err);
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *inputs = rig_inputs(info, 1, seed), *outputs = rig_outputs(info);
    expect_ok(ops->run(session, inputs, outputs, &err), err);
    if (prepared)
        *prepared = info->prepared_copy;
    if (result) {
        *result = outputs[0];
        outputs[0] = (struct mly_tensor){0};
    }
    tensors_free(inputs, info->input_count);
    tensors_free(outputs, info->output_count);
    ops->close(session);
}

const char *rig_zoo(const char *directory, const char *name)
{
    struct mly_error err = {0};
    const char *path = scratch_path(directory, name);
    expect_ok(mly_zoo_write(name, path, &err), err);
    return path;
}

/*
 * The cuts behind a published row: it says how many MiB each segment kept on its chip and streamed, and that
 * tells where the network was cut.
 *
 *   1. Layers: a node with weights begins one; what each weighs as the device stores it.
 *   2. Of all ways to divide them into so many segments the one whose weights come nearest.
 *   3. A plan with these segments, one on each TPU.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "experiment.h"
#include "plan/plan.h"

#define NEAR_MIB 0.1
enum { LAYERS_MAX = 64 };

struct layers {
    uint32_t first[LAYERS_MAX];     /* node */
    double sum_mib[LAYERS_MAX + 1]; /* of the weights of the layers before */
    uint32_t count;
};

/* --- 1 --- */

static enum mly_status weigh(const mly_modelled *modelled, uint32_t node, double *mib,
                             struct mly_error *err)
{
    struct mly_modelled_cost cost;
    enum mly_status status = mly_modelled_segment(modelled, &node, 1, &cost, err);
    *mib = status == MLY_OK ? cost.weight_bytes / MLY__MIB : 0;
    return status;
}

static enum mly_status find_layers(const struct mly_device_model *device, const mly_model *model,
                                   struct layers *out, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    mly_modelled *modelled = NULL;
    *out = (struct layers){0};
    enum mly_status status = mly_modelled_create(device, model, 1, NULL, 0, &modelled, err);
    for (uint32_t n = 0; n < graph->node_count && status == MLY_OK; n++) {
        double mib;
        status = weigh(modelled, n, &mib, err);
        if (status != MLY_OK || mib <= 0)
            continue;
        if (out->count == LAYERS_MAX) {
            status = mly_error_set(err, MLY_E_LIMIT, "more than %d layers", LAYERS_MAX);
            break;
        }
        out->first[out->count] = out->count ? n : 0;
        out->sum_mib[out->count + 1] = out->sum_mib[out->count] + mib;
        out->count++;
    }
    mly_modelled_destroy(modelled);
    return status;
}

/* --- 2 --- */

/* The least largest difference for segments from `part` on, the first of which begins with layer `begin`. */
static double fit(const struct layers *layers, const struct mly_published_row *row, uint32_t part,
                  uint32_t begin, uint32_t *ends)
{
    const double wanted = row->on_chip_mib[part] + row->off_chip_mib[part];
    const uint32_t after = row->segment_count - part - 1;
    double best = INFINITY;
    uint32_t rest[MLY_PUBLISHED_SEGMENTS_MAX] = {0};
    for (uint32_t end = after ? begin + 1 : layers->count; end + after <= layers->count; end++) {
        double off = fabs(layers->sum_mib[end] - layers->sum_mib[begin] - wanted);
        if (after)
            off = fmax(off, fit(layers, row, part + 1, end, rest));
        if (off < best) {
            best = off;
            ends[part] = end;
            for (uint32_t i = part + 1; i < row->segment_count; i++)
                ends[i] = rest[i];
        }
    }
    return best;
}

/* The compiler also made segments that hold nothing but the conversion of the input: no cut of layers. */
static bool has_idle_segment(const struct mly_published_row *row)
{
    for (uint32_t i = 0; i < row->segment_count; i++)
        if (row->on_chip_mib[i] + row->off_chip_mib[i] <= 0)
            return true;
    return false;
}

/* --- 3 --- */

/* From the plan of another way with as many segments: cut anew, and a processor for each. */
static enum mly_status cut_anew(const mly_model *model, mly_plan *plan, const struct layers *layers,
                                const uint32_t *ends, uint32_t part_count, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t *part_of_node = mly_alloc_array(graph->node_count, sizeof *part_of_node);
    if (!part_of_node)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint32_t n = 0, part = 0; n < graph->node_count; n++) {
        while (part + 1 < part_count && n >= layers->first[ends[part]])
            part++;
        part_of_node[n] = part;
    }
    enum mly_status status = mly_plan_recut(plan, graph->node_count, part_of_node, part_count, err);
    mly_free(part_of_node);
    for (uint32_t i = 0; i < part_count && status == MLY_OK; i++) {
        plan->segments[i].processors[0] = i;
        plan->segments[i].processor_count = 1;
    }
    if (status == MLY_OK)
        status = mly_plan_evaluate(plan, model, NULL, &plan->prediction, err);
    return status;
}

enum mly_status mly__tpu_plan_as_published(struct mly_bench *bench, const mly_model *model,
                                           const char *processors,
                                           const struct mly_published_row *row, mly_plan **plan,
                                           struct mly__pipeline *out, struct mly_error *err)
{
    const struct mly_device_model *device = NULL;
    struct layers layers;
    uint32_t ends[MLY_PUBLISHED_SEGMENTS_MAX] = {0};
    mly_plan *made = NULL;
    enum mly_status status = mly__bench_device(bench, &device, err);
    if (status == MLY_OK)
        status = find_layers(device, model, &layers, err);
    if (status != MLY_OK)
        return status;
    if (row->segment_count > layers.count || has_idle_segment(row) ||
        fit(&layers, row, 0, 0, ends) > NEAR_MIB)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "size %" PRIu32 ": no cuts fit what was published", row->size);
    status = mly__pipeline_plan(bench, model, processors, "parameters", true, &made, out, err);
    if (status == MLY_OK && made->processor_count != row->segment_count)
        status = mly_error_set(err, MLY_E_NOT_FOUND, "the published row has %" PRIu32 " segments",
                               row->segment_count);
    if (status == MLY_OK)
        status = cut_anew(model, made, &layers, ends, row->segment_count, err);
    if (status == MLY_OK)
        status = mly__pipeline_look_at(model, made, out, err);
    if (status != MLY_OK) {
        mly_plan_destroy(made);
        return status;
    }
    *plan = made;
    return MLY_OK;
}

/*
 * The roofline family: each node takes the longer of its arithmetic at the type's peak rate and its
 * bytes at the memory's bandwidth (Williams, Waterman and Patterson, "Roofline", CACM 2009), and a
 * fixed time; a segment takes a launch besides.
 */
#include "modelled_private.h"

/* Element-wise work beside products: as many lanes as multiply-accumulates have. */
#define FLOPS_PER_MAC 2

/*
 * A layer that is often met, the unit of half_batch: 3x3, 64 channels in and out, 56x56 (He et al.,
 * "Deep residual learning", table 1).
 */
#define LAYER_MACS (56.0 * 56 * 64 * 64 * 9)

static double rate_of(const struct mly_device_model *device, enum mly_dtype dtype)
{
    return device->macs_per_s[dtype] * (device->efficiency > 0 ? device->efficiency : 1);
}

/* Arithmetic at a rate that small layers do not reach: half of it where they are half_batch times
 * LAYER_MACS; nor short sums, as depthwise convolutions have: half of it where they add result_macs products. */
static double compute_s(const struct mly_device_model *device,
                        const struct mly__modelled_node *node)
{
    enum mly_dtype dtype = device->macs_per_s[node->dtype] > 0 ? node->dtype : MLY_DTYPE_F32;
    double work = node->macs + node->other_flops / FLOPS_PER_MAC;
    if (node->macs > 0)
        work += device->half_batch * LAYER_MACS + device->result_macs * node->output_elements;
    return work / rate_of(device, dtype);
}

/* What does not come out of the cache. Weights of a small network stay in it, too. */
static double memory_bytes(const struct mly_device_model *device,
                           const struct mly__modelled_node *node, bool all_in_cache)
{
    double activations = node->input_bytes + node->output_bytes;
    if (all_in_cache)
        return 0;
    return node->weight_bytes + (activations > device->on_chip_bytes ? activations : 0);
}

static double node_ns(const struct mly_device_model *device, const struct mly__modelled_node *node,
                      bool all_in_cache)
{
    double compute = compute_s(device, node);
    double memory = memory_bytes(device, node, all_in_cache) / device->memory_bytes_per_s;
    return (compute > memory ? compute : memory) * 1e9 + device->node_ns;
}

enum mly_status mly__modelled_roofline(const struct mly__modelled_segment *segment,
                                       struct mly_modelled_cost *out, struct mly_error *err)
{
    const mly_modelled *modelled = segment->modelled;
    const struct mly_device_model *device = modelled->device;
    for (uint32_t i = 0; i < segment->count; i++) {
        uint32_t index = mly__modelled_node_at(segment, i);
        const struct mly__modelled_node *node = &modelled->nodes[index];
        if (node->macs > 0 && node->dtype != MLY_DTYPE_UNDEFINED &&
            device->macs_per_s[node->dtype] <= 0)
            return mly_error_set(err, MLY_E_UNSUPPORTED,
                                 "%s (modelled) cannot compute node '%s' (%s) in %s: its device "
                                 "file has no rate for that type",
                                 device->name, modelled->graph->nodes[index].label,
                                 modelled->graph->nodes[index].op_type,
                                 mly_dtype_name(node->dtype));
        out->weight_bytes += node->weight_bytes;
        out->macs += node->macs;
    }
    if (out->weight_bytes + out->activation_bytes > device->memory_bytes)
        return mly_error_set(err, MLY_E_LIMIT,
                             "%s (modelled) has %.0f MB of memory; %.0f MB of weights and %.0f MB "
                             "of activations do not fit",
                             device->name, device->memory_bytes / 1e6, out->weight_bytes / 1e6,
                             out->activation_bytes / 1e6);
    bool all_in_cache = out->weight_bytes + out->activation_bytes <= device->on_chip_bytes;
    out->execution_ns = device->launch_ns;
    for (uint32_t i = 0; i < segment->count; i++) {
        uint32_t index = mly__modelled_node_at(segment, i);
        if (!mly__modelled_is_free(segment, index))
            out->execution_ns += node_ns(device, &modelled->nodes[index], all_in_cache);
    }
    out->on_chip_bytes = all_in_cache ? out->weight_bytes : 0;
    out->first_ns = mly_device_link_ns(&device->to_device, out->weight_bytes);
    return MLY_OK;
}

void mly__modelled_roofline_part(const struct mly__modelled_segment *segment, uint32_t node,
                                 struct mly_modelled_part *out)
{
    const mly_modelled *modelled = segment->modelled;
    const struct mly_device_model *device = modelled->device;
    const struct mly__modelled_node *at = &modelled->nodes[node];
    out->supported =
        !(at->macs > 0 && at->dtype != MLY_DTYPE_UNDEFINED && device->macs_per_s[at->dtype] <= 0);
    out->weight_bytes = at->weight_bytes;
    if (!out->supported || mly__modelled_is_free(segment, node))
        return;
    out->execution_ns = node_ns(device, at, true);
    out->cache_ns = node_ns(device, at, false) - out->execution_ns;
}

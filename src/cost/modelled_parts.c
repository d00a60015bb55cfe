/* Single nodes' shares of modelled costs. */
#include "cost/modelled_parts.h"

#include "modelled_private.h"

void mly_modelled_node_part(const mly_modelled *modelled, uint32_t node, const uint32_t *nodes,
                            uint32_t count, struct mly_modelled_part *out)
{
    const struct mly__modelled_segment segment = {
        .modelled = modelled, .nodes = nodes, .count = count};
    *out = (struct mly_modelled_part){.supported = true};
    if (modelled->device->family == MLY_DEVICE_EDGETPU)
        mly__modelled_edgetpu_part(&segment, node, out);
    else
        mly__modelled_roofline_part(&segment, node, out);
}

struct mly_modelled_fixed mly_modelled_fixed(const mly_modelled *modelled)
{
    const struct mly_device_model *device = modelled->device;
    if (device->family != MLY_DEVICE_EDGETPU)
        return (struct mly_modelled_fixed){.launch_ns = device->launch_ns,
                                           .cache_bytes = device->on_chip_bytes};
    return (struct mly_modelled_fixed){
        .launch_ns = device->launch_ns * modelled->batch,
        .stream_ns = device->edgetpu.stream_ns * modelled->batch,
        .spills = true,
        .counts_elements = true,
    };
}

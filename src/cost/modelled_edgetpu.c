/*
 * The Edge TPU: a systolic array with weights on the chip as long as they fit, streamed over the
 * link at each run otherwise. It computes in 8 bits: networks count as if quantised, a byte for each
 * weight and activation, whatever type the file has. A batch is so many runs of one sample.
 *
 *   1. Weights are stored padded: output channels to 64 lanes, input channels to 4, and 8 bytes for
 *      each output channel of a convolution. This reproduces the sizes that the compiler reports.
 *   2. Whole layers are kept on the chip as long as its tiles have room (modelled_tiles.c): that is the
 *      memory less a reserve, and less a share of the inputs, which lie there while they come in.
 *   3. A layer takes the longer of its padded products at the array's rate and its weights at the
 *      rate of reading them, and then its activations at the rate of tile memory, again and once more
 *      where they outgrow it; other operators take only these, and joining, cutting and padding
 *      tensors takes nothing.
 *   4. A layer that is streamed takes that long if it is longer. If its inputs and results do not fit
 *      into tile memory it is computed in pieces, and its weights come again for each.
 *
 * Source: sizes and times of 1-4 Edge TPUs measured by the first author of Villarrubia et al.,
 * "Improving inference time in multi-TPU systems with profiled model segmentation", PDP 2023.
 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "modelled_private.h"

static double padded(double count, double multiple)
{
    return ceil(count / multiple) * multiple;
}

/* 1. */
static double stored_bytes(const struct mly_device_model *device,
                           const struct mly__modelled_node *node)
{
    if (node->kind != MLY__MODELLED_MATRIX)
        return node->weight_elements;
    double depth = padded(node->depth, device->edgetpu.depth) * node->taps;
    double channel_bytes = node->is_convolution ? device->edgetpu.channel_bytes : 0;
    return padded(node->out_channels, device->edgetpu.lanes) * (depth + channel_bytes);
}

/*
 * 4. Pieces in which a layer is computed whose input and result do not fit into tile memory at once.
 * The input stays there; the less it leaves for results, the more pieces. Steps read off the
 * measured times of 64x64 convolutions, 320 KiB below and above each.
 */
static double pieces(const struct mly_device_model *device, double input_bytes, double output_bytes)
{
    static const struct {
        double left; /* share of tile memory at least */
        double pieces;
    } steps[] = {{1.0 / 6, 4}, {1.0 / 16, 6}};
    double room = device->edgetpu.activation_bytes, left = room - input_bytes;
    if (input_bytes + output_bytes <= room)
        return 1;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (left >= steps[i].left * room)
            return steps[i].pieces;
    return 9 * ceil(input_bytes / room);
}

/*
 * 3. How often a layer's activations are moved: once where they lie in tile memory with the borders that windows reach over;
 * again where only without these, and once more where not at all.
 */
static double moves(const mly_modelled *modelled, const struct mly__modelled_node *node)
{
    double room = modelled->device->edgetpu.activation_bytes * modelled->batch;
    return 1 + (node->bordered_elements > room) + (node->lying_elements >= room);
}

/* 3. Of one sample. */
static double layer_s(const mly_modelled *modelled, const struct mly__modelled_node *node,
                      double weight_bytes)
{
    const struct mly_device_model *device = modelled->device;
    double activations = moves(modelled, node) * (node->input_elements + node->output_elements) /
                         modelled->batch / device->edgetpu.activation_bytes_per_s;
    double read = weight_bytes / device->edgetpu.fc_macs_per_s;
    if (node->kind != MLY__MODELLED_MATRIX)
        return activations + read;
    double products = node->positions / modelled->batch *
                      padded(node->out_channels, device->edgetpu.lanes) *
                      padded(node->depth, device->edgetpu.depth) * node->taps;
    double compute = products / device->edgetpu.conv_macs_per_s;
    return activations + (compute > read ? compute : read);
}

/* 4. What streaming a layer adds to its time. */
static double longer_s(const mly_modelled *modelled, const struct mly__modelled_node *node,
                       double weight_bytes, double on_chip_s)
{
    const struct mly_device_model *device = modelled->device;
    double times = pieces(device, node->input_elements / modelled->batch,
                          node->output_elements / modelled->batch);
    double stream = times * weight_bytes / device->edgetpu.stream_bytes_per_s;
    return stream > on_chip_s ? stream - on_chip_s : 0;
}

/* --- 2. --- */

struct layer {
    double bytes;    /* as stored */
    double longer_s; /* it takes when it is streamed */
    uint32_t pieces, node;
};

static int by_order(const void *a, const void *b)
{
    const struct layer *x = a, *y = b;
    if (mly_modelled_tiles_first(x->bytes, x->pieces, y->bytes, y->pieces))
        return -1;
    if (mly_modelled_tiles_first(y->bytes, y->pieces, x->bytes, x->pieces))
        return 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Adds what a node takes with its weights on the chip; true if it has any, described in *layer. */
static bool add_node(const mly_modelled *modelled, uint32_t index, struct mly_modelled_cost *out,
                     double *seconds, struct layer *layer)
{
    const struct mly_device_model *device = modelled->device;
    const struct mly__modelled_node *node = &modelled->nodes[index];
    double bytes = stored_bytes(device, node), on_chip_s = layer_s(modelled, node, bytes);
    *seconds += on_chip_s + device->node_ns * 1e-9;
    out->macs += node->macs;
    out->weight_bytes += bytes;
    if (bytes <= 0)
        return false;
    *layer = (struct layer){.bytes = bytes,
                            .longer_s = longer_s(modelled, node, bytes, on_chip_s),
                            .pieces = mly__modelled_pieces(device, node),
                            .node = index};
    return true;
}

static enum mly_status refuse(const mly_modelled *modelled, uint32_t node, struct mly_error *err)
{
    const char *instead = modelled->nodes[node].instead;
    return mly_error_set(
        err, MLY_E_UNSUPPORTED,
        "%s (modelled) cannot compute node '%s': the Edge TPU has no %s%s%s%s; the "
        "vendor's compiler leaves this node and what follows to the host, %u of %u nodes",
        modelled->device->name, modelled->graph->nodes[node].label,
        modelled->graph->nodes[node].op_type, modelled->nodes[node].why,
        *instead ? ", but has " : "", instead, modelled->graph->node_count - node,
        modelled->graph->node_count);
}

static enum mly_status list_layers(const struct mly__modelled_segment *segment,
                                   struct layer *layers, size_t *layer_count, double *seconds,
                                   struct mly_modelled_cost *out, struct mly_error *err)
{
    const mly_modelled *modelled = segment->modelled;
    for (uint32_t i = 0; i < segment->count; i++) {
        uint32_t index = mly__modelled_node_at(segment, i);
        if (!modelled->nodes[index].supported)
            return refuse(modelled, index, err);
        if (!modelled->nodes[index].moves && !mly__modelled_is_free(segment, index))
            *layer_count += add_node(modelled, index, out, seconds, &layers[*layer_count]);
    }
    return MLY_OK;
}

enum mly_status mly__modelled_edgetpu(const struct mly__modelled_segment *segment,
                                      struct mly_modelled_cost *out, struct mly_error *err)
{
    const mly_modelled *modelled = segment->modelled;
    const struct mly_device_model *device = modelled->device;
    struct layer *layers = mly_alloc_array((size_t)segment->count + 1, sizeof *layers);
    struct mly_modelled_tiles tiles;
    double seconds = 0;
    size_t count = 0;
    if (!layers)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the layers of a segment on %s",
                             device->name);
    enum mly_status status = list_layers(segment, layers, &count, &seconds, out, err);
    if (!status && count)
        qsort(layers, count, sizeof *layers, by_order);
    mly_modelled_tiles_init(modelled, out->input_bytes, &tiles);
    for (size_t i = 0; !status && i < count; i++) {
        if (mly_modelled_tiles_place(&tiles, layers[i].bytes, layers[i].pieces)) {
            out->on_chip_bytes += layers[i].bytes;
        } else {
            out->off_chip_bytes += layers[i].bytes;
            seconds += layers[i].longer_s;
        }
    }
    mly_free(layers);
    if (status)
        return status;
    out->activation_bytes /= modelled->batch; /* of one sample at a time */
    double run_ns = device->launch_ns + seconds * 1e9;
    if (out->off_chip_bytes > 0)
        run_ns += device->edgetpu.stream_ns;
    out->execution_ns = run_ns * modelled->batch;
    out->first_ns =
        device->edgetpu.load_ns + out->on_chip_bytes / device->edgetpu.stream_bytes_per_s * 1e9;
    return MLY_OK;
}

void mly__modelled_edgetpu_part(const struct mly__modelled_segment *segment, uint32_t node,
                                struct mly_modelled_part *out)
{
    const mly_modelled *modelled = segment->modelled;
    const struct mly_device_model *device = modelled->device;
    const struct mly__modelled_node *at = &modelled->nodes[node];
    double bytes = stored_bytes(device, at), on_chip_s = layer_s(modelled, at, bytes);
    out->supported = at->supported;
    if (!at->supported || at->moves || mly__modelled_is_free(segment, node))
        return;
    out->weight_bytes = bytes;
    out->pieces = mly__modelled_pieces(device, at);
    out->execution_ns = (on_chip_s * 1e9 + device->node_ns) * modelled->batch;
    out->stream_ns = longer_s(modelled, at, bytes, on_chip_s) * 1e9 * modelled->batch;
}

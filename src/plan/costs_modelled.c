/*
 * What units add to segments on modelled processors, from the device's rules (cost/modelled_parts.h).
 *
 *   1. A unit's load is the sum of its nodes', as if all fitted on the chip or in the cache, and what makes its
 *      input were in the same segment: activations that are cut off from that cost a little more than the
 *      searches see, never less, so that their bounds hold for plans.
 *   2. Weights for which a chip's tiles have no room are streamed, as the device's own rules have it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "desk.h"
#include "problem_private.h"

enum mly_status mly__costs_modelled(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err)
{
    struct mly__class *class = &problem->classes[class_index];
    mly_modelled **modelled = &problem->hidden->costs[class_index].modelled;
    enum mly_status status = mly_modelled_create(class->device, problem->model, problem->batch,
                                                 problem->hidden->bindings,
                                                 problem->hidden->binding_count, modelled, err);
    if (status)
        return status;
    const struct mly_modelled_fixed fixed = mly_modelled_fixed(*modelled);
    problem->hidden->costs[class_index].fixed = fixed;
    class->segment_ns = fixed.launch_ns;
    class->counts_elements = fixed.counts_elements;
    class->exclusive = fixed.spills;
    return MLY_OK;
}

/* --- 1 --- */

/* Activations that live at once within the unit; its own run as a segment says. */
static enum mly_status find_activations(const struct mly__problem *problem, uint32_t class_index,
                                        uint32_t unit, struct mly__load *load,
                                        struct mly_error *err)
{
    const struct mly__unit *at = &problem->units[unit];
    struct mly__segment_cost cost;
    enum mly_status status = mly__problem_cost_nodes(problem, class_index, at->nodes,
                                                     at->node_count, &cost, NULL, 0, err);
    if (!status && isinf(cost.execution_ns))
        load->time_ns = INFINITY;
    load->activation_bytes = status ? 0 : cost.activation_bytes;
    return status;
}

/* 2. */
static int compare_layers(const void *a, const void *b)
{
    const struct mly__layer *x = a, *y = b;
    if (mly_modelled_tiles_first(x->bytes, x->pieces, y->bytes, y->pieces))
        return -1;
    if (mly_modelled_tiles_first(y->bytes, y->pieces, x->bytes, x->pieces))
        return 1;
    return (x->node > y->node) - (x->node < y->node);
}

static uint64_t layers_key(const struct mly__layer *layers, uint32_t count)
{
    uint64_t key = count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bytes;
        memcpy(&bytes, &layers[i].bytes, sizeof bytes);
        const uint64_t words[] = {bytes, layers[i].pieces, layers[i].node};
        for (size_t w = 0; w < MLY__COUNT(words); w++) {
            key = (key ^ words[w]) * UINT64_C(0x9e3779b97f4a7c15);
            key ^= key >> 29;
        }
    }
    return key;
}

static double least_rate(const struct mly__layer *layers, uint32_t count)
{
    double least = INFINITY;
    for (uint32_t i = 0; i < count; i++)
        if (!layers[i].never_fits)
            least = fmin(least, layers[i].stream_ns / layers[i].bytes);
    return isfinite(least) ? least : 0;
}

/* Adds a node's weights to its unit's load: kept if there is room, or streamed in any case. */
static void add_layer(const struct mly__problem *problem, uint32_t class_index,
                      struct mly__layer layer)
{
    struct mly__problem_private *hidden = problem->hidden;
    struct mly__load *load =
        &problem->loads[(size_t)class_index * problem->unit_count + layer.unit];
    struct mly_modelled_tiles tiles;
    mly_modelled_tiles_init(hidden->costs[class_index].modelled, 0, &tiles);
    layer.never_fits = !mly_modelled_tiles_place(&tiles, layer.bytes, layer.pieces);
    if (layer.never_fits)
        load->forced_ns += layer.stream_ns;
    else
        load->kept_bytes += layer.bytes;
    hidden->layers[class_index].items[hidden->layers[class_index].count++] = layer;
}

static double empty_room(const mly_modelled *modelled)
{
    struct mly_modelled_tiles tiles;
    double room = 0;
    mly_modelled_tiles_init(modelled, 0, &tiles);
    for (uint32_t t = 0; t < tiles.count; t++)
        room += tiles.room_bytes[t];
    return room;
}

enum mly_status mly__loads_modelled(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err)
{
    struct mly__problem_private *hidden = problem->hidden;
    const mly_modelled *modelled = hidden->costs[class_index].modelled;
    struct mly__layer *layers = hidden->layers[class_index].items =
        mly_alloc_array((size_t)problem->graph->node_count + 1, sizeof *layers);
    enum mly_status status = layers ? MLY_OK : mly__problem_no_memory(err);
    for (uint32_t u = 0; !status && u < problem->unit_count; u++) {
        struct mly__load *load = &problem->loads[(size_t)class_index * problem->unit_count + u];
        const struct mly__unit *unit = &problem->units[u];
        for (uint32_t i = 0; i < unit->node_count; i++) {
            struct mly_modelled_part part;
            mly_modelled_node_part(modelled, unit->nodes[i], NULL, problem->graph->node_count,
                                   &part);
            load->time_ns += part.supported ? part.execution_ns : INFINITY;
            load->cache_ns += part.cache_ns;
            load->weight_bytes += part.weight_bytes;
            if (part.weight_bytes > 0 && hidden->costs[class_index].fixed.spills)
                add_layer(problem, class_index,
                          (struct mly__layer){.bytes = part.weight_bytes,
                                              .stream_ns = part.stream_ns,
                                              .pieces = part.pieces,
                                              .unit = u,
                                              .node = unit->nodes[i]});
        }
        if (isfinite(load->time_ns))
            status = find_activations(problem, class_index, u, load, err);
    }
    if (!status)
        hidden->layers[class_index].least_ns_per_byte =
            least_rate(layers, hidden->layers[class_index].count);
    if (!status && hidden->costs[class_index].fixed.spills)
        hidden->layers[class_index].room_bytes = empty_room(modelled);
    if (!status && hidden->layers[class_index].count) {
        qsort(layers, hidden->layers[class_index].count, sizeof *layers, compare_layers);
        hidden->layers[class_index].key = layers_key(layers, hidden->layers[class_index].count);
    }
    return status;
}

/* Is the set beyond the limit by what must be streamed at least? */
static bool is_too_slow(const struct mly__problem *problem, uint32_t class_index,
                        const struct mly__parts *parts, double room)
{
    const double beyond = fmax(0, parts->sum.kept_bytes - room);
    return parts->limit_ns > 0 &&
           problem->classes[class_index].segment_ns + parts->sum.time_ns + parts->sum.forced_ns +
                   beyond * problem->hidden->layers[class_index].least_ns_per_byte >
               parts->limit_ns;
}

/*
 * 2. Which of the set's weights find no room, on this class and those with the same chip; what they take longer, by
 * sample: a batch's samples are computed one after the other.
 */
static void find_spill(const struct mly__problem *problem, uint32_t class_index,
                       const uint32_t *alike, uint32_t alike_count, const struct mly__parts *parts,
                       struct mly_modelled_tiles *tiles, struct mly__spill *out)
{
    const struct mly__layer *layers = problem->hidden->layers[class_index].items;
    double rest = parts->sum.weight_bytes; /* of which it is not known yet whether they find room */
    double room = 0;
    *out = (struct mly__spill){0};
    for (uint32_t t = 0; t < tiles->count; t++)
        room += tiles->room_bytes[t];
    for (uint32_t i = 0; i < problem->hidden->layers[class_index].count; i++) {
        if (!parts->has(parts->user, layers[i].unit))
            continue;
        /* The largest pieces come first: where every tile keeps room for one, all the rest find room. */
        if (rest + tiles->count * (layers[i].bytes / layers[i].pieces) <= room)
            break;
        rest -= layers[i].bytes;
        if (layers[i].bytes <= room &&
            mly_modelled_tiles_place(tiles, layers[i].bytes, layers[i].pieces)) {
            room -= layers[i].bytes;
            continue;
        }
        out->bytes += layers[i].bytes;
        for (uint32_t k = 0; k < alike_count; k++)
            out->ns[k] += problem->hidden->layers[alike[k]].items[i].stream_ns / problem->batch;
    }
}

/*
 * Classes with the chip of this one, itself included, in the order of all; its place among them. False: there are too
 * many, and it is by itself.
 */
static bool list_alike(const struct mly__problem *problem, uint32_t class_index,
                       uint32_t alike[MLY__SPILL_CLASSES_MAX], uint32_t *count, uint32_t *own)
{
    const struct mly__problem_private *hidden = problem->hidden;
    *count = 0;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        if (hidden->layers[c].key != hidden->layers[class_index].key ||
            hidden->layers[c].count != hidden->layers[class_index].count ||
            !hidden->costs[c].fixed.spills)
            continue;
        if (*count == MLY__SPILL_CLASSES_MAX) {
            alike[0] = class_index;
            *count = 1;
            *own = 0;
            return false;
        }
        *own = c == class_index ? *count : *own;
        alike[(*count)++] = c;
    }
    return true;
}

/* The set's streamed weights, found once for all planners and classes with the chip. */
static struct mly__extra spill_extra(const struct mly__problem *problem, uint32_t class_index,
                                     const struct mly__parts *parts,
                                     struct mly_modelled_tiles *tiles)
{
    struct mly__desk *desk = problem->request->desk;
    uint32_t alike[MLY__SPILL_CLASSES_MAX], alike_count, own = 0;
    const bool shared = list_alike(problem, class_index, alike, &alike_count, &own);
    const struct mly__spill_key key = {.nodes = {parts->key[0], parts->key[1]},
                                       .layers = problem->hidden->layers[class_index].key,
                                       .room_bytes = tiles->room_bytes[0]};
    const struct mly__spill *known = shared ? mly__desk_find_spill(desk, &key) : NULL;
    struct mly__spill spill;
    if (!known) {
        find_spill(problem, class_index, alike, alike_count, parts, tiles, &spill);
        mly__desk_keep_spill(shared ? desk : NULL, &key, &spill);
        known = &spill;
    }
    return (struct mly__extra){.ns = known->ns[own] * problem->batch,
                               .off_chip_bytes = known->bytes};
}

struct mly__extra mly__loads_extra(const struct mly__problem *problem, uint32_t class_index,
                                   const struct mly__parts *parts)
{
    const struct mly__problem_private *hidden = problem->hidden;
    const struct mly_modelled_fixed *fixed = &hidden->costs[class_index].fixed;
    const double weights = parts->sum.weight_bytes;
    struct mly__extra extra = {0};
    if (!fixed->spills) {
        if (weights > fixed->cache_bytes ||
            (weights + parts->sum.activation_bytes > fixed->cache_bytes &&
             weights + mly__largest_activation(problem, class_index, parts) > fixed->cache_bytes))
            extra.ns = parts->sum.cache_ns;
        return extra;
    }
    struct mly_modelled_tiles tiles;
    double room = 0;
    mly_modelled_tiles_init(hidden->costs[class_index].modelled, parts->input_bytes, &tiles);
    for (uint32_t t = 0; t < tiles.count; t++)
        room += tiles.room_bytes[t];
    if (is_too_slow(problem, class_index, parts, room)) {
        extra.ns = INFINITY;
        return extra;
    }
    if (hidden->fluid) {
        const double beyond = fmax(0, parts->sum.kept_bytes - room);
        extra.off_chip_bytes = weights - parts->sum.kept_bytes + beyond;
        extra.ns = parts->sum.forced_ns + beyond * hidden->layers[class_index].least_ns_per_byte +
                   (extra.off_chip_bytes > 0 ? fixed->stream_ns : 0);
        return extra;
    }
    extra = spill_extra(problem, class_index, parts, &tiles);
    if (extra.off_chip_bytes > 0)
        extra.ns += fixed->stream_ns;
    return extra;
}

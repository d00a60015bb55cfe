/*
 * A set of units on one class that grows and shrinks: sums of what its units add, and what crosses its
 * border.
 *
 *   A crossing comes in while its producer is outside and a consumer inside; it goes out while its
 *   producer is inside and a consumer, or the host, outside.
 */
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

enum mly_status mly__part_builder_init(struct mly__part_builder *builder,
                                       const struct mly__problem *problem, uint32_t class_index,
                                       struct mly_error *err)
{
    *builder = (struct mly__part_builder){.problem = problem};
    builder->has = mly_alloc_array(problem->unit_count, sizeof *builder->has);
    builder->inside = mly_alloc_array((size_t)problem->crossing_count + 1, sizeof *builder->inside);
    if (!builder->has || !builder->inside) {
        mly__part_builder_fini(builder);
        return mly__problem_no_memory(err);
    }
    mly__part_builder_reset(builder, class_index);
    return MLY_OK;
}

void mly__part_builder_fini(struct mly__part_builder *builder)
{
    mly_free(builder->has);
    mly_free(builder->inside);
    *builder = (struct mly__part_builder){0};
}

static void clear_sums(struct mly__part_builder *builder)
{
    builder->unit_count = builder->refused = 0;
    builder->key[0] = builder->key[1] = 0;
    builder->input_bytes = builder->output_bytes = 0;
    builder->sum = (struct mly__load){0};
}

void mly__part_builder_reset(struct mly__part_builder *builder, uint32_t class_index)
{
    memset(builder->has, 0, builder->problem->unit_count * sizeof *builder->has);
    memset(builder->inside, 0, builder->problem->crossing_count * sizeof *builder->inside);
    builder->class_index = class_index;
    builder->class = &builder->problem->classes[class_index];
    clear_sums(builder);
}

static bool comes_in(const struct mly__part_builder *builder, const struct mly__crossing *crossing,
                     uint32_t inside)
{
    return inside && (crossing->producer == MLY_NO_INDEX || !builder->has[crossing->producer]);
}

static bool goes_out(const struct mly__part_builder *builder, const struct mly__crossing *crossing,
                     uint32_t inside)
{
    return crossing->producer != MLY_NO_INDEX && builder->has[crossing->producer] &&
           (crossing->goes_to_host || inside < crossing->consumer_count);
}

/* Counts the crossing in, or with -1 out again, as it stands. */
static void count_crossing(struct mly__part_builder *builder, uint32_t index, int by)
{
    const struct mly__crossing *crossing = &builder->problem->crossings[index];
    if (comes_in(builder, crossing, builder->inside[index]))
        builder->input_bytes += by * mly__crossing_bytes(crossing, builder->class);
    if (goes_out(builder, crossing, builder->inside[index]))
        builder->output_bytes += by * mly__crossing_bytes(crossing, builder->class);
}

/* Takes the unit's crossings out of the sums, changes their state, and counts them in again. */
static void change(struct mly__part_builder *builder, uint32_t unit, bool add)
{
    const struct mly__unit *at = &builder->problem->units[unit];
    for (uint32_t i = 0; i < at->input_count; i++) {
        count_crossing(builder, at->inputs[i], -1);
        builder->inside[at->inputs[i]] += add ? 1 : UINT32_MAX;
        count_crossing(builder, at->inputs[i], 1);
    }
    for (uint32_t i = 0; i < at->output_count; i++)
        count_crossing(builder, at->outputs[i], -1);
    builder->has[unit] = add;
    for (uint32_t i = 0; i < at->output_count; i++)
        count_crossing(builder, at->outputs[i], 1);
}

static void add_load(struct mly__part_builder *builder, uint32_t unit, int by)
{
    const struct mly__load *load = mly__load_of(builder->problem, builder->class_index, unit);
    struct mly__load *sum = &builder->sum;
    builder->key[0] ^= builder->problem->units[unit].key[0];
    builder->key[1] ^= builder->problem->units[unit].key[1];
    if (isinf(load->time_ns)) {
        builder->refused += (uint32_t)by;
        return;
    }
    sum->time_ns += by * load->time_ns;
    sum->spread_ns += by * load->spread_ns;
    sum->weight_bytes += by * load->weight_bytes;
    sum->cache_ns += by * load->cache_ns;
    sum->forced_ns += by * load->forced_ns;
    sum->kept_bytes += by * load->kept_bytes;
    if (by > 0)
        sum->activation_bytes = fmax(sum->activation_bytes, load->activation_bytes);
}

void mly__part_builder_add(struct mly__part_builder *builder, uint32_t unit)
{
    change(builder, unit, true);
    add_load(builder, unit, 1);
    builder->unit_count++;
}

void mly__part_builder_remove(struct mly__part_builder *builder, uint32_t unit)
{
    change(builder, unit, false);
    add_load(builder, unit, -1);
    if (--builder->unit_count == 0)
        clear_sums(builder); /* and with them what rounding left */
}

/* The largest activations of any unit of the set. */
double mly__largest_activation(const struct mly__problem *problem, uint32_t class_index,
                               const struct mly__parts *parts)
{
    double largest = 0;
    for (uint32_t u = 0; u < problem->unit_count; u++)
        if (parts->has(parts->user, u))
            largest = fmax(largest, mly__load_of(problem, class_index, u)->activation_bytes);
    return largest;
}

void mly__parts_cost(const struct mly__problem *problem, uint32_t class_index,
                     const struct mly__parts *parts, struct mly__segment_cost *out)
{
    const struct mly__class *class = &problem->classes[class_index];
    const struct mly__load *sum = &parts->sum;
    struct mly__extra extra = {0};
    double activation = sum->activation_bytes;
    if (class->modelled)
        extra = mly__loads_extra(problem, class_index, parts);
    *out = (struct mly__segment_cost){
        .execution_ns = class->segment_ns + sum->time_ns + extra.ns,
        .spread_ns = sum->spread_ns,
        .input_bytes = parts->input_bytes,
        .output_bytes = parts->output_bytes,
        .weight_bytes = sum->weight_bytes,
        .on_chip_bytes = sum->weight_bytes - extra.off_chip_bytes,
        .off_chip_bytes = extra.off_chip_bytes,
        .modelled = class->modelled,
    };
    if (!class->in_host_memory) {
        out->input_ns = mly__link_ns(&class->to_device, parts->input_bytes);
        out->output_ns = mly__link_ns(&class->to_host, parts->output_bytes);
    }
    if (class->active_w > 0)
        out->energy_j = (class->active_w - class->idle_w) * out->execution_ns * 1e-9;
    if (class->memory_bytes > 0 && sum->weight_bytes + activation > class->memory_bytes)
        activation = mly__largest_activation(problem, class_index, parts);
    out->activation_bytes = activation;
    if (parts->refused ||
        (class->memory_bytes > 0 && sum->weight_bytes + activation > class->memory_bytes))
        out->execution_ns = INFINITY;
}

static bool builder_has(const void *user, uint32_t unit)
{
    const struct mly__part_builder *builder = user;
    return builder->has[unit];
}

void mly__part_builder_cost(const struct mly__part_builder *builder, struct mly__segment_cost *out)
{
    const struct mly__parts parts = {
        .sum = builder->sum,
        .refused = builder->refused > 0,
        .key = {builder->key[0], builder->key[1]},
        .input_bytes = builder->input_bytes,
        .output_bytes = builder->output_bytes,
        .has = builder_has,
        .user = builder,
    };
    mly__parts_cost(builder->problem, builder->class_index, &parts, out);
}

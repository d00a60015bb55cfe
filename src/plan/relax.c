/*
 * A problem with fewer places to cut, whose best pipeline is no slower than any of the problem: a bound
 * that can be found where the problem itself has too many first parts.
 *
 * A unit v whose inputs all come from one other unit g is computed with g, for nothing. For any pipeline of
 * the problem there is then one that is no slower: v moves from its stage j to that of g, an earlier
 * one, i. That stage takes what it took; j takes less. What crossed from i to j was at least the inputs X of
 * v that nobody else reads; what crosses now are the outputs Y of v: so they count no more bytes together
 * than X. Weights of v would move with it: so no unit is moved that has weights on a chip that keeps them;
 * and as the tiles of such a chip may happen to hold less where there is more room, weights fill it like
 * water.
 *
 *   1. The cheapest units, together up to a share of all work (in the prices of bounds.c), may be moved.
 *   2. In topological order, each whose inputs come from one group joins it, and its outputs shrink.
 *   3. Groups become units; only what was not moved counts in their loads.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"
#include "stages.h"

struct priced {
    double work;
    uint32_t unit;
};

struct relaxing {
    const struct mly__problem *problem;
    struct priced *order;     /* of units, cheapest first */
    bool *movable;            /* by unit */
    uint32_t *first_of;       /* by unit: the group's first unit */
    double *bytes, *elements; /* by crossing */
};

static void relaxing_fini(struct relaxing *r)
{
    mly_free(r->order);
    mly_free(r->movable);
    mly_free(r->first_of);
    mly_free(r->bytes);
    mly_free(r->elements);
}

static enum mly_status relaxing_init(struct relaxing *r, const struct mly__problem *problem,
                                     struct mly_error *err)
{
    const size_t units = problem->unit_count, crossings = (size_t)problem->crossing_count + 1;
    *r = (struct relaxing){.problem = problem,
                           .order = mly_alloc_array(units, sizeof *r->order),
                           .movable = mly_alloc_array(units, sizeof *r->movable),
                           .first_of = mly_alloc_array(units, sizeof *r->first_of),
                           .bytes = mly_alloc_array(crossings, sizeof *r->bytes),
                           .elements = mly_alloc_array(crossings, sizeof *r->elements)};
    if (!r->order || !r->movable || !r->first_of || !r->bytes || !r->elements)
        return mly__problem_no_memory(err);
    for (uint32_t c = 0; c < problem->crossing_count; c++) {
        r->bytes[c] = problem->crossings[c].bytes;
        r->elements[c] = problem->crossings[c].elements;
    }
    return MLY_OK;
}

/* --- 1 --- */

static int compare_priced(const void *a, const void *b)
{
    const struct priced *x = a, *y = b;
    if (x->work != y->work)
        return x->work < y->work ? -1 : 1;
    return (x->unit > y->unit) - (x->unit < y->unit);
}

static bool has_weights_on_a_chip(const struct mly__problem *problem, uint32_t unit)
{
    for (uint32_t c = 0; c < problem->class_count; c++)
        if (problem->classes[c].exclusive && mly__load_of(problem, c, unit)->weight_bytes > 0)
            return true;
    return false;
}

static enum mly_status choose_movable(struct relaxing *r, double share, struct mly_error *err)
{
    const struct mly__problem *problem = r->problem;
    struct mly__bounds bounds;
    double all = 0, moved = 0;
    enum mly_status status = mly__problem_bounds(problem, &bounds, err);
    if (status)
        return status;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        double least = INFINITY;
        for (uint32_t c = 0; c < problem->class_count; c++)
            least = fmin(least, bounds.weight[c] * mly__load_of(problem, c, u)->time_ns);
        r->order[u] = (struct priced){.work = least, .unit = u};
        all += least;
    }
    qsort(r->order, problem->unit_count, sizeof *r->order, compare_priced);
    for (uint32_t i = 0; i < problem->unit_count; i++) {
        const uint32_t unit = r->order[i].unit;
        if (has_weights_on_a_chip(problem, unit))
            continue;
        if (moved + r->order[i].work > share * all)
            break;
        moved += r->order[i].work;
        r->movable[unit] = true;
    }
    return MLY_OK;
}

/* --- 2 --- */

/* First unit of the group that all inputs of the unit come from; MLY_NO_INDEX: there is no such group. */
static uint32_t only_source(const struct relaxing *r, const struct mly__unit *unit)
{
    uint32_t only = MLY_NO_INDEX;
    for (uint32_t i = 0; i < unit->input_count; i++) {
        const uint32_t from = r->problem->crossings[unit->inputs[i]].producer;
        if (from == MLY_NO_INDEX || (only != MLY_NO_INDEX && only != r->first_of[from]))
            return MLY_NO_INDEX;
        only = r->first_of[from];
    }
    return only;
}

/* The outputs of a unit that moves count no more than those of its inputs that nobody else reads. */
static void shrink_outputs(struct relaxing *r, const struct mly__unit *unit)
{
    double bytes_in = 0, elements_in = 0, bytes_out = 0, elements_out = 0;
    for (uint32_t i = 0; i < unit->input_count; i++) {
        const struct mly__crossing *c = &r->problem->crossings[unit->inputs[i]];
        if (c->consumer_count > 1 || c->goes_to_host)
            continue;
        bytes_in += r->bytes[unit->inputs[i]];
        elements_in += r->elements[unit->inputs[i]];
    }
    for (uint32_t i = 0; i < unit->output_count; i++) {
        bytes_out += r->bytes[unit->outputs[i]];
        elements_out += r->elements[unit->outputs[i]];
    }
    for (uint32_t i = 0; i < unit->output_count; i++) {
        if (bytes_out > bytes_in)
            r->bytes[unit->outputs[i]] *= bytes_in / bytes_out;
        if (elements_out > elements_in)
            r->elements[unit->outputs[i]] *= elements_in / elements_out;
    }
}

static void move_units(struct relaxing *r)
{
    for (uint32_t u = 0; u < r->problem->unit_count; u++) {
        const struct mly__unit *unit = &r->problem->units[u];
        const uint32_t to = r->movable[u] ? only_source(r, unit) : MLY_NO_INDEX;
        r->first_of[u] = to == MLY_NO_INDEX ? u : to;
        if (to != MLY_NO_INDEX)
            shrink_outputs(r, unit);
    }
}

/* --- 3 --- */

static void count_first_only(const struct relaxing *r, const uint32_t *group_of,
                             struct mly__problem *coarse)
{
    const struct mly__problem *fine = r->problem;
    for (uint32_t u = 0; u < fine->unit_count; u++) {
        if (r->first_of[u] != u)
            continue;
        for (uint32_t c = 0; c < fine->class_count; c++)
            coarse->loads[(size_t)c * coarse->unit_count + group_of[u]] = *mly__load_of(fine, c, u);
    }
    for (uint32_t i = 0, k = 0; i < coarse->crossing_count; i++) {
        while (fine->crossings[k].tensor != coarse->crossings[i].tensor)
            k++; /* both are in the order of tensors, and the coarse ones are among the fine */
        coarse->crossings[i].bytes = r->bytes[k];
        coarse->crossings[i].elements = r->elements[k];
    }
}

enum mly_status mly__problem_relax(const struct mly__problem *problem, double share,
                                   struct mly__problem **out, struct mly_error *err)
{
    struct relaxing r;
    struct mly__problem *coarse = NULL;
    uint32_t *group_of = mly_alloc_array(problem->unit_count, sizeof *group_of), groups = 0;
    enum mly_status status = relaxing_init(&r, problem, err);
    if (!status && !group_of)
        status = mly__problem_no_memory(err);
    if (!status)
        status = choose_movable(&r, share, err);
    if (!status) {
        move_units(&r);
        for (uint32_t u = 0; u < problem->unit_count; u++)
            group_of[u] = r.first_of[u] == u ? groups++ : group_of[r.first_of[u]];
        status = mly__problem_coarsen(problem, group_of, groups, &coarse, err);
    }
    if (!status) {
        count_first_only(&r, group_of, coarse);
        coarse->hidden->fluid = groups < problem->unit_count;
        *out = coarse;
    }
    mly_free(group_of);
    relaxing_fini(&r);
    return status;
}

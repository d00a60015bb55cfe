/*
 * METIS' parts made acyclic.
 *
 *   1. METIS with another seed for each try: its parts by their mean place in the topological order,
 *      or in the order of the targets if that was asked for.
 *   2. Each way of repairing, then refinement.
 *   3. The best of all.
 */
#include "metis_cut.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define FIRST_SEED 1u
static const double rounding = 1e-9;

/* A part with the mean place of its nodes, weighted. */
struct placed {
    uint32_t part;
    double place;
};

static int compare_placed(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

/* 1. Numbers parts in the order in which they are to run; order[new] = METIS' number. */
static enum mly_status number(const struct mly__dag *dag, uint32_t part_count, bool in_order,
                              uint32_t *part, uint32_t *order, struct mly_error *err)
{
    struct placed *placed = mly_alloc_array(part_count, sizeof *placed);
    double *weight = mly_alloc_array(part_count, sizeof *weight);
    uint32_t *number_of = mly_alloc_array(part_count, sizeof *number_of);
    enum mly_status status = MLY_OK;
    if (!placed || !weight || !number_of) {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u parts", part_count);
        goto done;
    }
    for (uint32_t v = 0; v < dag->node_count; v++) {
        const double w = dag->weight[v] > 0 ? dag->weight[v] : 1e-12;
        placed[part[v]].place += v * w;
        weight[part[v]] += w;
    }
    for (uint32_t p = 0; p < part_count; p++) {
        placed[p].part = p;
        placed[p].place = weight[p] > 0 ? placed[p].place / weight[p] : 0;
    }
    if (!in_order)
        qsort(placed, part_count, sizeof *placed, compare_placed);
    for (uint32_t p = 0; p < part_count; p++) {
        order[p] = placed[p].part;
        number_of[placed[p].part] = p;
    }
    for (uint32_t v = 0; v < dag->node_count; v++)
        part[v] = number_of[part[v]];
done:
    mly_free(placed);
    mly_free(weight);
    mly_free(number_of);
    return status;
}

/* The division under way, and the best so far. */
struct search {
    const struct mly__dag *dag;
    const struct mly__metis_options *options;
    struct mly__dag_index index;
    double *target;   /* in the order of the parts */
    uint32_t *before; /* as METIS gave it, numbered */
    uint32_t *part, *order;
    bool found;
    uint32_t *best_part, *best_order; /* the caller's */
    struct mly__metis_report *best;
};

static bool is_better(const struct search *s, const struct mly__metis_report *report)
{
    const double excess = fmax(0, report->refined.imbalance - s->options->tolerance);
    const double best = fmax(0, s->best->refined.imbalance - s->options->tolerance);
    if (!s->found || report->refined.empty_parts != s->best->refined.empty_parts)
        return !s->found || report->refined.empty_parts < s->best->refined.empty_parts;
    if (fabs(excess - best) > rounding)
        return excess < best;
    return report->refined.cut_bytes < s->best->refined.cut_bytes * (1 - rounding);
}

/* 2. */
static enum mly_status try_repair(struct search *s, struct mly__metis_report report,
                                  struct mly_error *err)
{
    const struct mly__dag *dag = s->dag;
    const uint32_t count = s->options->part_count;
    double moved, total = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        total += dag->weight[v];
    memcpy(s->part, s->before, dag->node_count * sizeof *s->part);
    enum mly_status status =
        mly__acyclic_repair(dag, &s->index, count, report.repair, s->part, &moved, err);
    if (status)
        return status;
    report.moved_fraction = total > 0 ? moved / total : 0;
    report.repaired = mly__dag_measure(dag, s->part, count, s->target);
    status = mly__acyclic_refine(dag, &s->index, count, s->target, s->options->tolerance, s->part,
                                 &report.moves, err);
    if (status)
        return status;
    report.refined = mly__dag_measure(dag, s->part, count, s->target);
    if (is_better(s, &report)) { /* 3 */
        *s->best = report;
        memcpy(s->best_part, s->part, dag->node_count * sizeof *s->part);
        memcpy(s->best_order, s->order, count * sizeof *s->order);
        s->found = true;
    }
    return MLY_OK;
}

static enum mly_status try_seed(struct search *s, uint32_t seed, struct mly_error *err)
{
    const struct mly__metis_options *o = s->options;
    struct mly__metis_report report = {.seed = seed};
    enum mly_status status =
        mly__metis_partition(s->dag, o->part_count, o->target, o->tolerance, seed, s->before, err);
    if (!status)
        status = number(s->dag, o->part_count, o->in_order, s->before, s->order, err);
    if (status)
        return status;
    for (uint32_t p = 0; p < o->part_count; p++)
        s->target[p] = o->target[s->order[p]];
    report.by_metis = mly__dag_measure(s->dag, s->before, o->part_count, s->target);
    for (int repair = 0; !status && repair < MLY__REPAIR_COUNT; repair++) {
        report.repair = (enum mly__acyclic_repair)repair;
        status = try_repair(s, report, err);
        if (!report.by_metis.backward_nets)
            break; /* acyclic as it is: all repairs leave it so */
    }
    return status;
}

enum mly_status mly__metis_cut(const struct mly__dag *dag, const struct mly__metis_options *options,
                               uint32_t *part, uint32_t *order, struct mly__metis_report *report,
                               struct mly_error *err)
{
    const size_t nodes = (size_t)dag->node_count + 1;
    struct search s = {
        .dag = dag,
        .options = options,
        .target = mly_alloc_array(options->part_count, sizeof *s.target),
        .before = mly_alloc_array(nodes, sizeof *s.before),
        .part = mly_alloc_array(nodes, sizeof *s.part),
        .order = mly_alloc_array(options->part_count, sizeof *s.order),
        .best_part = part,
        .best_order = order,
        .best = report,
    };
    enum mly_status status = MLY_OK;
    if (!s.target || !s.before || !s.part || !s.order)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u parts", options->part_count);
    if (!status)
        status = mly__dag_index_init(&s.index, dag, err);
    for (uint32_t i = 0; !status && i < options->tries; i++)
        status = try_seed(&s, FIRST_SEED + i, err);
    mly__dag_index_fini(&s.index);
    mly_free(s.target);
    mly_free(s.before);
    mly_free(s.part);
    mly_free(s.order);
    return status;
}

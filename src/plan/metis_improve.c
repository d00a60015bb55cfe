/*
 * Improving parts by moves of units, by the costs that plans are judged by.
 *
 *   1. A builder for each part knows what it costs; a move takes units out of one and puts them into
 *      another, and back again if that was no use.
 *   2. Moves that keep the order: a unit alone to any part from the latest that makes its inputs to the
 *      earliest that reads its results; a unit with all that needs it in its part to the next part; a unit
 *      with all that it needs in its part to the part before. (The latter two only where units are few:
 *      they are what gets past a place where much crosses.)
 *   3. For the slowest part: of all moves out of it or into it (which may spare it copies) the one after
 *      which the slower of the two parts is fastest, if that is faster than before. For the sum: of all moves the one that saves most.
 */
#include "metis_improve.h"

#include <string.h>

#include "base/alloc.h"

enum { MOVES_MAX = 1000, TOGETHER_MAX = 600 /* units of problems in which many move at once */ };
static const double rounding = 1e-9; /* less than this part is no improvement */

struct improving {
    const struct mly__problem *problem;
    uint32_t *part;
    uint32_t part_count;
    const uint32_t *class_of_part;
    bool sum;
    struct mly__part_builder *builders; /* by part */
    double *value_ns;                   /* by part: its period, or for the sum its time */
    uint32_t *set, set_count;           /* that might move */
    bool *in_set;                       /* by unit, while it is gathered */
    uint32_t *best, best_count, best_to;
    double gain;      /* of the best */
    uint32_t slowest; /* part */
};

/* 1. */
static double value_of(const struct improving *m, uint32_t part)
{
    struct mly__segment_cost cost;
    mly__part_builder_cost(&m->builders[part], &cost);
    return m->sum ? mly__stage_latency_ns(&cost)
                  : mly__stage_period_ns(m->builders[part].class, &cost);
}

static void shift(struct improving *m, const uint32_t *units, uint32_t count, uint32_t to)
{
    for (uint32_t i = 0; i < count; i++) {
        mly__part_builder_remove(&m->builders[m->part[units[i]]], units[i]);
        mly__part_builder_add(&m->builders[to], units[i]);
        m->part[units[i]] = to;
    }
}

/* 2. */
static void find_range(const struct improving *m, uint32_t unit, uint32_t *first, uint32_t *last)
{
    const struct mly__unit *at = &m->problem->units[unit];
    *first = 0;
    *last = m->part_count - 1;
    for (uint32_t i = 0; i < at->input_count; i++) {
        const uint32_t producer = m->problem->crossings[at->inputs[i]].producer;
        if (producer != MLY_NO_INDEX && m->part[producer] > *first)
            *first = m->part[producer];
    }
    for (uint32_t i = 0; i < at->output_count; i++) {
        const struct mly__crossing *crossing = &m->problem->crossings[at->outputs[i]];
        for (uint32_t k = 0; k < crossing->consumer_count; k++)
            if (m->part[crossing->consumers[k]] < *last)
                *last = m->part[crossing->consumers[k]];
    }
}

/* The unit, and in its part all that needs it (forward) or that it needs. */
static void gather(struct improving *m, uint32_t unit, bool forward)
{
    const struct mly__problem *problem = m->problem;
    const uint32_t part = m->part[unit];
    m->set_count = 0;
    m->set[m->set_count++] = unit;
    m->in_set[unit] = true;
    for (uint32_t step = 1; forward ? unit + step < problem->unit_count : step <= unit; step++) {
        const uint32_t other = forward ? unit + step : unit - step;
        const struct mly__unit *at = &problem->units[other];
        bool joins = false;
        if (m->part[other] != part)
            continue;
        for (uint32_t i = 0; forward && !joins && i < at->input_count; i++) {
            const uint32_t producer = problem->crossings[at->inputs[i]].producer;
            joins = producer != MLY_NO_INDEX && m->in_set[producer];
        }
        for (uint32_t i = 0; !forward && !joins && i < at->output_count; i++) {
            const struct mly__crossing *crossing = &problem->crossings[at->outputs[i]];
            for (uint32_t k = 0; !joins && k < crossing->consumer_count; k++)
                joins = m->in_set[crossing->consumers[k]];
        }
        if (joins) {
            m->in_set[other] = true;
            m->set[m->set_count++] = other;
        }
    }
    for (uint32_t i = 0; i < m->set_count; i++)
        m->in_set[m->set[i]] = false;
}

/* 3. What the two parts would be worth; the state is as before afterwards. */
static void try_set(struct improving *m, uint32_t to)
{
    const uint32_t from = m->part[m->set[0]];
    if (m->builders[from].unit_count == m->set_count ||
        (!m->sum && from != m->slowest && to != m->slowest))
        return;
    shift(m, m->set, m->set_count, to);
    const double a = value_of(m, from), b = value_of(m, to);
    shift(m, m->set, m->set_count, from);
    const double value = m->sum ? a + b : fmax(a, b);
    const double before = m->sum ? m->value_ns[from] + m->value_ns[to] : m->value_ns[m->slowest];
    const double saved = isinf(before) ? (isinf(value) ? 0 : INFINITY) : before - value;
    if (!(saved > m->gain && (isinf(saved) || saved > before * rounding)))
        return;
    m->gain = saved;
    m->best_count = m->set_count;
    m->best_to = to;
    memcpy(m->best, m->set, m->set_count * sizeof *m->set);
}

static void look_at_unit(struct improving *m, uint32_t unit)
{
    const uint32_t from = m->part[unit];
    uint32_t first, last;
    find_range(m, unit, &first, &last);
    m->set[0] = unit;
    m->set_count = 1;
    for (uint32_t to = first; to <= last; to++)
        if (to != from)
            try_set(m, to);
    if (m->problem->unit_count > TOGETHER_MAX)
        return;
    if (from + 1 < m->part_count) {
        gather(m, unit, true);
        try_set(m, from + 1);
    }
    if (from > 0) {
        gather(m, unit, false);
        try_set(m, from - 1);
    }
}

static uint32_t slowest(const struct improving *m)
{
    uint32_t part = 0;
    for (uint32_t p = 1; p < m->part_count; p++)
        if (m->value_ns[p] > m->value_ns[part])
            part = p;
    return part;
}

/* False when nothing becomes better. */
static bool improve_once(struct improving *m)
{
    m->slowest = slowest(m);
    m->best_count = 0;
    m->gain = 0;
    for (uint32_t u = 0; u < m->problem->unit_count; u++)
        look_at_unit(m, u);
    if (!m->best_count)
        return false;
    const uint32_t left = m->part[m->best[0]];
    shift(m, m->best, m->best_count, m->best_to);
    m->value_ns[left] = value_of(m, left);
    m->value_ns[m->best_to] = value_of(m, m->best_to);
    return true;
}

static enum mly_status begin(struct improving *m, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    m->builders = mly_alloc_array(m->part_count, sizeof *m->builders);
    m->value_ns = mly_alloc_array(m->part_count, sizeof *m->value_ns);
    m->set = mly_alloc_array(m->problem->unit_count, sizeof *m->set);
    m->best = mly_alloc_array(m->problem->unit_count, sizeof *m->best);
    m->in_set = mly_alloc_array(m->problem->unit_count, sizeof *m->in_set);
    if (!m->builders || !m->value_ns || !m->set || !m->best || !m->in_set)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u parts", m->part_count);
    for (uint32_t p = 0; !status && p < m->part_count; p++)
        status = mly__part_builder_init(&m->builders[p], m->problem, m->class_of_part[p], err);
    for (uint32_t u = 0; !status && u < m->problem->unit_count; u++)
        mly__part_builder_add(&m->builders[m->part[u]], u);
    for (uint32_t p = 0; !status && p < m->part_count; p++)
        m->value_ns[p] = value_of(m, p);
    return status;
}

enum mly_status mly__parts_improve(const struct mly__problem *problem, uint32_t *part_of_unit,
                                   uint32_t part_count, const uint32_t *class_of_part, bool sum,
                                   uint32_t *moves, struct mly_error *err)
{
    struct improving m = {.problem = problem,
                          .part = part_of_unit,
                          .part_count = part_count,
                          .class_of_part = class_of_part,
                          .sum = sum};
    enum mly_status status = begin(&m, err);
    *moves = 0;
    while (!status && *moves < MOVES_MAX && improve_once(&m)) {
        ++*moves;
        status = mly__plan_go_on(problem->request, err);
    }
    for (uint32_t p = 0; m.builders && p < part_count; p++)
        mly__part_builder_fini(&m.builders[p]);
    mly_free(m.builders);
    mly_free(m.value_ns);
    mly_free(m.set);
    mly_free(m.best);
    mly_free(m.in_set);
    return status;
}

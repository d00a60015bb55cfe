/*
 * Refining an ordered division by moves of single nodes.
 *
 *   1. A node may go to any part from the latest that it reads from to the earliest that reads it:
 *      then the division stays ordered. Counts of readers by net and part tell that range, and what a
 *      move saves, in time proportional to the node's nets.
 *   2. A pass moves nodes one after another, each at most once, always the move that saves most bytes
 *      (or costs least) of those that are allowed. While a part is too full: only moves that make the
 *      loads more even, so that weight passes on through full parts too. Else: any that does not make
 *      a part too full, even one that costs, for what it may lead to.
 *   3. Of all states of a pass the best is kept: least beyond the tolerance, then fewest bytes. The
 *      next pass starts from there, until one brings nothing.
 */
#include <string.h>

#include "acyclic.h"
#include "base/alloc.h"

enum {
    PASSES_MAX = 8,
    PATIENCE_MIN = 64 /* moves without anything better before a pass ends, … */
};
static const double patience = 0.1; /* … and of large graphs this part of the nodes */
static const double rounding = 1e-12;

struct refiner {
    const struct mly__dag *dag;
    const struct mly__dag_index *index;
    uint32_t part_count;
    double tolerance;
    double *wanted; /* by part: load that it should have */
    double *load;
    uint32_t *node_count; /* by part */
    uint32_t *readers;    /* [net * part_count + part] */
    uint32_t *part;

    bool *locked;
    uint32_t *movable, movable_count; /* nodes whose range has more than one part */
    uint32_t *place;                  /* of a node in it, or MLY_NO_INDEX */
    uint32_t *log_node, *log_from;    /* moves of this pass */
    uint32_t log_count;
};

/* How good a state is. */
struct state {
    double excess; /* of the fullest part beyond the tolerance */
    double bytes;  /* saved since the start */
};

static bool is_better(const struct state *a, const struct state *b)
{
    if (a->excess < b->excess - rounding || a->excess > b->excess + rounding)
        return a->excess < b->excess;
    return a->bytes > b->bytes * (1 + rounding) && a->bytes > b->bytes;
}

/* --- 1 --- */

static uint32_t *readers_of(const struct refiner *r, uint32_t net)
{
    return &r->readers[(size_t)net * r->part_count];
}

static void find_range(const struct refiner *r, uint32_t node, uint32_t *first, uint32_t *last)
{
    const struct mly__dag_index *index = r->index;
    *first = 0;
    *last = r->part_count - 1;
    for (uint32_t i = index->read_begin[node]; i < index->read_begin[node + 1]; i++) {
        const uint32_t from = r->dag->nets[index->read[i]].from;
        if (from != MLY_NO_INDEX && r->part[from] > *first)
            *first = r->part[from];
    }
    for (uint32_t i = index->made_begin[node]; i < index->made_begin[node + 1]; i++) {
        const uint32_t *readers = readers_of(r, index->made[i]);
        for (uint32_t p = r->part[node]; p < *last; p++)
            if (readers[p])
                *last = p;
    }
}

/* Bytes that fewer cross when the node goes to part `to`; negative if more do. */
static double bytes_saved(const struct refiner *r, uint32_t node, uint32_t to)
{
    const struct mly__dag_index *index = r->index;
    const uint32_t from = r->part[node];
    double saved = 0;
    for (uint32_t i = index->read_begin[node]; i < index->read_begin[node + 1]; i++) {
        const struct mly__dag_net *net = &r->dag->nets[index->read[i]];
        const uint32_t *readers = readers_of(r, index->read[i]);
        const uint32_t maker = net->from == MLY_NO_INDEX ? MLY_NO_INDEX : r->part[net->from];
        if (readers[from] == 1 && from != maker)
            saved += net->bytes;
        if (!readers[to] && to != maker)
            saved -= net->bytes;
    }
    for (uint32_t i = index->made_begin[node]; i < index->made_begin[node + 1]; i++) {
        const uint32_t *readers = readers_of(r, index->made[i]);
        const double bytes = r->dag->nets[index->made[i]].bytes;
        saved += (readers[to] ? bytes : 0) - (readers[from] ? bytes : 0);
    }
    return saved;
}

static void note_movable(struct refiner *r, uint32_t node)
{
    uint32_t first, last;
    find_range(r, node, &first, &last);
    const bool now = first < last && !r->locked[node], before = r->place[node] != MLY_NO_INDEX;
    if (now && !before) {
        r->place[node] = r->movable_count;
        r->movable[r->movable_count++] = node;
    } else if (!now && before) {
        const uint32_t other = r->movable[--r->movable_count];
        r->movable[r->place[node]] = other;
        r->place[other] = r->place[node];
        r->place[node] = MLY_NO_INDEX;
    }
}

static void move(struct refiner *r, uint32_t node, uint32_t to)
{
    const struct mly__dag_index *index = r->index;
    const uint32_t from = r->part[node];
    for (uint32_t i = index->read_begin[node]; i < index->read_begin[node + 1]; i++) {
        readers_of(r, index->read[i])[from]--;
        readers_of(r, index->read[i])[to]++;
    }
    r->load[from] -= r->dag->weight[node];
    r->load[to] += r->dag->weight[node];
    r->node_count[from]--;
    r->node_count[to]++;
    r->part[node] = to;
}

/* Ranges change for the node itself, for what makes its inputs and for what reads its results. */
static void note_neighbours(struct refiner *r, uint32_t node)
{
    const struct mly__dag_index *index = r->index;
    note_movable(r, node);
    for (uint32_t i = index->read_begin[node]; i < index->read_begin[node + 1]; i++)
        if (r->dag->nets[index->read[i]].from != MLY_NO_INDEX)
            note_movable(r, r->dag->nets[index->read[i]].from);
    for (uint32_t i = index->made_begin[node]; i < index->made_begin[node + 1]; i++)
        for (uint32_t k = 0; k < r->dag->nets[index->made[i]].to_count; k++)
            note_movable(r, r->dag->nets[index->made[i]].to[k]);
}

/* --- 2 --- */

/* By how much the fullest part is beyond the tolerance, once `weight` has gone from a part to one. */
static double excess_after(const struct refiner *r, double weight, uint32_t from, uint32_t to)
{
    double most = 0;
    for (uint32_t p = 0; p < r->part_count; p++) {
        double load = r->load[p];
        load += p == to ? weight : 0;
        load -= p == from ? weight : 0;
        const double excess = load - r->wanted[p] * (1 + r->tolerance);
        if (excess > most * r->wanted[p])
            most = excess / r->wanted[p];
    }
    return most;
}

/* Does the move make the loads more even, in proportion to what is wanted? */
static bool evens(const struct refiner *r, double weight, uint32_t from, uint32_t to)
{
    const double before =
        r->load[from] * r->load[from] / r->wanted[from] + r->load[to] * r->load[to] / r->wanted[to];
    const double a = r->load[from] - weight, b = r->load[to] + weight;
    return a * a / r->wanted[from] + b * b / r->wanted[to] < before * (1 - rounding);
}

struct choice {
    uint32_t node, to;
    double saved, excess;
    bool evens;
};

/* Of two allowed moves the better: evening ones first while a part is too full, then bytes. */
static bool is_choice_better(const struct choice *a, const struct choice *b, bool too_full)
{
    if (b->node == MLY_NO_INDEX)
        return true;
    if (too_full && a->evens != b->evens)
        return a->evens;
    if (a->saved != b->saved)
        return a->saved > b->saved;
    if (a->evens != b->evens)
        return a->evens;
    return a->node != b->node ? a->node < b->node : a->to < b->to;
}

static struct choice choose(const struct refiner *r, const struct state *now,
                            const struct state *best)
{
    struct choice choice = {.node = MLY_NO_INDEX};
    const bool too_full = now->excess > 0;
    for (uint32_t i = 0; i < r->movable_count; i++) {
        const uint32_t node = r->movable[i], from = r->part[node];
        const double weight = r->dag->weight[node];
        uint32_t first, last;
        if (r->node_count[from] == 1)
            continue;
        find_range(r, node, &first, &last);
        for (uint32_t to = first; to <= last; to++) {
            if (to == from)
                continue;
            struct choice next = {.node = node,
                                  .to = to,
                                  .excess = excess_after(r, weight, from, to),
                                  .evens = evens(r, weight, from, to)};
            if (!(too_full && next.evens) && next.excess > best->excess + rounding)
                continue;
            next.saved = bytes_saved(r, node, to);
            if (is_choice_better(&next, &choice, too_full))
                choice = next;
        }
    }
    return choice;
}

/* --- 3 --- */

static struct state run_pass(struct refiner *r, struct state start)
{
    const uint32_t count = r->dag->node_count;
    struct state now = start, best = start;
    uint32_t kept = 0;
    double limit = patience * count;
    limit = limit < PATIENCE_MIN ? PATIENCE_MIN : limit;
    memset(r->locked, 0, count * sizeof *r->locked);
    r->movable_count = r->log_count = 0;
    for (uint32_t v = 0; v < count; v++)
        r->place[v] = MLY_NO_INDEX;
    for (uint32_t v = 0; v < count; v++)
        note_movable(r, v);
    while (r->log_count - kept < limit) {
        const struct choice choice = choose(r, &now, &best);
        if (choice.node == MLY_NO_INDEX)
            break;
        r->log_node[r->log_count] = choice.node;
        r->log_from[r->log_count++] = r->part[choice.node];
        r->locked[choice.node] = true;
        move(r, choice.node, choice.to);
        note_neighbours(r, choice.node);
        now.bytes += choice.saved;
        now.excess = choice.excess;
        if (is_better(&now, &best)) {
            best = now;
            kept = r->log_count;
        }
    }
    while (r->log_count > kept) {
        r->log_count--;
        move(r, r->log_node[r->log_count], r->log_from[r->log_count]);
    }
    return best;
}

static enum mly_status refiner_init(struct refiner *r, const double *target, struct mly_error *err)
{
    const struct mly__dag *dag = r->dag;
    const size_t nodes = (size_t)dag->node_count + 1, parts = r->part_count;
    double total = 0;
    r->wanted = mly_alloc_array(parts, sizeof *r->wanted);
    r->load = mly_alloc_array(parts, sizeof *r->load);
    r->node_count = mly_alloc_array(parts, sizeof *r->node_count);
    r->readers = mly_alloc_array(((size_t)dag->net_count + 1) * parts, sizeof *r->readers);
    r->locked = mly_alloc_array(nodes, sizeof *r->locked);
    r->movable = mly_alloc_array(nodes, sizeof *r->movable);
    r->place = mly_alloc_array(nodes, sizeof *r->place);
    r->log_node = mly_alloc_array(nodes, sizeof *r->log_node);
    r->log_from = mly_alloc_array(nodes, sizeof *r->log_from);
    if (!r->wanted || !r->load || !r->node_count || !r->readers || !r->locked || !r->movable ||
        !r->place || !r->log_node || !r->log_from)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for refining %u parts",
                             r->part_count);
    for (uint32_t v = 0; v < dag->node_count; v++) {
        total += dag->weight[v];
        r->load[r->part[v]] += dag->weight[v];
        r->node_count[r->part[v]]++;
    }
    /* Without any weight there is nothing to balance, and nothing may divide by 0. */
    for (uint32_t p = 0; p < parts; p++)
        r->wanted[p] = target[p] * (total > 0 ? total : 1);
    for (uint32_t i = 0; i < dag->net_count; i++)
        for (uint32_t k = 0; k < dag->nets[i].to_count; k++)
            readers_of(r, i)[r->part[dag->nets[i].to[k]]]++;
    return MLY_OK;
}

static void refiner_fini(struct refiner *r)
{
    mly_free(r->wanted);
    mly_free(r->load);
    mly_free(r->node_count);
    mly_free(r->readers);
    mly_free(r->locked);
    mly_free(r->movable);
    mly_free(r->place);
    mly_free(r->log_node);
    mly_free(r->log_from);
}

enum mly_status mly__acyclic_refine(const struct mly__dag *dag, const struct mly__dag_index *index,
                                    uint32_t part_count, const double *target, double tolerance,
                                    uint32_t *part, uint32_t *moves, struct mly_error *err)
{
    struct refiner r = {
        .dag = dag, .index = index, .part_count = part_count, .tolerance = tolerance, .part = part};
    uint32_t *before = mly_alloc_array((size_t)dag->node_count + 1, sizeof *before);
    enum mly_status status = before ? refiner_init(&r, target, err)
                                    : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for parts");
    if (!status) {
        memcpy(before, part, dag->node_count * sizeof *part);
        struct state state = {.excess = excess_after(&r, 0, 0, 0)}, start;
        uint32_t pass = 0;
        do {
            start = state;
            state = run_pass(&r, start);
        } while (is_better(&state, &start) && ++pass < PASSES_MAX);
        *moves = 0;
        for (uint32_t v = 0; v < dag->node_count; v++)
            *moves += part[v] != before[v];
    }
    refiner_fini(&r);
    mly_free(before);
    return status;
}

/*
 * What tasks are expected to cost, corrected by what they cost.
 *
 *   1. Of each segment, batch size and processor the last five runs are kept; their median is the
 *      expectation. One stall, or two, changes nothing; a lasting change is believed after three
 *      runs. A cost that was set counts as three runs.
 *   2. Fewer than three runs prove little: until then the least of them counts, and at most what
 *      the best of the other processors takes. So a first run that stalled does not shut a
 *      processor out.
 *   3. A processor that others have outrun for long is believed in again, by halves, at most down
 *      to a quarter: what slowed it may have gone. That is counted in runs, so that one task in
 *      some hundreds at most pays for the trial.
 *   4. A batch size that is new starts with the cost for all sizes where one was set, else with
 *      that of the nearest size, by its samples.
 */
#include <string.h>

#include "scheduler_private.h"

/* (1) */
enum { SURE = 3 };
/* (3) Runs of a row without this processor that halve its cost. */
enum { FORGET_RUNS = 256, FORGET_HALVES = 2 };

static inline void sort_two(float *x, float *y)
{
    const float least = *x < *y ? *x : *y, most = *x > *y ? *x : *y;
    *x = least;
    *y = most;
}

/*
 * Of five: Knuth 5.3.4, with nine comparisons, each as a minimum and a maximum, which need no branches:
 * no processor could foretell them.
 */
static void find_middle_of_five(struct mly__cost *cost)
{
    const float *v = cost->runs_ns;
    float a = v[0], b = v[1], c = v[2], d = v[3], e = v[4];
    sort_two(&a, &b);
    sort_two(&d, &e);
    sort_two(&c, &e);
    sort_two(&c, &d);
    sort_two(&a, &d);
    sort_two(&a, &c);
    sort_two(&b, &e);
    sort_two(&b, &d);
    sort_two(&b, &c);
    cost->middle_ns = c;
    cost->spread_ns = d - b;
}

/* (1), (2) */
static void find_middle(struct mly__cost *cost)
{
    float sorted[MLY__COST_RUNS];
    uint32_t n = cost->count;
    if (n == MLY__COST_RUNS) {
        find_middle_of_five(cost);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > cost->runs_ns[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = cost->runs_ns[i];
    }
    cost->middle_ns = n == 0 ? 0 : n < SURE ? sorted[0] : sorted[(n - 1) / 2];
    cost->spread_ns = 0;
}

/* (3) */
static uint64_t halves(const struct mly__cost *cost, uint64_t runs)
{
    uint64_t n = (runs - cost->seen) / FORGET_RUNS;
    return n < FORGET_HALVES ? n : FORGET_HALVES;
}

/* What is expected of one processor by itself. */
static int64_t expect_one(const struct mly__cost *cost, uint64_t runs)
{
    int64_t ns = (int64_t)cost->middle_ns >> halves(cost, runs);
    return cost->count > 0 && ns < 1 ? 1 : ns;
}

/* What is expected of all processors of a row, and how long that holds whatever the others do. */
static void expect(struct mly__group *group, uint32_t row)
{
    struct mly__row *r = &group->rows[row];
    const struct mly__cost *costs = group->costs + (size_t)row * group->stride;
    int64_t *expected_ns = group->expected_ns + (size_t)row * group->stride;
    int64_t least_ns = MLY__NEVER_NS;
    r->unsure = false;
    r->forget_at = UINT64_MAX;
    for (uint32_t p = 0; p < group->stride; p++) {
        if (expected_ns[p] == MLY__NEVER_NS)
            continue;
        expected_ns[p] = expect_one(&costs[p], r->runs);
        if (costs[p].count > 0 && expected_ns[p] < least_ns)
            least_ns = expected_ns[p];
        r->unsure = r->unsure || (costs[p].count > 0 && costs[p].count < SURE);
        uint64_t n = halves(&costs[p], r->runs) + 1;
        if (n <= FORGET_HALVES && costs[p].seen + n * FORGET_RUNS < r->forget_at)
            r->forget_at = costs[p].seen + n * FORGET_RUNS;
    }
    for (uint32_t p = 0; p < group->stride && r->unsure; p++) {
        if (expected_ns[p] != MLY__NEVER_NS && costs[p].count > 0 && costs[p].count < SURE)
            expected_ns[p] = least_ns; /* (2) */
    }
}

static void note(struct mly__cost *cost, float ns)
{
    cost->runs_ns[cost->next] = ns;
    cost->next = (uint8_t)((cost->next + 1) % MLY__COST_RUNS);
    if (cost->count < MLY__COST_RUNS)
        cost->count++;
    find_middle(cost);
}

/* The known batch size that is nearest by ratio; 0, for all sizes, only if there is no other. */
static uint32_t nearest(const struct mly__group *group, uint32_t batch)
{
    uint32_t best = 0;
    double best_ratio = 0;
    for (uint32_t i = 1; i < group->batch_count; i++) {
        double ratio = (double)group->batches[i] / (batch > 0 ? batch : 1);
        if (ratio < 1)
            ratio = 1 / ratio;
        if (best == 0 || ratio < best_ratio) {
            best = i;
            best_ratio = ratio;
        }
    }
    return best;
}

static const struct mly__cost *cost_at(const struct mly__group *group, uint32_t segment,
                                       uint32_t index, uint32_t processor)
{
    size_t row = (size_t)segment * MLY__BATCH_SIZES + index;
    return &group->costs[row * group->stride + processor];
}

/* (4) What to start from, and by what to multiply it. */
static uint32_t origin(const struct mly__group *group, uint32_t segment, uint32_t processor,
                       uint32_t batch, double *scale)
{
    uint32_t from = nearest(group, batch);
    if (cost_at(group, segment, 0, processor)->count > 0)
        from = 0;
    *scale = group->batches[from] && batch ? (double)batch / group->batches[from] : 1;
    return from;
}

/* (4) The batch size is entered already, but not yet counted. */
static void seed(struct mly__group *group, uint32_t index)
{
    for (uint32_t s = 0; s < group->segment_count; s++) {
        uint32_t row = s * MLY__BATCH_SIZES + index;
        for (uint32_t p = 0; p < group->stride; p++) {
            struct mly__cost *cost = &group->costs[(size_t)row * group->stride + p];
            double scale;
            *cost = *cost_at(group, s, origin(group, s, p, group->batches[index], &scale), p);
            cost->seen = 0;
            for (uint32_t i = 0; i < MLY__COST_RUNS; i++)
                cost->runs_ns[i] *= (float)scale;
            cost->middle_ns *= (float)scale;
            cost->spread_ns *= (float)scale;
        }
        expect(group, row);
    }
}

uint32_t mly__costs_row(struct mly__group *group, uint32_t segment, uint32_t batch)
{
    uint32_t index = 0;
    while (index < group->batch_count && group->batches[index] != batch)
        index++;
    if (index == group->batch_count && index < MLY__BATCH_SIZES) {
        group->batches[index] = batch;
        seed(group, index);
        group->batch_count++;
    } else if (index == group->batch_count) {
        index = nearest(group, batch);
    }
    return segment * MLY__BATCH_SIZES + index;
}

void mly__costs_set(struct mly__group *group, uint32_t row, uint32_t processor, int64_t cost_ns)
{
    struct mly__cost *cost = &group->costs[(size_t)row * group->stride + processor];
    *cost = (struct mly__cost){.seen = group->rows[row].runs};
    for (int i = 0; i < SURE && cost_ns > 0; i++)
        note(cost, (float)cost_ns);
    expect(group, row);
}

void mly__costs_ran(struct mly__group *group, uint32_t row, uint32_t batch, uint32_t processor,
                    int64_t elapsed_ns)
{
    struct mly__cost *cost = &group->costs[(size_t)row * group->stride + processor];
    uint32_t known = group->batches[row % MLY__BATCH_SIZES];
    double ns = (double)(elapsed_ns > 0 ? elapsed_ns : 1);
    if (known != batch && known > 0 && batch > 0)
        ns *= (double)known / batch;
    struct mly__row *r = &group->rows[row];
    if (r->runs - cost->seen >= FORGET_RUNS)
        cost->count = cost->next = 0; /* (3): what is old proves nothing */
    note(cost, (float)ns);
    cost->seen = ++r->runs;
    if (r->unsure || cost->count < SURE || r->runs >= r->forget_at)
        expect(group, row);
    else /* nothing changes for the others */
        group->expected_ns[(size_t)row * group->stride + processor] = expect_one(cost, r->runs);
}

/* --- the scheduler's interface --- */

void mly_scheduler_set_cost(mly_scheduler *scheduler, uint32_t segment, uint32_t processor,
                            int64_t cost_ns)
{
    struct mly__group *group = scheduler->groups[0];
    mly__costs_set(group, segment * MLY__BATCH_SIZES, processor, cost_ns);
}

void mly_scheduler_set_batch_cost(mly_scheduler *scheduler, uint32_t group, uint32_t segment,
                                  uint32_t processor, uint32_t batch, int64_t cost_ns)
{
    struct mly__group *g = scheduler->groups[group];
    mly__costs_set(g, mly__costs_row(g, segment, batch), processor, cost_ns);
}

int64_t mly_scheduler_cost(const mly_scheduler *scheduler, uint32_t group, uint32_t segment,
                           uint32_t processor, uint32_t batch)
{
    const struct mly__group *g = scheduler->groups[group];
    uint32_t index = 0;
    while (index < g->batch_count && g->batches[index] != batch)
        index++;
    double scale = 1;
    if (index == g->batch_count)
        index = origin(g, segment, processor, batch, &scale);
    int64_t ns =
        g->expected_ns[(size_t)(segment * MLY__BATCH_SIZES + index) * g->stride + processor];
    return ns == MLY__NEVER_NS ? 0 : (int64_t)((double)ns * scale);
}

/*
 * Rates of rounds with the box's drift taken out.
 *
 *   1. In a virtual machine whose neighbours come and go, all configurations run, say, 0.56 times as fast for seconds.
 *      Rounds put them side by side, but medians of each by itself say little when about half of the rounds
 *      were slow: of one they fall into the slow half, of another into the fast one. So the logarithm of a
 *      rate is taken as the sum of what the configuration gives and how fast the box was in that round,
 *      told apart by median polish (Tukey, Exploratory Data Analysis, 1977), which outliers do not disturb.
 *   2. The box's median round counts as its speed; what is left of a configuration's rates after that is its spread.
 *   3. Some configurations leave after a few rounds. If the box was fast in these, theirs would be taken for the usual
 *      ones: what is known of the box comes from those that had all rounds, if there are two.
 *   4. Rounds with one configuration tell nothing of the box, and count as they are.
 */
#include "levels.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"

enum { SWEEPS = 10, ROUNDS_MIN = 3 };

/* Logarithms. */
struct polish {
    const struct profiler *p;
    uint32_t least;  /* rounds, of the cells that tell of the box (3) */
    double *effects; /* by cell */
    double *scratch; /* by cell */
    double levels[PROFILE_ROUNDS_MAX];
};

static uint32_t round_count(const struct profiler *p)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < p->cell_count; i++)
        most = p->cells[i].rate_count > most ? p->cells[i].rate_count : most;
    return most;
}

static uint32_t cells_with(const struct profiler *p, uint32_t rounds)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->cell_count; i++)
        count += p->cells[i].rate_count >= rounds;
    return count;
}

static double effect_of(const struct polish *polish, const struct cell *cell)
{
    double left[PROFILE_ROUNDS_MAX];
    for (uint32_t k = 0; k < cell->rate_count; k++)
        left[k] = log(cell->rates[k]) - polish->levels[k];
    return mly_percentile(left, cell->rate_count, 0.5);
}

static double level_of(const struct polish *polish, uint32_t round)
{
    size_t count = 0;
    for (uint32_t i = 0; i < polish->p->cell_count; i++) {
        const struct cell *cell = &polish->p->cells[i];
        if (cell->rate_count > round && cell->rate_count >= polish->least)
            polish->scratch[count++] = log(cell->rates[round]) - polish->effects[i];
    }
    return count > 1 ? mly_percentile(polish->scratch, count, 0.5) : 0; /* (4) */
}

static void find_levels(struct polish *polish, uint32_t rounds)
{
    double sorted[PROFILE_ROUNDS_MAX];
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (uint32_t i = 0; i < polish->p->cell_count; i++)
            polish->effects[i] = effect_of(polish, &polish->p->cells[i]);
        for (uint32_t k = 0; k < rounds; k++)
            polish->levels[k] = level_of(polish, k);
    }
    memcpy(sorted, polish->levels, rounds * sizeof *sorted);
    const double middle = mly_percentile(sorted, rounds, 0.5);
    for (uint32_t k = 0; k < rounds; k++)
        polish->levels[k] -= middle; /* (2) */
}

static void level(struct cell *cell, const double *levels)
{
    double rates[PROFILE_ROUNDS_MAX];
    memcpy(rates, cell->rates, cell->rate_count * sizeof *rates);
    const double as_measured = mly_percentile(rates, cell->rate_count, 0.5);
    for (uint32_t k = 0; k < cell->rate_count; k++)
        rates[k] = cell->rates[k] / exp(levels[k]);
    const struct mly_summary summary = mly_summarise(rates, cell->rate_count);
    cell->throughput = summary.median;
    cell->throughput_spread = summary.relative_spread;
    cell->pace = summary.median / as_measured;
}

enum mly_status profile_levels(struct profiler *p, struct mly_error *err)
{
    const size_t cells = (size_t)p->cell_count + 1;
    struct polish polish = {.p = p,
                            .effects = mly_alloc_array(cells, sizeof *polish.effects),
                            .scratch = mly_alloc_array(cells, sizeof *polish.scratch)};
    const uint32_t rounds = round_count(p);
    enum mly_status status = MLY_OK;
    if (polish.effects && polish.scratch) {
        polish.least = cells_with(p, rounds) > 1 ? rounds : 0;
        find_levels(&polish, rounds);
        for (uint32_t i = 0; i < p->cell_count; i++)
            if (p->cells[i].rate_count)
                level(&p->cells[i], polish.levels);
        for (uint32_t k = 0; k < rounds; k++)
            polish.levels[k] = exp(polish.levels[k]);
        p->drift = rounds < ROUNDS_MIN ? 0 : mly_summarise(polish.levels, rounds).relative_spread;
    } else {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measurements");
    }
    mly_free(polish.effects);
    mly_free(polish.scratch);
    return status;
}

/*
 * How long runs take while every group has nothing to do most of the time: what requests find at light
 * load. Caches are then cold and cores asleep, and other tenants of the box use them (slower), or memory is
 * not shared (faster); only measuring tells.
 *
 *   1. Cells that may still be chosen, the fastest first, as far as the time that is set aside goes.
 *   2. Each group of one runs over and over, resting before each run, each by itself, for twice the run's time in
 *      the mean but not more than MLY_REST_MAX_NS. Median and ninetieth percentile of all runs are kept.
 */
#include "rested.h"

/* Runs of a group that are enough, and the fewest that say anything. */
static const double runs_enough = 60, runs_least = 4;
static const double time_most_ns = 1e9;

static double turn_ns(const struct cell *cell)
{
    return cell->run_ns + mly_rest_ns(cell->run_ns);
}

/* How long to measure; less where that is too long, but not too little. */
static double time_for(const struct cell *cell)
{
    const double most =
        runs_enough * turn_ns(cell) < time_most_ns ? runs_enough * turn_ns(cell) : time_most_ns;
    const double least = runs_least * turn_ns(cell);
    return most > least ? most : least;
}

static enum mly_status measure(struct profiler *p, struct cell *cell, struct mly_error *err)
{
    struct crew *crew = &p->crews[cell->crew].crew;
    struct samples times = {0};
    double throughput;
    crew->rest_ns = (int64_t)mly_rest_ns(cell->run_ns);
    enum mly_status status =
        crew_round(crew, p->inputs[cell->batch], p->batches[cell->batch], (int64_t)time_for(cell),
                   p->options->stop, &throughput, &times, err);
    crew->rest_ns = 0;
    if (status == MLY_OK) {
        const struct mly_summary summary = samples_summarise(&times);
        cell->rested_ns = summary.median;
        cell->rested_p90_ns = summary.p90;
    }
    samples_fini(&times);
    return status;
}

/* The fastest of those that are left; NULL when none is. */
static struct cell *next_cell(struct profiler *p)
{
    struct cell *best = NULL;
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        if (cell->in_play && cell->rate_count > 0 && cell->rested_ns == 0 &&
            (!best || cell->throughput > best->throughput))
            best = cell;
    }
    return best;
}

enum mly_status profile_rested(struct profiler *p, struct mly_error *err)
{
    char text[PROFILE_CONFIG_TEXT_BYTES];
    struct cell *cell;
    while ((cell = next_cell(p))) { /* 1 */
        struct mly_error why = {0};
        cell->in_play = false;
        if ((double)profiler_elapsed_ns(p) + time_for(cell) > (double)p->budget_ns)
            continue;
        profile_config_text(&p->crews[cell->crew].crew.config, p->batches[cell->batch], text);
        enum mly_status status = profiler_report(p, p->fraction, text, err);
        if (status != MLY_OK)
            return status;
        status = measure(p, cell, &why);
        if (status == MLY_E_CANCELLED || status == MLY_E_NO_MEMORY)
            return mly_error_set(err, status, "%s", why.message);
        /* Whatever else went wrong: it stays unknown. */
    }
    return MLY_OK;
}

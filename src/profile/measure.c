/*
 * Filling the cells of a profiling run.
 *
 * 1. Warm-up: batch sizes ascending, every crew runs each once untimed and once timed. Batch sizes
 *    that would take more memory than there is, or more time than is allowed, are left out with a
 *    word. The first round of a batch size follows at once, so that who interrupts finds small batches
 *    measured.
 * 2. Further rounds: every cell in turn, so that drift of the box hits all alike. After the first three
 *    rounds only cells that may still be chosen go on. No round begins that the time left could
 *    not pay for, but for the first.
 * 3. What is left of the time: runs after a rest (rested.c).
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "levels.h"
#include "profile/memory.h"
#include "profiler.h"
#include "rested.h"

enum {
    ROUNDS_FIRST = 3, /* for every cell */
    ROUNDS_MAX = PROFILE_ROUNDS_MAX,
};
static const int64_t settle_ns = 3000000; /* spinning threads of the crew before go to sleep */
static const double warm_up_share = 0.3;  /* of the budget */
static const double first_rounds_share = 0.35;
static const double rounds_share = 0.9;   /* of the budget; the rest is for (3) */
static const double still_in_play = 0.88; /* of the best throughput, or of the best batch time */
static const double noisy_in_play = 0.7;  /* … on a box as noisy as can be */
static const int64_t slice_max_ns = 700000000;
static const int64_t slice_min_ns = 20000000;
static const int64_t slice_runs = 400;              /* more say no more … */
static const int64_t slice_runs_min_ns = 200000000; /* … if they take so long */
static const int64_t slice_share = 1000;            /* of the budget: shorter where this part is */
static const double slow_run_share = 0.01; /* of the budget: such runs are warmed up by one run */
static const double memory_share = 0.9;    /* of what is available */

/* Fractions of the progress that opening takes before, and single nodes after. */
static const double begin_fraction = 0.08, end_fraction = 0.95;

static enum mly_status report_cell(struct profiler *p, const struct cell *cell,
                                   char text[PROFILE_CONFIG_TEXT_BYTES], struct mly_error *err)
{
    double done = p->expected_ns > 0 ? (double)profiler_elapsed_ns(p) / (double)p->expected_ns : 0;
    profile_config_text(&p->crews[cell->crew].crew.config, p->batches[cell->batch], text);
    if (done > 1)
        done = 1;
    return profiler_report(p, begin_fraction + done * (end_fraction - begin_fraction), text, err);
}

static void settle(const struct profiler *p, const struct cell *cell)
{
    const struct mly_cost_config *config = &p->crews[cell->crew].crew.config;
    if (config->spin || config->runtime_defaults)
        nanosleep(&(struct timespec){.tv_nsec = settle_ns}, NULL);
}

/* --- 1. warm-up --- */

static enum mly_status make_inputs(struct profiler *p, uint32_t batch, struct mly_error *err)
{
    struct mly_tensor *inputs = NULL;
    enum mly_status status =
        profile_inputs_make(p->model, &p->dims, p->batches[batch], p->fill, &inputs, err);
    if (status != MLY_OK)
        return status;
    profile_inputs_free(p->model, p->inputs[batch]);
    p->inputs[batch] = inputs;
    return MLY_OK;
}

static enum mly_status run_cell(struct profiler *p, struct cell *cell, int64_t duration_ns,
                                double *throughput, struct samples *times, struct mly_error *err)
{
    return crew_round(&p->crews[cell->crew].crew, p->inputs[cell->batch], p->batches[cell->batch],
                      duration_ns, p->options->stop, throughput, times, err);
}

/* Before what the runtime said. */
static enum mly_status say_no_values(const struct profiler *p, enum mly_status status,
                                     struct mly_error *err)
{
    static const char fails[] = "the model fails for random values, zeros and ones";
    char names[256];
    if (profile_dims_assumed(&p->dims, names, sizeof names))
        return mly_error_prefix(err, status,
                                "%s, which are all that is measured with; other sizes may do, "
                                "--dim NAME=N for what is 1 now (%s)",
                                fails, names);
    return mly_error_prefix(err, status, "%s, which are all that is measured with", fails);
}

/* The very first run of all also finds out what kind of values the model can stand. */
static enum mly_status first_run(struct profiler *p, struct cell *cell, struct samples *times,
                                 struct mly_error *err)
{
    double throughput;
    enum mly_status status = run_cell(p, cell, 0, &throughput, times, err);
    p->fill_known = p->fill_known || status == MLY_OK;
    if (!profile_fill_may_help(status) || p->fill_known)
        return status;
    while (profile_fill_may_help(status) && p->fill + 1 < FILL_COUNT) {
        p->fill++;
        status = make_inputs(p, cell->batch, err);
        if (status == MLY_OK)
            status = run_cell(p, cell, 0, &throughput, times, err);
    }
    p->fill_known = status == MLY_OK;
    if (status == MLY_OK) {
        profiler_remark(p, "the model fails for random values: it is measured with %s",
                        profile_fill_name(p->fill));
    } else if (profile_fill_may_help(status)) {
        p->fill = FILL_RANDOM;
        return say_no_values(p, status, err);
    }
    return status;
}

static bool is_slow(const struct profiler *p, double run_ns)
{
    return run_ns > slow_run_share * (double)p->budget_ns;
}

static enum mly_status warm_cell(struct profiler *p, struct cell *cell, struct mly_error *err)
{
    struct open_crew *crew = &p->crews[cell->crew];
    struct samples times = {0};
    double throughput = 0;
    char text[PROFILE_CONFIG_TEXT_BYTES];
    enum mly_status status = report_cell(p, cell, text, err);
    if (status != MLY_OK)
        return status;
    double before = private_memory_bytes();
    status = first_run(p, cell, &times, err);
    if (status == MLY_OK) {
        cell->run_ns = samples_summarise(&times).median;
        if (!is_slow(p, cell->run_ns)) {
            samples_fini(&times);
            status = run_cell(p, cell, 0, &throughput, &times, err);
        }
    }
    if (status == MLY_OK) {
        cell->run_ns = samples_summarise(&times).median;
        crew->sample_ns = cell->run_ns / p->batches[cell->batch];
    }
    samples_fini(&times);
    double grown = private_memory_bytes() - before;
    if (grown > 0)
        crew->warmed_bytes += grown;
    cell->memory_bytes = crew->opened_bytes + crew->warmed_bytes;
    cell->in_play = status == MLY_OK;
    settle(p, cell);
    return status == MLY_OK || status == MLY_E_CANCELLED
               ? status
               : mly_error_prefix(err, status, "running %s", text);
}

/* What is left of the memory, and what was left out for lack of it at one batch size. */
struct memory_guard {
    double left_bytes; /* 0: unknown, everything is allowed */
    uint32_t refused;
    double least_bytes; /* that a refused cell needed */
};

/*
 * Would the memory do? Sessions keep the memory of their largest batch, and all stay open: what a
 * cell takes is what its batch needs more than the one before.
 */
static bool guard_allows(struct profiler *p, struct memory_guard *guard, const struct cell *cell)
{
    struct open_crew *crew = &p->crews[cell->crew];
    double planned = p->peak_bytes[cell->batch] * crew->crew.config.groups;
    double more = planned - crew->planned_bytes;
    if (!p->inputs[cell->batch])
        more += p->input_bytes[cell->batch];
    if (guard->left_bytes > 0 && more > guard->left_bytes) {
        if (!guard->refused++ || more < guard->least_bytes)
            guard->least_bytes = more;
        return false;
    }
    if (guard->left_bytes > 0 && more > 0) {
        guard->left_bytes -= more;
        if (guard->left_bytes < 1)
            guard->left_bytes = 1;
    }
    if (planned > crew->planned_bytes)
        crew->planned_bytes = planned;
    return true;
}

static enum mly_status guard_say(const struct profiler *p, struct memory_guard *guard,
                                 uint32_t batch, uint32_t cells, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    if (guard->refused && guard->refused == cells && batch == 0)
        status = mly_error_set(err, MLY_E_LIMIT,
                               "batch %u needs about %.0f MiB of memory to run, and %.0f MiB are "
                               "available: measure a smaller batch, or give more memory",
                               p->batches[batch], guard->least_bytes / 0x1p20,
                               guard->left_bytes / 0x1p20);
    else if (guard->refused)
        profiler_remark(p,
                        "batch %u is not measured with %u of %u configurations: it would take %.0f "
                        "MiB more memory, and %.0f MiB are available",
                        p->batches[batch], guard->refused, cells, guard->least_bytes / 0x1p20,
                        guard->left_bytes / 0x1p20);
    guard->refused = 0;
    return status;
}

/* The cells of one batch size: [first, end). */
static uint32_t cells_end(const struct profiler *p, uint32_t first)
{
    uint32_t end = first;
    while (end < p->cell_count && p->cells[end].batch == p->cells[first].batch)
        end++;
    return end;
}

/* What warming up those cells should take, going by smaller batches of the same crews. */
static double warm_up_ns(const struct profiler *p, uint32_t first, uint32_t end)
{
    double slowest = 0, sum = 0;
    for (uint32_t i = 0; i < p->crew_count; i++)
        if (p->crews[i].sample_ns > slowest)
            slowest = p->crews[i].sample_ns;
    for (uint32_t i = first; i < end; i++) {
        const double sample = p->crews[p->cells[i].crew].sample_ns;
        const double run = (sample > 0 ? sample : slowest) * p->batches[p->cells[i].batch];
        sum += is_slow(p, run) ? run : 2 * run;
    }
    return sum;
}

/* Forgets cells from `first` on, and says so. */
static void leave_out_from(struct profiler *p, uint32_t first)
{
    char list[200] = "";
    size_t length = 0;
    for (uint32_t i = first; i < p->cell_count; i = cells_end(p, i))
        if (length < sizeof list)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%u",
                                       length ? ", " : "", p->batches[p->cells[i].batch]);
    profiler_remark(p,
                    "batch sizes left out, since measuring them would take longer than the %.3g s "
                    "allowed: %s (more time: --budget SECONDS)",
                    (double)p->budget_ns / 1e9, list);
    p->cell_count = first;
}

static enum mly_status warm_batch(struct profiler *p, uint32_t first, uint32_t end,
                                  struct memory_guard *guard, struct mly_error *err)
{
    uint32_t batch = p->cells[first].batch;
    enum mly_status status = MLY_OK;
    for (uint32_t i = first; i < end; i++) {
        struct mly_error why = {0};
        struct cell *cell = &p->cells[i];
        if (!guard_allows(p, guard, cell))
            continue;
        if (!p->inputs[batch])
            status = make_inputs(p, batch, &why);
        if (status == MLY_OK)
            status = warm_cell(p, cell, &why);
        if (status == MLY_OK)
            continue;
        /* A batch size that the model does not take, or the memory does not hold, is left out; that not even the first
           one works is an error. */
        if (status == MLY_E_CANCELLED || batch == 0)
            return mly_error_set(err, status, "%s", why.message);
        profiler_remark(p, "left out: %s", why.message);
        status = MLY_OK;
    }
    return guard_say(p, guard, batch, end - first, err);
}

/* --- 2. rounds (the first ones belong to 1) --- */

static enum mly_status round_cell(struct profiler *p, struct cell *cell, int64_t slice_ns,
                                  struct mly_error *err)
{
    double throughput = 0;
    char text[PROFILE_CONFIG_TEXT_BYTES];
    enum mly_status status = report_cell(p, cell, text, err);
    if (status != MLY_OK)
        return status;
    const uint64_t before = cell->times.added;
    mly_meter *meter = profile_energy_begin(&p->energy);
    status = run_cell(p, cell, slice_ns, &throughput, &cell->times, err);
    const double energy_j = profile_energy_end(&p->energy, meter);
    if (status == MLY_OK && throughput > 0 && cell->rate_count < PROFILE_ROUNDS_MAX)
        cell->rates[cell->rate_count++] = throughput;
    if (energy_j > 0) {
        cell->energy_j += energy_j;
        cell->energy_runs += cell->times.added - before;
    }
    settle(p, cell);
    if (status != MLY_OK)
        return status == MLY_E_CANCELLED ? status
                                         : mly_error_prefix(err, status, "running %s", text);
    cell->run_ns = samples_summarise(&cell->times).median;
    return MLY_OK;
}

/* What failed once cannot be relied upon: the cell leaves with all that was measured of it. */
static void drop_cell(struct profiler *p, struct cell *cell, const char *why)
{
    profiler_remark(p, "left out: %s", why);
    cell->rate_count = 0;
    samples_fini(&cell->times);
    cell->in_play = false;
}

/*
 * Cells that cannot be chosen any more leave: not near the best throughput, nor near the shortest
 * time of the least batch, nor the baseline. How near is near depends on how noisy the box is.
 */
static void narrow(struct profiler *p)
{
    double best = 0, fastest = 0;
    double near = 1 - p->noise.relative_spread;
    if (near > still_in_play)
        near = still_in_play;
    if (near < noisy_in_play)
        near = noisy_in_play;
    for (uint32_t i = 0; i < p->cell_count; i++) {
        const struct cell *cell = &p->cells[i];
        if (cell->rate_count == 0)
            continue;
        if (cell->throughput > best)
            best = cell->throughput;
        const double run_ns = cell->run_ns / cell->pace;
        if (cell->batch == p->cells[0].batch && (fastest == 0 || run_ns < fastest))
            fastest = run_ns;
    }
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        bool fast = cell->batch == p->cells[0].batch && cell->run_ns / cell->pace * near <= fastest;
        bool baseline = p->crews[cell->crew].crew.config.runtime_defaults;
        cell->in_play = cell->in_play && (cell->throughput >= near * best || fast || baseline);
    }
}

static uint32_t cells_in_play(const struct profiler *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->cell_count; i++)
        count += p->cells[i].in_play;
    return count;
}

static int64_t slice_for(const struct profiler *p, int64_t time_ns, uint32_t cells)
{
    int64_t slice = cells ? time_ns / cells : 0;
    int64_t least = p->budget_ns / slice_share;
    if (p->options->slice_ns > 0)
        return p->options->slice_ns;
    if (least > slice_min_ns)
        least = slice_min_ns;
    return slice > slice_max_ns ? slice_max_ns : slice < least ? least : slice;
}

/* Fast models need less than their share: so many runs are enough. */
static int64_t slice_of(const struct cell *cell, int64_t slice_ns)
{
    double enough = cell->run_ns * (double)slice_runs;
    if (enough < (double)slice_runs_min_ns)
        enough = (double)slice_runs_min_ns;
    return (double)slice_ns > enough ? (int64_t)enough : slice_ns;
}

/* A round of all cells in play: each takes its slice, or one run where that is longer. */
static double round_ns(const struct profiler *p, int64_t slice_ns)
{
    double sum = 0;
    for (uint32_t i = 0; i < p->cell_count; i++) {
        const struct cell *cell = &p->cells[i];
        const double slice = (double)slice_of(cell, slice_ns);
        if (cell->in_play)
            sum += cell->run_ns > slice ? cell->run_ns : slice;
    }
    return sum;
}

/* Of the cells in [first, end). */
static enum mly_status one_round(struct profiler *p, uint32_t first, uint32_t end, int64_t slice_ns,
                                 struct mly_error *err)
{
    for (uint32_t i = first; i < end; i++) {
        struct mly_error why = {0};
        struct cell *cell = &p->cells[i];
        if (!cell->in_play)
            continue;
        enum mly_status status = round_cell(p, cell, slice_of(cell, slice_ns), &why);
        if (status == MLY_OK)
            continue;
        bool last = cells_in_play(p) == 1;
        if (status == MLY_E_CANCELLED || status == MLY_E_NO_MEMORY || last)
            return mly_error_set(err, status, "%s", why.message);
        drop_cell(p, cell, why.message);
    }
    return MLY_OK;
}

/* How long measuring will take in all, for the progress. */
static void expect_end(struct profiler *p, uint32_t rounds, int64_t slice_ns)
{
    double left = (ROUNDS_MAX - rounds) * round_ns(p, slice_ns);
    double end = (double)profiler_elapsed_ns(p) + left;
    p->expected_ns = end < (double)p->budget_ns ? (int64_t)end : p->budget_ns;
}

/* What a round of so many of the first ones' cells may take, each. */
static int64_t first_slice(const struct profiler *p, uint32_t cells)
{
    return slice_for(p, (int64_t)(first_rounds_share * (double)p->budget_ns) / ROUNDS_FIRST, cells);
}

static enum mly_status warm_up(struct profiler *p, struct mly_error *err)
{
    double available = p->options->memory_bytes > 0
                           ? (double)p->options->memory_bytes
                           : available_memory_bytes(mly_machine_info(p->machine)->memory_bytes);
    struct memory_guard guard = {.left_bytes = memory_share * available};
    enum mly_status status = MLY_OK;
    for (uint32_t first = 0, end; status == MLY_OK && first < p->cell_count; first = end) {
        const int64_t warming_ns = profiler_elapsed_ns(p) - p->first_round_ns;
        end = cells_end(p, first);
        if (first > 0 &&
            (double)warming_ns + warm_up_ns(p, first, end) > warm_up_share * (double)p->budget_ns) {
            leave_out_from(p, first);
            break;
        }
        status = warm_batch(p, first, end, &guard, err);
        const int64_t begin_ns = profiler_elapsed_ns(p);
        if (status == MLY_OK)
            status = one_round(p, first, end, first_slice(p, p->cell_count), err);
        p->first_round_ns += profiler_elapsed_ns(p) - begin_ns;
    }
    return status == MLY_OK ? profile_levels(p, err) : status;
}

static enum mly_status run_rounds(struct profiler *p, struct mly_error *err)
{
    int64_t slice = first_slice(p, cells_in_play(p));
    for (uint32_t rounds = 1; rounds < ROUNDS_MAX && cells_in_play(p) > 0; rounds++) {
        const int64_t left =
            (int64_t)(rounds_share * (double)p->budget_ns) - profiler_elapsed_ns(p);
        if (rounds >= ROUNDS_FIRST)
            slice = slice_for(p, left / (ROUNDS_MAX - rounds), cells_in_play(p));
        if (round_ns(p, slice) > (double)left)
            break;
        if (rounds == 1 || rounds >= ROUNDS_FIRST)
            expect_end(p, rounds, slice);
        enum mly_status status = one_round(p, 0, p->cell_count, slice, err);
        if (status != MLY_OK)
            return status;
        status = profile_levels(p, err);
        if (status != MLY_OK)
            return status;
        if (rounds + 1 >= ROUNDS_FIRST)
            narrow(p);
    }
    return MLY_OK;
}

enum mly_status profiler_measure(struct profiler *p, struct mly_error *err)
{
    p->expected_ns = p->budget_ns;
    enum mly_status status = warm_up(p, err);
    if (status == MLY_OK)
        status = run_rounds(p, err);
    return status == MLY_OK ? profile_rested(p, err) : status;
}

/*
 * Measuring a model's configurations.
 *
 * 1. The noise of the box.
 * 2. Crews are opened: the baseline, and every grouping of the cores, spinning and blocking.
 * 3. Warm-up: batch sizes ascending, every crew runs each once untimed and once timed; when what is left of the budget could not pay for the
 *    next batch size, larger ones are left out with a word.
 * 4. Rounds: every cell (crew and batch) in turn, so that drift of the box hits all alike. After the first three rounds only cells that may still be chosen go on.
 * 5. Medians and spread go into the table. What was finished is kept when the user interrupts.
 * 6. Single nodes (nodes.c).
 */
#include "profile/profile.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "crew.h"
#include "device/thread.h"
#include "inputs.h"
#include "memory.h"
#include "nodes.h"

enum {
    CREWS_MAX = 64,
    BATCHES_MAX = 64,
    ROUNDS_FIRST = 3, /* for every cell */
    ROUNDS_MAX = 12,
};
static const int64_t budget_default_ns = 40000000000;
static const int64_t noise_ns = 400000000;
static const int64_t settle_ns = 3000000; /* spinning threads of the crew before go to sleep */
static const double warm_up_share = 0.3;  /* of the budget */
static const double first_rounds_share = 0.35;
static const double still_in_play = 0.88; /* of the best throughput, or of the best batch time */
static const int64_t slice_max_ns = 700000000;
static const int64_t slice_min_ns = 20000000;

struct cell {
    uint32_t crew, batch; /* indices */
    bool in_play;
    bool warm;
    double estimate_ns; /* one run */
    struct samples rounds, times;
    double throughput; /* median over rounds so far */
};

struct profiler {
    mly_model *model;
    const mly_machine *machine;
    const struct mly_profile_options *options;
    mly_cost_table *table;
    struct mly_segment whole;
    struct crew crews[CREWS_MAX];
    double memory_bytes[CREWS_MAX];
    uint32_t crew_count;
    uint32_t batches[BATCHES_MAX];
    struct mly_tensor *inputs[BATCHES_MAX]; /* made once per batch size, read by all crews */
    uint32_t batch_count;
    struct cell *cells;
    uint32_t cell_count;
    int64_t start_ns, budget_ns;
    uint32_t done, total; /* rounds, for progress */
};

static int64_t elapsed_ns(const struct profiler *p)
{
    return mly_now_ns() - p->start_ns;
}

static void describe(const struct mly_cost_config *config, uint32_t batch, char *text, size_t size)
{
    if (config->runtime_defaults)
        snprintf(text, size, "the runtime's defaults, batch %u", batch);
    else
        snprintf(text, size, "%u group%s x %u thread%s%s, batch %u", config->groups,
                 config->groups == 1 ? "" : "s", config->threads, config->threads == 1 ? "" : "s",
                 config->threads == 1 ? ""
                 : config->spin       ? ", spinning"
                                      : ", blocking",
                 batch);
}

/* Tells the caller what runs now; false when it wants to stop. */
static bool report(struct profiler *p, const char *text)
{
    const struct mly_profile_options *options = p->options;
    if (options->stop && atomic_load_explicit(options->stop, memory_order_relaxed))
        return false;
    if (!options->progress)
        return true;
    int64_t elapsed = elapsed_ns(p);
    struct mly_profile_progress progress = {.done = p->done,
                                            .total = p->total,
                                            .text = text,
                                            .elapsed_ns = elapsed,
                                            .remaining_ns = -1};
    if (p->done > 0)
        progress.remaining_ns = (int64_t)((double)elapsed * (p->total - p->done) / p->done);
    return options->progress(&progress, options->user);
}

static enum mly_status interrupted(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_CANCELLED, "measuring was interrupted");
}

static void settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = settle_ns}, NULL);
}

/* 2. One crew, unless all its cells are in the table already. */
static enum mly_status add_crew(struct profiler *p, const struct mly_cost_config *config,
                                struct mly_error *err)
{
    bool missing = p->options->again;
    for (uint32_t b = 0; b < p->batch_count && !missing; b++) {
        struct mly_cost_config with_batch = *config;
        with_batch.batch = p->batches[b];
        missing = !mly_cost_table_find(p->table, MLY_COST_MODEL, "", &with_batch);
    }
    if (!missing || p->crew_count == CREWS_MAX)
        return MLY_OK;
    char text[96];
    describe(config, p->batches[0], text, sizeof text);
    if (!report(p, text))
        return interrupted(err);
    double before = private_memory_bytes();
    enum mly_status status =
        crew_open(p->model, &p->whole, p->machine, config, &p->crews[p->crew_count], err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "opening %s", text);
    p->memory_bytes[p->crew_count++] = private_memory_bytes() - before;
    return MLY_OK;
}

/* How many groups are worth trying: powers of two and the counts of packages, NUMA nodes and caches that divide the cores, and the cores. */
static uint32_t default_group_counts(const mly_machine *machine, uint32_t *counts)
{
    const struct mly_machine_info *info = mly_machine_info(machine);
    uint32_t used = 0;
    for (uint32_t n = 1; n <= info->cores && used < 32; n++) {
        bool natural = (n & (n - 1)) == 0 || n == info->packages || n == info->numa_nodes ||
                       n == info->last_level_caches || n == info->cores;
        if (natural && info->cores % n == 0)
            counts[used++] = n;
    }
    return used;
}

static enum mly_status open_crews(struct profiler *p, struct mly_error *err)
{
    struct mly_cost_config config = {.backend = "ort",
                                     .processor_kind = "cpu",
                                     .groups = 1,
                                     .spin = true,
                                     .runtime_defaults = true};
    uint32_t counts[32];
    uint32_t cores = mly_machine_info(p->machine)->cores;
    uint32_t count = default_group_counts(p->machine, counts);
    const uint32_t *group_counts = counts;
    if (p->options->group_count_count > 0) {
        group_counts = p->options->group_counts;
        count = p->options->group_count_count;
    }
    enum mly_status status = add_crew(p, &config, err);
    config.runtime_defaults = false;
    for (uint32_t i = 0; status == MLY_OK && i < count; i++) {
        if (group_counts[i] < 1 || group_counts[i] > cores)
            return mly_error_set(err, MLY_E_INVALID, "%u groups cannot be made of %u cores",
                                 group_counts[i], cores);
        config.groups = group_counts[i];
        config.threads = cores / group_counts[i];
        for (int spin = 0; status == MLY_OK && spin <= (config.threads > 1); spin++) {
            config.spin = spin != 0;
            status = add_crew(p, &config, err);
        }
    }
    return status;
}

static enum mly_status make_cells(struct profiler *p, struct mly_error *err)
{
    p->cells = mly_alloc_array((size_t)p->crew_count * p->batch_count + 1, sizeof *p->cells);
    if (!p->cells)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint32_t b = 0; b < p->batch_count; b++) {
        for (uint32_t c = 0; c < p->crew_count; c++) {
            struct mly_cost_config config = p->crews[c].config;
            config.batch = p->batches[b];
            if (p->options->again || !mly_cost_table_find(p->table, MLY_COST_MODEL, "", &config))
                p->cells[p->cell_count++] = (struct cell){.crew = c, .batch = b, .in_play = true};
        }
    }
    p->total = p->cell_count * (1 + ROUNDS_MAX / 2);
    return MLY_OK;
}

/* 3. One untimed and one timed run by all groups at once. */
static enum mly_status warm_cell(struct profiler *p, struct cell *cell, struct mly_error *err)
{
    struct crew *crew = &p->crews[cell->crew];
    uint32_t batch = p->batches[cell->batch];
    struct samples times = {0};
    double throughput = 0;
    char text[96];
    describe(&crew->config, batch, text, sizeof text);
    if (!report(p, text))
        return interrupted(err);
    double before = private_memory_bytes();
    enum mly_status status = crew_round(crew, p->inputs[cell->batch], batch, 0, p->options->stop,
                                        &throughput, &times, err);
    samples_fini(&times);
    if (status == MLY_OK)
        status = crew_round(crew, p->inputs[cell->batch], batch, 0, p->options->stop, &throughput,
                            &times, err);
    if (status == MLY_OK)
        cell->estimate_ns = mly_summarise(times.values, times.count).median;
    samples_fini(&times);
    double grown = private_memory_bytes() - before;
    if (grown > 0)
        p->memory_bytes[cell->crew] += grown;
    cell->warm = status == MLY_OK;
    p->done++;
    settle();
    return status == MLY_OK || status == MLY_E_CANCELLED
               ? status
               : mly_error_prefix(err, status, "running %s", text);
}

static enum mly_status warm_up(struct profiler *p, struct mly_error *err)
{
    int64_t spent_before = 0;
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        bool next_batch = i > 0 && p->cells[i - 1].batch != cell->batch;
        if (next_batch) {
            /* The next batch size takes about as much longer as it is larger, twice for warm-up and thrice more for its first rounds. */
            int64_t spent = elapsed_ns(p) - spent_before;
            double growth = (double)p->batches[cell->batch] / p->batches[p->cells[i - 1].batch];
            if ((double)elapsed_ns(p) + (double)spent * growth >
                warm_up_share * (double)p->budget_ns) {
                mly_log(MLY_LOG_INFO,
                        "batches from %u on are not measured: they would take longer than the time "
                        "allowed",
                        p->batches[cell->batch]);
                p->total -= (p->cell_count - i) * (1 + ROUNDS_MAX / 2);
                p->cell_count = i;
                return MLY_OK;
            }
            spent_before = elapsed_ns(p);
        }
        enum mly_status status = warm_cell(p, cell, err);
        if (status == MLY_OK)
            continue;
        /* A batch size that the model does not take is left out; that not even the first works is an error. */
        if (status == MLY_E_CANCELLED || status == MLY_E_NO_MEMORY || cell->batch == 0)
            return status;
        mly_log(MLY_LOG_WARNING, "left out: %s", err ? err->message : mly_status_name(status));
        cell->in_play = false;
    }
    return MLY_OK;
}

/* 4. One round of one cell. */
static enum mly_status round_cell(struct profiler *p, struct cell *cell, int64_t slice_ns,
                                  struct mly_error *err)
{
    struct crew *crew = &p->crews[cell->crew];
    double throughput = 0;
    char text[96];
    describe(&crew->config, p->batches[cell->batch], text, sizeof text);
    if (!report(p, text))
        return interrupted(err);
    enum mly_status status = crew_round(crew, p->inputs[cell->batch], p->batches[cell->batch],
                                        slice_ns, p->options->stop, &throughput, &cell->times, err);
    if (status == MLY_OK)
        status = samples_add(&cell->rounds, throughput, err);
    if (status == MLY_OK) {
        cell->throughput = mly_percentile(cell->rounds.values, cell->rounds.count, 0.5);
        p->done++;
    }
    if (crew->config.spin)
        settle();
    return status;
}

/* Cells that cannot be chosen any more leave: not near the best throughput, nor near the shortest time for their batch size, nor the baseline. */
static void narrow(struct profiler *p)
{
    double best = 0;
    double fastest[BATCHES_MAX] = {0};
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        if (cell->rounds.count == 0)
            continue;
        if (cell->throughput > best)
            best = cell->throughput;
        double median = mly_percentile(cell->times.values, cell->times.count, 0.5);
        if (fastest[cell->batch] == 0 || median < fastest[cell->batch])
            fastest[cell->batch] = median;
    }
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        if (!cell->in_play || cell->rounds.count == 0)
            continue;
        double median = mly_percentile(cell->times.values, cell->times.count, 0.5);
        bool fast = cell->batch == 0 && median * still_in_play <= fastest[cell->batch];
        cell->in_play = cell->throughput >= still_in_play * best || fast ||
                        p->crews[cell->crew].config.runtime_defaults;
    }
}

static int64_t slice_for(int64_t time_ns, uint32_t cells)
{
    int64_t slice = cells ? time_ns / cells : 0;
    return slice > slice_max_ns ? slice_max_ns : slice < slice_min_ns ? slice_min_ns : slice;
}

static uint32_t cells_in_play(const struct profiler *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->cell_count; i++)
        count += p->cells[i].in_play && p->cells[i].warm;
    return count;
}

static enum mly_status one_round(struct profiler *p, int64_t slice_ns, struct mly_error *err)
{
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        if (!cell->in_play || !cell->warm)
            continue;
        enum mly_status status = round_cell(p, cell, slice_ns, err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

static enum mly_status run_rounds(struct profiler *p, struct mly_error *err)
{
    int64_t first_ns = (int64_t)(first_rounds_share * (double)p->budget_ns);
    int64_t slice = slice_for(first_ns / ROUNDS_FIRST, cells_in_play(p));
    uint32_t rounds = 0;
    while (rounds < ROUNDS_MAX) {
        int64_t before = elapsed_ns(p);
        enum mly_status status = one_round(p, slice, err);
        if (status != MLY_OK)
            return status;
        rounds++;
        if (rounds < ROUNDS_FIRST)
            continue;
        narrow(p);
        int64_t left = p->budget_ns - elapsed_ns(p);
        int64_t took = elapsed_ns(p) - before;
        uint32_t cells = cells_in_play(p);
        if (rounds > ROUNDS_FIRST ? took > left : left <= 0)
            break;
        slice = slice_for(left / (ROUNDS_MAX - rounds + 1), cells);
        p->total = p->done + (ROUNDS_MAX - rounds) * cells;
    }
    return MLY_OK;
}

/* 5. */
static enum mly_status store_cells(struct profiler *p, struct mly_error *err)
{
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        if (cell->rounds.count == 0)
            continue;
        struct mly_summary times = mly_summarise(cell->times.values, cell->times.count);
        struct mly_summary rounds = mly_summarise(cell->rounds.values, cell->rounds.count);
        struct mly_cost_entry entry = {
            .scope = MLY_COST_MODEL,
            .scope_id = "",
            .config = p->crews[cell->crew].config,
            .p10_ns = times.p10,
            .median_ns = times.median,
            .p90_ns = times.p90,
            .throughput_per_s = rounds.median,
            .throughput_spread = rounds.relative_spread,
            .memory_bytes = p->memory_bytes[cell->crew] > 0 ? p->memory_bytes[cell->crew] : 0,
            .samples = cell->times.added};
        entry.config.batch = p->batches[cell->batch];
        enum mly_status status = mly_cost_table_put(p->table, &entry, err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

static enum mly_status choose_batches(struct profiler *p, struct mly_error *err)
{
    static const uint32_t defaults[] = {1, 2, 4, 8, 16};
    int64_t fixed = mly_model_fixed_batch(p->model);
    const uint32_t *batches = p->options->batches ? p->options->batches : defaults;
    uint32_t count = p->options->batches ? p->options->batch_count : 5;
    if (count > BATCHES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%u batch sizes: at most %d can be measured at once",
                             count, BATCHES_MAX);
    if (fixed > 0) {
        if (p->options->batches && (count != 1 || batches[0] != (uint32_t)fixed))
            return mly_error_set(
                err, MLY_E_INVALID,
                "the model's batch size is fixed at %lld; other sizes cannot be measured",
                (long long)fixed);
        p->batches[0] = (uint32_t)fixed;
        p->batch_count = 1;
        return MLY_OK;
    }
    memcpy(p->batches, batches, count * sizeof *batches);
    p->batch_count = count;
    return MLY_OK;
}

static void close_all(struct profiler *p)
{
    for (uint32_t i = 0; i < p->cell_count; i++) {
        samples_fini(&p->cells[i].rounds);
        samples_fini(&p->cells[i].times);
    }
    mly_free(p->cells);
    for (uint32_t i = 0; i < p->crew_count; i++)
        crew_close(&p->crews[i]);
    for (uint32_t i = 0; i < p->batch_count; i++)
        profile_inputs_free(p->model, p->inputs[i]);
    mly_segment_fini(&p->whole);
}

static enum mly_status measure_noise(struct profiler *p, struct mly_error *err)
{
    struct mly_processor_list all = {0};
    struct mly_noise noise;
    if (!report(p, "the noise of this box"))
        return interrupted(err);
    enum mly_status status = mly_machine_group(p->machine, MLY_GROUP_WHOLE, 1, false, &all, err);
    if (status == MLY_OK)
        status =
            mly_noise_measure(all.items[0].cpus, all.items[0].cpu_count, noise_ns, &noise, err);
    if (status == MLY_OK)
        *mly_cost_table_noise(p->table) =
            (struct mly_cost_noise){noise.relative_spread, noise.slowdown, noise.steal_fraction};
    mly_processor_list_fini(&all);
    return status;
}

static enum mly_status measure_models(struct profiler *p, struct mly_error *err)
{
    enum mly_status status = measure_noise(p, err);
    for (uint32_t i = 0; status == MLY_OK && i < p->batch_count; i++)
        status = profile_inputs_make(p->model, p->options->bindings, p->options->binding_count,
                                     p->batches[i], &p->inputs[i], err);
    if (status == MLY_OK)
        status = open_crews(p, err);
    if (status == MLY_OK)
        status = make_cells(p, err);
    if (status != MLY_OK || p->cell_count == 0)
        return status;
    p->start_ns = mly_now_ns(); /* opening does not count */
    status = warm_up(p, err);
    if (status == MLY_OK)
        status = run_rounds(p, err);
    if (status != MLY_OK && status != MLY_E_CANCELLED)
        return status;
    enum mly_status stored = store_cells(p, status == MLY_OK ? err : NULL);
    return status != MLY_OK ? status : stored;
}

enum mly_status mly_profile_run(mly_model *model, const mly_machine *machine,
                                const struct mly_profile_options *options, mly_cost_table *table,
                                struct mly_error *err)
{
    static const struct mly_profile_options defaults = {0};
    struct profiler *p = mly_alloc(sizeof *p);
    if (!p)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    p->model = model;
    p->machine = machine;
    p->options = options ? options : &defaults;
    p->table = table;
    p->budget_ns = p->options->budget_ns > 0 ? p->options->budget_ns : budget_default_ns;
    p->start_ns = mly_now_ns();
    p->total = 1;
    enum mly_status status =
        mly_machine_info(machine)->synthetic
            ? mly_error_set(err, MLY_E_INVALID, "a synthetic box cannot be measured")
            : choose_batches(p, err);
    if (status == MLY_OK)
        status = mly_segment_whole(model, &p->whole, err);
    if (status == MLY_OK)
        status = measure_models(p, err);
    if (status == MLY_OK && p->options->nodes && report(p, "single nodes"))
        status = profile_nodes(model, &p->whole, machine, p->options, p->batches[0], table, err);
    close_all(p);
    mly_free(p);
    return status;
}

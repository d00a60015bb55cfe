/*
 * Measuring a model's configurations.
 *
 * 1. What is to be measured: batch sizes, configurations, and of these what the table lacks.
 * 2. The noise of the box.
 * 3. Crews are opened: the baseline, and every grouping of the cores, spinning and blocking.
 * 4. Warm-up and rounds (measure.c).
 * 5. Medians and spread go into the table. What was finished is kept when the user interrupts.
 * 6. Single nodes (nodes.c).
 */
#include "profile/profile.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/thread.h"
#include "levels.h"
#include "nodes.h"
#include "profile/memory.h"
#include "profiler.h"

enum { BATCH_MAX = 1000000 }; /* as in a cost table */
static const int64_t budget_default_ns = 40000000000;
static const int64_t noise_max_ns = 400000000;
static const int64_t noise_share = 100;       /* of the budget: one part in so many */
static const double spread_assumed_max = 0.2; /* of what was measured too seldom to know */
static const double opened_fraction = 0.08, nodes_fraction = 0.95; /* of the progress */

/* --- telling --- */

int64_t profiler_elapsed_ns(const struct profiler *p)
{
    return mly_now_ns() - p->start_ns;
}

static enum mly_status interrupted(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_CANCELLED, "measuring was interrupted");
}

enum mly_status profiler_report(struct profiler *p, double at_least, const char *text,
                                struct mly_error *err)
{
    const struct mly_profile_options *options = p->options;
    if (options->stop && atomic_load_explicit(options->stop, memory_order_relaxed))
        return interrupted(err);
    if (at_least > p->fraction)
        p->fraction = at_least;
    struct mly_profile_progress progress = {.fraction = p->fraction, .text = text};
    if (options->progress && !options->progress(&progress, options->user))
        return interrupted(err);
    return MLY_OK;
}

void profiler_remark(const struct profiler *p, const char *format, ...)
{
    char text[MLY_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (p->options->remark)
        p->options->remark(text, p->options->user);
    else
        mly_log(MLY_LOG_WARNING, "%s", text);
}

bool mly_profile_noise_remark(const mly_cost_table *table, double spread, char *text,
                              size_t text_bytes)
{
    static const double much = 0.2;
    const struct mly_cost_times times = mly_cost_table_times(table, MLY_COST_MODEL);
    const double newest = mly_cost_table_noise((mly_cost_table *)(uintptr_t)table)->relative_spread;
    /* Of rows that do not know their own noise, the table's is all that is known. */
    const bool own = times.last_s && !times.unknown;
    const double noise = own || times.noise_spread > newest ? times.noise_spread : newest;
    if (!(noise > much) && !(spread > much))
        return false;
    snprintf(text, text_bytes,
             "this box was noisy while measuring (its speed varied by %.0f %%, the best "
             "configuration by %.0f %%): small differences mean nothing; measure again (--again) "
             "when it is quiet",
             noise * 100, spread * 100);
    return true;
}

/* --- 1. what is to be measured --- */

static enum mly_status check_batches(const uint32_t *batches, uint32_t count, struct mly_error *err)
{
    if (count > PROFILE_BATCHES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%u batch sizes: at most %d can be measured at once",
                             count, PROFILE_BATCHES_MAX);
    for (uint32_t i = 0; i < count; i++)
        if (batches[i] < 1 || batches[i] > BATCH_MAX || (i > 0 && batches[i] <= batches[i - 1]))
            return mly_error_set(err, MLY_E_INVALID,
                                 "batch size %u: sizes must ascend and be 1 to %d", batches[i],
                                 BATCH_MAX);
    return MLY_OK;
}

static enum mly_status choose_batches(struct profiler *p, struct mly_error *err)
{
    static const uint32_t defaults[] = {1, 2, 4, 8, 16};
    const int64_t fixed = mly_model_fixed_batch(p->model);
    const bool given = p->options->batches && p->options->batch_count > 0;
    const uint32_t *batches = given ? p->options->batches : defaults;
    const uint32_t count =
        given ? p->options->batch_count : (uint32_t)(sizeof defaults / sizeof *defaults);
    enum mly_status status = check_batches(batches, count, err);
    if (status != MLY_OK)
        return status;
    if (fixed > BATCH_MAX)
        return mly_error_set(err, MLY_E_LIMIT,
                             "the model's batch is fixed at %lld; at most %d can "
                             "be measured",
                             (long long)fixed, BATCH_MAX);
    if (fixed > 0 && given && (count != 1 || batches[0] != (uint32_t)fixed))
        return mly_error_set(
            err, MLY_E_INVALID,
            "the model's batch size is fixed at %lld; other sizes cannot be measured",
            (long long)fixed);
    p->batch_count = fixed > 0 ? 1 : count;
    memcpy(p->batches, batches, p->batch_count * sizeof *batches);
    if (fixed > 0)
        p->batches[0] = (uint32_t)fixed;
    return MLY_OK;
}

static bool is_missing(const struct profiler *p, struct mly_cost_config config, uint32_t batch)
{
    config.batch = p->batches[batch];
    return p->options->again || !mly_cost_table_find(p->table, MLY_COST_MODEL, "", &config);
}

/* Keeps the configurations that lack an entry for some batch size. */
static enum mly_status choose_configs(struct profiler *p, struct mly_error *err)
{
    uint32_t kept = 0;
    enum mly_status status = profile_configs_init(p->machine, p->backend, p->options->group_counts,
                                                  p->options->group_count_count, &p->configs, err);
    if (status != MLY_OK)
        return status;
    for (uint32_t c = 0; c < p->configs.count; c++) {
        bool missing = false;
        for (uint32_t b = 0; b < p->batch_count && !missing; b++)
            missing = is_missing(p, p->configs.items[c], b);
        if (missing)
            p->configs.items[kept++] = p->configs.items[c];
    }
    p->configs.count = kept;
    return MLY_OK;
}

static enum mly_status make_cells(struct profiler *p, struct mly_error *err)
{
    p->cells = mly_alloc_array((size_t)p->configs.count * p->batch_count + 1, sizeof *p->cells);
    if (!p->cells)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measurements");
    for (uint32_t b = 0; b < p->batch_count; b++)
        for (uint32_t c = 0; c < p->configs.count; c++)
            if (is_missing(p, p->configs.items[c], b))
                p->cells[p->cell_count++] = (struct cell){.crew = c, .batch = b};
    return MLY_OK;
}

/* Bytes of activations and inputs for every batch size, by the graph. */
static enum mly_status size_batches(struct profiler *p, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(p->model);
    enum mly_status status = MLY_OK;
    struct mly_shape *shapes =
        mly_alloc_array(graph->tensor_count ? graph->tensor_count : 1, sizeof *shapes);
    if (!shapes)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for shapes");
    for (uint32_t b = 0; status == MLY_OK && b < p->batch_count; b++) {
        struct mly_graph_totals totals;
        status = mly_graph_bind(p->model, p->batches[b], p->dims.items, p->dims.count, shapes, err);
        if (status == MLY_OK)
            status = mly_graph_totals(graph, shapes, &totals, err);
        if (status == MLY_OK)
            p->peak_bytes[b] = totals.peak_activation_bytes;
        for (uint32_t i = 0; status == MLY_OK && i < graph->input_count; i++) {
            const uint32_t tensor = graph->inputs[i];
            double bytes = mly_dtype_bits(graph->tensors[tensor].dtype) / 8.0;
            for (int32_t d = 0; d < shapes[tensor].rank; d++)
                bytes *=
                    (double)(shapes[tensor].dims[d] >= 0
                                 ? shapes[tensor].dims[d]
                                 : profile_dims_nameless(&p->dims, graph->tensors[tensor].name, d));
            p->input_bytes[b] += bytes;
        }
    }
    mly_free(shapes);
    return status;
}

static enum mly_status choose(struct profiler *p, struct mly_error *err)
{
    struct mly_cost_config config;
    if (mly_machine_info(p->machine)->synthetic)
        return mly_error_set(err, MLY_E_INVALID, "a synthetic box cannot be measured");
    if (!mly_backend_find(p->backend) || strlen(p->backend) >= sizeof config.backend)
        return mly_error_set(err, MLY_E_NOT_FOUND, "there is no back end named '%.60s'",
                             p->backend);
    enum mly_status status = choose_batches(p, err);
    if (status == MLY_OK)
        status = profile_dims_init(p->model, p->options->bindings, p->options->binding_count,
                                   &p->dims, err);
    if (status == MLY_OK)
        status = choose_configs(p, err);
    if (status == MLY_OK)
        status = make_cells(p, err);
    if (status == MLY_OK)
        status = size_batches(p, err);
    if (status == MLY_OK)
        status = mly_segment_whole(p->model, &p->whole, err);
    return status;
}

/* --- 2. noise --- */

static enum mly_status measure_noise(struct profiler *p, struct mly_error *err)
{
    struct mly_processor_list all = {0};
    struct mly_noise noise;
    int64_t duration =
        p->options->slice_ns > 0 ? p->options->slice_ns : p->budget_ns / noise_share + 1;
    if (duration > noise_max_ns)
        duration = noise_max_ns;
    enum mly_status status = profiler_report(p, 0, "the noise of this box", err);
    if (status == MLY_OK)
        status = mly_machine_group(p->machine, MLY_GROUP_WHOLE, 1, false, &all, err);
    if (status == MLY_OK)
        status =
            mly_noise_measure(all.items[0].cpus, all.items[0].cpu_count, duration, &noise, err);
    if (status == MLY_OK)
        p->noise =
            (struct mly_cost_noise){noise.relative_spread, noise.slowdown, noise.steal_fraction};
    mly_processor_list_fini(&all);
    return status;
}

/* --- 3. crews --- */

static enum mly_status open_crew(struct profiler *p, uint32_t index, struct mly_error *err)
{
    const struct mly_cost_config *config = &p->configs.items[index];
    char name[PROFILE_CONFIG_TEXT_BYTES], text[PROFILE_CONFIG_TEXT_BYTES + 16];
    profile_config_text(config, 0, name);
    snprintf(text, sizeof text, "opening %s", name);
    enum mly_status status =
        profiler_report(p, opened_fraction * index / p->configs.count, text, err);
    if (status != MLY_OK)
        return status;
    struct open_crew *open = &p->crews[index];
    double before = private_memory_bytes();
    status = crew_open(p->model, &p->whole, p->machine, config, &open->crew, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "opening %s", name);
    p->crew_count++;
    double grown = private_memory_bytes() - before;
    open->opened_bytes = grown > 0 ? grown : 0;
    return MLY_OK;
}

static enum mly_status open_crews(struct profiler *p, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    p->crews = mly_alloc_array(p->configs.count, sizeof *p->crews);
    if (!p->crews)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for configurations");
    for (uint32_t c = 0; status == MLY_OK && c < p->configs.count; c++)
        status = open_crew(p, c, err);
    return status;
}

static void close_crews(struct profiler *p)
{
    for (uint32_t i = 0; i < p->crew_count; i++)
        crew_close(&p->crews[i].crew);
    p->crew_count = 0;
    for (uint32_t i = 0; i < p->batch_count; i++) {
        profile_inputs_free(p->model, p->inputs[i]);
        p->inputs[i] = NULL;
    }
}

/* --- 5. the table --- */

/* 0: not known. */
static double energy_per_run(const struct cell *cell)
{
    return cell->energy_runs > 0 ? cell->energy_j / (double)cell->energy_runs : 0;
}

static enum mly_status store_cell(const struct profiler *p, struct cell *cell,
                                  struct mly_error *err)
{
    const struct mly_summary times = samples_summarise(&cell->times);
    struct mly_cost_entry entry = {.scope = MLY_COST_MODEL,
                                   .scope_id = "",
                                   .config = p->configs.items[cell->crew],
                                   .p10_ns = times.p10,
                                   .median_ns =
                                       fmin(fmax(times.median / cell->pace, times.p10), times.p90),
                                   .p90_ns = times.p90,
                                   .throughput_per_s = cell->throughput,
                                   .throughput_spread = cell->throughput_spread,
                                   .memory_bytes = cell->memory_bytes,
                                   .rested_ns = cell->rested_ns,
                                   .rested_p90_ns = cell->rested_p90_ns,
                                   .energy_j = energy_per_run(cell),
                                   .samples = cell->times.added,
                                   .measured_s = p->measured_s,
                                   .noise_spread = p->noise.relative_spread};
    entry.config.batch = p->batches[cell->batch];
    /*
     * One or two rounds say nothing of how rounds differ; single runs do, at worst too much, and the
     * box does where there were few of those too.
     */
    const double noise = p->noise.relative_spread;
    if (cell->rate_count < 3 && times.relative_spread > entry.throughput_spread)
        entry.throughput_spread = times.relative_spread;
    if (cell->rate_count < 3 && noise > entry.throughput_spread)
        entry.throughput_spread = noise < spread_assumed_max ? noise : spread_assumed_max;
    enum mly_status status = mly_cost_table_put(p->table, &entry, err);
    if (status == MLY_OK)
        *mly_cost_table_noise(p->table) = p->noise;
    return status;
}

static enum mly_status store_cells(struct profiler *p, struct mly_error *err)
{
    enum mly_status status = profile_levels(p, err); /* an interrupted round counts, too */
    p->noise.relative_spread = fmax(p->noise.relative_spread, p->drift);
    for (uint32_t i = 0; status == MLY_OK && i < p->cell_count; i++)
        if (p->cells[i].rate_count > 0)
            status = store_cell(p, &p->cells[i], err);
    return status;
}

static enum mly_status measure_models(struct profiler *p, struct mly_error *err)
{
    enum mly_status status = measure_noise(p, err);
    if (status == MLY_OK)
        status = open_crews(p, err);
    profile_energy_open(p->machine, &p->energy);
    p->start_ns = mly_now_ns(); /* opening does not count */
    if (status == MLY_OK)
        status = profiler_measure(p, err);
    if (status == MLY_OK) {
        status = store_cells(p, err);
    } else if (status == MLY_E_CANCELLED) {
        /* That it was interrupted is what the caller is told. */
        enum mly_status stored = store_cells(p, NULL);
        if (stored != MLY_OK)
            profiler_remark(p, "not all that was measured could be kept: %s",
                            mly_status_meaning(stored));
    }
    close_crews(p);
    return status;
}

/* --- 6. nodes --- */

static enum mly_status measure_nodes(struct profiler *p, struct mly_error *err)
{
    struct mly_error why = {0};
    enum mly_status status = profiler_report(p, nodes_fraction, "single nodes", err);
    if (status != MLY_OK)
        return status;
    status = profile_nodes(p, &why);
    if (status == MLY_E_CANCELLED || status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "%s", why.message);
    if (status != MLY_OK)
        profiler_remark(p, "times of single nodes are missing: %s", why.message);
    return MLY_OK;
}

static void fini(struct profiler *p)
{
    close_crews(p);
    profile_energy_close(&p->energy);
    for (uint32_t i = 0; p->cells && i < p->configs.count * p->batch_count; i++)
        samples_fini(&p->cells[i].times);
    mly_free(p->cells);
    mly_free(p->crews);
    profile_configs_fini(&p->configs);
    profile_dims_fini(&p->dims);
    mly_segment_fini(&p->whole);
}

/* All that the options ask for and the table lacks, or all of it when told to measure again. */
static enum mly_status run_into(mly_model *model, const mly_machine *machine,
                                const struct mly_profile_options *options, int64_t measured_s,
                                mly_cost_table *table, struct mly_error *err)
{
    struct profiler *p = mly_alloc(sizeof *p);
    char text[MLY_ERROR_MESSAGE_BYTES];
    if (!p)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measuring");
    p->model = model;
    p->machine = machine;
    p->options = options;
    p->backend = p->options->backend ? p->options->backend : PROFILE_BACKEND;
    p->table = table;
    p->measured_s = measured_s;
    p->budget_ns = p->options->budget_ns > 0 ? p->options->budget_ns : budget_default_ns;
    enum mly_status status = choose(p, err);
    bool nodes = status == MLY_OK && p->options->nodes && profile_nodes_missing(p);
    if (status == MLY_OK && (p->cell_count > 0 || nodes) &&
        profile_dims_remark(&p->dims, text, sizeof text))
        profiler_remark(p, "%s", text);
    if (status == MLY_OK && p->cell_count > 0)
        status = measure_models(p, err);
    if (status == MLY_OK && nodes)
        status = measure_nodes(p, err);
    fini(p);
    mly_free(p);
    return status;
}

/*
 * Measured at another time of the box's day is not comparable (a difference of a few per cent may be the
 * box's): a whole measurement in place of all that the table held; part of one in place of what it measured
 * anew, beside the rest, each entry with its time.
 */
static enum mly_status run_again(mly_model *model, const mly_machine *machine,
                                 const struct mly_profile_options *options, mly_cost_table *table,
                                 struct mly_error *err)
{
    mly_cost_table *fresh = NULL;
    enum mly_status status = mly_cost_table_create(mly_cost_table_identity(table), &fresh, err);
    if (status == MLY_OK)
        status = run_into(model, machine, options, mly_cost_table_next_s(table), fresh, err);
    if (status == MLY_OK) {
        mly_cost_table_replace(table, fresh);
        return MLY_OK;
    }
    const struct mly_cost_entry *entry;
    struct mly_error why;
    for (size_t i = 0; fresh && (entry = mly_cost_table_at(fresh, i)); i++)
        if (mly_cost_table_put(table, entry, &why) != MLY_OK)
            break; /* no memory: the first failure is the one to tell */
    if (fresh && mly_cost_table_at(fresh, 0))
        *mly_cost_table_noise(table) = *mly_cost_table_noise(fresh);
    mly_cost_table_destroy(fresh);
    return status;
}

enum mly_status mly_profile_run(mly_model *model, const mly_machine *machine,
                                const struct mly_profile_options *options, mly_cost_table *table,
                                struct mly_error *err)
{
    static const struct mly_profile_options defaults = {0};
    if (!options)
        options = &defaults;
    return options->again
               ? run_again(model, machine, options, table, err)
               : run_into(model, machine, options, mly_cost_table_next_s(table), table, err);
}

/* motley simulate: one run, for people and as JSON. Every number says whose times it comes of. */
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "device/modelled.h"
#include "simulate.h"

static const struct mly_device_model *device_of(const struct simulated_plan *plan,
                                                uint32_t processor)
{
    return mly_device_model_find(plan->plan->processors[processor].kind);
}

const char *simulated_source(const struct simulated_plan *plan)
{
    bool modelled = false, measured = false;
    for (uint32_t i = 0; i < plan->plan->processor_count; i++)
        *(device_of(plan, i) ? &modelled : &measured) = true;
    return modelled && measured ? "measured and modelled" : modelled ? "modelled" : "measured";
}

double simulated_energy_j(const struct simulated *run, bool *all)
{
    double joules = 0;
    *all = true;
    for (uint32_t i = 0; i < run->result.processor_count; i++) {
        const struct mly_device_model *device = device_of(run->plan, i);
        *all = *all && device;
        if (device)
            joules += run->result.processors[i].energy_j +
                      device->idle_w * (double)run->result.window_ns / 1e9;
    }
    return joules;
}

double simulated_off_chip_bytes(const struct simulated *run)
{
    double bytes = 0;
    for (uint32_t i = 0; i < run->result.processor_count; i++)
        bytes += run->result.processors[i].off_chip_bytes;
    return bytes;
}

/* --- for people --- */

static void print_totals(const struct simulated *run)
{
    const struct mly_virtual_result *r = &run->result;
    const char *source = simulated_source(run->plan);
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES], d[CLI_NUMBER_BYTES],
        text[MLY_ARRIVALS_TEXT_BYTES], rate[MLY_RATE_TEXT_BYTES];
    double samples_per_s = r->throughput_per_s * run->plan->batch;
    printf("times: %s; nothing ran, time is a virtual clock's\n", source);
    printf("arrivals: %s, seed %llu: %llu requests of %u sample%s in %s%s\n",
           mly_arrivals_describe(run->arrivals, text),
           (unsigned long long)run->simulate->given->seed, (unsigned long long)r->measured,
           run->plan->batch, run->plan->batch == 1 ? "" : "s", cli_time((double)r->window_ns, a),
           run->simulate->given->warm_up_ns ? " after warming up" : "");
    printf("throughput: %s samples/s (%s)\n", mly_rate_text(samples_per_s, rate), source);
    printf("latency of a request: p50 %s, p90 %s, p99 %s, p99.9 %s", cli_time(r->latency.p50_ns, a),
           cli_time(r->latency.p90_ns, b), cli_time(r->latency.p99_ns, c),
           cli_time(r->latency.p999_ns, d));
    printf(", longest %s (%s)\n", cli_time(r->latency.max_ns, a), source);
    printf("waiting: %.3g requests on average, at most %u; of the latency %s on average\n",
           r->mean_waiting, r->most_waiting, cli_time(r->queue.mean_ns, a));
    if (r->rejected > 0)
        printf("rejected: %llu of %llu requests, as the queue was full\n",
               (unsigned long long)r->rejected, (unsigned long long)r->arrived);
}

static void print_energy(const struct simulated *run)
{
    const struct mly_virtual_result *r = &run->result;
    bool all;
    double joules = simulated_energy_j(run, &all), bytes = simulated_off_chip_bytes(run);
    double samples = r->throughput_per_s * run->plan->batch * (double)r->window_ns / 1e9;
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    if (strcmp(simulated_source(run->plan), "measured") == 0)
        return;
    printf("energy: %.4g J, idle power included", joules);
    if (samples > 0)
        printf(", %.4g mJ per sample", joules * 1e3 / samples);
    printf(" (modelled%s)\n", all ? "" : "; without the processors of this box");
    if (bytes > 0)
        printf("weights streamed from off the chip: %s%s%s (modelled)\n", cli_bytes(bytes, a),
               samples > 0 ? ", per sample " : "",
               samples > 0 ? cli_bytes(bytes / samples, b) : "");
}

static void print_processors(const struct simulated *run)
{
    struct cli_table table;
    char a[CLI_NUMBER_BYTES];
    cli_table_init(&table, "processor|times|>tasks|>busy|>energy|>off-chip");
    for (uint32_t i = 0; i < run->result.processor_count; i++) {
        const struct mly_virtual_processor *p = &run->result.processors[i];
        const struct mly_device_model *device = device_of(run->plan, i);
        cli_table_cell(&table, "%s", run->plan->plan->processors[i].id);
        cli_table_cell(&table, "%s", device ? "modelled" : "measured");
        cli_table_cell(&table, "%llu", (unsigned long long)p->tasks);
        cli_table_cell(&table, "%.1f %%", p->utilisation * 100);
        if (device)
            cli_table_cell(&table, "%.4g J",
                           p->energy_j + device->idle_w * (double)run->result.window_ns / 1e9);
        else
            cli_table_cell(&table, "-");
        cli_table_cell(&table, "%s", device ? cli_bytes(p->off_chip_bytes, a) : "-");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

/* The segment of a stage, and the way that it is of. */
static const struct mly_plan_segment *segment_of(const struct simulated *run, uint32_t stage,
                                                 uint32_t *way)
{
    const struct mly_virtual_result *r = &run->result;
    *way = 0;
    while (stage - r->ways[*way].first_stage >= r->ways[*way].stage_count)
        (*way)++;
    return &run->plan->ways[*way].plan->segments[stage - r->ways[*way].first_stage];
}

static void print_stages(const struct simulated *run)
{
    struct cli_table table;
    char a[CLI_NUMBER_BYTES];
    const bool family = run->plan->way_count > 1;
    cli_table_init(&table,
                   family ? ">way|stage|on|>tasks|>time|>of that links|>wait|>queue|>off-chip/task"
                          : "stage|on|>tasks|>time|>of that links|>wait|>queue|>off-chip/task");
    for (uint32_t i = 0; i < run->result.stage_count; i++) {
        const struct mly_virtual_stage *stage = &run->result.stages[i];
        uint32_t way;
        const struct mly_plan_segment *segment = segment_of(run, i, &way);
        const char *first = run->plan->plan->processors[segment->processors[0]].id;
        double tasks = stage->tasks > 0 ? (double)stage->tasks : 1;
        if (family && stage->tasks == 0)
            continue;
        if (family)
            cli_table_cell(&table, "%u", way + 1);
        cli_table_cell(&table, "%s", segment->name);
        if (segment->processor_count > 1)
            cli_table_cell(&table, "%s and %u more", first, segment->processor_count - 1);
        else
            cli_table_cell(&table, "%s", first);
        cli_table_cell(&table, "%llu", (unsigned long long)stage->tasks);
        cli_table_cell(&table, "%s", cli_time(stage->mean_ns, a));
        cli_table_cell(&table, "%s", cli_time(stage->mean_link_ns, a));
        cli_table_cell(&table, "%s", cli_time(stage->mean_wait_ns, a));
        cli_table_cell(&table, "%.3g", stage->queue_length);
        cli_table_cell(&table, "%s", cli_bytes(stage->off_chip_bytes / tasks, a));
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

void simulated_print(const struct simulated *run)
{
    char *line = mly_plan_describe(run->plan->plan);
    if (!run->simulate->common->quiet)
        printf("plan: %s\n", line ? line : "");
    mly_free(line);
    print_totals(run);
    print_energy(run);
    simulated_print_ways(run);
    printf("\n");
    print_processors(run);
    printf("\n");
    print_stages(run);
}

/* --- JSON --- */

static void put_times(struct mly_json_writer *json, const char *key,
                      const struct mly_virtual_times *times)
{
    mly_json_begin_object(json, key);
    mly_json_put_number(json, "min", times->min_ns);
    mly_json_put_number(json, "mean", times->mean_ns);
    mly_json_put_number(json, "p50", times->p50_ns);
    mly_json_put_number(json, "p90", times->p90_ns);
    mly_json_put_number(json, "p99", times->p99_ns);
    mly_json_put_number(json, "p99.9", times->p999_ns);
    mly_json_put_number(json, "max", times->max_ns);
    mly_json_end_object(json);
}

static void put_processors(struct mly_json_writer *json, const struct simulated *run)
{
    mly_json_begin_array(json, "processors");
    for (uint32_t i = 0; i < run->result.processor_count; i++) {
        const struct mly_virtual_processor *p = &run->result.processors[i];
        const struct mly_device_model *device = device_of(run->plan, i);
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "id", run->plan->plan->processors[i].id);
        mly_json_put_string(json, "kind", run->plan->plan->processors[i].kind);
        mly_json_put_bool(json, "modelled", device != NULL);
        mly_json_put_int(json, "tasks", (int64_t)p->tasks);
        mly_json_put_number(json, "utilisation", p->utilisation);
        if (device) {
            mly_json_put_number(json, "energy_j",
                                p->energy_j + device->idle_w * (double)run->result.window_ns / 1e9);
            mly_json_put_number(json, "off_chip_bytes", p->off_chip_bytes);
            mly_json_put_number(json, "link_bytes", p->link_bytes);
        }
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

static void put_stages(struct mly_json_writer *json, const struct simulated *run)
{
    mly_json_begin_array(json, "stages");
    for (uint32_t i = 0; i < run->result.stage_count; i++) {
        const struct mly_virtual_stage *stage = &run->result.stages[i];
        uint32_t way;
        const struct mly_plan_segment *segment = segment_of(run, i, &way);
        mly_json_begin_object(json, NULL);
        if (run->plan->way_count > 1)
            mly_json_put_int(json, "way", way + 1);
        mly_json_put_string(json, "name", segment->name);
        mly_json_begin_array(json, "processors");
        for (uint32_t k = 0; k < segment->processor_count; k++)
            mly_json_put_string(json, NULL, run->plan->plan->processors[segment->processors[k]].id);
        mly_json_end_array(json);
        mly_json_put_int(json, "tasks", (int64_t)stage->tasks);
        mly_json_put_number(json, "mean_ns", stage->mean_ns);
        mly_json_put_number(json, "mean_link_ns", stage->mean_link_ns);
        mly_json_put_number(json, "mean_wait_ns", stage->mean_wait_ns);
        mly_json_put_number(json, "max_wait_ns", stage->max_wait_ns);
        mly_json_put_number(json, "queue_length", stage->queue_length);
        mly_json_put_number(json, "off_chip_bytes", stage->off_chip_bytes);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

void simulated_put_json(struct mly_json_writer *json, const struct simulated *run)
{
    const struct mly_virtual_result *r = &run->result;
    char text[MLY_ARRIVALS_TEXT_BYTES];
    bool all;
    double joules = simulated_energy_j(run, &all);
    mly_json_put_bool(json, "simulated", true);
    mly_json_put_string(json, "times", simulated_source(run->plan));
    mly_json_put_string(json, "arrivals", mly_arrivals_describe(run->arrivals, text));
    mly_json_put_int(json, "seed", (int64_t)run->simulate->given->seed);
    mly_json_put_int(json, "batch", run->plan->batch);
    mly_json_put_int(json, "requests", (int64_t)r->measured);
    mly_json_put_int(json, "arrived", (int64_t)r->arrived);
    mly_json_put_int(json, "completed", (int64_t)r->completed);
    mly_json_put_int(json, "rejected", (int64_t)r->rejected);
    mly_json_put_number(json, "seconds", (double)r->window_ns / 1e9);
    mly_json_put_number(json, "throughput_per_s", r->throughput_per_s * run->plan->batch);
    put_times(json, "latency_ns", &r->latency);
    put_times(json, "queue_ns", &r->queue);
    mly_json_put_number(json, "mean_waiting", r->mean_waiting);
    mly_json_put_int(json, "most_waiting", r->most_waiting);
    mly_json_put_number(json, "mean_in_system", r->mean_in_system);
    if (all)
        mly_json_put_number(json, "energy_j", joules);
    else
        mly_json_put_null(json, "energy_j");
    mly_json_put_number(json, "off_chip_bytes", simulated_off_chip_bytes(run));
    simulated_put_ways(json, run);
    put_processors(json, run);
    put_stages(json, run);
}

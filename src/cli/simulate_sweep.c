/* motley simulate --sweep: reading the values, and a line of results for each. */
#include "simulate_sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"

#define VALUES_MAX 1000

/* --- values --- */

static bool add(struct simulate_sweep *sweep, double value)
{
    if (sweep->count == VALUES_MAX)
        return false;
    sweep->values[sweep->count++] = value;
    return true;
}

/* A plain decimal number; NULL if there is none. */
static const char *read_number(const char *text, double *out)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9' || text[1] == 'x' || text[1] == 'X')
        return NULL;
    *out = strtod(text, &end);
    return end;
}

/* "A:B:STEP" */
static bool read_steps(const char *text, struct simulate_sweep *sweep)
{
    double from = 0, to = 0, step = 0;
    const char *at = read_number(text, &from);
    at = at && *at == ':' ? read_number(at + 1, &to) : NULL;
    at = at && *at == ':' ? read_number(at + 1, &step) : NULL;
    if (!at || *at || !(step > 0) || !(to >= from))
        return false;
    for (int i = 0; from + i * step <= to * (1 + 1e-12); i++)
        if (!add(sweep, from + i * step))
            return false;
    return true;
}

/* "A..B" */
static bool read_range(const char *text, struct simulate_sweep *sweep)
{
    unsigned from = 0, to = 0;
    int length = 0;
    if (sscanf(text, "%4u..%4u%n", &from, &to, &length) != 2 || text[length] || from > to)
        return false;
    for (unsigned i = from; i <= to; i++)
        if (!add(sweep, i))
            return false;
    return true;
}

static bool read_list(const char *text, struct simulate_sweep *sweep)
{
    for (const char *at = text;; at++) {
        double value = 0;
        at = read_number(at, &value);
        if (!at || (*at && *at != ',') || !add(sweep, value))
            return false;
        if (!*at)
            return true;
    }
}

static bool read_values(const char *text, struct simulate_sweep *sweep)
{
    if (strstr(text, ".."))
        return read_range(text, sweep);
    return strchr(text, ':') ? read_steps(text, sweep) : read_list(text, sweep);
}

static bool in_bounds(const struct simulate_sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        double value = sweep->values[i];
        bool good = sweep->what == SIMULATE_SWEEP_RATE
                        ? value >= 1e-6 && value <= MLY_ARRIVALS_RATE_MAX
                        : value >= 1 && value <= 4096 && value == floor(value);
        if (!good)
            return false;
    }
    return sweep->count > 0;
}

/* Does it go with the other options? */
static enum mly_status check(const struct simulate_values *given, const char *target,
                             const struct simulate_sweep *sweep, struct mly_error *err)
{
    if (sweep->what == SIMULATE_SWEEP_RATE) {
        if (given->arrivals && strncmp(given->arrivals, "poisson:", 8) != 0 &&
            strncmp(given->arrivals, "constant:", 9) != 0)
            return mly_error_set(
                err, MLY_E_INVALID,
                "--sweep rate= goes with --arrivals poisson:RATE (the default then) "
                "or constant:RATE, not with %s",
                given->arrivals);
        return MLY_OK;
    }
    if (simulate_is_plan_file(target))
        return mly_error_set(
            err, MLY_E_INVALID,
            "--sweep processors= makes a plan for each number: give a model, not the "
            "plan %s",
            target);
    if (!given->devices || strpbrk(given->devices, "*:,") || strcmp(given->devices, "cpu") == 0)
        return mly_error_set(
            err, MLY_E_INVALID,
            "--sweep processors= wants -d with the name of one modelled processor, "
            "such as -d edgetpu-pcie");
    return MLY_OK;
}

enum mly_status simulate_sweep_parse(const struct simulate_values *given, const char *target,
                                     struct simulate_sweep *out, struct mly_error *err)
{
    static const struct {
        const char *name;
        enum simulate_sweep_what what;
    } kinds[] = {{"rate=", SIMULATE_SWEEP_RATE}, {"processors=", SIMULATE_SWEEP_PROCESSORS}};
    const char *values = NULL;
    struct simulate_sweep sweep = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].name);
        if (strncmp(given->sweep, kinds[i].name, length) == 0) {
            sweep.what = kinds[i].what;
            values = given->sweep + length;
        }
    }
    sweep.values = mly_alloc_array(VALUES_MAX, sizeof *sweep.values);
    if (!sweep.values)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = MLY_OK;
    if (!values || !read_values(values, &sweep) || !in_bounds(&sweep))
        status = mly_error_set(err, MLY_E_INVALID,
                               "--sweep %.60s: wanted is rate=FROM:TO:STEP, rate=10,20,50, "
                               "processors=1..8 or processors=1,2,4; at most %d values",
                               given->sweep, VALUES_MAX);
    if (status == MLY_OK)
        status = check(given, target, &sweep, err);
    if (status != MLY_OK)
        mly_free(sweep.values);
    else
        *out = sweep;
    return status;
}

/* --- results --- */

void simulate_sweep_begin(struct simulate_sweep_output *output, const struct simulate *simulate,
                          const struct simulate_sweep *sweep)
{
    *output = (struct simulate_sweep_output){.simulate = simulate, .sweep = sweep};
    cli_table_init(&output->table,
                   sweep->what == SIMULATE_SWEEP_RATE
                       ? ">requests/s|>samples/s|>p50|>p99|>longest|>waiting|>busiest|>rejected|>"
                         "mJ/sample"
                       : ">processors|>samples/s|>p50|>p99|>longest|>waiting|>busiest|>rejected|>"
                         "mJ/sample");
    mly_json_writer_init(&output->json, true);
    mly_json_begin_object(&output->json, NULL);
    mly_json_put_string(&output->json, "sweep",
                        sweep->what == SIMULATE_SWEEP_RATE ? "rate" : "processors");
    mly_json_begin_array(&output->json, "runs");
}

static double busiest(const struct mly_virtual_result *r)
{
    double most = 0;
    for (uint32_t i = 0; i < r->processor_count; i++)
        most = fmax(most, r->processors[i].utilisation);
    return most;
}

static void add_row(struct simulate_sweep_output *output, const struct simulated *run, double value)
{
    const struct mly_virtual_result *r = &run->result;
    struct cli_table *table = &output->table;
    char text[CLI_NUMBER_BYTES], rate[MLY_RATE_TEXT_BYTES];
    bool all;
    double joules = simulated_energy_j(run, &all);
    double samples = r->throughput_per_s * run->plan->batch * (double)r->window_ns / 1e9;
    cli_table_cell(table, "%.6g", value);
    cli_table_cell(table, "%s", mly_rate_text(r->throughput_per_s * run->plan->batch, rate));
    cli_table_cell(table, "%s", cli_time(r->latency.p50_ns, text));
    cli_table_cell(table, "%s", cli_time(r->latency.p99_ns, text));
    cli_table_cell(table, "%s", cli_time(r->latency.max_ns, text));
    cli_table_cell(table, "%.3g", r->mean_waiting);
    cli_table_cell(table, "%.1f %%", busiest(r) * 100);
    cli_table_cell(table, "%llu", (unsigned long long)r->rejected);
    if (all && samples > 0)
        cli_table_cell(table, "%.4g", joules * 1e3 / samples);
    else
        cli_table_cell(table, "-");
}

void simulate_sweep_add(struct simulate_sweep_output *output, const struct simulated *run,
                        double value)
{
    output->rows++;
    snprintf(
        output->head, sizeof output->head,
        "times: %s; nothing ran, time is a virtual clock's; requests of %u sample%s, seed %llu",
        simulated_source(run->plan), run->plan->batch, run->plan->batch == 1 ? "" : "s",
        (unsigned long long)output->simulate->given->seed);
    if (!output->simulate->common->json) {
        add_row(output, run, value);
        return;
    }
    mly_json_begin_object(&output->json, NULL);
    mly_json_put_number(&output->json, "value", value);
    simulated_put_json(&output->json, run);
    mly_json_end_object(&output->json);
}

int simulate_sweep_end(struct simulate_sweep_output *output)
{
    int status = CLI_EXIT_OK;
    mly_json_end_array(&output->json);
    mly_json_end_object(&output->json);
    if (output->rows > 0 && output->simulate->common->json) {
        status = cli_print_json(&output->json);
    } else {
        if (output->rows > 0) {
            printf("%s\n\n", output->head);
            cli_table_print(&output->table, stdout);
        }
        mly_json_writer_fini(&output->json);
    }
    cli_table_fini(&output->table);
    return status;
}

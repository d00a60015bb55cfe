/* Energy and temperature of a run, with what the box takes when idle subtracted. */
#include "run_energy.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"

/* Rows of temperature in the text: the hottest. */
enum { TEMPERATURES_MAX = 6 };
/* Sensors update every 1 to 100 ms: a shorter run is worth a word. */
static const double short_run_s = 1;

enum mly_status run_energy_open(const mly_machine *machine, const char *wanted,
                                struct run_energy *out, struct mly_error *err)
{
    *out = (struct run_energy){0};
    enum mly_status status = mly_sensors_open(machine, &out->sensors, err);
    if (status != MLY_OK)
        return status;
    out->list = mly_sensors_list(out->sensors, &out->count);
    out->chosen = mly_alloc_array(out->count, sizeof *out->chosen);
    out->idle = mly_alloc_array(out->count, sizeof *out->idle);
    out->busy = mly_alloc_array(out->count, sizeof *out->busy);
    if (!out->chosen || !out->idle || !out->busy)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    return mly_sensors_choose(out->sensors, wanted, out->chosen, err);
}

void run_energy_fini(struct run_energy *energy)
{
    mly_meter_stop(energy->meter, NULL, 0);
    mly_free(energy->chosen);
    mly_free(energy->idle);
    mly_free(energy->busy);
    mly_sensors_close(energy->sensors);
    *energy = (struct run_energy){0};
}

enum mly_status run_energy_rest(struct run_energy *energy, int64_t duration_ns,
                                struct mly_error *err)
{
    enum { LOOK_NS = 50000000 }; /* how often the stop flag is looked at */
    const int64_t end_ns = mly_now_ns() + duration_ns;
    mly_meter *meter = NULL;
    enum mly_status status = mly_meter_start(energy->sensors, &meter, err);
    if (status != MLY_OK)
        return status;
    for (int64_t left_ns = duration_ns; left_ns > 0 && status == MLY_OK;
         left_ns = end_ns - mly_now_ns()) {
        struct timespec nap = {.tv_nsec = (long)(left_ns < LOOK_NS ? left_ns : LOOK_NS)};
        nanosleep(&nap, NULL);
        if (atomic_load(cli_stop_flag()))
            status = mly_error_set(err, MLY_E_CANCELLED, "interrupted");
    }
    mly_meter_stop(meter, energy->idle, energy->count);
    return status;
}

enum mly_status run_energy_begin(struct run_energy *energy, struct mly_error *err)
{
    return mly_meter_start(energy->sensors, &energy->meter, err);
}

void run_energy_end(struct run_energy *energy)
{
    mly_meter_stop(energy->meter, energy->busy, energy->count);
    energy->meter = NULL;
}

/* --- what it comes to --- */

/* Of one sensor, or of all that add up. */
struct sum {
    uint32_t count;     /* sensors in it */
    const char *reason; /* why it is not known; NULL when it is */
    double energy_j, seconds, idle_w, idle_s;
};

static void add(const struct run_energy *energy, size_t index, struct sum *sum)
{
    const struct mly_reading *busy = &energy->busy[index], *idle = &energy->idle[index];
    sum->count++;
    if (!busy->measured || !idle->measured) {
        sum->reason = busy->measured ? idle->reason : busy->reason;
        return;
    }
    sum->energy_j += busy->energy_j;
    sum->idle_w += idle->mean_w;
    if (busy->elapsed_s > sum->seconds)
        sum->seconds = busy->elapsed_s;
    if (idle->elapsed_s > sum->idle_s)
        sum->idle_s = idle->elapsed_s;
}

static struct sum add_up(const struct run_energy *energy)
{
    struct sum sum = {0};
    for (size_t i = 0; i < energy->count; i++)
        if (energy->chosen[i])
            add(energy, i, &sum);
    return sum;
}

static double mean_w(const struct sum *sum)
{
    return sum->seconds > 0 ? sum->energy_j / sum->seconds : 0;
}

static double above_idle_j(const struct sum *sum)
{
    return sum->energy_j - sum->idle_w * sum->seconds;
}

static bool tells_energy(const struct mly_sensor *sensor)
{
    return sensor->usable && sensor->quantity != MLY_SENSOR_TEMPERATURE;
}

static bool tells_temperature(const struct mly_sensor *sensor)
{
    return sensor->usable && sensor->quantity == MLY_SENSOR_TEMPERATURE;
}

/* --- text --- */

static char *joules(double j, char buffer[CLI_NUMBER_BYTES])
{
    double size = j < 0 ? -j : j;
    if (size < 1e-9) /* rounding */
        snprintf(buffer, CLI_NUMBER_BYTES, "0 J");
    else if (size < 0.0995)
        snprintf(buffer, CLI_NUMBER_BYTES, "%.3g mJ", j * 1e3);
    else
        snprintf(buffer, CLI_NUMBER_BYTES, size < 9.95 ? "%.3f J" : "%.1f J", j);
    return buffer;
}

static char *watts(double w, char buffer[CLI_NUMBER_BYTES])
{
    snprintf(buffer, CLI_NUMBER_BYTES, "%.2f W", w > -0.005 && w < 0 ? 0 : w);
    return buffer;
}

/* This box's, and by sample only where it is this box that computed them. */
static void print_total(const struct sum *sum, const struct run_modelled_energy *modelled,
                        uint64_t samples)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    const bool by_sample = samples > 0 && (modelled->processors == 0 || !modelled->all);
    if (sum->count == 0) {
        puts("energy: not measured, no sensor of energy or power can be read:");
        return;
    }
    if (sum->reason) {
        printf("energy: not known: %s\n", sum->reason);
        return;
    }
    printf("energy%s: %s in %.2f s, %s", modelled->processors > 0 ? " of this box" : "",
           joules(sum->energy_j, a), sum->seconds, watts(mean_w(sum), b));
    if (by_sample)
        printf(", %s per sample", joules(sum->energy_j / (double)samples, a));
    printf("\nabove idle (%.2f W, measured for %.1f s before the run): %s, %s", sum->idle_w,
           sum->idle_s, joules(above_idle_j(sum), a), watts(mean_w(sum) - sum->idle_w, b));
    if (by_sample)
        printf(", %s per sample", joules(above_idle_j(sum) / (double)samples, b));
    puts("");
    if (modelled->processors > 0)
        printf("(measured on this box, which %s; what the others would take is not in it)\n",
               modelled->computed ? "computed results in their stead"
               : modelled->all    ? "ran none of the plan's tasks"
                                  : "ran a part of the plan's tasks");
    if (sum->seconds < short_run_s)
        puts("(under a second: sensors are too slow for that; use --duration)");
}

static void print_modelled(const struct run_modelled_energy *modelled, uint64_t samples)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    if (modelled->processors == 0)
        return;
    printf("energy of the processors that are not here: ");
    if (!modelled->known) {
        puts("not known: a device file tells no power (modelled)");
        return;
    }
    printf("%s, %s", joules(modelled->energy_j, a),
           modelled->idle_included ? "idle power included" : "of tasks alone, above idle");
    if (samples > 0)
        printf(", %s per sample", joules(modelled->energy_j / (double)samples, b));
    puts(" (modelled)");
}

static void print_sources(const struct run_energy *energy)
{
    struct cli_table table;
    char a[CLI_NUMBER_BYTES];
    size_t rows = 0;
    cli_table_init(&table, "source|added up|>energy|>mean|>idle|how");
    for (size_t i = 0; i < energy->count; i++) {
        const struct mly_sensor *sensor = &energy->list[i];
        struct sum sum = {0};
        if (!tells_energy(sensor))
            continue;
        rows++;
        add(energy, i, &sum);
        cli_table_cell(&table, "%s", sensor->id);
        cli_table_cell(&table, "%s", energy->chosen[i] ? "yes" : "no");
        cli_table_cell(&table, "%s", sum.reason ? "?" : joules(sum.energy_j, a));
        cli_table_cell(&table, "%s", sum.reason ? "?" : watts(mean_w(&sum), a));
        cli_table_cell(&table, "%s", sum.reason ? "?" : watts(sum.idle_w, a));
        if (sum.reason)
            cli_table_cell(&table, "%s", sum.reason);
        else if (sensor->quantity == MLY_SENSOR_ENERGY)
            cli_table_cell(&table, "%s", "counter");
        else
            cli_table_cell(&table, "%llu samples, one per %.1f s",
                           (unsigned long long)energy->busy[i].samples, MLY_METER_POWER_NS / 1e9);
    }
    if (rows > 0)
        cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

/* The hottest that has not been shown; SIZE_MAX when all have. */
static size_t next_hottest(const struct run_energy *energy, const bool *shown)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < energy->count; i++)
        if (tells_temperature(&energy->list[i]) && energy->busy[i].measured && !shown[i] &&
            (best == SIZE_MAX || energy->busy[i].peak_c > energy->busy[best].peak_c))
            best = i;
    return best;
}

static void print_temperatures(const struct run_energy *energy)
{
    struct cli_table table;
    size_t at, rows = 0;
    bool *shown = mly_alloc_array(energy->count, sizeof *shown);
    if (!shown)
        return;
    cli_table_init(&table, "temperature|>start|>peak|>end");
    while ((at = next_hottest(energy, shown)) != SIZE_MAX && rows++ < TEMPERATURES_MAX) {
        const struct mly_reading *reading = &energy->busy[at];
        shown[at] = true;
        cli_table_cell(&table, "%s", energy->list[at].id);
        cli_table_cell(&table, "%.1f C", reading->start_c);
        cli_table_cell(&table, "%.1f C", reading->peak_c);
        cli_table_cell(&table, "%.1f C", reading->end_c);
    }
    if (rows > 0)
        cli_table_print(&table, stdout);
    if (at != SIZE_MAX)
        puts("(the hottest; --json lists them all)");
    cli_table_fini(&table);
    mly_free(shown);
}

static void print_absent(const struct run_energy *energy)
{
    for (size_t i = 0; i < energy->count; i++) {
        const struct mly_sensor *sensor = &energy->list[i];
        if (!sensor->usable)
            printf("  %s: %s\n", sensor->id, sensor->reason);
        else if (tells_temperature(sensor) && !energy->busy[i].measured)
            printf("  %s: %s\n", sensor->id, energy->busy[i].reason);
    }
}

void run_energy_print(const struct run_energy *energy, const struct run_modelled_energy *modelled,
                      uint64_t samples)
{
    struct sum sum = add_up(energy);
    print_modelled(modelled, samples);
    print_total(&sum, modelled, samples);
    print_sources(energy);
    print_temperatures(energy);
    print_absent(energy);
}

/* --- comparisons --- */

void run_energy_add(const struct run_energy *energy, uint64_t samples, struct run_energy_use *use)
{
    const struct sum sum = add_up(energy);
    use->sources = sum.count;
    if (sum.reason)
        use->reason = sum.reason;
    use->energy_j += sum.energy_j;
    use->above_idle_j += above_idle_j(&sum);
    use->seconds += sum.seconds;
    use->samples += samples;
}

static bool is_known(const struct run_energy_use *use)
{
    return use->sources > 0 && !use->reason && use->samples > 0;
}

void run_energy_cells(const struct run_energy_use *use, struct cli_table *table)
{
    char a[CLI_NUMBER_BYTES];
    const double samples = (double)use->samples;
    cli_table_cell(table, "%s", is_known(use) ? joules(use->energy_j / samples, a) : "?");
    cli_table_cell(table, "%s", is_known(use) ? joules(use->above_idle_j / samples, a) : "?");
}

void run_energy_print_comparison(const struct run_energy *energy)
{
    const struct sum sum = add_up(energy);
    if (sum.count == 0)
        puts("energy: not measured, no sensor of energy or power can be read:");
    else if (sum.reason)
        printf("energy: not known: %s\n", sum.reason);
    else
        printf("(energy: of the saturated half of each round, the whole of what was added up; "
               "above idle: "
               "less %.2f W,\nwhich the box took in %.1f s before with all engines open and "
               "nothing to do; "
               "added up:",
               sum.idle_w, sum.idle_s);
    for (size_t i = 0, shown = 0; i < energy->count && sum.count > 0 && !sum.reason; i++)
        if (energy->chosen[i])
            printf("%s %s", shown++ ? "," : "", energy->list[i].id);
    if (sum.count > 0 && !sum.reason)
        puts(")");
    else
        print_absent(energy);
}

/* --- JSON --- */

static void put_modelled(struct mly_json_writer *json, const struct run_modelled_energy *modelled,
                         uint64_t samples)
{
    if (modelled->processors == 0)
        return;
    mly_json_begin_object(json, "modelled_processors");
    mly_json_put_int(json, "processors", modelled->processors);
    mly_json_put_string(json, "reason", modelled->known ? NULL : "a device file tells no power");
    if (modelled->known) {
        mly_json_put_number(json, "energy_j", modelled->energy_j);
        mly_json_put_bool(json, "idle_included", modelled->idle_included);
        if (samples > 0)
            mly_json_put_number(json, "j_per_sample", modelled->energy_j / (double)samples);
    }
    mly_json_end_object(json);
}

static void put_total(struct mly_json_writer *json, const struct sum *sum,
                      const struct run_modelled_energy *modelled, uint64_t samples)
{
    mly_json_begin_object(json, "total");
    mly_json_put_string(json, "of",
                        modelled->processors > 0 ? "this box, without processors that are not here"
                                                 : "this box");
    mly_json_put_int(json, "sources", sum->count);
    mly_json_put_string(json, "reason",
                        sum->count == 0 ? "no sensor of energy or power can be read" : sum->reason);
    if (sum->count > 0 && !sum->reason) {
        mly_json_put_number(json, "energy_j", sum->energy_j);
        mly_json_put_number(json, "seconds", sum->seconds);
        mly_json_put_number(json, "mean_w", mean_w(sum));
        mly_json_put_number(json, "idle_w", sum->idle_w);
        mly_json_put_number(json, "idle_seconds", sum->idle_s);
        mly_json_put_number(json, "above_idle_j", above_idle_j(sum));
        if (samples > 0 && (modelled->processors == 0 || !modelled->all)) {
            mly_json_put_number(json, "j_per_sample", sum->energy_j / (double)samples);
            mly_json_put_number(json, "above_idle_j_per_sample",
                                above_idle_j(sum) / (double)samples);
        }
    }
    mly_json_end_object(json);
}

static void put_source(struct mly_json_writer *json, const struct run_energy *energy, size_t index)
{
    const struct mly_sensor *sensor = &energy->list[index];
    struct sum sum = {0};
    add(energy, index, &sum);
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "id", sensor->id);
    mly_json_put_string(json, "description", sensor->description);
    mly_json_put_bool(json, "added_up", energy->chosen[index]);
    mly_json_put_bool(json, "counter", sensor->quantity == MLY_SENSOR_ENERGY);
    mly_json_put_int(json, "readings", (int64_t)energy->busy[index].samples);
    mly_json_put_string(json, "reason", sum.reason);
    if (!sum.reason) {
        mly_json_put_number(json, "energy_j", sum.energy_j);
        mly_json_put_number(json, "seconds", sum.seconds);
        mly_json_put_number(json, "mean_w", mean_w(&sum));
        mly_json_put_number(json, "idle_w", sum.idle_w);
        mly_json_put_number(json, "above_idle_j", above_idle_j(&sum));
    }
    mly_json_end_object(json);
}

static void put_not_measured(struct mly_json_writer *json, const struct run_energy *energy)
{
    mly_json_begin_array(json, "not_measured");
    for (size_t i = 0; i < energy->count; i++) {
        if (energy->list[i].usable)
            continue;
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "id", energy->list[i].id);
        mly_json_put_string(json, "reason", energy->list[i].reason);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

void run_energy_put_use(const struct run_energy_use *use, struct mly_json_writer *json)
{
    mly_json_begin_object(json, "energy");
    mly_json_put_int(json, "sources", use->sources);
    mly_json_put_string(json, "reason",
                        use->sources == 0 ? "no sensor of energy or power can be read"
                                          : use->reason);
    if (is_known(use)) {
        const double samples = (double)use->samples;
        mly_json_put_number(json, "energy_j", use->energy_j);
        mly_json_put_number(json, "above_idle_j", use->above_idle_j);
        mly_json_put_number(json, "seconds", use->seconds);
        mly_json_put_int(json, "samples", (int64_t)use->samples);
        mly_json_put_number(json, "j_per_sample", use->energy_j / samples);
        mly_json_put_number(json, "above_idle_j_per_sample", use->above_idle_j / samples);
    }
    mly_json_end_object(json);
}

void run_energy_put_comparison(const struct run_energy *energy, struct mly_json_writer *json)
{
    const struct sum sum = add_up(energy);
    mly_json_begin_object(json, "energy");
    mly_json_put_number(json, "power_period_s", MLY_METER_POWER_NS / 1e9);
    if (sum.count > 0 && !sum.reason) {
        mly_json_put_number(json, "idle_w", sum.idle_w);
        mly_json_put_number(json, "idle_seconds", sum.idle_s);
    }
    mly_json_begin_array(json, "added_up");
    for (size_t i = 0; i < energy->count; i++)
        if (energy->chosen[i])
            mly_json_put_string(json, NULL, energy->list[i].id);
    mly_json_end_array(json);
    put_not_measured(json, energy);
    mly_json_end_object(json);
}

static void put_temperature(struct mly_json_writer *json, const struct run_energy *energy,
                            size_t index)
{
    const struct mly_reading *reading = &energy->busy[index];
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "id", energy->list[index].id);
    mly_json_put_string(json, "reason", reading->measured ? NULL : reading->reason);
    if (reading->measured) {
        mly_json_put_number(json, "start_c", reading->start_c);
        mly_json_put_number(json, "peak_c", reading->peak_c);
        mly_json_put_number(json, "end_c", reading->end_c);
    }
    mly_json_end_object(json);
}

void run_energy_put(const struct run_energy *energy, const struct run_modelled_energy *modelled,
                    uint64_t samples, struct mly_json_writer *json)
{
    struct sum sum = add_up(energy);
    mly_json_begin_object(json, "energy");
    mly_json_put_number(json, "power_period_s", MLY_METER_POWER_NS / 1e9);
    put_total(json, &sum, modelled, samples);
    put_modelled(json, modelled, samples);
    mly_json_begin_array(json, "sources");
    for (size_t i = 0; i < energy->count; i++)
        if (tells_energy(&energy->list[i]))
            put_source(json, energy, i);
    mly_json_end_array(json);
    mly_json_begin_array(json, "temperatures");
    for (size_t i = 0; i < energy->count; i++)
        if (tells_temperature(&energy->list[i]))
            put_temperature(json, energy, i);
    mly_json_end_array(json);
    put_not_measured(json, energy);
    mly_json_end_object(json);
}

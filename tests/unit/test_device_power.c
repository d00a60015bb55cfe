/*
 * Sensors of energy and temperature, in recorded trees of /sys and through a stand-in for NVML;
 * metering on a virtual clock.
 */
#include "support/expect.h"

#include <math.h>
#include <sys/stat.h>

#include <motley/device.h>

#include "base/alloc.h"
#include "device/internal.h"
#include "device/power_internal.h"

static char *root;

static int setup(void **state)
{
    (void)state;
    root = scratch_create();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_alloc_fail_after(0);
    scratch_remove(root);
    return 0;
}

/* Writes ROOT/sys/PATH with its folders. */
static void put(const char *path, const char *text)
{
    struct mly_error err = {0};
    char full[4096];
    snprintf(full, sizeof full, "%s/sys/%s", root, path);
    *strrchr(full, '/') = '\0';
    expect_ok(mly_dir_create(full, &err), err);
    full[strlen(full)] = '/';
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void take_away(const char *path)
{
    struct mly_error err = {0};
    char full[4096];
    snprintf(full, sizeof full, "%s/sys/%s", root, path);
    expect_ok(mly_dir_remove(full, &err), err);
}

static mly_sensors *open_tree(const char *tree, const struct mly__nvml *nvml)
{
    struct mly_error err = {0};
    mly_sensors *sensors = NULL;
    const struct mly__sensors_source source = {.root = tree, .nvml = nvml};
    expect_ok(mly__sensors_open(&source, &sensors, &err), err);
    return sensors;
}

static mly_sensors *open_recorded(const char *name)
{
    char tree[4096];
    snprintf(tree, sizeof tree, "%s/tests/data/sysfs/%s", test_env("MOTLEY_SOURCE_ROOT"), name);
    return open_tree(tree, NULL);
}

static size_t find(const mly_sensors *sensors, const char *id)
{
    size_t count;
    const struct mly_sensor *list = mly_sensors_list(sensors, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].id, id) == 0)
            return i;
    for (size_t i = 0; i < count; i++)
        print_message("# %s\n", list[i].id);
    fail_msg("no sensor %s", id);
    return 0;
}

static const struct mly_sensor *get(const mly_sensors *sensors, const char *id)
{
    size_t count;
    return &mly_sensors_list(sensors, &count)[find(sensors, id)];
}

static double value(mly_sensors *sensors, const char *id)
{
    struct mly_error err = {0};
    double number = NAN;
    expect_ok(mly_sensors_read(sensors, find(sensors, id), &number, &err), err);
    return number;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * (1 + fabs(b))))
        fail_msg("%.12g is not %.12g", a, b);
}

/* Names of those that add up, with spaces. */
static const char *chosen(const mly_sensors *sensors, const char *wanted)
{
    static char text[1024];
    bool marks[MLY__SENSORS_MAX];
    struct mly_error err = {0};
    size_t count;
    const struct mly_sensor *list = mly_sensors_list(sensors, &count);
    expect_ok(mly_sensors_choose(sensors, wanted, marks, &err), err);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!marks[i])
            continue;
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%s%s", length ? " " : "", list[i].id);
    }
    return text;
}

/* --- what is found --- */

static void an_empty_box_says_why_for_every_kind(void **state)
{
    (void)state;
    size_t count;
    mly_sensors *sensors = open_tree(root, NULL);
    const struct mly_sensor *list = mly_sensors_list(sensors, &count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_false(list[i].usable);
        assert_memory_equal(list[i].reason, "absent: ", 8);
    }
    assert_non_null(strstr(get(sensors, "rapl")->reason, "intel_rapl_msr"));
    assert_non_null(strstr(get(sensors, "nvml")->reason, "libnvidia-ml.so.1 not found"));
    assert_non_null(strstr(get(sensors, "hwmon")->reason, "/sys/class/hwmon"));
    assert_non_null(strstr(get(sensors, "iio")->reason, "INA"));
    assert_non_null(strstr(get(sensors, "thermal")->reason, "/sys/class/thermal"));
    assert_string_equal(chosen(sensors, NULL), "");
    mly_sensors_close(sensors);
    mly_sensors_close(NULL);
}

static void a_laptop_counts_its_package_once(void **state)
{
    (void)state;
    mly_sensors *sensors = open_recorded("laptop");
    assert_near(value(sensors, "rapl:package-0"), 24691.357812);
    assert_int_equal(get(sensors, "rapl:package-0")->scope, MLY_SENSOR_PART);
    assert_int_equal(get(sensors, "rapl:package-0/core")->scope, MLY_SENSOR_OTHER);
    assert_int_equal(get(sensors, "rapl:package-0/uncore")->scope, MLY_SENSOR_OTHER);
    assert_int_equal(get(sensors, "rapl:psys")->scope, MLY_SENSOR_WHOLE);
    assert_int_equal(get(sensors, "rapl-mmio:package-0")->scope, MLY_SENSOR_OTHER);
    assert_string_equal(get(sensors, "rapl:package-0/core")->description,
                        "core of package-0 (RAPL)");
    assert_near(value(sensors, "hwmon2:coretemp/Package id 0"), 51);
    assert_near(value(sensors, "hwmon0:acpitz/temp1"), 27.8);
    assert_near(value(sensors, "hwmon3:BAT0/power1"), 9.871);
    assert_int_equal(get(sensors, "hwmon3:BAT0/power1")->scope, MLY_SENSOR_OTHER);
    assert_near(value(sensors, "thermal_zone1:x86_pkg_temp"), 51);
    assert_string_equal(chosen(sensors, NULL), "rapl:package-0");
    assert_string_equal(chosen(sensors, "rapl:psys"), "rapl:psys");
    mly_sensors_close(sensors);
}

static void a_server_counts_packages_and_their_memory(void **state)
{
    (void)state;
    size_t count;
    mly_sensors *sensors = open_recorded("server");
    assert_string_equal(chosen(sensors, NULL),
                        "rapl:package-0 rapl:package-0/dram rapl:package-1 rapl:package-1/dram");
    assert_int_equal(get(sensors, "hwmon0:power_meter/power1")->scope, MLY_SENSOR_WHOLE);
    assert_near(value(sensors, "hwmon0:power_meter/power1"), 412);
    mly_sensors_list(sensors, &count);
    assert_int_equal(count, 4 + 1 + 1 + 26 + 1 + 1);
    mly_sensors_close(sensors);
}

static void a_board_counts_its_input_rail(void **state)
{
    (void)state;
    mly_sensors *sensors = open_recorded("jetson-nano");
    assert_near(value(sensors, "iio:device0:ina3221x/POM_5V_IN"), 2.812);
    assert_near(value(sensors, "iio:device0:ina3221x/POM_5V_GPU"), 0.161);
    assert_string_equal(chosen(sensors, NULL), "iio:device0:ina3221x/POM_5V_IN");
    assert_near(value(sensors, "thermal_zone2:GPU-therm"), 32.5);
    mly_sensors_close(sensors);
}

static void rails_without_an_input_rail_are_added_up(void **state)
{
    (void)state;
    mly_sensors *sensors = open_recorded("jetson-orin");
    assert_near(value(sensors, "hwmon1:ina3221/VDD_GPU_SOC"), 19.152 * 0.168);
    assert_near(value(sensors, "hwmon2:ina226/power1"), 3);
    assert_string_equal(chosen(sensors, NULL),
                        "hwmon1:ina3221/VDD_GPU_SOC hwmon1:ina3221/VDD_CPU_CV "
                        "hwmon1:ina3221/VIN_SYS_5V0 hwmon2:ina226/power1");
    mly_sensors_close(sensors);
}

static void nonsense_is_not_usable_and_says_why(void **state)
{
    (void)state;
    mly_sensors *sensors = open_recorded("broken");
    assert_non_null(strstr(get(sensors, "rapl:package-0")->reason, "'not a number'"));
    assert_non_null(strstr(get(sensors, "rapl:package-1")->reason, "below 0"));
    assert_non_null(strstr(get(sensors, "rapl:package-2")->reason, "no whole number"));
    assert_true(get(sensors, "rapl:evil?[31m?name??second line")->usable);
    assert_non_null(strstr(get(sensors, "rapl:package-4")->reason, "energy_uj cannot be read"));
    assert_true(get(sensors, "rapl:intel-rapl:5")->usable);
    assert_non_null(strstr(get(sensors, "hwmon0:unnamed/temp1")->reason, "no whole number"));
    assert_non_null(strstr(get(sensors, "hwmon0:unnamed/temp2")->reason, "no whole number"));
    assert_non_null(strstr(get(sensors, "hwmon0:unnamed/temp3")->reason, "'42000 C'"));
    assert_near(value(sensors, "hwmon0:unnamed/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), -40);
    assert_non_null(strstr(get(sensors, "hwmon0:unnamed/power1")->reason, "'1e6'"));
    assert_non_null(strstr(get(sensors, "hwmon1:ina3221/channel1")->reason, "out of any range"));
    assert_near(value(sensors, "iio:device1:ina226/in_power2"), 2.5);
    assert_false(get(sensors, "thermal_zone0:cpu")->usable);
    size_t count;
    const struct mly_sensor *list = mly_sensors_list(sensors, &count);
    for (size_t i = 0; i < count; i++) {
        assert_null(strstr(list[i].id, "iio:device0"));
        assert_true(list[i].usable == (list[i].reason[0] == '\0'));
        for (const char *c = list[i].id; *c; c++)
            assert_true(*c >= ' ' && *c < 127);
    }
    mly_sensors_close(sensors);
}

static void so_many_that_no_list_holds_them_are_cut(void **state)
{
    (void)state;
    size_t count;
    for (unsigned chip = 0; chip < 3; chip++) {
        for (unsigned i = 1; i <= 300; i++) {
            char path[64];
            snprintf(path, sizeof path, "class/hwmon/hwmon%u/temp%u_input", chip, i);
            put(path, "30000\n");
        }
    }
    mly_sensors *sensors = open_tree(root, NULL);
    mly_sensors_list(sensors, &count);
    assert_int_equal(count, MLY__SENSORS_MAX);
    mly_sensors_close(sensors);
}

static void what_only_root_may_read_says_what_to_do(void **state)
{
    (void)state;
    const char *energy = "class/powercap/intel-rapl:0/energy_uj";
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    put(energy, "1000\n");
    char full[4096];
    snprintf(full, sizeof full, "%s/sys/%s", root, energy);
    assert_int_equal(chmod(full, 0), 0);
    bool was_root = geteuid() == 0;
    if (was_root) { /* for whom everything may be read */
        assert_int_equal(chmod(root, 0755), 0);
        for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
            *slash = '\0';
            assert_int_equal(chmod(full, 0755), 0);
            *slash = '/';
        }
        if (seteuid(65534) != 0)
            TEST_SKIP("cannot be another user than root here");
    }
    mly_sensors *sensors = open_tree(root, NULL);
    if (was_root)
        assert_int_equal(seteuid(0), 0);
    const struct mly_sensor *package = get(sensors, "rapl:package-0");
    assert_false(package->usable);
    if (!strstr(package->reason, "may not be read by this user"))
        fail_msg("%s", package->reason);
    assert_non_null(strstr(package->reason, "sudo chmod a+r"));
    struct mly_error err;
    bool marks[8];
    double number;
    expect_error(mly_sensors_choose(sensors, "rapl:package-0", marks, &err), MLY_E_ABSENT, err,
                 "may not be read");
    expect_error(mly_sensors_read(sensors, find(sensors, "rapl:package-0"), &number, &err),
                 MLY_E_ABSENT, err, "may not be read");
    mly_sensors_close(sensors);
}

static void what_adds_up_may_be_named(void **state)
{
    (void)state;
    struct mly_error err;
    bool marks[MLY__SENSORS_MAX];
    mly_sensors *sensors = open_recorded("laptop");
    assert_string_equal(chosen(sensors, "hwmon3:BAT0/power1,rapl:package-0/core"),
                        "rapl:package-0/core hwmon3:BAT0/power1");
    expect_error(mly_sensors_choose(sensors, "rapl:package-7", marks, &err), MLY_E_NOT_FOUND, err,
                 "'rapl:package-7'");
    expect_error(mly_sensors_choose(sensors, "", marks, &err), MLY_E_NOT_FOUND, err, "''");
    expect_error(mly_sensors_choose(sensors, "rapl:psys,", marks, &err), MLY_E_NOT_FOUND, err,
                 "''");
    expect_error(mly_sensors_choose(sensors, "rapl:psys,rapl:psys", marks, &err), MLY_E_INVALID,
                 err, "twice");
    expect_error(mly_sensors_choose(sensors, "hwmon0:acpitz/temp1", marks, &err), MLY_E_INVALID,
                 err, "temperature");
    mly_sensors_close(sensors);
}

static void a_synthetic_machine_has_none(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    mly_sensors *sensors = NULL;
    size_t count;
    expect_ok(mly_machine_create("core:4 pu:1", &machine, &err), err);
    expect_ok(mly_sensors_open(machine, &sensors, &err), err);
    assert_false(mly_sensors_list(sensors, &count)[0].usable);
    assert_int_equal(count, 1);
    mly_sensors_close(sensors);
    mly_machine_destroy(machine);

    put("class/thermal/thermal_zone0/type", "cpu\n");
    put("class/thermal/thermal_zone0/temp", "43000\n");
    const struct mly__machine_source source = {.synthetic = "core:4 pu:1", .root = root};
    expect_ok(mly__machine_create(&source, &machine, &err), err);
    expect_ok(mly_sensors_open(machine, &sensors, &err), err);
    assert_near(value(sensors, "thermal_zone0:cpu"), 43);
    mly_sensors_close(sensors);
    mly_machine_destroy(machine);
}

static void this_box_is_looked_at_without_failing(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_machine *machine = NULL;
    mly_sensors *sensors = NULL;
    size_t count;
    expect_ok(mly_machine_create(NULL, &machine, &err), err);
    expect_ok(mly_sensors_open(machine, &sensors, &err), err);
    mly_sensors_list(sensors, &count);
    assert_true(count > 0);
    mly_sensors_close(sensors);
    mly_machine_destroy(machine);
}

/* --- NVML --- */

static struct {
    int init_result, count_result, handle_result, energy_result, power_result, started;
    unsigned devices, mw, degrees;
    unsigned long long mj;
} gpu;

static int fake_init(void)
{
    gpu.started += gpu.init_result == 0;
    return gpu.init_result;
}

static int fake_shutdown(void)
{
    gpu.started--;
    return 0;
}

static int fake_count(unsigned *count)
{
    *count = gpu.devices;
    return gpu.count_result;
}

static int fake_handle(unsigned index, void **handle)
{
    *handle = &gpu;
    return index == 1 ? gpu.handle_result : 0;
}

static int fake_name(void *handle, char *name, unsigned length)
{
    (void)handle;
    snprintf(name, length, "Fake GPU");
    return 0;
}

static int fake_energy(void *handle, unsigned long long *mj)
{
    (void)handle;
    *mj = gpu.mj;
    return gpu.energy_result;
}

static int fake_power(void *handle, unsigned *mw)
{
    (void)handle;
    *mw = gpu.mw;
    return gpu.power_result;
}

static int fake_temperature(void *handle, int sensor, unsigned *degrees)
{
    (void)handle;
    assert_int_equal(sensor, 0);
    *degrees = gpu.degrees;
    return 0;
}

static const char *fake_error(int result)
{
    return result == 3 ? "Not Supported" : "Unknown Error";
}

static const struct mly__nvml fake_nvml = {.init = fake_init,
                                           .shutdown = fake_shutdown,
                                           .count = fake_count,
                                           .handle = fake_handle,
                                           .name = fake_name,
                                           .energy_mj = fake_energy,
                                           .power_mw = fake_power,
                                           .temperature_c = fake_temperature,
                                           .error_text = fake_error};

static void reset_gpu(void)
{
    memset(&gpu, 0, sizeof gpu);
    gpu.devices = 2;
    gpu.mj = 5000000000;
    gpu.mw = 71250;
    gpu.degrees = 33;
}

static void gpus_tell_energy_or_else_power(void **state)
{
    (void)state;
    reset_gpu();
    mly_sensors *sensors = open_tree(root, &fake_nvml);
    assert_int_equal(gpu.started, 1);
    assert_int_equal(get(sensors, "nvml:1")->quantity, MLY_SENSOR_ENERGY);
    assert_near(value(sensors, "nvml:1"), 5e6);
    assert_near(value(sensors, "nvml:0/temperature"), 33);
    assert_string_equal(get(sensors, "nvml:0")->description, "Fake GPU (NVML)");
    assert_string_equal(chosen(sensors, NULL), "nvml:0 nvml:1");
    mly_sensors_close(sensors);
    assert_int_equal(gpu.started, 0);

    gpu.energy_result = 3;
    sensors = open_tree(root, &fake_nvml);
    assert_int_equal(get(sensors, "nvml:0")->quantity, MLY_SENSOR_POWER);
    assert_near(value(sensors, "nvml:0"), 71.25);
    mly_sensors_close(sensors);

    gpu.power_result = 3;
    gpu.handle_result = 15;
    sensors = open_tree(root, &fake_nvml);
    assert_string_equal(get(sensors, "nvml:0")->reason,
                        "nvmlDeviceGetPowerUsage: NVML error 3, Not Supported");
    assert_true(get(sensors, "nvml:0/temperature")->usable);
    assert_non_null(strstr(get(sensors, "nvml:1")->reason, "NVML error 15, Unknown Error"));
    mly_sensors_close(sensors);
}

static void an_nvml_that_does_not_work_says_why(void **state)
{
    (void)state;
    reset_gpu();
    gpu.init_result = 9;
    mly_sensors *sensors = open_tree(root, &fake_nvml);
    assert_string_equal(get(sensors, "nvml")->reason,
                        "absent: nvmlInit_v2: NVML error 9, Unknown Error");
    mly_sensors_close(sensors);
    assert_int_equal(gpu.started, 0);

    reset_gpu();
    gpu.count_result = 999;
    sensors = open_tree(root, &fake_nvml);
    assert_non_null(strstr(get(sensors, "nvml")->reason, "nvmlDeviceGetCount_v2: NVML error 999"));
    mly_sensors_close(sensors);
    assert_int_equal(gpu.started, 0);

    reset_gpu();
    gpu.devices = 0;
    sensors = open_tree(root, &fake_nvml);
    assert_non_null(strstr(get(sensors, "nvml")->reason, "shows no GPU"));
    mly_sensors_close(sensors);

    reset_gpu();
    const struct mly__nvml nothing = {0};
    sensors = open_tree(root, &nothing);
    assert_non_null(strstr(get(sensors, "nvml")->reason, "lacks nvmlInit_v2"));
    mly_sensors_close(sensors);

    const struct mly__nvml little = {.init = fake_init, .count = fake_count, .handle = fake_handle};
    sensors = open_tree(root, &little);
    assert_non_null(strstr(get(sensors, "nvml:0")->reason, "lacks nvmlDeviceGetPowerUsage"));
    assert_non_null(strstr(get(sensors, "nvml:0/temperature")->reason, "lacks"));
    mly_sensors_close(sensors);
}

/* --- metering --- */

#define SECOND INT64_C(1000000000)

struct metered {
    mly_sensors *sensors;
    mly_clock *clock;
    mly_meter *meter;
    struct mly_reading readings[MLY__SENSORS_MAX];
};

static void begin(struct metered *m, const struct mly__nvml *nvml)
{
    struct mly_error err = {0};
    m->sensors = open_tree(root, nvml);
    m->clock = mly_clock_create_virtual(0);
    assert_non_null(m->clock);
    expect_ok(mly__meter_create(m->sensors, m->clock, &m->meter, &err), err);
}

static void at(struct metered *m, int64_t ns)
{
    mly_clock_advance_to(m->clock, ns);
    mly__meter_sample(m->meter, true);
}

static void end(struct metered *m, int64_t ns)
{
    size_t count;
    mly_clock_advance_to(m->clock, ns);
    mly_sensors_list(m->sensors, &count);
    mly_meter_stop(m->meter, m->readings, count);
}

static const struct mly_reading *reading(const struct metered *m, const char *id)
{
    return &m->readings[find(m->sensors, id)];
}

static void finish(struct metered *m)
{
    mly_sensors_close(m->sensors);
    mly_clock_destroy(m->clock);
}

static void counters_are_read_at_the_ends(void **state)
{
    (void)state;
    struct metered m;
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    put("class/powercap/intel-rapl:0/energy_uj", "1000000\n");
    begin(&m, NULL);
    put("class/powercap/intel-rapl:0/energy_uj", "51000000\n");
    end(&m, 4 * SECOND);
    const struct mly_reading *package = reading(&m, "rapl:package-0");
    assert_true(package->measured);
    assert_near(package->energy_j, 50);
    assert_near(package->mean_w, 12.5);
    assert_near(package->elapsed_s, 4);
    assert_false(reading(&m, "hwmon")->measured);
    assert_memory_equal(reading(&m, "hwmon")->reason, "absent: ", 8);
    finish(&m);
}

static void a_counter_that_wraps_goes_on(void **state)
{
    (void)state;
    struct metered m;
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    put("class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    put("class/powercap/intel-rapl:0/energy_uj", "262143328000\n");
    begin(&m, NULL);
    put("class/powercap/intel-rapl:0/energy_uj", "999150\n"); /* 850 to the end, then these */
    at(&m, SECOND);
    put("class/powercap/intel-rapl:0/energy_uj", "262143000000\n");
    at(&m, 2 * SECOND);
    put("class/powercap/intel-rapl:0/energy_uj", "0\n");
    end(&m, 3 * SECOND);
    const struct mly_reading *package = reading(&m, "rapl:package-0");
    assert_true(package->measured);
    assert_near(package->energy_j, 1 + (262143000000 - 999150) / 1e6 + 328850 / 1e6);
    finish(&m);
}

static void a_counter_that_falls_without_a_range_was_reset(void **state)
{
    (void)state;
    struct metered m;
    reset_gpu();
    gpu.devices = 1;
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    put("class/powercap/intel-rapl:0/max_energy_range_uj", "1000\n");
    put("class/powercap/intel-rapl:0/energy_uj", "2000\n"); /* beyond its own range */
    begin(&m, &fake_nvml);
    gpu.mj = 17;
    put("class/powercap/intel-rapl:0/energy_uj", "500\n");
    at(&m, SECOND);
    gpu.mj = 18;
    end(&m, 2 * SECOND);
    assert_false(reading(&m, "nvml:0")->measured);
    assert_non_null(strstr(reading(&m, "nvml:0")->reason, "it was reset"));
    assert_false(reading(&m, "rapl:package-0")->measured);
    finish(&m);
}

static void power_is_summed_up_over_time(void **state)
{
    (void)state;
    struct metered m;
    reset_gpu();
    gpu.devices = 1;
    gpu.energy_result = 3;
    gpu.mw = 10000;
    begin(&m, &fake_nvml);
    gpu.mw = 30000;
    at(&m, SECOND);         /* 20 J */
    at(&m, 3 * SECOND);     /* 60 J */
    gpu.power_result = 999; /* passed over */
    at(&m, 4 * SECOND);
    gpu.power_result = 0;
    gpu.mw = 10000;
    gpu.degrees = 47;
    at(&m, 5 * SECOND); /* 40 J */
    gpu.degrees = 40;
    end(&m, 6 * SECOND); /* 10 J */
    const struct mly_reading *board = reading(&m, "nvml:0");
    assert_true(board->measured);
    assert_near(board->energy_j, 130);
    assert_near(board->mean_w, 130.0 / 6);
    assert_int_equal(board->samples, 5);
    const struct mly_reading *heat = reading(&m, "nvml:0/temperature");
    assert_true(heat->measured);
    assert_near(heat->start_c, 33);
    assert_near(heat->peak_c, 47);
    assert_near(heat->end_c, 40);
    finish(&m);
}

static void a_zone_that_vanishes_is_not_measured(void **state)
{
    (void)state;
    struct metered m;
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    put("class/powercap/intel-rapl:0/energy_uj", "1\n");
    put("class/powercap/intel-rapl:1/name", "package-1\n");
    put("class/powercap/intel-rapl:1/energy_uj", "1\n");
    put("class/thermal/thermal_zone0/type", "cpu\n");
    put("class/thermal/thermal_zone0/temp", "43000\n");
    begin(&m, NULL);
    take_away("class/powercap/intel-rapl:0");
    put("class/thermal/thermal_zone0/temp", "");
    put("class/powercap/intel-rapl:1/energy_uj", "2000001\n");
    at(&m, SECOND);
    end(&m, 2 * SECOND);
    assert_false(reading(&m, "rapl:package-0")->measured);
    assert_non_null(strstr(reading(&m, "rapl:package-0")->reason, "No such file"));
    assert_true(reading(&m, "rapl:package-1")->measured);
    assert_near(reading(&m, "rapl:package-1")->energy_j, 2);
    assert_false(reading(&m, "thermal_zone0:cpu")->measured);
    finish(&m);
}

static void what_is_gone_before_the_start_stays_so(void **state)
{
    (void)state;
    struct metered m;
    struct mly_error err = {0};
    put("class/thermal/thermal_zone0/type", "cpu\n");
    put("class/thermal/thermal_zone0/temp", "43000\n");
    m.sensors = open_tree(root, NULL);
    m.clock = mly_clock_create_virtual(0);
    put("class/thermal/thermal_zone0/temp", "hot\n");
    expect_ok(mly__meter_create(m.sensors, m.clock, &m.meter, &err), err);
    put("class/thermal/thermal_zone0/temp", "44000\n");
    end(&m, SECOND);
    assert_false(reading(&m, "thermal_zone0:cpu")->measured);
    assert_non_null(strstr(reading(&m, "thermal_zone0:cpu")->reason, "'hot'"));
    finish(&m);
}

static void a_meter_with_a_thread_starts_and_stops(void **state)
{
    (void)state;
    struct mly_error err = {0};
    mly_meter *meter = NULL;
    struct mly_reading readings[MLY__SENSORS_MAX];
    size_t count;
    mly_sensors *sensors = open_recorded("jetson-nano");
    mly_sensors_list(sensors, &count);
    expect_ok(mly_meter_start(sensors, &meter, &err), err);
    mly_meter_stop(meter, readings, count);
    size_t input = find(sensors, "iio:device0:ina3221x/POM_5V_IN");
    assert_true(readings[input].measured);
    assert_true(readings[input].samples >= 2);
    assert_near(readings[input].energy_j, 2.812 * readings[input].elapsed_s);
    expect_ok(mly_meter_start(sensors, &meter, &err), err);
    mly_meter_stop(meter, NULL, 0);
    mly_meter_stop(NULL, readings, count);
    assert_false(readings[input].measured);
    assert_string_equal(readings[input].reason, "nothing was measured");
    mly_sensors_close(sensors);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char tree[4096];
    snprintf(tree, sizeof tree, "%s/tests/data/sysfs/laptop", test_env("MOTLEY_SOURCE_ROOT"));
    reset_gpu();
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        mly_sensors *sensors = NULL;
        mly_meter *meter = NULL;
        const struct mly__sensors_source source = {.root = tree, .nvml = &fake_nvml};
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status = mly__sensors_open(&source, &sensors, &err);
        if (status == MLY_OK)
            status = mly_meter_start(sensors, &meter, &err);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        mly_meter_stop(meter, NULL, 0);
        mly_sensors_close(sensors);
        assert_int_equal(gpu.started, 0);
        if (status == MLY_OK && made < n)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(err.status, MLY_E_NO_MEMORY);
        assert_true(n < 1000);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(an_empty_box_says_why_for_every_kind),
        CASE(a_laptop_counts_its_package_once),
        CASE(a_server_counts_packages_and_their_memory),
        CASE(a_board_counts_its_input_rail),
        CASE(rails_without_an_input_rail_are_added_up),
        CASE(nonsense_is_not_usable_and_says_why),
        CASE(so_many_that_no_list_holds_them_are_cut),
        CASE(what_only_root_may_read_says_what_to_do),
        CASE(what_adds_up_may_be_named),
        CASE(a_synthetic_machine_has_none),
        CASE(this_box_is_looked_at_without_failing),
        CASE(gpus_tell_energy_or_else_power),
        CASE(an_nvml_that_does_not_work_says_why),
        CASE(counters_are_read_at_the_ends),
        CASE(a_counter_that_wraps_goes_on),
        CASE(a_counter_that_falls_without_a_range_was_reset),
        CASE(power_is_summed_up_over_time),
        CASE(a_zone_that_vanishes_is_not_measured),
        CASE(what_is_gone_before_the_start_stays_so),
        CASE(a_meter_with_a_thread_starts_and_stops),
        CASE(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}

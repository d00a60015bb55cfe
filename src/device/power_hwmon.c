/*
 * What the kernel's hardware monitors tell: power, energy and temperature from hwmon, INA-type
 * sensors from hwmon or IIO, thermal zones.
 *
 * Units: hwmon has uW, uJ, mV, mA and thousandths of degrees; IIO has mW; thermal zones thousandths
 * of degrees. Source: Linux, Documentation/hwmon/sysfs-interface.rst, Documentation/ABI/testing/
 * sysfs-bus-iio, Documentation/driver-api/thermal/sysfs-api.rst.
 */
#include "device/power_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/internal.h"

#define MAX_CHIPS 64     /* folders of a kind */
#define MAX_FILES 1024   /* of one prefix in a folder */
#define MAX_CHANNELS 256 /* of one kind in a folder */

#define HWMON "/sys/class/hwmon"
#define IIO "/sys/bus/iio/devices"
#define THERMAL "/sys/class/thermal"

/* A folder with sensors. */
struct chip {
    char folder[128]; /* below the root */
    char label[62];   /* "hwmon2:ina3221" */
    char name[32];    /* "ina3221" */
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_ina(const struct chip *chip)
{
    return begins(chip->name, "ina");
}

/* n of the files that are called PREFIXnSUFFIX, ascending. */
static size_t channels(const mly_sensors *sensors, const struct chip *chip, const char *prefix,
                       const char *suffix, unsigned numbers[MAX_CHANNELS])
{
    char names[MAX_FILES][MLY__NAME_BYTES];
    size_t files = mly__read_names(sensors->root, chip->folder, prefix, names, MAX_FILES);
    size_t count = 0;
    for (size_t i = 0; i < files && count < MAX_CHANNELS; i++) {
        const char *digits = names[i] + strlen(prefix);
        size_t length = strspn(digits, "0123456789");
        if (length > 0 && length < 6 && strcmp(digits + length, suffix) == 0)
            numbers[count++] = (unsigned)strtoul(digits, NULL, 10);
    }
    return count;
}

/* FOLDER/PREFIXnSUFFIX */
static void file_path(const struct chip *chip, const char *prefix, unsigned channel,
                      const char *suffix, char path[MLY__SENSOR_PATH_BYTES])
{
    snprintf(path, MLY__SENSOR_PATH_BYTES, "%s/%s%u%s", chip->folder, prefix, channel, suffix);
}

static bool exists(const mly_sensors *sensors, const struct chip *chip, const char *prefix,
                   unsigned channel, const char *suffix)
{
    char path[MLY__SENSOR_PATH_BYTES], text[8];
    file_path(chip, prefix, channel, suffix, path);
    return mly__read_text(sensors->root, path, text, sizeof text);
}

/* NVIDIA Jetson Linux Developer Guide, "Power monitoring": the rail that feeds the whole module. */
static bool is_input_rail(const char *name)
{
    return strcmp(name, "VDD_IN") == 0 || strcmp(name, "POM_5V_IN") == 0;
}

static enum mly_sensor_scope scope_of(const struct chip *chip, const char *name, unsigned channel)
{
    if (is_ina(chip))
        return is_input_rail(name) ? MLY_SENSOR_WHOLE : MLY_SENSOR_RAIL;
    if (strcmp(chip->name, "power_meter") == 0) /* ACPI: the box's own supply */
        return MLY_SENSOR_WHOLE;
    /* Cards only: Linux, Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon, -xe-hwmon. */
    if (channel == 1 && (strcmp(chip->name, "i915") == 0 || strcmp(chip->name, "xe") == 0))
        return MLY_SENSOR_PART;
    /* Batteries, power supplies, and chips that tell of what RAPL counts already. */
    return MLY_SENSOR_OTHER;
}

/* What a row is called: what the file says, else prefix and number. */
struct label {
    const char *prefix, *suffix;
};

static struct mly__sensor *add(mly_sensors *sensors, const struct chip *chip,
                               enum mly_sensor_quantity quantity, const char *prefix,
                               unsigned channel, struct label label)
{
    struct mly__sensor *sensor = mly__sensors_add(sensors);
    if (!sensor)
        return NULL;
    char path[MLY__SENSOR_PATH_BYTES], otherwise[32], name[32];
    file_path(chip, label.prefix, channel, label.suffix, path);
    snprintf(otherwise, sizeof otherwise, "%s%u", prefix, channel);
    mly__read_name(sensors->root, path, otherwise, name, sizeof name);
    struct mly_sensor *shown = &sensor->shown;
    snprintf(shown->id, sizeof shown->id, "%s/%s", chip->label, name);
    snprintf(shown->description, sizeof shown->description, "%s of %s", name, chip->name);
    shown->quantity = quantity;
    if (quantity != MLY_SENSOR_TEMPERATURE)
        shown->scope = scope_of(chip, name, channel);
    sensor->way = MLY__SENSOR_FILE;
    return sensor;
}

/* A row that is read from PREFIXnSUFFIX. */
static void add_file(mly_sensors *sensors, const struct chip *chip,
                     enum mly_sensor_quantity quantity, const char *prefix, unsigned channel,
                     const char *suffix, struct label label, double unit)
{
    struct mly__sensor *sensor = add(sensors, chip, quantity, prefix, channel, label);
    if (!sensor)
        return;
    sensor->unit = unit;
    file_path(chip, prefix, channel, suffix, sensor->path);
    mly__sensor_try(sensors, sensor);
}

static void open_chip(const mly_sensors *sensors, const char *parent, const char *entry,
                      const char *name_file, struct chip *chip)
{
    char path[MLY__SENSOR_PATH_BYTES];
    snprintf(chip->folder, sizeof chip->folder, "%s/%s", parent, entry);
    snprintf(path, sizeof path, "%s/%s", chip->folder, name_file);
    mly__read_name(sensors->root, path, "unnamed", chip->name, sizeof chip->name);
    snprintf(chip->label, sizeof chip->label, "%.28s:%s", entry, chip->name);
}

/* --- hwmon --- */

/*
 * An INA-type chip that tells no power tells voltage and current of each channel. Beyond the third
 * their numbers mean something else (Linux, Documentation/hwmon/ina3221.rst).
 */
static void add_products(mly_sensors *sensors, const struct chip *chip)
{
    enum { LAST = 3 };
    for (unsigned channel = 1; channel <= LAST; channel++) {
        if (exists(sensors, chip, "power", channel, "_input") ||
            !exists(sensors, chip, "curr", channel, "_input") ||
            !exists(sensors, chip, "in", channel, "_input"))
            continue;
        struct mly__sensor *sensor = add(sensors, chip, MLY_SENSOR_POWER, "channel", channel,
                                         (struct label){"in", "_label"});
        if (!sensor)
            return;
        sensor->way = MLY__SENSOR_PRODUCT;
        sensor->unit = 1e-6; /* mV times mA */
        snprintf(sensor->path, sizeof sensor->path, "%s/in%u_input", chip->folder, channel);
        snprintf(sensor->path2, sizeof sensor->path2, "%s/curr%u_input", chip->folder, channel);
        mly__sensor_try(sensors, sensor);
    }
}

static void add_hwmon_chip(mly_sensors *sensors, const struct chip *chip)
{
    unsigned numbers[MAX_CHANNELS];
    size_t count = channels(sensors, chip, "energy", "_input", numbers);
    for (size_t i = 0; i < count; i++)
        add_file(sensors, chip, MLY_SENSOR_ENERGY, "energy", numbers[i], "_input",
                 (struct label){"energy", "_label"}, 1e-6);
    count = channels(sensors, chip, "power", "_input", numbers);
    for (size_t i = 0; i < count; i++)
        add_file(sensors, chip, MLY_SENSOR_POWER, "power", numbers[i], "_input",
                 (struct label){"power", "_label"}, 1e-6);
    count = channels(sensors, chip, "power", "_average", numbers);
    for (size_t i = 0; i < count; i++)
        if (!exists(sensors, chip, "power", numbers[i], "_input"))
            add_file(sensors, chip, MLY_SENSOR_POWER, "power", numbers[i], "_average",
                     (struct label){"power", "_label"}, 1e-6);
    if (is_ina(chip))
        add_products(sensors, chip);
    count = channels(sensors, chip, "temp", "_input", numbers);
    for (size_t i = 0; i < count; i++)
        add_file(sensors, chip, MLY_SENSOR_TEMPERATURE, "temp", numbers[i], "_input",
                 (struct label){"temp", "_label"}, 1e-3);
}

void mly__sensors_find_hwmon(mly_sensors *sensors)
{
    char names[MAX_CHIPS][MLY__NAME_BYTES];
    size_t count = mly__read_names(sensors->root, HWMON, "hwmon", names, MAX_CHIPS);
    size_t before = sensors->count;
    for (size_t i = 0; i < count; i++) {
        struct chip chip;
        open_chip(sensors, HWMON, names[i], "name", &chip);
        add_hwmon_chip(sensors, &chip);
    }
    if (sensors->count == before)
        mly__sensors_add_absent(sensors, "hwmon",
                                "absent: no power, energy, current or temperature in " HWMON
                                " (virtual machines have none)");
}

/* --- IIO --- */

static bool read_scale(const mly_sensors *sensors, const struct chip *chip, unsigned channel,
                       double *scale)
{
    char path[MLY__SENSOR_PATH_BYTES], text[32], *end;
    snprintf(path, sizeof path, "%s/in_power%u_scale", chip->folder, channel);
    if (!mly__read_text(sensors->root, path, text, sizeof text))
        return false;
    *scale = strtod(text, &end);
    return end > text && *end == '\0' && *scale > 0 && *scale < 1e9;
}

static void add_iio_chip(mly_sensors *sensors, const struct chip *chip)
{
    unsigned numbers[MAX_CHANNELS];
    double scale;
    size_t count = channels(sensors, chip, "in_power", "_input", numbers);
    for (size_t i = 0; i < count; i++)
        add_file(sensors, chip, MLY_SENSOR_POWER, "in_power", numbers[i], "_input",
                 (struct label){"rail_name_", ""}, 1e-3);
    count = channels(sensors, chip, "in_power", "_raw", numbers);
    for (size_t i = 0; i < count; i++)
        if (!exists(sensors, chip, "in_power", numbers[i], "_input") &&
            read_scale(sensors, chip, numbers[i], &scale))
            add_file(sensors, chip, MLY_SENSOR_POWER, "in_power", numbers[i], "_raw",
                     (struct label){"in_power", "_label"}, scale * 1e-3);
}

void mly__sensors_find_iio(mly_sensors *sensors)
{
    char names[MAX_CHIPS][MLY__NAME_BYTES];
    size_t count = mly__read_names(sensors->root, IIO, "iio:device", names, MAX_CHIPS);
    size_t before = sensors->count;
    for (size_t i = 0; i < count; i++) {
        struct chip chip;
        open_chip(sensors, IIO, names[i], "name", &chip);
        if (is_ina(&chip))
            add_iio_chip(sensors, &chip);
    }
    if (sensors->count == before)
        mly__sensors_add_absent(sensors, "iio", "absent: no INA-type sensor in " IIO);
}

/* --- thermal zones --- */

void mly__sensors_find_thermal(mly_sensors *sensors)
{
    char names[MAX_CHIPS][MLY__NAME_BYTES];
    size_t count = mly__read_names(sensors->root, THERMAL, "thermal_zone", names, MAX_CHIPS);
    for (size_t i = 0; i < count; i++) {
        struct mly__sensor *sensor = mly__sensors_add(sensors);
        struct chip zone;
        if (!sensor)
            return;
        open_chip(sensors, THERMAL, names[i], "type", &zone);
        struct mly_sensor *shown = &sensor->shown;
        snprintf(shown->id, sizeof shown->id, "%s", zone.label);
        snprintf(shown->description, sizeof shown->description, "thermal zone %s", zone.name);
        shown->quantity = MLY_SENSOR_TEMPERATURE;
        sensor->way = MLY__SENSOR_FILE;
        sensor->unit = 1e-3;
        snprintf(sensor->path, sizeof sensor->path, "%s/temp", zone.folder);
        mly__sensor_try(sensors, sensor);
    }
    if (count == 0)
        mly__sensors_add_absent(sensors, "thermal",
                                "absent: no thermal zones in " THERMAL
                                " (virtual machines have none)");
}

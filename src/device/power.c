/* Sensors of energy and temperature: the list, reading one, and which add up. */
#include "device/power_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "device/internal.h"

/* --- files of the kernel --- */

static enum mly_status why_unreadable(const char *path, int error, struct mly_error *err)
{
    if (error == EACCES || error == EPERM)
        return mly_error_set(err, MLY_E_IO, "%s may not be read by this user", path);
    return mly_error_set(err, MLY_E_IO, "%s cannot be read: %s", path, strerror(error));
}

enum mly_status mly__read_number(const char *root, const char *path, int64_t *number,
                                 struct mly_error *err)
{
    char full[MLY__SENSOR_PATH_BYTES + 160], text[64];
    snprintf(full, sizeof full, "%s%s", root, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return why_unreadable(path, errno, err);
    ssize_t length;
    do
        length = read(fd, text, sizeof text - 1);
    while (length < 0 && errno == EINTR);
    int error = errno;
    close(fd);
    if (length < 0)
        return why_unreadable(path, error, err);
    text[length] = '\0';
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool whole = end > text && errno == 0 && (size_t)length < sizeof text - 1;
    end += strspn(end, " \t\r\n");
    if (!whole || *end != '\0') {
        text[strcspn(text, "\r\n")] = '\0';
        return mly_error_set(err, MLY_E_IO, "%s holds no whole number: '%.20s'", path, text);
    }
    *number = value;
    return MLY_OK;
}

void mly__read_name(const char *root, const char *path, const char *otherwise, char *name,
                    size_t name_bytes)
{
    char text[64];
    if (!mly__read_text(root, path, text, sizeof text) || text[0] == '\0')
        snprintf(text, sizeof text, "%s", otherwise);
    snprintf(name, name_bytes, "%s", text);
    for (char *c = name; *c; c++) /* a comma parts ids in a list */
        if (!isprint((unsigned char)*c) || *c == ',')
            *c = '?';
}

/* --- the list --- */

struct mly__sensor *mly__sensors_add(mly_sensors *sensors)
{
    if (sensors->count >= MLY__SENSORS_MAX)
        return NULL;
    if (mly_array_reserve(&sensors->items, &sensors->capacity, sensors->count + 1,
                          sizeof *sensors->items) != 0) {
        sensors->out_of_memory = true;
        return NULL;
    }
    struct mly__sensor *sensor = &sensors->items[sensors->count++];
    *sensor = (struct mly__sensor){.unit = 1};
    return sensor;
}

void mly__sensors_add_absent(mly_sensors *sensors, const char *id, const char *reason)
{
    struct mly__sensor *sensor = mly__sensors_add(sensors);
    if (!sensor)
        return;
    snprintf(sensor->shown.id, sizeof sensor->shown.id, "%s", id);
    snprintf(sensor->shown.reason, sizeof sensor->shown.reason, "%s", reason);
}

void mly__sensor_try(mly_sensors *sensors, struct mly__sensor *sensor)
{
    int64_t raw;
    struct mly_error why = {0};
    sensor->shown.usable = mly__sensor_read_raw(sensors, sensor, &raw, &why) == MLY_OK;
    if (!sensor->shown.usable)
        snprintf(sensor->shown.reason, sizeof sensor->shown.reason, "%.250s", why.message);
}

static enum mly_status finish(mly_sensors *sensors, mly_sensors **out, struct mly_error *err)
{
    if (!sensors->out_of_memory)
        sensors->shown = mly_alloc_array(sensors->count, sizeof *sensors->shown);
    if (!sensors->shown) {
        mly_sensors_close(sensors);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the list of sensors");
    }
    for (size_t i = 0; i < sensors->count; i++)
        sensors->shown[i] = sensors->items[i].shown;
    *out = sensors;
    return MLY_OK;
}

enum mly_status mly__sensors_open(const struct mly__sensors_source *source, mly_sensors **out,
                                  struct mly_error *err)
{
    mly_sensors *sensors = mly_alloc(sizeof *sensors);
    if (!sensors)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the list of sensors");
    snprintf(sensors->root, sizeof sensors->root, "%s", source->root);
    mly__sensors_find_rapl(sensors);
    mly__sensors_find_nvml(sensors, source);
    mly__sensors_find_hwmon(sensors);
    mly__sensors_find_iio(sensors);
    mly__sensors_find_thermal(sensors);
    return finish(sensors, out, err);
}

enum mly_status mly_sensors_open(const mly_machine *machine, mly_sensors **out,
                                 struct mly_error *err)
{
    const char *root = getenv("MOTLEY_SENSORS_ROOT");
    struct mly__sensors_source source = {.root = machine->root};
    if (machine->root[0] == '\0') {
        source.root = root ? root : "";
        source.load_nvml = true; /* a recorded box has no libraries */
    }
    if (!machine->info.synthetic || machine->root[0] != '\0')
        return mly__sensors_open(&source, out, err);
    mly_sensors *sensors = mly_alloc(sizeof *sensors);
    if (!sensors)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the list of sensors");
    mly__sensors_add_absent(sensors, "all", "absent: a synthetic machine has no sensors");
    return finish(sensors, out, err);
}

void mly_sensors_close(mly_sensors *sensors)
{
    if (!sensors)
        return;
    mly__sensors_end_nvml(sensors);
    mly_free(sensors->items);
    mly_free(sensors->shown);
    mly_free(sensors);
}

const struct mly_sensor *mly_sensors_list(const mly_sensors *sensors, size_t *count)
{
    *count = sensors->count;
    return sensors->shown;
}

/* --- reading --- */

enum mly_status mly__sensor_read_raw(const mly_sensors *sensors, const struct mly__sensor *sensor,
                                     int64_t *raw, struct mly_error *err)
{
    if (sensor->way == MLY__SENSOR_NVML)
        return mly__nvml_read(sensors, sensor, raw, err);
    int64_t number, factor = 1;
    enum mly_status status = mly__read_number(sensors->root, sensor->path, &number, err);
    if (status == MLY_OK && sensor->way == MLY__SENSOR_PRODUCT)
        status = mly__read_number(sensors->root, sensor->path2, &factor, err);
    if (status != MLY_OK)
        return status;
    if (__builtin_mul_overflow(number, factor, &number))
        return mly_error_set(err, MLY_E_IO, "%s: out of any range", sensor->path);
    if (sensor->shown.quantity == MLY_SENSOR_ENERGY && number < 0)
        return mly_error_set(err, MLY_E_IO, "%s: energy below 0", sensor->path);
    *raw = number;
    return MLY_OK;
}

enum mly_status mly_sensors_read(mly_sensors *sensors, size_t index, double *value,
                                 struct mly_error *err)
{
    const struct mly__sensor *sensor = &sensors->items[index];
    if (!sensor->shown.usable)
        return mly_error_set(err, MLY_E_ABSENT, "%s: %s", sensor->shown.id, sensor->shown.reason);
    int64_t raw = 0;
    enum mly_status status = mly__sensor_read_raw(sensors, sensor, &raw, err);
    if (status == MLY_OK)
        *value = (double)raw * sensor->unit;
    return status;
}

/* --- what adds up --- */

static enum mly_status choose_one(const mly_sensors *sensors, const char *id, size_t length,
                                  bool *chosen, struct mly_error *err)
{
    for (size_t i = 0; i < sensors->count; i++) {
        const struct mly_sensor *sensor = &sensors->shown[i];
        if (strlen(sensor->id) != length || memcmp(sensor->id, id, length) != 0)
            continue;
        if (!sensor->usable)
            return mly_error_set(err, MLY_E_ABSENT, "%s: %s", sensor->id, sensor->reason);
        if (sensor->quantity == MLY_SENSOR_TEMPERATURE)
            return mly_error_set(err, MLY_E_INVALID, "%s tells temperature, not energy",
                                 sensor->id);
        if (chosen[i])
            return mly_error_set(err, MLY_E_INVALID, "%s is named twice", sensor->id);
        chosen[i] = true;
        return MLY_OK;
    }
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "there is no sensor '%.*s' (motley devices lists them)", (int)length, id);
}

static bool counts(const struct mly_sensor *sensor, enum mly_sensor_scope scope)
{
    return sensor->usable && sensor->quantity != MLY_SENSOR_TEMPERATURE && sensor->scope == scope;
}

/* All of the scope, or only the first; how many. */
static size_t choose_scope(const mly_sensors *sensors, enum mly_sensor_scope scope, size_t most,
                           bool *chosen)
{
    size_t found = 0;
    for (size_t i = 0; i < sensors->count && found < most; i++) {
        chosen[i] = counts(&sensors->shown[i], scope);
        found += chosen[i];
    }
    return found;
}

enum mly_status mly_sensors_choose(const mly_sensors *sensors, const char *wanted, bool *chosen,
                                   struct mly_error *err)
{
    memset(chosen, 0, sensors->count * sizeof *chosen);
    if (!wanted) {
        if (choose_scope(sensors, MLY_SENSOR_PART, SIZE_MAX, chosen) == 0 &&
            choose_scope(sensors, MLY_SENSOR_WHOLE, 1, chosen) == 0)
            choose_scope(sensors, MLY_SENSOR_RAIL, SIZE_MAX, chosen);
        return MLY_OK;
    }
    for (const char *at = wanted;;) {
        size_t length = strcspn(at, ",");
        enum mly_status status = choose_one(sensors, at, length, chosen, err);
        if (status != MLY_OK)
            return status;
        if (at[length] == '\0')
            return MLY_OK;
        at += length + 1;
    }
}

/* What the files of sensors share. For src/device/power*.c and their tests only. */
#ifndef MLY_DEVICE_POWER_INTERNAL_H
#define MLY_DEVICE_POWER_INTERNAL_H

#include "base/clock.h"
#include "device/power.h"

#define MLY__SENSORS_MAX 512 /* rows; more are left out */
#define MLY__SENSOR_PATH_BYTES 192

/* The functions of NVML that are asked; a test brings its own. Any may be NULL. */
struct mly__nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *count);
    int (*handle)(unsigned index, void **handle);
    int (*name)(void *handle, char *name, unsigned length);
    int (*energy_mj)(void *handle, unsigned long long *mj); /* since the driver was loaded */
    int (*power_mw)(void *handle, unsigned *mw);
    int (*temperature_c)(void *handle, int sensor, unsigned *degrees);
    const char *(*error_text)(int result);
};

/* How a sensor is read: into a whole number of small units. */
enum mly__sensor_way {
    MLY__SENSOR_FILE,    /* the number in path */
    MLY__SENSOR_PRODUCT, /* the number in path times that in path2 */
    MLY__SENSOR_NVML     /* the call for its quantity */
};

struct mly__sensor {
    struct mly_sensor shown;
    enum mly__sensor_way way;
    char path[MLY__SENSOR_PATH_BYTES], path2[MLY__SENSOR_PATH_BYTES]; /* below the root */
    void *handle;                                                     /* NVML's */
    double unit;   /* J, W or degrees Celsius of 1 */
    int64_t range; /* a counter goes from range to 0; 0: it never does */
};

struct mly_sensors {
    char root[128]; /* goes before /sys; "" but in tests */
    struct mly__sensor *items;
    struct mly_sensor *shown; /* [count], copies of items' */
    size_t count, capacity;
    bool out_of_memory;
    struct mly__nvml nvml;
    void *nvml_library; /* NULL: a test's, or none */
    bool nvml_started;
};

/* Where sensors come from; strings are borrowed for the call. */
struct mly__sensors_source {
    const char *root;             /* a tree with sys/; "" is this box */
    const struct mly__nvml *nvml; /* a stand-in; NULL: none */
    bool load_nvml;               /* the driver's own, if it is there */
};
/* power.c: mly_sensors_open from anywhere. */
enum mly_status mly__sensors_open(const struct mly__sensors_source *source, mly_sensors **out,
                                  struct mly_error *err) MLY_MUST_CHECK;
/* A new row, not usable yet; its text fields are zeroed. NULL when there is no room or memory. */
struct mly__sensor *mly__sensors_add(mly_sensors *sensors);
/* A row that says why there is none of a kind. */
void mly__sensors_add_absent(mly_sensors *sensors, const char *id, const char *reason);
/* Reads it for the first time: usable, or not with the reason. */
void mly__sensor_try(mly_sensors *sensors, struct mly__sensor *sensor);
/* MLY_E_IO names path or call. */
enum mly_status mly__sensor_read_raw(const mly_sensors *sensors, const struct mly__sensor *sensor,
                                     int64_t *raw, struct mly_error *err) MLY_MUST_CHECK;
/* The whole number in a file of the kernel. MLY_E_IO: why. */
enum mly_status mly__read_number(const char *root, const char *path, int64_t *number,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* A name from a file, printable and cut to fit; `otherwise` where there is none. */
void mly__read_name(const char *root, const char *path, const char *otherwise, char *name,
                    size_t name_bytes);

/* power_rapl.c, power_hwmon.c, power_nvml.c: add what there is of each kind, or why there is none.
 */
void mly__sensors_find_rapl(mly_sensors *sensors);
void mly__sensors_find_hwmon(mly_sensors *sensors);
void mly__sensors_find_iio(mly_sensors *sensors);
void mly__sensors_find_thermal(mly_sensors *sensors);
void mly__sensors_find_nvml(mly_sensors *sensors, const struct mly__sensors_source *source);
void mly__sensors_end_nvml(mly_sensors *sensors);
enum mly_status mly__nvml_read(const mly_sensors *sensors, const struct mly__sensor *sensor,
                               int64_t *raw, struct mly_error *err) MLY_MUST_CHECK;

/* power_meter.c: a meter without a thread, on any clock. */
enum mly_status mly__meter_create(mly_sensors *sensors, const mly_clock *clock, mly_meter **out,
                                  struct mly_error *err) MLY_MUST_CHECK;
/* Reads what is due: power, and with `all` everything else too. */
void mly__meter_sample(mly_meter *meter, bool all);

#endif

/*
 * Energy and temperature: the sensors of this box, and metering them over a while.
 *
 * Whatever is not there, or may not be read, is a sensor that is not usable, with the reason. All
 * that is read here was measured by the box itself; nothing is estimated.
 */
#ifndef MLY_DEVICE_POWER_H
#define MLY_DEVICE_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/status.h>

/* What a sensor tells. */
enum mly_sensor_quantity {
    MLY_SENSOR_ENERGY,     /* a counter, in J: only differences mean anything */
    MLY_SENSOR_POWER,      /* in W, at a moment: energy is its sum over time */
    MLY_SENSOR_TEMPERATURE /* in degrees Celsius */
};

/* What a sensor of energy or power covers. */
enum mly_sensor_scope {
    MLY_SENSOR_PART,  /* a component that no other PART contains: a CPU package, its DRAM, a GPU */
    MLY_SENSOR_OTHER, /* contained in another sensor, the same once more, or nobody knows */
    MLY_SENSOR_WHOLE, /* the whole box, or the whole board */
    MLY_SENSOR_RAIL   /* one supply rail of a board */
};

struct mly_sensor {
    char id[96]; /* "rapl:package-0/dram", "nvml:0", "hwmon2:coretemp/Core 0"; "rapl": none of it */
    enum mly_sensor_quantity quantity;
    enum mly_sensor_scope scope; /* PART for temperatures */
    bool usable;
    char reason[256];      /* why not usable; "" when usable */
    char description[128]; /* "DRAM of CPU package 0 (RAPL)" */
};

/* The sensors of a box, ready to be read. */
typedef struct mly_sensors mly_sensors;

/*
 * Looks for sensors: RAPL (powercap), NVML, hwmon (INA-type sensors, power meters, temperatures),
 * IIO (INA-type sensors), thermal zones. Each that is there is read once. machine is borrowed for
 * the call; a synthetic one has no sensors. MOTLEY_SENSORS_ROOT in the environment goes before
 * /sys: in a container, where the host's is mounted. *out: close with mly_sensors_close.
 * Errors: MLY_E_NO_MEMORY only.
 * Threads: any; one set is used by one thread at a time.
 * Cost: milliseconds; starts NVML where it is.
 */
enum mly_status mly_sensors_open(const mly_machine *machine, mly_sensors **out,
                                 struct mly_error *err) MLY_MUST_CHECK;
void mly_sensors_close(mly_sensors *sensors);
/* Borrowed until closed; sensors keep their places. At least one, if only to say why there is none.
 */
const struct mly_sensor *mly_sensors_list(const mly_sensors *sensors, size_t *count);
/*
 * The value now: J since some moment (counters), W or degrees Celsius.
 * Errors: MLY_E_ABSENT: not usable; MLY_E_IO: it does not answer any more, or with what is no
 * number.
 */
enum mly_status mly_sensors_read(mly_sensors *sensors, size_t index, double *value,
                                 struct mly_error *err) MLY_MUST_CHECK;

/*
 * Which sensors add up to the box: sets chosen[count]. wanted is a comma-separated list of ids, or
 * NULL: all usable PARTs; if there are none the first WHOLE; else all RAILs; none at all is no
 * error.
 * Errors: MLY_E_NOT_FOUND, MLY_E_ABSENT (not usable: why), MLY_E_INVALID (a temperature, or twice).
 */
enum mly_status mly_sensors_choose(const mly_sensors *sensors, const char *wanted, bool *chosen,
                                   struct mly_error *err) MLY_MUST_CHECK;

/* --- metering --- */

/* How often a meter reads. */
#define MLY_METER_POWER_NS INT64_C(100000000) /* power: its sum over time is as good as this */
/* Temperatures, for the highest; counters, which wrap: the smallest, 32 bits of 15.3 uJ (Intel SDM
 * 3B, 15.10.1), after two minutes at 500 W. */
#define MLY_METER_SLOW_NS INT64_C(1000000000)

/* What one sensor said from start to stop. */
struct mly_reading {
    bool measured;                 /* start and stop were read, and what lies between makes sense */
    char reason[160];              /* why not; "" when measured */
    double elapsed_s;              /* from this sensor's first reading to its last */
    double energy_j;               /* energy and power */
    double mean_w;                 /* the same over elapsed_s */
    double start_c, end_c, peak_c; /* temperature */
    uint64_t samples;              /* times that it was read */
};

/* Sensors being read. */
typedef struct mly_meter mly_meter;

/*
 * Reads all usable sensors, and again every MLY_METER_POWER_NS or MLY_METER_SLOW_NS from a thread
 * that sleeps in between. sensors stay borrowed, and are for the meter alone, until stop. *out: end
 * with mly_meter_stop.
 * Errors: MLY_E_NO_MEMORY, MLY_E_LIMIT (threads run out).
 */
enum mly_status mly_meter_start(mly_sensors *sensors, mly_meter **out,
                                struct mly_error *err) MLY_MUST_CHECK;
/*
 * Reads all usable sensors for the last time and frees the meter. readings[count] in the sensors'
 * order, or NULL: nobody wants to know. meter NULL is fine: nothing was measured.
 */
void mly_meter_stop(mly_meter *meter, struct mly_reading *readings, size_t count);

#endif

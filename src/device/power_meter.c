/*
 * Metering: sensors read at the start, now and then, and at the end.
 *
 * 1. A counter's energy is the sum of its differences; one that falls has wrapped, if its range is
 *    known, else somebody reset it.
 * 2. Power is summed up by trapezoids between readings.
 * 3. A reading that fails in between is passed over: the next one spans the gap. The first and the
 *    last must succeed.
 */
#include "device/power_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

/* One sensor so far. Belongs to the meter's thread until that is joined. */
struct channel {
    struct mly_reading reading;
    int64_t first_ns, last_ns; /* of the readings that succeeded */
    int64_t raw;               /* the last one */
    bool last_failed, spoilt;
};

struct mly_meter {
    mly_sensors *sensors; /* borrowed */
    const mly_clock *clock;
    struct channel *channels; /* [sensors->count] */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* protects stop */
    pthread_cond_t wake;
    bool stop;
};

/* (1) */
static bool counted(const struct mly__sensor *sensor, int64_t before, int64_t now, int64_t *delta)
{
    if (now >= before)
        *delta = now - before;
    else if (before <= sensor->range)
        *delta = sensor->range - before + now;
    else
        return false;
    return true;
}

static void add_up(const struct mly__sensor *sensor, struct channel *channel, int64_t raw,
                   double seconds)
{
    struct mly_reading *reading = &channel->reading;
    double value = (double)raw * sensor->unit;
    int64_t delta;
    switch (sensor->shown.quantity) {
    case MLY_SENSOR_ENERGY:
        if (counted(sensor, channel->raw, raw, &delta)) {
            reading->energy_j += (double)delta * sensor->unit;
            break;
        }
        channel->spoilt = true;
        snprintf(reading->reason, sizeof reading->reason,
                 "the counter fell from %" PRId64 " to %" PRId64 ": it was reset", channel->raw,
                 raw);
        break;
    case MLY_SENSOR_POWER: /* (2) */
        reading->energy_j += ((double)channel->raw * sensor->unit + value) / 2 * seconds;
        break;
    case MLY_SENSOR_TEMPERATURE:
        reading->end_c = value;
        if (value > reading->peak_c)
            reading->peak_c = value;
        break;
    }
}

static void read_channel(mly_meter *meter, const struct mly__sensor *sensor,
                         struct channel *channel)
{
    struct mly_reading *reading = &channel->reading;
    struct mly_error why = {0};
    int64_t raw = 0, now_ns;
    bool is_first = reading->samples == 0;
    enum mly_status status = mly__sensor_read_raw(meter->sensors, sensor, &raw, &why);
    now_ns = mly_clock_now_ns(meter->clock);
    channel->last_failed = status != MLY_OK;
    if (status != MLY_OK) { /* (3) */
        snprintf(reading->reason, sizeof reading->reason, "%.150s", why.message);
        channel->spoilt |= is_first;
        return;
    }
    if (is_first) {
        channel->first_ns = now_ns;
        reading->start_c = reading->end_c = reading->peak_c = (double)raw * sensor->unit;
    } else {
        add_up(sensor, channel, raw, (double)(now_ns - channel->last_ns) / 1e9);
    }
    channel->raw = raw;
    channel->last_ns = now_ns;
    reading->samples++;
}

void mly__meter_sample(mly_meter *meter, bool all)
{
    for (size_t i = 0; i < meter->sensors->count; i++) {
        const struct mly__sensor *sensor = &meter->sensors->items[i];
        if (sensor->shown.usable && !meter->channels[i].spoilt &&
            (all || sensor->shown.quantity == MLY_SENSOR_POWER))
            read_channel(meter, sensor, &meter->channels[i]);
    }
}

/* --- the thread --- */

static void add_ns(struct timespec *time, int64_t ns)
{
    time->tv_sec += (time_t)(ns / 1000000000);
    time->tv_nsec += (long)(ns % 1000000000);
    if (time->tv_nsec >= 1000000000) {
        time->tv_nsec -= 1000000000;
        time->tv_sec++;
    }
}

static bool has_power(const mly_sensors *sensors)
{
    for (size_t i = 0; i < sensors->count; i++)
        if (sensors->shown[i].usable && sensors->shown[i].quantity == MLY_SENSOR_POWER)
            return true;
    return false;
}

static void *meter_main(void *argument)
{
    mly_meter *meter = argument;
    int64_t period_ns = has_power(meter->sensors) ? MLY_METER_POWER_NS : MLY_METER_SLOW_NS;
    int64_t since_all_ns = 0;
    pthread_mutex_lock(&meter->lock);
    while (!meter->stop) {
        struct timespec next;
        clock_gettime(CLOCK_MONOTONIC, &next);
        add_ns(&next, period_ns);
        int result = 0;
        while (!meter->stop && result != ETIMEDOUT)
            result = pthread_cond_timedwait(&meter->wake, &meter->lock, &next);
        if (meter->stop)
            break;
        pthread_mutex_unlock(&meter->lock);
        since_all_ns += period_ns;
        mly__meter_sample(meter, since_all_ns >= MLY_METER_SLOW_NS);
        if (since_all_ns >= MLY_METER_SLOW_NS)
            since_all_ns = 0;
        pthread_mutex_lock(&meter->lock);
    }
    pthread_mutex_unlock(&meter->lock);
    return NULL;
}

static bool any_usable(const mly_sensors *sensors)
{
    for (size_t i = 0; i < sensors->count; i++)
        if (sensors->shown[i].usable)
            return true;
    return false;
}

/* Signals are the business of the program's own threads. */
static int start_thread(mly_meter *meter)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&meter->thread, NULL, meter_main, meter);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    meter->has_thread = error == 0;
    return error;
}

/* --- from start to stop --- */

enum mly_status mly__meter_create(mly_sensors *sensors, const mly_clock *clock, mly_meter **out,
                                  struct mly_error *err)
{
    mly_meter *meter = mly_alloc(sizeof *meter);
    struct channel *channels = mly_alloc_array(sensors->count, sizeof *channels);
    if (!meter || !channels) {
        mly_free(meter);
        mly_free(channels);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a meter of %zu sensors",
                             sensors->count);
    }
    meter->sensors = sensors;
    meter->clock = clock;
    meter->channels = channels;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&meter->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&meter->lock, NULL);
    mly__meter_sample(meter, true);
    *out = meter;
    return MLY_OK;
}

enum mly_status mly_meter_start(mly_sensors *sensors, mly_meter **out, struct mly_error *err)
{
    mly_meter *meter = NULL;
    enum mly_status status = mly__meter_create(sensors, mly_clock_real(), &meter, err);
    if (status != MLY_OK)
        return status;
    int error = any_usable(sensors) ? start_thread(meter) : 0;
    if (error != 0) {
        mly_meter_stop(meter, NULL, 0);
        return mly_error_set(err, MLY_E_LIMIT, "cannot start a thread for the meter: %s",
                             strerror(error));
    }
    *out = meter;
    return MLY_OK;
}

static void conclude(const mly_meter *meter, size_t index, struct mly_reading *out)
{
    const struct channel *channel = &meter->channels[index];
    const struct mly_sensor *sensor = &meter->sensors->shown[index];
    *out = channel->reading;
    out->elapsed_s = (double)(channel->last_ns - channel->first_ns) / 1e9;
    if (!sensor->usable)
        snprintf(out->reason, sizeof out->reason, "%.150s", sensor->reason);
    else if (!channel->spoilt && !channel->last_failed) {
        out->measured = true;
        out->reason[0] = '\0';
    }
    if (out->elapsed_s > 0)
        out->mean_w = out->energy_j / out->elapsed_s;
}

void mly_meter_stop(mly_meter *meter, struct mly_reading *readings, size_t count)
{
    for (size_t i = 0; i < count && readings && !meter; i++) {
        readings[i] = (struct mly_reading){0};
        snprintf(readings[i].reason, sizeof readings[i].reason, "nothing was measured");
    }
    if (!meter)
        return;
    if (meter->has_thread) {
        pthread_mutex_lock(&meter->lock);
        meter->stop = true;
        pthread_cond_signal(&meter->wake);
        pthread_mutex_unlock(&meter->lock);
        pthread_join(meter->thread, NULL);
    }
    if (readings)
        mly__meter_sample(meter, true);
    for (size_t i = 0; i < count && readings && i < meter->sensors->count; i++)
        conclude(meter, i, &readings[i]);
    pthread_cond_destroy(&meter->wake);
    pthread_mutex_destroy(&meter->lock);
    mly_free(meter->channels);
    mly_free(meter);
}

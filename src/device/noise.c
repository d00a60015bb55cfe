/*
 * The noise of the box: how evenly the same work takes the same time.
 *
 *  1. One thread per CPU is pinned; all wait until all are there.
 *  2. The work's length is fixed once: as many rounds as take about 1 ms at the first thread's best
 * speed.
 *  3. Each thread does the work again and again until the time is over, and keeps every duration.
 *  4. All durations together give the spread; the kernel's counters give what the hypervisor took.
 */
#include "device/thread.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/stats.h"
#include "device/internal.h"

#define WORK_NS 1000000
#define CALIBRATION_ROUNDS 20000
#define MAX_SAMPLES_PER_CPU 10000
#define MAX_DURATION_NS INT64_C(600000000000)
#define MAX_CPUS 4096

struct field {
    pthread_mutex_t lock; /* ready, go, failed, rounds */
    pthread_cond_t changed;
    uint32_t ready;
    bool go, failed;
    uint64_t rounds;
    int64_t duration_ns;
    uint32_t max_samples;
};

struct worker {
    struct field *field;
    pthread_t thread;
    uint32_t cpu;
    double *samples_ns; /* [field->max_samples] */
    uint32_t sample_count;
    enum mly_status status;
    struct mly_error err;
};

/*
 * Integer and floating-point steps that depend on each other, in registers: nothing but the core's
 * speed matters. What goes in and comes out is volatile, so that a compiler, which sees that the
 * result is always the same, cannot move the work out of the time that is taken around it.
 */
static void work(uint64_t rounds, volatile double *value)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    double y = *value;
    for (uint64_t i = 0; i < rounds; i++) {
        x ^= x << 13; /* xorshift: Marsaglia, Xorshift RNGs, 2003 */
        x ^= x >> 7;
        x ^= x << 17;
        y = y * 0.999999 + (double)(x >> 11) * 0x1p-53;
    }
    *value = y;
}

static uint64_t calibrate(void)
{
    int64_t best_ns = INT64_MAX;
    volatile double value = 1;
    for (int i = 0; i < 5; i++) {
        int64_t start_ns = mly_now_ns();
        work(CALIBRATION_ROUNDS, &value);
        int64_t took_ns = mly_now_ns() - start_ns;
        if (took_ns < best_ns)
            best_ns = took_ns;
    }
    if (best_ns < CALIBRATION_ROUNDS / 10) /* no core does ten rounds in a nanosecond */
        best_ns = CALIBRATION_ROUNDS / 10;
    return (uint64_t)CALIBRATION_ROUNDS * WORK_NS / (uint64_t)best_ns + 1;
}

/* Waits for the start; false if there is none because some thread failed. */
static bool wait_for_start(struct worker *worker)
{
    struct field *field = worker->field;
    pthread_mutex_lock(&field->lock);
    field->ready++;
    field->failed |= worker->status != MLY_OK;
    pthread_cond_broadcast(&field->changed);
    while (!field->go)
        pthread_cond_wait(&field->changed, &field->lock);
    bool start = !field->failed;
    pthread_mutex_unlock(&field->lock);
    return start;
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    const struct field *field = worker->field;
    worker->status = mly_thread_pin(worker->cpu, &worker->err);
    if (!wait_for_start(worker))
        return NULL;
    const uint64_t rounds = field->rounds;
    volatile double value = 1;
    work(rounds, &value); /* warm-up, not counted */
    const int64_t end_ns = mly_now_ns() + field->duration_ns;
    int64_t before_ns, after_ns;
    do {
        before_ns = mly_now_ns();
        work(rounds, &value);
        after_ns = mly_now_ns();
        worker->samples_ns[worker->sample_count++] = (double)(after_ns - before_ns);
    } while (after_ns < end_ns && worker->sample_count < field->max_samples);
    return NULL;
}

/* Ticks since start-up, over the given CPUs (proc(5), /proc/stat): all, and those the hypervisor
 * took. */
static bool read_steal(const uint32_t *cpus, uint32_t count, uint64_t *all, uint64_t *stolen)
{
    const size_t text_bytes = 1 << 20;
    char *text = mly_alloc(text_bytes), *rest = NULL;
    uint32_t found = 0;
    *all = *stolen = 0;
    if (!text || !mly__read_text("", "/proc/stat", text, text_bytes)) {
        mly_free(text);
        return false;
    }
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        uint64_t ticks[8];
        uint32_t cpu;
        if (sscanf(line,
                   "cpu%" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &cpu, &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5],
                   &ticks[6], &ticks[7]) != 9)
            continue;
        for (uint32_t i = 0; i < count; i++) {
            if (cpus[i] != cpu)
                continue;
            for (size_t t = 0; t < 8; t++)
                *all += ticks[t];
            *stolen += ticks[7];
            found++;
            break;
        }
    }
    mly_free(text);
    return found == count;
}

/* 1, 2, 3: runs the threads; returns the status of the first that failed. */
static enum mly_status run_all(struct field *field, struct worker *workers, uint32_t count,
                               struct mly_error *err)
{
    uint32_t started = 0;
    int error_number = 0;
    /* The process's signals are for its own threads. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (started < count && error_number == 0) {
        error_number =
            pthread_create(&workers[started].thread, NULL, run_worker, &workers[started]);
        started += error_number == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);

    uint64_t rounds = calibrate();
    pthread_mutex_lock(&field->lock);
    while (field->ready < started)
        pthread_cond_wait(&field->changed, &field->lock);
    field->failed |= error_number != 0;
    field->rounds = rounds;
    field->go = true;
    pthread_cond_broadcast(&field->changed);
    pthread_mutex_unlock(&field->lock);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);

    if (error_number)
        return mly_error_os(err, error_number, "cannot start thread %" PRIu32 " of %" PRIu32,
                            started + 1, count);
    for (uint32_t i = 0; i < count; i++)
        if (workers[i].status)
            return mly_error_set(err, workers[i].status, "%s", workers[i].err.message);
    return MLY_OK;
}

/* 4 */
static void summarise(const struct worker *workers, uint32_t count, uint32_t max_samples,
                      double *samples, struct mly_noise *out)
{
    size_t total = 0;
    for (uint32_t i = 0; i < count;
         i++) { /* workers' samples lie max_samples apart: close the gaps */
        memmove(samples + total, samples + (size_t)i * max_samples,
                workers[i].sample_count * sizeof *samples);
        total += workers[i].sample_count;
    }
    struct mly_summary summary = mly_summarise(samples, total);
    *out = (struct mly_noise){
        .relative_spread = summary.relative_spread,
        .slowdown = summary.min > 0 ? summary.median / summary.min : 1,
        .steal_fraction = -1,
        .samples = (uint32_t)total,
    };
}

static enum mly_status check(uint32_t count, int64_t duration_ns, struct mly_error *err)
{
    if (count == 0 || count > MAX_CPUS)
        return mly_error_set(err, MLY_E_INVALID, "noise: %" PRIu32 " CPUs, not from 1 to %d", count,
                             MAX_CPUS);
    if (duration_ns < 1 || duration_ns > MAX_DURATION_NS)
        return mly_error_set(err, MLY_E_INVALID,
                             "noise: a duration of %" PRId64 " ns, not from 1 ns to 600 s",
                             duration_ns);
    return MLY_OK;
}

enum mly_status mly_noise_measure(const uint32_t *cpus, uint32_t count, int64_t duration_ns,
                                  struct mly_noise *out, struct mly_error *err)
{
    enum mly_status status = check(count, duration_ns, err);
    if (status)
        return status;
    /* A faster clock than when it was calibrated makes more samples; three times is never seen. */
    int64_t wanted = duration_ns / WORK_NS * 3 + 8;
    struct field field = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
        .duration_ns = duration_ns,
        .max_samples = wanted < MAX_SAMPLES_PER_CPU ? (uint32_t)wanted : MAX_SAMPLES_PER_CPU,
    };
    struct worker *workers = mly_alloc_array(count, sizeof *workers);
    double *samples = mly_alloc_array((size_t)count * field.max_samples, sizeof *samples);
    if (!workers || !samples) {
        status = mly_error_set(err, MLY_E_NO_MEMORY,
                               "no memory to measure noise on %" PRIu32 " CPUs", count);
        goto done;
    }
    for (uint32_t i = 0; i < count; i++)
        workers[i] = (struct worker){
            .field = &field, .cpu = cpus[i], .samples_ns = samples + (size_t)i * field.max_samples};

    uint64_t all[2], stolen[2];
    bool steal_known = read_steal(cpus, count, &all[0], &stolen[0]);
    if ((status = run_all(&field, workers, count, err)))
        goto done;
    steal_known = read_steal(cpus, count, &all[1], &stolen[1]) && steal_known;
    summarise(workers, count, field.max_samples, samples, out);
    if (steal_known && all[1] > all[0] && stolen[1] >= stolen[0])
        out->steal_fraction = (double)(stolen[1] - stolen[0]) / (double)(all[1] - all[0]);
done:
    mly_free(samples);
    mly_free(workers);
    return status;
}

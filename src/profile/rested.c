/*
 * How long a run takes on a group that had nothing to do before, while the others have nothing to do
 * either: what a request finds at light load. Caches are then cold and the core asleep (slower), or memory is not
 * shared (faster); only measuring tells.
 *
 *   1. Cells that may still be chosen, the fastest first, as far as the time that is set aside goes.
 *   2. Of each so many runs, the groups taking turns, each after a rest of twice the run's time, but
 *      not more than MLY_REST_MAX_NS. Their median is kept.
 */
#include "rested.h"

#include <pthread.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "device/thread.h"

enum { RUNS = 8 }; /* and one before that does not count */

struct sitting {
    struct crew *crew;
    const struct mly_tensor *inputs;
    const atomic_bool *stop;
    int64_t rest_ns;
    double *times; /* [RUNS] */
    enum mly_status status;
    struct mly_error err;
};

static enum mly_status run_rested(struct sitting *s, uint32_t group, int64_t *ns)
{
    struct crew *crew = s->crew;
    mly_session *session = crew->sessions[group];
    const uint32_t count = crew->ops->info(session)->output_count;
    const struct timespec rest = {s->rest_ns / 1000000000, s->rest_ns % 1000000000};
    struct mly_tensor *outputs = mly_alloc_array(count + 1, sizeof *outputs);
    enum mly_status status =
        outputs ? MLY_OK : mly_error_set(&s->err, MLY_E_NO_MEMORY, "no memory for outputs");
    if (status == MLY_OK && !crew->config.runtime_defaults)
        status = mly_thread_pin(crew->groups.items[group].cpus[0], &s->err);
    if (status == MLY_OK) {
        nanosleep(&rest, NULL);
        int64_t before = mly_now_ns();
        status = crew->ops->run(session, s->inputs, outputs, &s->err);
        *ns = mly_now_ns() - before;
    }
    for (uint32_t i = 0; outputs && i < count; i++)
        mly_tensor_fini(&outputs[i]);
    mly_free(outputs);
    return status;
}

/* (2), on a thread of its own, since it is pinned. */
static void *sit(void *argument)
{
    struct sitting *s = argument;
    for (uint32_t i = 0; i <= RUNS && s->status == MLY_OK; i++) {
        int64_t ns = 0;
        if (s->stop && atomic_load_explicit(s->stop, memory_order_relaxed))
            s->status = mly_error_set(&s->err, MLY_E_CANCELLED, "measuring was interrupted");
        else
            s->status = run_rested(s, i % s->crew->config.groups, &ns);
        if (i > 0)
            s->times[i - 1] = (double)ns;
    }
    return NULL;
}

static enum mly_status measure(struct profiler *p, struct cell *cell, struct mly_error *err)
{
    double times[RUNS] = {0};
    pthread_t thread;
    struct sitting s = {.crew = &p->crews[cell->crew].crew,
                        .inputs = p->inputs[cell->batch],
                        .stop = p->options->stop,
                        .rest_ns = (int64_t)mly_rest_ns(cell->run_ns),
                        .times = times};
    if (pthread_create(&thread, NULL, sit, &s) != 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "a thread could not be started");
    pthread_join(thread, NULL);
    if (s.status != MLY_OK)
        return mly_error_set(err, s.status, "%s", s.err.message);
    cell->rested_ns = mly_percentile(times, RUNS, 0.5);
    return MLY_OK;
}

static double time_needed_ns(const struct cell *cell)
{
    return (RUNS + 1) * (cell->run_ns + mly_rest_ns(cell->run_ns));
}

/* The fastest of those that are left; NULL when none is. */
static struct cell *next_cell(struct profiler *p)
{
    struct cell *best = NULL;
    for (uint32_t i = 0; i < p->cell_count; i++) {
        struct cell *cell = &p->cells[i];
        if (cell->in_play && cell->rounds.count > 0 && cell->rested_ns == 0 &&
            (!best || cell->throughput > best->throughput))
            best = cell;
    }
    return best;
}

enum mly_status profile_rested(struct profiler *p, struct mly_error *err)
{
    char text[PROFILE_CONFIG_TEXT_BYTES];
    struct cell *cell;
    while ((cell = next_cell(p))) { /* 1 */
        struct mly_error why = {0};
        cell->in_play = false;
        if ((double)profiler_elapsed_ns(p) + time_needed_ns(cell) > (double)p->budget_ns)
            continue;
        profile_config_text(&p->crews[cell->crew].crew.config, p->batches[cell->batch], text);
        enum mly_status status = profiler_report(p, p->fraction, text, err);
        if (status != MLY_OK)
            return status;
        status = measure(p, cell, &why);
        if (status == MLY_E_CANCELLED || status == MLY_E_NO_MEMORY)
            return mly_error_set(err, status, "%s", why.message);
        /* Whatever else went wrong: it stays unknown. */
    }
    return MLY_OK;
}

/*
 * Open-loop measuring, from one thread.
 *
 *   1. Sleep until the next request is due, taking finished ones out of a queue meanwhile; they are not
 *      worth waking for, so a sleep ends early only when half of the places are used.
 *   2. Send it, or count it as rejected: the engine's queue is full, or no place is left.
 *   3. At the end wait for all.
 */
#include "runtime/measure_open.h"

#include <sys/prctl.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "runtime/queue.h"

#define DEFAULT_IN_FLIGHT 1024u
#define TIMER_SLACK_NS 1000ul /* the kernel's own would make every request up to 50 us late */

struct sender;

/* A request in flight. */
struct place {
    struct sender *sender;
    struct place *next; /* free ones */
    int64_t due_ns, done_ns;
    enum mly_status status;
};

struct sender {
    mly_engine *engine;
    const struct mly_measure_open_options *options;
    struct mly_measure_open_result *result;
    struct place *places, *free;
    uint32_t count, in_flight;
    mly_queue *finished;
    int64_t start_ns, last_due_ns;
    uint64_t in_window;
    struct mly_histogram *latency, *lateness;
};

/* Called from the engine's threads. */
static void note_done(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    struct place *place = user;
    place->done_ns = mly_now_ns();
    place->status = status;
    /* The queue has room for all places and is never closed. */
    enum mly_status pushed = mly_queue_push(place->sender->finished, place, false);
    (void)pushed;
}

static bool counts(const struct sender *s, int64_t due_ns)
{
    return due_ns - s->start_ns >= s->options->warm_up_ns;
}

static void take(struct sender *s, struct place *place)
{
    struct mly_measure_open_result *r = s->result;
    s->in_flight--;
    if (place->status != MLY_OK) {
        r->failed++;
    } else {
        r->completed++;
        s->in_window += counts(s, place->done_ns);
        if (counts(s, place->due_ns))
            mly_histogram_add(s->latency, place->done_ns - place->due_ns);
    }
    place->next = s->free;
    s->free = place;
}

/* (1) */
static void rest_until(struct sender *s, int64_t at_ns)
{
    void *item;
    size_t least = s->count / 2 + 1;
    while (mly_queue_pop(s->finished, least, at_ns, &item) == MLY_OK)
        take(s, item);
}

/* (2) */
static enum mly_status send(struct sender *s, int64_t due_ns, struct mly_error *err)
{
    struct place *place = s->free;
    s->result->sent++;
    s->last_due_ns = due_ns;
    if (!place) {
        s->result->rejected++;
        return MLY_OK;
    }
    place->due_ns = due_ns;
    s->free = place->next;
    s->in_flight++;
    if (counts(s, due_ns))
        mly_histogram_add(s->lateness, mly_now_ns() - due_ns);
    enum mly_status status =
        mly_engine_submit(s->engine, s->options->inputs, s->options->input_count, NULL, false,
                          note_done, place, NULL, err);
    if (status == MLY_OK)
        return MLY_OK;
    s->in_flight--;
    place->next = s->free;
    s->free = place;
    s->result->rejected += status == MLY_E_BUSY;
    return status == MLY_E_BUSY ? MLY_OK : status;
}

static bool is_over(const struct sender *s, int64_t after_ns)
{
    const struct mly_measure_open_options *o = s->options;
    return after_ns == INT64_MAX || (o->count > 0 && s->result->sent >= o->count) ||
           (o->duration_ns > 0 && after_ns >= o->duration_ns);
}

static enum mly_status send_all(struct sender *s, struct mly_error *err)
{
    const struct mly_measure_open_options *o = s->options;
    struct mly_arrival_stream stream;
    mly_arrival_stream_init(&stream, o->arrivals, o->seed);
    s->start_ns = s->last_due_ns = mly_now_ns();
    for (;;) {
        int64_t after_ns = mly_arrival_stream_next(&stream);
        if (is_over(s, after_ns))
            return MLY_OK;
        rest_until(s, s->start_ns + after_ns);
        if (o->stop && atomic_load(o->stop))
            return mly_error_set(err, MLY_E_CANCELLED, "stopped after %llu requests",
                                 (unsigned long long)s->result->sent);
        enum mly_status status = send(s, s->start_ns + after_ns, err);
        if (status != MLY_OK)
            return status;
    }
}

/* (3) */
static void wait_for_all(struct sender *s)
{
    void *item;
    while (s->in_flight > 0 && mly_queue_pop(s->finished, 1, MLY_QUEUE_FOREVER, &item) == MLY_OK)
        take(s, item);
    mly_engine_drain(s->engine); /* the last note_done has returned, and left the queue alone */
}

static struct mly_measure_open_times times_of(const struct mly_histogram *h)
{
    return (struct mly_measure_open_times){.mean_ns = mly_histogram_mean(h),
                                           .p50_ns = mly_histogram_percentile(h, 0.5),
                                           .p90_ns = mly_histogram_percentile(h, 0.9),
                                           .p99_ns = mly_histogram_percentile(h, 0.99),
                                           .max_ns = (double)h->max};
}

static void conclude(struct sender *s, int64_t end_ns, uint64_t done_by_then)
{
    struct mly_measure_open_result *r = s->result;
    r->elapsed_ns = end_ns - s->start_ns - s->options->warm_up_ns;
    r->measured = s->latency->count;
    r->latency = times_of(s->latency);
    r->lateness = times_of(s->lateness);
    if (r->elapsed_ns > 0)
        r->throughput_per_s = (double)done_by_then * 1e9 / (double)r->elapsed_ns;
}

static enum mly_status allocate(struct sender *s, struct mly_error *err)
{
    s->count = s->options->in_flight ? s->options->in_flight : DEFAULT_IN_FLIGHT;
    s->places = mly_alloc_array(s->count, sizeof *s->places);
    s->latency = mly_alloc(sizeof *s->latency);
    s->lateness = mly_alloc(sizeof *s->lateness);
    if (!s->places || !s->latency || !s->lateness)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u requests in flight", s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        s->places[i] = (struct place){.sender = s, .next = s->free};
        s->free = &s->places[i];
    }
    return mly_queue_create(s->count, &s->finished, err);
}

enum mly_status mly_measure_open(mly_engine *engine, const struct mly_measure_open_options *options,
                                 struct mly_measure_open_result *result, struct mly_error *err)
{
    *result = (struct mly_measure_open_result){0};
    struct sender s = {.engine = engine, .options = options, .result = result};
    if (options->arrivals->kind == MLY_ARRIVALS_CLOSED)
        return mly_error_set(err, MLY_E_INVALID, "a closed loop has no times to send at");
    if (options->duration_ns <= 0 && options->count == 0 &&
        options->arrivals->kind != MLY_ARRIVALS_TRACE)
        return mly_error_set(err, MLY_E_INVALID, "requests need a duration or a count");
    int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (slack > 0)
        prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    enum mly_status status = allocate(&s, err);
    if (status == MLY_OK) {
        status = send_all(&s, err);
        if (status == MLY_OK && options->duration_ns > 0 && options->count == 0 &&
            options->arrivals->kind != MLY_ARRIVALS_TRACE)
            rest_until(&s, s.start_ns + options->duration_ns);
        rest_until(&s, 0); /* all that is done by now */
        int64_t end_ns = mly_now_ns();
        uint64_t done_by_then = s.in_window;
        wait_for_all(&s);
        conclude(&s, end_ns, done_by_then);
    }
    if (slack > 0)
        prctl(PR_SET_TIMERSLACK, (unsigned long)slack, 0, 0, 0);
    mly_queue_destroy(s.finished);
    mly_free(s.places);
    mly_free(s.latency);
    mly_free(s.lateness);
    return status;
}

/*
 * A measured stream. One thread, the caller's, submits and takes results; engine threads only
 * note when a batch was done and put its lane into a queue.
 *
 *   1. Keep `in_flight` batches in flight, as long as there are lanes. A batch holds its lane until
 *      its result was delivered, so results that wait for an older one need lanes beyond `in_flight`:
 *      as many as other processors finish while a slow one is busy. Many results would be much memory:
 *      beyond a few, so many as fit into a number of bytes.
 *   2. Between warm-up and measuring, let everything finish, so that the clock starts on an idle
 *      engine.
 *   3. Deliver in order of submission. What nobody wants is not held.
 *   4. Do not wake for every batch: with more than two per processor in flight, once for half of
 *      them. Short batches would otherwise lose as much time to being handed over as they take.
 *   5. Throughput without filling and draining: the rates at which processors finished the last
 *      segment, each from its first completion to its last one before submitting ended, summed up.
 *      (Counting all completions between two moments would be off by up to a batch per processor:
 *      equal processors finish together.)
 */
#include "runtime/measure.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "runtime/native.h"
#include "runtime/queue.h"

#define STOP_POLL_NS 20000000
#define PROGRESS_NS 100000000
/* Latencies kept; of more, a uniform sample of so many. */
#define SAMPLES_MAX ((size_t)1 << 20)
/* (1) A processor may be so many times slower than those beside it. */
#define LANES_PER_BATCH 64u
#define LANES_ENOUGH 4096u
#define WAITING_BYTES ((uint64_t)256 << 20)

struct stream;

struct lane {
    struct stream *stream;
    struct lane *next;    /* of those that are free, or by order of submission */
    mly_request *request; /* NULL when free */
    uint64_t index, samples, bytes;
    bool measured, finished;
    int64_t done_ns; /* written by the engine's thread before the lane goes into the queue */
};

/* (5) Of one processor. What came after the last submission is still `pending`. */
struct departures {
    int64_t first_ns, last_ns, pending_ns; /* first_ns 0: none yet */
    uint64_t samples, pending_samples;     /* after the first */
};

enum { SERIES_LATENCY, SERIES_EXECUTION, SERIES_QUEUE, SERIES_COUNT };

struct stream {
    mly_engine *engine;
    const struct mly_measure_options *options;
    struct mly_measure_result *result;
    struct mly_error *err;
    enum mly_status status; /* the first failure */
    bool exhausted, stopped, started;
    uint32_t lane_count, in_flight;
    uint64_t next; /* index of the next batch */
    struct lane *lanes, *free;
    struct lane *oldest, **newest; /* (3) not yet delivered; with `outputs` only */
    uint32_t held;                 /* lanes that are not free */
    uint64_t waiting_bytes;        /* of results, by `outputs` */
    struct mly_tensor *inputs;
    mly_queue *finished;
    int64_t started_ns, last_done_ns, last_progress_ns;
    struct departures *departures; /* [processor_count] */
    double *series[SERIES_COUNT];
    size_t series_capacity[SERIES_COUNT], series_length;
    struct mly_random random;
};

uint32_t mly_measure_lanes(uint32_t in_flight)
{
    const uint32_t least = 2 * in_flight + 2;
    if (in_flight < LANES_ENOUGH / LANES_PER_BATCH)
        return LANES_PER_BATCH * in_flight;
    return least > LANES_ENOUGH ? least : LANES_ENOUGH;
}

static void note_done(mly_request *request, enum mly_status status, void *user)
{
    (void)request;
    (void)status;
    struct lane *lane = user;
    lane->done_ns = mly_now_ns();
    /* The queue has room for all lanes and is never closed. */
    enum mly_status pushed = mly_queue_push(lane->stream->finished, lane, false);
    (void)pushed;
}

/*
 * The first failure ends the stream, and its message is the one the caller gets; what is in
 * flight finishes.
 */
static void fail(struct stream *stream, enum mly_status status, const struct mly_error *why)
{
    if (status == MLY_OK || stream->status != MLY_OK)
        return;
    stream->status = status;
    mly_error_set(stream->err, status, "%s", why->message);
}

/* --- submitting --- */

static bool wants_more(const struct stream *stream)
{
    const struct mly_measure_options *o = stream->options;
    if (stream->status != MLY_OK || stream->exhausted || stream->stopped)
        return false;
    if (stream->next < o->warm_up)
        return true;
    if (!stream->started)
        return true;
    if (o->count > 0 && stream->next - o->warm_up >= o->count)
        return false;
    return o->duration_ns == 0 || mly_now_ns() - stream->started_ns < o->duration_ns;
}

static void start_clock(struct stream *stream)
{
    stream->started = true;
    stream->started_ns = stream->last_done_ns = stream->last_progress_ns = mly_now_ns();
}

/* The first free lane, for a batch that was submitted. */
static void hold(struct stream *stream, struct lane *lane)
{
    stream->free = lane->next;
    stream->held++;
    lane->next = NULL;
    if (!stream->options->outputs)
        return;
    *stream->newest = lane;
    stream->newest = &lane->next;
}

/* (1) */
static bool has_lane(const struct stream *stream)
{
    const struct mly_measure_options *o = stream->options;
    const uint64_t room = o->waiting_bytes > 0 ? o->waiting_bytes : WAITING_BYTES;
    return stream->free && (stream->held < 2 * o->in_flight + 2 || stream->waiting_bytes < room);
}

static void submit_one(struct stream *stream)
{
    const struct mly_flow *flow = mly__engine_flow(stream->engine);
    struct lane *lane = stream->free;
    struct mly_error why;
    why.message[0] = '\0';
    memset(stream->inputs, 0, flow->input_count * sizeof *stream->inputs);
    enum mly_status status =
        stream->options->inputs(stream->options->user, stream->next,
                                (uint32_t)(lane - stream->lanes), stream->inputs, &why);
    if (status == MLY_E_NOT_FOUND) {
        stream->exhausted = true;
        return;
    }
    bool has_batch = flow->input_count > 0 && stream->inputs[0].shape.rank > 0;
    lane->samples = has_batch ? (uint64_t)stream->inputs[0].shape.dims[0] : 1;
    lane->measured = stream->started;
    lane->finished = false;
    lane->index = stream->next;
    if (status == MLY_OK)
        status = mly_engine_submit(stream->engine, stream->inputs, flow->input_count, NULL, true,
                                   note_done, lane, &lane->request, &why);
    if (status != MLY_OK) {
        fail(stream, status, &why);
        return;
    }
    hold(stream, lane);
    stream->next++;
    stream->in_flight++;
    for (uint32_t p = 0; p < flow->processor_count; p++) { /* (5) */
        stream->departures[p].last_ns = stream->departures[p].pending_ns;
        stream->departures[p].samples = stream->departures[p].pending_samples;
    }
}

static void submit(struct stream *stream)
{
    while (wants_more(stream)) {
        if (!stream->started && stream->next == stream->options->warm_up) {
            if (stream->in_flight > 0) /* (2) */
                return;
            start_clock(stream);
            if (!wants_more(stream))
                return;
        }
        if (stream->in_flight >= stream->options->in_flight || !has_lane(stream)) /* (1) */
            return;
        submit_one(stream);
    }
}

/* --- results --- */

/* Where the next value of all series goes; SIZE_MAX when it is not kept. */
static size_t place(struct stream *stream)
{
    if (stream->series_length < SAMPLES_MAX) {
        for (int s = 0; s < SERIES_COUNT; s++) {
            if (mly_array_reserve(&stream->series[s], &stream->series_capacity[s],
                                  stream->series_length + 1, sizeof(double)) != 0) {
                struct mly_error why;
                fail(stream,
                     mly_error_set(&why, MLY_E_NO_MEMORY, "no memory for the times of %zu batches",
                                   stream->series_length),
                     &why);
                return SIZE_MAX;
            }
        }
        return stream->series_length++;
    }
    uint64_t at = mly_random_below(&stream->random, stream->result->batches);
    return at < SAMPLES_MAX ? (size_t)at : SIZE_MAX;
}

/* (5) */
static void depart(struct stream *stream, const struct lane *lane)
{
    const struct mly_flow *flow = lane->request->pool->flow;
    uint32_t processor = lane->request->tasks[flow->segment_count - 1].processor;
    struct departures *departures = &stream->departures[processor];
    if (departures->first_ns == 0) {
        departures->first_ns = departures->pending_ns = lane->done_ns;
        return;
    }
    departures->pending_samples += lane->samples;
    if (lane->done_ns > departures->pending_ns)
        departures->pending_ns = lane->done_ns;
}

/* (5) 0 when a processor has finished too few. */
static double steady_rate(const struct stream *stream)
{
    double rate = 0;
    for (uint32_t p = 0; p < mly__engine_flow(stream->engine)->processor_count; p++) {
        const struct departures *departures = &stream->departures[p];
        if (departures->first_ns == 0)
            continue;
        if (departures->samples == 0 || departures->last_ns <= departures->first_ns)
            return 0;
        rate += (double)departures->samples * 1e9 /
                (double)(departures->last_ns - departures->first_ns);
    }
    return rate;
}

static void count_in(struct stream *stream, const struct lane *lane)
{
    struct mly_measure_result *result = stream->result;
    result->batches++;
    result->samples += lane->samples;
    if (lane->done_ns > stream->last_done_ns)
        stream->last_done_ns = lane->done_ns;
    depart(stream, lane);
    int64_t queue_ns, execute_ns, total_ns;
    mly_request_times(lane->request, &queue_ns, &execute_ns, &total_ns);
    size_t at = place(stream);
    if (at == SIZE_MAX)
        return;
    stream->series[SERIES_LATENCY][at] = (double)total_ns;
    stream->series[SERIES_EXECUTION][at] = (double)execute_ns;
    stream->series[SERIES_QUEUE][at] = (double)queue_ns;
}

static uint64_t result_bytes(const struct lane *lane)
{
    size_t count = 0;
    uint64_t bytes = 0;
    const struct mly_tensor *outputs = mly_request_outputs(lane->request, &count);
    for (size_t i = 0; i < count; i++)
        bytes += outputs[i].size_bytes;
    return bytes;
}

/* A batch is over; `done` has returned when the wait has. */
static void take(struct stream *stream, struct lane *lane)
{
    struct mly_error why;
    enum mly_status status = mly_request_wait(lane->request, &why);
    stream->in_flight--;
    lane->finished = true;
    lane->bytes = stream->options->outputs ? result_bytes(lane) : 0;
    stream->waiting_bytes += lane->bytes;
    if (status == MLY_OK) {
        if (lane->measured)
            count_in(stream, lane);
        return;
    }
    if (stream->stopped && status == MLY_E_CANCELLED)
        return;
    stream->result->failed += lane->measured;
    fail(stream, status, &why);
}

static void free_lane(struct stream *stream, struct lane *lane)
{
    mly_request_release(lane->request);
    lane->request = NULL;
    stream->waiting_bytes -= lane->bytes;
    stream->held--;
    lane->next = stream->free;
    stream->free = lane;
}

/* Failed batches have no outputs and are passed over. */
static void hand_out(struct stream *stream, const struct lane *lane)
{
    size_t count = 0;
    const struct mly_tensor *outputs = mly_request_outputs(lane->request, &count);
    struct mly_error why;
    why.message[0] = '\0';
    if (outputs)
        fail(stream,
             stream->options->outputs(stream->options->user, lane->index, outputs, count, &why),
             &why);
}

/* (3) The batch is over: it goes, and those that waited for it. */
static void deliver(struct stream *stream, struct lane *lane)
{
    if (!stream->options->outputs) {
        free_lane(stream, lane);
        return;
    }
    while (stream->oldest && stream->oldest->finished) {
        lane = stream->oldest;
        stream->oldest = lane->next;
        if (!stream->oldest)
            stream->newest = &stream->oldest;
        hand_out(stream, lane);
        free_lane(stream, lane);
    }
}

static void report(struct stream *stream, bool last)
{
    const struct mly_measure_options *o = stream->options;
    int64_t now_ns = mly_now_ns();
    if (!o->progress || !stream->started ||
        (!last && now_ns - stream->last_progress_ns < PROGRESS_NS))
        return;
    stream->last_progress_ns = now_ns;
    struct mly_measure_progress progress = {
        .batches = stream->result->batches,
        .samples = stream->result->samples,
        .total_batches = o->count,
        .elapsed_ns = now_ns - stream->started_ns,
    };
    double by_count = o->count ? (double)progress.batches / (double)o->count : 0;
    double by_time = o->duration_ns ? (double)progress.elapsed_ns / (double)o->duration_ns : 0;
    progress.fraction = by_count > by_time ? by_count : by_time;
    if (progress.fraction > 1)
        progress.fraction = 1;
    o->progress(o->user, &progress);
}

/* Cancels everything in flight, once. */
static void heed_stop(struct stream *stream)
{
    const atomic_bool *stop = stream->options->stop;
    if (stream->stopped || !stop || !atomic_load(stop))
        return;
    stream->stopped = true;
    for (uint32_t i = 0; i < stream->lane_count; i++) {
        if (stream->lanes[i].request)
            mly_request_cancel(stream->lanes[i].request);
    }
}

/* (4) */
static uint32_t wake_after(const struct stream *stream)
{
    uint32_t working = 2 * mly__engine_flow(stream->engine)->processor_count;
    if (working < stream->in_flight / 2)
        working = stream->in_flight / 2;
    return stream->in_flight > working ? stream->in_flight - working : 1;
}

static void pump(struct stream *stream)
{
    const struct mly_measure_options *o = stream->options;
    for (;;) {
        heed_stop(stream);
        submit(stream);
        if (stream->in_flight == 0)
            return;
        int64_t deadline_ns = MLY_QUEUE_FOREVER;
        if (o->stop && !stream->stopped)
            deadline_ns = mly_now_ns() + STOP_POLL_NS;
        else if (o->progress)
            deadline_ns = mly_now_ns() + PROGRESS_NS;
        void *item = NULL;
        uint32_t least = wake_after(stream);
        while (mly_queue_pop(stream->finished, least, deadline_ns, &item) == MLY_OK) {
            take(stream, item);
            deliver(stream, item);
            least = 1;
            deadline_ns = 0;
        }
        report(stream, false);
    }
}

/* --- the whole --- */

static void conclude(struct stream *stream)
{
    struct mly_measure_result *result = stream->result;
    if (!stream->started)
        return;
    result->elapsed_ns = stream->last_done_ns - stream->started_ns;
    if (result->elapsed_ns > 0)
        result->throughput_per_s = (double)result->samples * 1e9 / (double)result->elapsed_ns;
    result->steady_per_s = steady_rate(stream);
    result->latency_ns = mly_summarise(stream->series[SERIES_LATENCY], stream->series_length);
    result->execution_ns = mly_summarise(stream->series[SERIES_EXECUTION], stream->series_length);
    result->queue_ns = mly_summarise(stream->series[SERIES_QUEUE], stream->series_length);
}

static enum mly_status allocate(struct stream *stream, struct mly_error *err)
{
    stream->lane_count = mly_measure_lanes(stream->options->in_flight);
    stream->lanes = mly_alloc_array(stream->lane_count, sizeof *stream->lanes);
    stream->inputs =
        mly_alloc_array(mly__engine_flow(stream->engine)->input_count, sizeof *stream->inputs);
    stream->departures = mly_alloc_array(mly__engine_flow(stream->engine)->processor_count,
                                         sizeof *stream->departures);
    if (!stream->lanes || !stream->inputs || !stream->departures)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u batches in flight",
                             stream->options->in_flight);
    for (uint32_t i = stream->lane_count; i-- > 0;) {
        stream->lanes[i] = (struct lane){.stream = stream, .next = stream->free};
        stream->free = &stream->lanes[i];
    }
    stream->newest = &stream->oldest;
    return mly_queue_create(stream->lane_count, &stream->finished, err);
}

enum mly_status mly_measure_stream(mly_engine *engine, const struct mly_measure_options *options,
                                   struct mly_measure_result *result, struct mly_error *err)
{
    if (!options->inputs || options->in_flight == 0 || options->in_flight > UINT32_MAX / 4)
        return mly_error_set(err, MLY_E_INVALID,
                             "a stream needs inputs and between 1 and %u batches in flight",
                             UINT32_MAX / 4);
    struct stream stream = {.engine = engine, .options = options, .result = result, .err = err};
    mly_random_init(&stream.random, 1);
    enum mly_status status = allocate(&stream, err);
    if (status == MLY_OK) {
        *result = (struct mly_measure_result){0};
        pump(&stream);
        report(&stream, true);
        conclude(&stream);
        status = stream.status;
        if (status == MLY_OK && stream.stopped)
            status = mly_error_set(err, MLY_E_CANCELLED, "stopped after %llu batches",
                                   (unsigned long long)result->batches);
    }
    mly_queue_destroy(stream.finished);
    for (int s = 0; s < SERIES_COUNT; s++)
        mly_free(stream.series[s]);
    mly_free(stream.departures);
    mly_free(stream.inputs);
    mly_free(stream.lanes);
    return status;
}

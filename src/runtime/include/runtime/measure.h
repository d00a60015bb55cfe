/*
 * A measured stream: keeps a number of batches in flight in an engine, hands the results out in
 * order, and times all.
 */
#ifndef MLY_RUNTIME_MEASURE_H
#define MLY_RUNTIME_MEASURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <motley/engine.h>

#include "base/stats.h"

/* Told about progress from the calling thread, at most ten times a second and at the end. */
struct mly_measure_progress {
    uint64_t batches, samples; /* done so far */
    uint64_t total_batches;    /* 0 when only the duration is known */
    int64_t elapsed_ns;
    double fraction; /* in [0, 1], of count or duration; 0 when neither is set */
};

struct mly_measure_options {
    /*
     * Where inputs come from; called from the calling thread. Sets inputs[input_count], borrowed
     * until the result of this index was delivered, or without `outputs` until the batch is done.
     * lane is in [0, lanes): no two batches whose memory is still in use share one, so that memory
     * may be kept per lane; lanes is mly_measure_lanes(in_flight). MLY_E_NOT_FOUND ends the stream;
     * other statuses end it with that error.
     */
    enum mly_status (*inputs)(void *user, uint64_t index, uint32_t lane, struct mly_tensor *inputs,
                              struct mly_error *err);
    /*
     * Results in the order of submission, from the calling thread; NULL: nobody wants them, and
     * nothing waits for an older batch. A failure ends the stream.
     */
    enum mly_status (*outputs)(void *user, uint64_t index, const struct mly_tensor *outputs,
                               size_t output_count, struct mly_error *err);
    void (*progress)(void *user, const struct mly_measure_progress *progress); /* may be NULL */
    void *user;
    uint64_t count;      /* batches to measure; 0: as long as duration_ns or the inputs last */
    int64_t duration_ns; /* 0: as long as count or the inputs last */
    uint64_t warm_up;    /* batches that run first and count for nothing but the outputs */
    uint32_t in_flight;  /* at least 1 */
    /*
     * Bytes of results that may wait for older ones, beyond those of `in_flight` and some more
     * batches; 0: 256 MiB. A processor that is far slower than others makes their results wait.
     */
    uint64_t waiting_bytes;
    const atomic_bool *stop; /* may be NULL; set from anywhere, a signal handler too */
};

struct mly_measure_result {
    uint64_t batches,
        samples;        /* done, without warm-up; samples counts dimension 0 of the first input */
    uint64_t failed;    /* batches that ended with an error other than a cancellation by `stop` */
    int64_t elapsed_ns; /* first submission to last completion */
    double throughput_per_s; /* samples over elapsed_ns */
    double steady_per_s;     /* samples per second without filling and draining; 0 when too few */
    struct mly_summary latency_ns;   /* submit to result, of one batch */
    struct mly_summary execution_ns; /* of that, in sessions */
    struct mly_summary queue_ns;     /* of that, waiting */
};

/* Lanes that inputs must expect; most are used only where processors are of very unlike speed. */
uint32_t mly_measure_lanes(uint32_t in_flight);

/*
 * Runs a stream of batches through the engine (which others may use as well; they then share its
 * time). An `ordered` engine holds results back itself: then a slow processor stops the others when
 * `in_flight` batches wait. result is filled in every case but MLY_E_INVALID and MLY_E_NO_MEMORY at the start, with
 * what was finished.
 * Errors: MLY_E_CANCELLED when stopped (what waits is cancelled, what runs is waited for); the
 * first error of a batch, of inputs or of outputs; MLY_E_CLOSED. Nothing is in flight any more
 * afterwards.
 * Threads: calls with different engines, or even the same, may run at once.
 */
enum mly_status mly_measure_stream(mly_engine *engine, const struct mly_measure_options *options,
                                   struct mly_measure_result *result,
                                   struct mly_error *err) MLY_MUST_CHECK;

#endif

/*
 * An open-loop measurement: requests are sent to an engine when an arrival process says so, whether or
 * not earlier ones are done. Latency counts from the time at which a request was due, so that a sender
 * that is late, or a queue that is full, does not make it look better.
 */
#ifndef MLY_RUNTIME_MEASURE_OPEN_H
#define MLY_RUNTIME_MEASURE_OPEN_H

#include <stdatomic.h>

#include <motley/engine.h>

#include "runtime/arrivals.h"

/* Percentiles are within 0.4 % (base/histogram.h). */
struct mly_measure_open_times {
    double mean_ns, p50_ns, p90_ns, p99_ns, max_ns;
};

struct mly_measure_open_options {
    /* Inputs of every request: [input_count], borrowed until the end. Results are dropped. */
    const struct mly_tensor *inputs;
    size_t input_count;
    const struct mly_arrivals *arrivals; /* not a closed loop (mly_measure_stream is that) */
    uint64_t seed;
    int64_t duration_ns; /* requests are sent for so long; 0: as long as the trace or count lasts */
    uint64_t count;      /* 0: as long as the duration or the trace lasts */
    int64_t warm_up_ns;  /* what is due before counts for nothing */
    uint32_t in_flight;  /* at most; one more is rejected. 0: 1024 */
    const atomic_bool *stop; /* may be NULL */
};

struct mly_measure_open_result {
    uint64_t sent, rejected, completed, failed; /* in all */
    uint64_t measured;                          /* completed, of those due after the warm-up */
    int64_t elapsed_ns;                     /* from the end of the warm-up to the end of sending */
    double throughput_per_s;                /* requests completed within that time */
    struct mly_measure_open_times latency;  /* due to done */
    struct mly_measure_open_times lateness; /* due to sent: what the sender itself added */
};

/*
 * Sends and waits until everything is done. Errors: MLY_E_INVALID for a closed loop or no end;
 * MLY_E_CANCELLED when stopped; those of mly_engine_submit but MLY_E_BUSY, which rejects; MLY_E_NO_MEMORY.
 * What is in flight is waited for in every case.
 */
enum mly_status mly_measure_open(mly_engine *engine, const struct mly_measure_open_options *options,
                                 struct mly_measure_open_result *result,
                                 struct mly_error *err) MLY_MUST_CHECK;

#endif

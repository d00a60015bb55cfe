/*
 * The virtual executor: discrete events on a virtual clock, around the same core, scheduler and
 * queue as the native executor, and with several ways of running a model the same choice among them.
 * Nothing is computed and nobody sleeps: what a task takes comes from a table of costs, when requests
 * come from an arrival process.
 *
 * Memory: what a flow needs, and requests as many as are in the system at once; not more for more of
 * them. Time: well over a million requests per second and core for a pipeline of four stages
 * (bench/bench_virtual.c). The same seed gives the same run.
 */
#ifndef MLY_RUNTIME_VIRTUAL_H
#define MLY_RUNTIME_VIRTUAL_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/plan.h>
#include <motley/timeline.h>

#include "base/histogram.h"
#include "cost/table.h"
#include "runtime/arrivals.h"
#include "runtime/flow.h"
#include "runtime/scheduler.h"

/* How the time of a task varies from task to task. */
enum mly_virtual_spread {
    MLY_VIRTUAL_EXACT, /* it does not: always the median */
    /*
     * As measured: like the logarithm of a normal number below and above the median, so that a tenth
     * is below p10 and a tenth above p90. From 1024 equally likely values.
     */
    MLY_VIRTUAL_LOGNORMAL,
    MLY_VIRTUAL_EXPONENTIAL /* with the median for a mean: for checks against queueing theory */
};

/* What a segment costs on a processor. Zeroed: it cannot run there. */
struct mly_virtual_cost {
    bool known;
    bool modelled; /* from a device model; else measured */
    enum mly_virtual_spread spread;
    double median_ns;      /* of one task, with what it takes to bring tensors there and back */
    double p10_ns, p90_ns; /* MLY_VIRTUAL_LOGNORMAL only */
    /*
     * Measured only: a run on a processor that had nothing to do for rest_ns takes this many times as
     * long; after a shorter rest, in proportion less of it. 0: unknown, as 1. Of such runs a tenth take more
     * than rested_p90 times their median; 0: unknown, as p90_ns says.
     */
    double rested, rested_p90, rest_ns;
    double input_ns, output_ns;       /* the parts of median_ns in which tensors are on links */
    double first_ns;                  /* what the first task takes longer */
    double energy_j;                  /* of one task, above idle; 0 unless modelled */
    double input_bytes, output_bytes; /* over links */
    double off_chip_bytes;            /* weights streamed from outside the chip */
};

/* What a task was, once it is over. */
struct mly_virtual_task {
    uint64_t request; /* its number among those that were not rejected, from 0 */
    uint32_t way, segment, processor;
    int64_t ready_ns; /* its inputs were there */
    int64_t begin_ns, end_ns;
};

/* One of several ways of running a model on the same processors. */
struct mly_virtual_way {
    const struct mly_flow *flow;
    const struct mly_virtual_cost *costs; /* [segment_count][processor_count] */
    double max_rate_per_s;                /* samples up to which it is the best */
};

/* All pointers are borrowed for the call. */
struct mly_virtual_options {
    const struct mly_flow *flow;
    const struct mly_virtual_cost *costs; /* [segment_count][processor_count] */
    /*
     * Instead of these: the ways of a family, ascending by rate. New requests run as in an engine in which
     * all are open from the start.
     */
    const struct mly_virtual_way *ways; /* [way_count]; way_count 0: flow and costs */
    uint32_t way_count;
    uint32_t batch; /* samples per request: needed where batches are split over processors, and for
                       rates of arrival; 0: 1 */
    enum mly_schedule_policy policy;
    bool ordered;            /* requests are over in the order of arrival */
    uint32_t queue_capacity; /* requests that may wait; one that comes to a full queue is
                                            rejected; 0: 4096 */
    const struct mly_arrivals *arrivals; /* closed loops need in_flight <= queue_capacity */
    uint64_t seed;
    /* Arrivals end with the first of these that is set; the others run on. One must be, but for
     * traces. */
    int64_t duration_ns;
    uint64_t count;
    int64_t warm_up_ns;     /* nothing that begins before counts; less than the duration */
    mly_timeline *timeline; /* everything is recorded there; NULL: nothing is */
    /* After each task; may be NULL. */
    void (*task)(void *user, const struct mly_virtual_task *task);
    /* Now and then; false ends it with MLY_E_CANCELLED. May be NULL. */
    bool (*progress)(void *user, double fraction);
    void *user;
};

/* Percentiles are within 0.4 % (base/histogram.h); the others are exact. */
struct mly_virtual_times {
    uint64_t count;
    double min_ns, mean_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
};

struct mly_virtual_processor {
    uint64_t tasks;
    double busy_ns;     /* inside the window */
    double utilisation; /* of the window */
    double energy_j;    /* of its tasks, above idle */
    double link_bytes, off_chip_bytes;
};

struct mly_virtual_stage {
    uint64_t tasks;
    double mean_ns, mean_link_ns; /* of a task; link time is in mean_ns */
    double mean_wait_ns;          /* from its inputs to its beginning */
    double max_wait_ns;
    double queue_length; /* tasks that wait for it, on average */
    double off_chip_bytes, energy_j;
};

/* What one of the ways did, within the window. */
struct mly_virtual_served {
    uint64_t requests;                 /* that came while it served, and were not rejected */
    double serving_ns, share;          /* time in which it served; of the window */
    double mean_latency_ns;            /* of these requests; 0: there were none */
    uint32_t first_stage, stage_count; /* its part of `stages` */
};

/*
 * The window is what counts: from warm_up_ns to the end of the duration, or to the last completion
 * where a count or a trace ends first. Requests that arrive in it are followed to their end.
 */
struct mly_virtual_result {
    uint64_t arrived, rejected, completed; /* in all; after the last event arrived = rejected +
                                              completed */
    uint64_t measured;                     /* requests of the window: those that latency is of */
    int64_t window_ns;
    double throughput_per_s;                 /* requests completed inside the window */
    struct mly_virtual_times latency, queue; /* from arrival to the end; of that without any task
                                                 running */
    double mean_waiting, mean_in_system;     /* requests, on average over the window */
    uint32_t most_waiting, most_in_system;
    uint64_t events;
    uint32_t processor_count, stage_count;
    struct mly_virtual_processor *processors;
    struct mly_virtual_stage *stages; /* of all ways */
    uint32_t way_count;
    struct mly_virtual_served *ways;
    uint64_t way_changes; /* in all */
};

/*
 * Runs it to the end. *out is the caller's (mly_virtual_result_fini).
 * Errors: MLY_E_INVALID for options that cannot be (a cost that is not known where a segment may
 * run, no end, a closed loop larger than the queue, ways of several models); MLY_E_CANCELLED; MLY_E_NO_MEMORY.
 * Threads: several may run at once.
 */
enum mly_status mly_virtual_run(const struct mly_virtual_options *options,
                                struct mly_virtual_result *out,
                                struct mly_error *err) MLY_MUST_CHECK;
void mly_virtual_result_fini(struct mly_virtual_result *result);

/*
 * The costs of a plan's segments where they may run, for tasks of `batch` samples, or of a processor's
 * share of them where the plan splits batches: of modelled
 * processors from their device files, of others from `measured` (borrowed; NULL when no processor
 * needs it) by the rules of mly_plan_evaluate. *out[segment_count][processor_count] is the caller's
 * (mly_free). exact: measured times do not vary.
 * Errors: MLY_E_NOT_FOUND for what was not measured; those of mly_modelled_create and
 * mly_modelled_segment, with segment and processor; MLY_E_NO_MEMORY.
 */
struct mly_virtual_cost_request {
    const mly_model *model;
    const mly_plan *plan;
    const mly_cost_table *measured;
    uint32_t batch;
    const struct mly_dim_binding *bindings;
    size_t binding_count;
    bool exact;
    bool cold; /* the first task of a modelled processor loads weights; else that was before */
};
enum mly_status mly_virtual_costs(const struct mly_virtual_cost_request *request,
                                  struct mly_virtual_cost **out,
                                  struct mly_error *err) MLY_MUST_CHECK;

#endif

/* A virtual run: what its events (virtual.c), its beginning and end (virtual_open.c) and what is recorded of it
 * (virtual_record.c) share. */
#ifndef MLY_RUNTIME_VIRTUAL_PRIVATE_H
#define MLY_RUNTIME_VIRTUAL_PRIVATE_H

#include "runtime/core.h"
#include "runtime/lane.h"
#include "runtime/virtual.h"
#include "runtime/ways.h"
#include "virtual_service.h"

struct mly__virtual_event {
    int64_t at_ns;
    uint64_t order; /* in which tasks began */
    uint32_t processor;
};

struct mly__virtual_seat {
    struct mly__task *task; /* that runs */
    int64_t begin_ns, end_ns;
    struct mly__lane lane;
};

/* Sums of a stage's tasks within the window. */
struct mly__virtual_sums {
    double ns, link_ns, wait_ns;
};

/* A way of running the model. */
struct mly__virtual_side {
    const struct mly_flow *flow;
    const struct mly_virtual_cost *costs;
    struct mly__services services;
    struct mly__request_pool *pool;    /* of the first: the core's */
    struct mly__request_pool own_pool; /* of the others */
    struct mly__flow_names *names;
    struct mly_virtual_stage *stages; /* its part of the result's, and sums of these */
    struct mly__virtual_sums *sums;
    struct mly_virtual_served *served; /* its entry in the result */
    double latency_ns;                 /* summed, of the requests of the window that are over */
    uint64_t over;                     /* these */
};

struct mly__virtual_run {
    const struct mly_virtual_options *options;
    struct mly_virtual_result *result;
    struct mly_error *err;
    enum mly_status status; /* the first failure */
    struct mly__core core;
    struct mly__ways ways; /* which of `sides` serves */
    double *max_rates;     /* of all */
    struct mly__virtual_side *sides;
    uint32_t side_count, processor_count, samples;
    struct mly_arrival_stream stream;
    struct mly_random random; /* service times */
    int64_t now_ns, arrival_ns, review_ns;
    bool ended; /* no request arrives any more */
    bool by_duration;
    int64_t from_ns, to_ns; /* the window */
    uint64_t begun, in_window;
    struct mly__virtual_event *heap;
    uint32_t heap_length;
    struct mly__virtual_seat *seats; /* by processor */
    struct mly__virtual_sums *sums;  /* behind all sides */
    struct mly_tensor *inputs, *garbage;
    mly__timeline_writer *request_writer; /* NULL: nothing is recorded */
    struct mly_histogram *latency, *queue;
    uint64_t in_system;
    double area_waiting, area_in_system;
};

static inline struct mly__virtual_side *mly__virtual_side_of(struct mly__virtual_run *run,
                                                             const mly_request *request)
{
    return &run->sides[request->pool->index];
}

static inline const struct mly_virtual_cost *
mly__virtual_cost_of(const struct mly__virtual_side *side, const struct mly__task *task)
{
    return &side->costs[(size_t)task->schedule.segment * side->flow->processor_count +
                        task->processor];
}

/*
 * virtual_open.c: options as the run needs them. close in every case, after which *result is the caller's.
 * Errors: those of mly_virtual_run.
 */
enum mly_status mly__virtual_open(struct mly__virtual_run *run,
                                  struct mly_error *err) MLY_MUST_CHECK;
void mly__virtual_close(struct mly__virtual_run *run);
/* The run is over: sums become averages. */
void mly__virtual_conclude(struct mly__virtual_run *run);

/* virtual_record.c: lanes and names in options->timeline, if there is one. */
enum mly_status mly__virtual_open_timeline(struct mly__virtual_run *run,
                                           struct mly_error *err) MLY_MUST_CHECK;
/* A task is over, and not completed yet; with what it copied. */
void mly__virtual_record(struct mly__virtual_run *run, const struct mly__virtual_seat *seat);

#endif

/*
 * Engines: a plan that runs. Submit batches of inputs, get outputs.
 *
 * Threads: any thread may call any function here on the same engine or request at any time, but
 * for mly_engine_destroy, and for what may not be called from `done` (mly_done_fn).
 */
#ifndef MOTLEY_ENGINE_H
#define MOTLEY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/model.h>
#include <motley/plan.h>
#include <motley/status.h>
#include <motley/tensor.h>
#include <motley/timeline.h>

MLY_BEGIN_DECLS

/* Open sessions and a blocking worker per processor. With nothing to do it uses no CPU. */
typedef struct mly_engine mly_engine;
/* One submitted batch on its way; keep it until it is released. */
typedef struct mly_request mly_request;

/* Zeroed is what most want. */
struct mly_engine_options {
    /*
     * Batches that may wait, for a processor, their next segment or their turn; 0: 4 per
     * processor, at least 16 and as many as the plan wants in flight.
     */
    uint32_t queue_capacity;
    bool ordered;          /* `done` is called in the order of submission */
    bool no_prepared_copy; /* sessions of their own instead of mapping the shared prepared copy */
    bool no_warm_up;       /* skip running each batch size of the ladder once at start */
    /*
     * Who gets which task: NULL or "earliest-finish": the processor expected to finish first, from
     * the plan's costs and what runs really take; "pinned": request n of a segment with r
     * processors always on processor n mod r; "eager": any idle one; "random". Borrowed for the
     * call. Must not be set with `beside`.
     */
    const char *policy;
    /*
     * Another engine whose processors this one shares: a worker runs the tasks of both, one at a
     * time. Processors are the same when their ids are; others are added. Both engines live and are
     * destroyed independently; `beside` must not be destroyed during the call only. NULL: workers
     * of its own.
     */
    mly_engine *beside;
    /*
     * This engine's share of processor time when several that share processors have work waiting:
     * in proportion to their weights, 1…10000. 0: 1.
     */
    uint32_t weight;
    /* What modelled processors of the plan do about results; see the enumeration. */
    enum mly_results results;
    /*
     * What runs the tasks. NULL or "native": motley's own scheduler. "starpu" or "starpu:NAME":
     * StarPU chooses the processor of every task that is ready, by its policy of that name (dmda
     * unless one is given; see docs/internals/executors.md); one such engine, with those beside it,
     * in a process at a time. Borrowed for the call. Must not be set with `beside`.
     */
    const char *executor;
    /*
     * Where every task and request is recorded, by the process's monotonic clock; NULL: nowhere.
     * Borrowed until this engine and those beside it, which record there too, are destroyed. Must
     * not be set with `beside`.
     */
    mly_timeline *timeline;
};

/*
 * Opens every session of the plan, all processors at once, and starts a blocking worker per
 * processor. Of a plan with a family the first way of running is open then; the others are opened in the
 * background and share what sessions they can, within half of the box's memory as predicted. The
 * measured rate of arrivals says which one new batches take, and those submitted before end as they
 * began. model is borrowed until destroy, plan for the call. options may be NULL. *out is owned by the
 * caller.
 * Errors: those of mly_plan_check, and the back end's (MLY_E_BACKEND, MLY_E_UNSUPPORTED,
 * MLY_E_NO_MEMORY, MLY_E_ABSENT); MLY_E_NOT_FOUND for a back end that this motley does not have;
 * MLY_E_INVALID for a policy that does not exist, or one beside another engine, or a weight out of
 * range, or an executor that does not exist; MLY_E_ABSENT for StarPU where it is not installed,
 * MLY_E_BUSY where the process uses it already; MLY_E_LIMIT when threads run out, or for more
 * processors than StarPU was built for.
 * Threads: two engines may be created at once; the process's CPU affinity must be that under which
 * the plan was made. Signals are blocked in the engine's own threads.
 * Cost: opening and warming every session, milliseconds to seconds; longer the first time, when the
 * prepared copies are made.
 */
MLY_API enum mly_status mly_engine_create(const mly_model *model, const mly_plan *plan,
                                          const struct mly_engine_options *options,
                                          mly_engine **out, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Cancels what waits, lets the segments that run finish (a request whose last ones these were
 * succeeds), wakes blocked submitters (MLY_E_CLOSED) and waiters, calls every `done` that is due,
 * joins the workers, frees. Requests not yet released stay valid for mly_request_release only:
 * their outputs are gone. NULL is fine.
 * Threads: no call on the engine or its requests (but mly_request_release) may begin once this one
 * has; those inside end well. Never from `done`.
 */
MLY_API void mly_engine_destroy(mly_engine *engine);
/* Waits until everything submitted so far is done, `done` included. Not from `done`. */
MLY_API void mly_engine_drain(mly_engine *engine);

/*
 * Called once per request from a thread of the engine, never from inside a call of yours; must
 * not block (so it submits with wait false only). With options.ordered one call at a time, else
 * several may run at once. outputs are valid until the request is released. Waiting for the
 * request ends after this has returned, so mly_request_wait, mly_engine_infer and mly_engine_drain
 * are not for here; mly_request_outputs, mly_request_times and mly_request_release are. user is what
 * was submitted.
 */
typedef void (*mly_done_fn)(mly_request *request, enum mly_status status, void *user);

/*
 * Submits one batch. inputs[input_count] in the model's order: the structs are copied, their data
 * stay borrowed until the request is done. outputs may be NULL (motley provides the memory) or
 * outputs[output_count], the structs copied: where data is set, results are written there, and the
 * memory stays borrowed until the request is done; where it is NULL motley provides it. done may be
 * NULL. *out is the caller's (mly_request_release) and is set before done can be called; out may be
 * NULL with done set: then the request releases itself after done returns. With `wait` true blocks
 * while the queue is full.
 * Shapes: input i has the type and rank of mly_model_input(model, i) and its fixed dimensions;
 * symbolic dimensions of one name have one size; the batch is at least 1.
 * Errors: MLY_E_MISMATCH (type or shape; names the input), MLY_E_UNSUPPORTED (strings),
 * MLY_E_INVALID (neither out nor done), MLY_E_BUSY (queue full and wait false), MLY_E_NO_MEMORY,
 * MLY_E_CLOSED. After an error nothing was submitted.
 * Cost: microseconds; no tensor is copied here.
 */
MLY_API enum mly_status mly_engine_submit(mly_engine *engine, const struct mly_tensor *inputs,
                                          size_t input_count, const struct mly_tensor *outputs,
                                          bool wait, mly_done_fn done, void *user,
                                          mly_request **out, struct mly_error *err) MLY_MUST_CHECK;
/* Zeroed is what most want: do not wait, usual priority, no deadline. */
struct mly_submit_options {
    bool wait;        /* block while the queue is full */
    mly_done_fn done; /* may be NULL */
    void *user;       /* for done */
    int32_t priority; /* of the requests of one engine those of higher priority go first */
    /*
     * ns from the call on, waiting for a place in the queue included; 0: none. A request that is
     * late is not begun any more, nor are its further segments: it ends with MLY_E_DEADLINE, at the
     * deadline if none of its segments is on a processor then.
     */
    int64_t deadline_ns;
    bool late_last; /* a late request is not dropped, but runs when nothing else waits */
};
/*
 * As mly_engine_submit, with more to choose. options (borrowed for the call) may be NULL.
 * Errors: those of mly_engine_submit; MLY_E_INVALID for a negative deadline.
 */
MLY_API enum mly_status mly_engine_submit_with(mly_engine *engine, const struct mly_tensor *inputs,
                                               size_t input_count, const struct mly_tensor *outputs,
                                               const struct mly_submit_options *options,
                                               mly_request **out,
                                               struct mly_error *err) MLY_MUST_CHECK;
/*
 * Blocks until done; returns the request's status and its message. May be called again.
 * Errors: that of the segment that failed (its name and processor are in the message), after it
 * was tried on a second processor where there is one; MLY_E_DEADLINE; MLY_E_CANCELLED.
 */
MLY_API enum mly_status mly_request_wait(mly_request *request,
                                         struct mly_error *err) MLY_MUST_CHECK;
/*
 * A queued request ends with MLY_E_CANCELLED at once, a running one as soon as the back end can
 * stop (at the latest when its running segments end); done ones stay as they are.
 */
MLY_API void mly_request_cancel(mly_request *request);
/*
 * Outputs in the model's order, and into *count (may be NULL) how many. Borrowed until release;
 * NULL and 0 before it is done or if it failed.
 */
MLY_API const struct mly_tensor *mly_request_outputs(const mly_request *request, size_t *count);
/*
 * Times of a done request in ns: waiting (none of its segments ran), executing (the sum over all
 * segments, which may overlap), and from submission to `done`. Each pointer may be NULL.
 */
MLY_API void mly_request_times(const mly_request *request, int64_t *queue_ns, int64_t *execute_ns,
                               int64_t *total_ns);
/*
 * Gives a request back; it may go on running. Its outputs are freed once it is done. Exactly once
 * per request that mly_engine_submit gave out, also after the engine was destroyed. NULL is fine.
 */
MLY_API void mly_request_release(mly_request *request);

/*
 * Submits, waits, and copies the outputs out. inputs as in mly_engine_submit, borrowed for the
 * call. outputs[output_count] zeroed, or with data set; the caller frees them with mly_tensor_fini.
 * Waits while the queue is full.
 * Errors: those of mly_engine_submit (but MLY_E_BUSY) and mly_request_wait; MLY_E_MISMATCH if
 * output_count is not the model's. outputs then own nothing new.
 * Cost: that of mly_engine_submit, and one copy of each output whose memory motley provides.
 */
MLY_API enum mly_status mly_engine_infer(mly_engine *engine, const struct mly_tensor *inputs,
                                         size_t input_count, struct mly_tensor *outputs,
                                         size_t output_count, struct mly_error *err) MLY_MUST_CHECK;

/* One processor since the engine was created. */
struct mly_processor_stats {
    char id[64];              /* as in the plan: "cpu:0-3" */
    uint64_t tasks, failures; /* segments run; of these, failed (not cancelled) */
    int64_t busy_ns;          /* in sessions */
    /*
     * Of a modelled processor; else 0: tasks that took longer than is modelled, as this box's CPU
     * computed their results; and the energy of all its tasks by its model, above idle.
     */
    uint64_t slowed;
    double modelled_energy_j;
    bool set_aside;   /* failed too often: it gets no work for a while */
    int64_t retry_ns; /* then: ns until it is tried again */
};
/* An engine at one moment. */
struct mly_engine_stats {
    uint64_t submitted, completed, failed, cancelled; /* batches since it was created */
    uint64_t late;            /* of the failed ones: dropped at their deadlines */
    uint64_t retried;         /* segments that a processor failed and another one was given */
    uint32_t queued, running; /* batches that wait; that have a segment on a processor */
    int64_t open_ns;          /* what creating the engine took */
    bool prepared_copy;       /* all sessions map shared prepared copies */
    /* Of a plan with a family (see mly_engine_create); else 1, 0, 1, 0, 0. */
    uint32_t plan_count, plan; /* ways of running; the one that new batches take, from 0 */
    uint32_t plans_open;       /* those whose sessions are open */
    uint64_t plan_changes;
    double arrivals_per_s;                     /* samples, over the last second or so */
    uint32_t processor_count;                  /* of `processors` */
    struct mly_processor_stats processors[64]; /* the first 64; mly_engine_get_processors has all */
};
/* Fills *out (the caller's). */
MLY_API void mly_engine_get_stats(mly_engine *engine, struct mly_engine_stats *out);
/*
 * Every processor that the engine's plan uses, in the plan's order (of a family: that one of its ways
 * uses, open or not). Fills as many of out[room] (the caller's) as there are; returns how many there
 * are in all. out may be NULL with room 0.
 */
MLY_API uint32_t mly_engine_get_processors(mly_engine *engine, struct mly_processor_stats *out,
                                           uint32_t room);

MLY_END_DECLS

#endif

/*
 * Back ends: inference runtimes behind one small table of functions. The table names what a back end must do;
 * optional slots are NULL where it cannot. All members pass tests/contract/test_backend_contract.c.
 */
#ifndef MLY_BACKEND_BACKEND_H
#define MLY_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/device.h>
#include <motley/model.h>
#include <motley/tensor.h>

#include "model/segment.h"

struct mly_backend;
typedef struct mly_session
    mly_session; /* a segment opened on a processor; each back end has its own struct behind it */

/* Where and how a session runs. */
struct mly_session_options {
    const struct mly_processor
        *processor;   /* borrowed for the session's life is NOT needed: copied */
    uint32_t threads; /* 1…processor->cpu_count; 0 means cpu_count */
    bool spin;        /* worker threads of the runtime spin between nodes */
    bool
        pin; /* pin the runtime's own threads to cpus[1…]; the caller of run pins itself to cpus[0] */
    /*
     * Baseline: open the file as the runtime would by itself; the rest is ignored. By itself it
     * takes all cores of the box: where the processor is only some of them, it is given as many
     * threads as those, on those. No processor: the whole box.
     */
    bool runtime_defaults;
    bool no_prepared_copy; /* the plain way: optimise and pack in memory for this session alone */
    bool profile_nodes;    /* record per-node times (slower) */
    enum mly_results results; /* of modelled processors */
};

struct mly_session_port {
    const char *name;
    enum mly_dtype dtype;
    struct mly_shape shape; /* -1 where not fixed */
};

struct mly_session_info {
    const struct mly_session_port *inputs, *outputs;
    uint32_t input_count, output_count;
    bool prepared_copy; /* opened from the shared prepared copy */
    int64_t open_ns;    /* what opening took */
    /*
     * Of a modelled processor, growing with its runs; else 0: runs that took longer than is modelled,
     * as the CPU computed their results; and energy above idle. Only for who runs the session.
     */
    uint64_t slowed;
    double modelled_energy_j;
};

/* A part of a run in which tensors were on their way between the host's memory and the processor's. */
struct mly_session_copy {
    bool out;          /* back to the host */
    int64_t offset_ns; /* since the run was asked for */
    int64_t ns;
    uint64_t bytes;
};
#define MLY_SESSION_COPIES_MAX 2u

/* One node of the runtime's (fused) graph as it ran. */
struct mly_node_time {
    const char *name; /* the runtime's name */
    const char *op_type;
    const char *const
        *outputs; /* names of its output tensors: those that exist in the original map it back */
    uint32_t output_count;
    double median_ns, p10_ns, p90_ns;
    uint32_t samples;
};
struct mly_node_times {
    struct mly_node_time *items;
    uint32_t count;
    double overhead_ns; /* whole run less the sum of its nodes */
    void *arena;        /* memory behind the names */
};
void mly_node_times_fini(struct mly_node_times *times);

struct mly_backend_ops {
    const char *name; /* "ort" */
    const char *description;

    /* Usable here? MLY_OK, or MLY_E_ABSENT with the reason; version (borrowed, static) names the runtime's version. Never fails the program. */
    enum mly_status (*probe)(const char **version, struct mly_error *err);
    /* True if it can drive processors of this kind ("cpu"). */
    bool (*drives)(const char *processor_kind);
    /*
     * Opens a segment. The segment and model stay borrowed until close. Errors: MLY_E_UNSUPPORTED (an operator, with the node's
     * name), MLY_E_BACKEND (its own message), MLY_E_NO_MEMORY, MLY_E_ABSENT.
     */
    enum mly_status (*open)(const mly_model *model, const struct mly_segment *segment,
                            const struct mly_session_options *options, mly_session **out,
                            struct mly_error *err);
    /*
     * Runs once, on the calling thread and the session's own threads. inputs[input_count] are borrowed for the
     * call, dense, in the session's order; types and ranks are checked (MLY_E_MISMATCH names the input).
     * outputs[output_count]: with data set, the result is written there without a copy (MLY_E_MISMATCH
     * if type, shape or size differ; dims of -1 in outputs[i].shape take the result's); with data NULL the back end provides memory and sets release/owner
     * (release may be called by any thread).
     * A modelled processor may take and give tensors that are declared absent (mly_tensor_is_absent); MLY_E_ABSENT where the caller has set data.
     * Not thread-safe per session; different sessions run at once.
     */
    enum mly_status (*run)(mly_session *session, const struct mly_tensor *inputs,
                           struct mly_tensor *outputs, struct mly_error *err);
    void (*close)(mly_session *session);
    const struct mly_session_info *(*info)(const mly_session *session);

    /* Optional. */
    /* Asks a run in progress (from another thread) to stop soon; that run returns MLY_E_CANCELLED. While none is, it does
     * nothing: the next run is not affected. */
    void (*cancel)(mly_session *session);
    /*
     * What the last run copied, in order: fills copies[MLY_SESSION_COPIES_MAX], returns how many. On the thread of that
     * run, after it succeeded. Back ends that work in the host's memory have none.
     */
    uint32_t (*copies)(const mly_session *session, struct mly_session_copy *copies);
    /* Per-node times since open; the session must have been opened with profile_nodes; ends profiling. */
    enum mly_status (*node_times)(mly_session *session, struct mly_node_times *out,
                                  struct mly_error *err);
    /*
     * Asks the runtime for types and shapes of all tensors and adds them to the model (mly_model_add_shapes); nothing is run.
     * bindings give sizes to symbolic dimensions, which then are those of the model for good: mostly there are none. A model that the
     * runtime refuses: MLY_E_UNSUPPORTED (an operator, with the node's name), MLY_E_BACKEND. Takes milliseconds.
     */
    enum mly_status (*infer_shapes)(mly_model *model, const struct mly_dim_binding *bindings,
                                    size_t binding_count, struct mly_error *err);
};

/* Registry: index from 0; NULL past the end. */
const struct mly_backend_ops *mly_backend_at(size_t index);
const struct mly_backend_ops *mly_backend_find(const char *name);
/* The first registered usable back end that drives the processor's kind; MLY_E_ABSENT with all reasons. */
enum mly_status mly_backend_for(const struct mly_processor *processor,
                                const struct mly_backend_ops **out,
                                struct mly_error *err) MLY_MUST_CHECK;
/* Tests add members (a failing one); not thread-safe; returns MLY_E_LIMIT when full. */
enum mly_status mly_backend_register(const struct mly_backend_ops *ops) MLY_MUST_CHECK;

#endif

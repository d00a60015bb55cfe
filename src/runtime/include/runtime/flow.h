/*
 * A flow: a plan made ready to execute. Tensors that go in, come out or pass from segment to
 * segment are numbered slots, so that an executor needs neither names nor graph: outputs of the
 * model first, then its inputs, then what passes between segments.
 */
#ifndef MLY_RUNTIME_FLOW_H
#define MLY_RUNTIME_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/model.h>
#include <motley/plan.h>

#include "backend/backend.h"
#include "model/segment.h"

struct mly_flow_processor {
    const struct mly_backend_ops *ops; /* borrowed: back ends are never unregistered */
    struct mly_session_options
        session;                 /* how its sessions are opened; processor points at `device` */
    struct mly_processor device; /* its cpus are owned by the flow */
    uint32_t
        seat_count; /* its worker stays on the first so many of its cpus; 0: on any of the box */
    int32_t
        node; /* NUMA node of the host's memory that its results lie in; -1: none in particular */
};

/*
 * One direction of a processor's way to host memory, or between two parts of that, for what its back end
 * does not count in the time of its runs; zeroed: nothing has to be moved.
 */
struct mly_flow_link {
    double latency_ns;
    double bytes_per_s;
};

/* What a segment is expected to take. */
struct mly_flow_cost {
    uint32_t processor;
    uint32_t batch; /* samples; 0 where the model fixes them */
    int64_t ns;
};

struct mly_flow_segment {
    char *name;
    struct mly_segment cut; /* what sessions open */
    uint32_t *inputs; /* graph tensors until mly_flow_link, then slots; in the session's order */
    uint32_t input_count;
    uint32_t *outputs;
    uint32_t output_count;
    uint32_t *processors;
    uint32_t processor_count;
    /*
     * [processor_count]: each computes so many parts of every batch, by proportion; NULL: whole
     * batches. Only in a flow of one segment.
     */
    uint32_t *shares;
    struct mly_flow_cost *costs; /* [cost_count]: what is expected at first; others are learnt */
    uint32_t cost_count;
    /* Shapes for warming: [ladder_count][input_count]; NULL: unknown, do not warm. */
    struct mly_shape *warm_shapes;
    enum mly_dtype *warm_dtypes; /* [input_count]; NULL with warm_shapes */
};

struct mly_flow_slot {
    uint32_t tensor;     /* of the graph */
    uint32_t producer;   /* segment; MLY_NO_INDEX for inputs of the model */
    uint32_t *consumers; /* segments that read it, ascending, each once */
    uint32_t consumer_count;
    double bytes; /* for the plan's batch, where something has to be moved; 0: unknown */
};

struct mly_flow {
    const mly_model *model; /* borrowed; NULL in tests whose back end wants none */
    /* Ports are borrowed from the model; the tensors are the graph's numbers for them. */
    const struct mly_port **inputs, **outputs;
    uint32_t *input_tensors, *output_tensors;
    uint32_t input_count, output_count;
    bool free_batch; /* any batch from 1 on; else the ports fix it */
    struct mly_flow_processor *processors;
    uint32_t processor_count;
    /* [processor_count][2]: to the processor, and back; NULL: all share the host's memory. */
    struct mly_flow_link (*links)[2];
    struct mly_flow_link interconnect; /* between processors of unlike nodes */
    struct mly_flow_segment *segments; /* in topological order */
    uint32_t segment_count;
    uint32_t *ladder; /* batch sizes to warm */
    uint32_t ladder_count;
    /* Set by mly_flow_link. */
    struct mly_flow_slot *slots;
    uint32_t slot_count;
    uint32_t *consumers;              /* behind all slots' lists */
    uint32_t max_inputs, max_outputs; /* of any segment */
};

/*
 * Makes the flow of a plan that mly_plan_check has accepted. model is borrowed until fini, plan
 * only for the call.
 * Errors: those of mly_segment_extract; MLY_E_NOT_FOUND for an unknown back end, MLY_E_ABSENT for
 * one that is not usable here; those of mly_flow_link.
 */
enum mly_status mly_flow_init(const mly_model *model, const mly_plan *plan, bool no_prepared_copy,
                              struct mly_flow *out, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Numbers the slots of a flow that is filled in up to them. MLY_E_INVALID if a segment reads what
 * no earlier one makes, or two make the same; MLY_E_UNSUPPORTED if an output of the model comes
 * straight from an input or a constant; MLY_E_NO_MEMORY. On failure the flow must still be
 * finished with mly_flow_fini.
 */
enum mly_status mly_flow_link(struct mly_flow *flow, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Says what moving tensors between the processors of a flow costs besides their runs, for batches of
 * `batch` samples: see flow_links.c. plan and machine (NULL: nothing is known) are borrowed for the call.
 * MLY_E_NO_MEMORY; the flow stays whole.
 */
enum mly_status mly_flow_find_links(struct mly_flow *flow, const mly_plan *plan,
                                    const mly_machine *machine, uint32_t batch,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* Frees what the flow owns; zeroed and half-filled ones are fine. */
void mly_flow_fini(struct mly_flow *flow);

/*
 * Are these tensors what the model takes (or outputs: what it gives)? MLY_E_MISMATCH names the
 * port, what it wants and what it got: count, type, rank, fixed dimensions, sizes in bytes,
 * dimensions that share a name, a batch of at least 1. Thread-safe.
 */
enum mly_status mly_flow_check_inputs(const struct mly_flow *flow, const struct mly_tensor *inputs,
                                      size_t count, struct mly_error *err) MLY_MUST_CHECK;
/*
 * The same for memory that a caller provides for outputs; tensors without data pass, unknown
 * dimensions too.
 */
enum mly_status mly_flow_check_outputs(const struct mly_flow *flow,
                                       const struct mly_tensor *outputs,
                                       struct mly_error *err) MLY_MUST_CHECK;

/* Does moving tensors cost anything? */
static inline bool mly_flow_moves(const struct mly_flow *flow)
{
    return flow->links || flow->interconnect.bytes_per_s > 0;
}

static inline bool mly_flow_is_between(const struct mly_flow *flow, uint32_t slot)
{
    return slot >= flow->output_count + flow->input_count;
}

#endif

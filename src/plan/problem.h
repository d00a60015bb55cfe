/*
 * The planning problem that planners of several segments work on: what may be cut apart, what crosses
 * where it is cut, on what kinds of processors it may run, and what a segment costs there.
 *
 *   units       groups of nodes that stay together (model/cut.h), in topological order: every crossing
 *               goes from a smaller to a larger unit, so every downset of units is a possible first
 *               part, and a range of units is convex. Constants and what nobody needs are in some unit,
 *               but cross nothing.
 *   crossings   tensors that pass between units, come in or go out, with their bytes at this batch
 *   classes     processors that are alike, with their number
 *   builder     a set of units on one class that grows and shrinks, and its cost at every moment
 *   layout      what a planner finds: parts in order, and how many processors of each class run each
 *
 * A problem is for one batch size. It borrows the request and all that belongs to it.
 */
#ifndef MLY_PLAN_PROBLEM_H
#define MLY_PLAN_PROBLEM_H

#include <math.h>

#include "cost/modelled.h"
#include "internal.h"
#include "model/cut.h"

#define MLY__CLASSES_MAX 16u /* unlike kinds of processors in one request */

/* A group of nodes that is never cut. */
struct mly__unit {
    const uint32_t *nodes; /* ascending; never empty */
    uint32_t node_count;
    const uint32_t
        *inputs; /* crossings that it reads, each once; those of the model's inputs too */
    uint32_t input_count;
    const uint32_t *outputs; /* crossings that it makes */
    uint32_t output_count;
    double macs;
    uint64_t
        key[2]; /* of its nodes: that of a set of units is the exclusive or of theirs (desk.h) */
};

/* A tensor that passes between units, or comes from or goes to the host. */
struct mly__crossing {
    uint32_t tensor;
    uint32_t producer;         /* unit; MLY_NO_INDEX: an input of the model */
    const uint32_t *consumers; /* units, ascending, each once; the producer is not among them */
    uint32_t consumer_count;
    double bytes; /* at this batch; 0 where unknown */
    double elements;
    bool goes_to_host; /* an output of the model */
};

/* Processors that are run alike. */
struct mly__class {
    char name[64]; /* "edgetpu-pcie", "cpu x 2 threads" */
    char kind[32];
    char backend[16];
    uint32_t count;             /* processors of it that a plan may use */
    const uint32_t *processors; /* [count] indices into problem->processors */
    bool modelled;
    const struct mly_device_model *device; /* NULL: measured */
    struct mly_cost_config config; /* under which costs are measured; not for modelled ones */
    double segment_ns;             /* what every run of a segment takes besides its nodes */
    double memory_bytes;           /* of one processor's memory space; 0: unlimited or the host's */
    bool in_host_memory;           /* nothing is copied to or from it */
    bool exclusive; /* one segment on each processor: it keeps that one's weights on its chip */
    /*
     * Copies run beside computing: a stage is as slow as the slowest of input, execution and output.
     * Otherwise their sum.
     */
    bool overlaps;
    bool counts_elements; /* a byte crosses for every element, whatever its type */
    struct mly_device_link to_device, to_host;
    double idle_w, active_w; /* 0 unknown */
};

/* What a unit adds to a segment on a class. */
struct mly__load {
    double time_ns;          /* infinite: the class cannot compute it */
    double spread_ns;        /* p90 - p10 */
    double weight_bytes;     /* as the class stores them */
    double activation_bytes; /* most that live at once within it */
    double cache_ns;         /* more in a segment that is too large for a cache */
    /* Where a chip keeps weights: */
    double forced_ns;  /* more in every segment: of weights that no empty chip holds */
    double kept_bytes; /* weights but those: what does not find room is streamed */
};

/* A segment's cost on one processor, for one batch. */
struct mly__segment_cost {
    double
        execution_ns; /* inputs there, outputs left there; infinite: cannot be computed or held */
    double spread_ns; /* of execution_ns */
    double input_ns, output_ns; /* copies, each tensor once */
    double input_bytes, output_bytes;
    double weight_bytes, on_chip_bytes, off_chip_bytes;
    double activation_bytes;
    double energy_j; /* above idle; 0 where unknown */
    bool modelled;   /* else from measurements */
    bool measured;   /* of just this segment, not the sum of its nodes */
};

struct mly__problem {
    const struct mly_plan_request *request;
    const mly_model *model;
    const struct mly_graph *graph;
    uint32_t batch;
    struct mly_shape *shapes; /* by tensor */

    struct mly__unit *units;
    uint32_t unit_count;
    uint32_t *unit_of_node;
    struct mly__crossing *crossings;
    uint32_t crossing_count;

    struct mly_plan_processor *processors; /* all that a plan may use, as it would list them */
    uint32_t processor_count;
    struct mly__class *classes;
    uint32_t class_count;
    struct mly__load *loads; /* [class * unit_count + unit] */

    struct mly__problem_private *hidden;
};

enum mly__units {
    MLY__UNITS_FUSED, /* what a runtime computes as one stays together */
    MLY__UNITS_NODES  /* every node by itself (but what cannot be cut): for evaluating any plan */
};

/*
 * Makes the problem of a request for that batch size. Errors: MLY_E_NOT_FOUND when costs of nodes on a
 * processor that is not modelled are missing (says how to measure them); MLY_E_INVALID for a batch that
 * the model does not take or no processor; MLY_E_UNSUPPORTED when a unit runs on none of the classes
 * (names the node, and each class's reason); MLY_E_LIMIT for more than MLY__CLASSES_MAX classes;
 * MLY_E_NO_MEMORY. O(nodes + edges).
 */
enum mly_status mly__problem_create(const struct mly_plan_request *request, uint32_t batch,
                                    enum mly__units units, struct mly__problem **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__problem_destroy(struct mly__problem *problem);

/*
 * The same problem with coarser units: chains of units (each the only successor of one whose only
 * predecessor it is) become one where that loses no cut that leaves the graph in two parts
 * (keep_bridges), or everywhere. Classes and request are shared; *out is destroyed before `problem`.
 */
enum mly_status mly__problem_contract(const struct mly__problem *problem, bool keep_bridges,
                                      struct mly__problem **out,
                                      struct mly_error *err) MLY_MUST_CHECK;
/* The same problem with the given units united: group_of_unit[] from 0, in topological order. */
enum mly_status mly__problem_coarsen(const struct mly__problem *problem,
                                     const uint32_t *group_of_unit, uint32_t group_count,
                                     struct mly__problem **out,
                                     struct mly_error *err) MLY_MUST_CHECK;

static inline const struct mly__load *mly__load_of(const struct mly__problem *problem,
                                                   uint32_t class_index, uint32_t unit)
{
    return &problem->loads[(size_t)class_index * problem->unit_count + unit];
}

/*
 * The cost of a convex set of units (any order, borrowed) on a class, as mly_plan_evaluate counts it:
 * modelled kinds by their device's rules; others as measured, when just this segment was, else from the
 * times of nodes. A segment that the class cannot compute or hold is MLY_OK with infinite execution_ns,
 * and reason[size] (may be NULL) says why, with the node's name. O(nodes of the set).
 */
enum mly_status mly__problem_cost(const struct mly__problem *problem, uint32_t class_index,
                                  const uint32_t *units, uint32_t count,
                                  struct mly__segment_cost *out, char *reason, size_t reason_bytes,
                                  struct mly_error *err) MLY_MUST_CHECK;

/*
 * --- stages: what costs make of a pipeline ---
 */

/* Time of one copy over a link. */
static inline double mly__link_ns(const struct mly_device_link *link, double bytes)
{
    return bytes > 0 ? mly_device_link_ns(link, bytes) : 0;
}
/* What a crossing weighs on the way to or from a class. */
static inline double mly__crossing_bytes(const struct mly__crossing *crossing,
                                         const struct mly__class *class)
{
    return class->counts_elements ? crossing->elements : crossing->bytes;
}
/* How long one processor is taken by one batch. */
static inline double mly__stage_period_ns(const struct mly__class *class,
                                          const struct mly__segment_cost *cost)
{
    return class->overlaps ? fmax(cost->execution_ns, fmax(cost->input_ns, cost->output_ns))
                           : cost->input_ns + cost->execution_ns + cost->output_ns;
}
/* From inputs on the host to outputs on the host. */
static inline double mly__stage_latency_ns(const struct mly__segment_cost *cost)
{
    return cost->input_ns + cost->execution_ns + cost->output_ns;
}

/*
 * --- builder: a set of units on one class ---
 *
 * add and remove are O(degree of the unit), cost is O(1), or O(units) where weights do not all fit on a
 * chip. The same numbers as mly__problem_cost but for rounding, and but for segments that were measured
 * themselves. Units may be added in any order; whether the set is convex is the caller's business.
 */
struct mly__part_builder {
    const struct mly__problem *problem;
    const struct mly__class *class;
    uint32_t class_index;
    uint32_t unit_count; /* in the set */
    bool *has;           /* by unit */
    uint32_t *inside;    /* by crossing: how many of its consumers are in the set */
    uint32_t refused;    /* units of the set that the class cannot compute */
    uint64_t key[2];     /* of its units */
    double input_bytes, output_bytes;
    struct mly__load sum; /* activation_bytes: the largest of those added since the set was empty */
};

enum mly_status mly__part_builder_init(struct mly__part_builder *builder,
                                       const struct mly__problem *problem, uint32_t class_index,
                                       struct mly_error *err) MLY_MUST_CHECK;
void mly__part_builder_fini(struct mly__part_builder *builder);
/* Empties it, for another class too. O(units + crossings). */
void mly__part_builder_reset(struct mly__part_builder *builder, uint32_t class_index);
void mly__part_builder_add(struct mly__part_builder *builder, uint32_t unit);
void mly__part_builder_remove(struct mly__part_builder *builder, uint32_t unit);
void mly__part_builder_cost(const struct mly__part_builder *builder, struct mly__segment_cost *out);

/* What a builder knows of its set, for those who keep their own sums. */
struct mly__parts {
    struct mly__load sum;
    bool refused;    /* a unit of it cannot be computed */
    uint64_t key[2]; /* of its units */
    double input_bytes, output_bytes;
    double limit_ns; /* slower sets are of no interest: their time may be infinite; 0: no limit */
    bool (*has)(const void *user, uint32_t unit); /* is the unit in the set? */
    const void *user;
};
/* Only where weights may not fit on a chip, or activations in memory, are units looked at: O(units). */
void mly__parts_cost(const struct mly__problem *problem, uint32_t class_index,
                     const struct mly__parts *parts, struct mly__segment_cost *out);

/*
 * --- layouts: what planners find ---
 */

struct mly__layout {
    uint32_t *part_of_unit; /* parts in topological order: no crossing goes to a smaller part */
    uint32_t part_count;
    uint32_t (*replicas)[MLY__CLASSES_MAX]; /* by part and class: processors that run it */
    /*
     * Parts may share processors of classes that are not exclusive (`shared`): then replicas are how
     * many of the class's processors, from `first` on, hold it. Otherwise every processor has one part,
     * and counts add up to no more than there are.
     */
    bool shared;
    uint32_t *first; /* by part; of classes that are exclusive it says nothing */
    char note[288];  /* how just this one was come by, as a clause; "" for nothing */
};
enum mly_status mly__layout_init(struct mly__layout *layout, const struct mly__problem *problem,
                                 uint32_t part_count, struct mly_error *err) MLY_MUST_CHECK;
void mly__layout_fini(struct mly__layout *layout);
/*
 * A layout of a contracted problem as one of the problem that it was contracted from. Takes nothing.
 */
enum mly_status mly__layout_refine(const struct mly__layout *layout,
                                   const struct mly__problem *coarse,
                                   const struct mly__problem *fine, struct mly__layout *out,
                                   struct mly_error *err) MLY_MUST_CHECK;

/* What a layout gives, by the builder's costs. */
struct mly__layout_value {
    double bottleneck_ns; /* period of the slowest stage, per batch; infinite: does not run */
    double latency_ns;    /* of one batch alone: parts side by side where they may */
    double sum_ns;        /* of all parts, one after the other */
    double energy_j;
    double spread_ns;      /* of latency_ns */
    double crossing_bytes; /* copied between host and processors, per batch */
};
enum mly_status mly__layout_value(const struct mly__problem *problem,
                                  const struct mly__layout *layout, struct mly__layout_value *out,
                                  struct mly_error *err) MLY_MUST_CHECK;

/*
 * The layout as a plan of that planner: processors that no part uses are left out, equal consecutive
 * parts become one segment; prediction by mly_plan_evaluate. The plan has no candidates and no `why`
 * yet (mly__plan_add_candidate). *out is the caller's.
 */
enum mly_status mly__layout_plan(const struct mly__problem *problem,
                                 const struct mly__layout *layout, const char *planner,
                                 mly_plan **out, struct mly_error *err) MLY_MUST_CHECK;
/* Appends a candidate; description is copied. */
enum mly_status mly__plan_add_candidate(mly_plan *plan, const char *description,
                                        const char *planner,
                                        const struct mly_prediction *prediction, bool chosen,
                                        struct mly_error *err) MLY_MUST_CHECK;

/*
 * Lists the whole model under the runtime's defaults among the candidates, which are sorted, best first;
 * nothing where that was not measured with the plan's batch.
 */
enum mly_status mly__plan_add_baseline(const struct mly_plan_request *request, const char *planner,
                                       mly_plan *plan, struct mly_error *err) MLY_MUST_CHECK;

/*
 * --- the frame of planners of several segments ---
 */

#define MLY__FOUND_MAX 32u

/* What a planner found in one problem. */
struct mly__found {
    struct mly__layout layouts[MLY__FOUND_MAX]; /* owned; in any order */
    uint32_t count;
    char note
        [320]; /* of the search, whatever wins: what was given up, as a clause; "" for nothing */
    /* No pipeline (one segment on each processor) has a shorter bottleneck; 0: not known. */
    double bottleneck_ns;
    /* No row of segments, one after the other, is done sooner; 0: not known. */
    double row_ns;
    char bound_by[96]; /* what says so */
};
/* Adds a copy of the layout, unless an equal one is there or there are too many. */
enum mly_status mly__found_add(struct mly__found *found, const struct mly__problem *problem,
                               const struct mly__layout *layout,
                               struct mly_error *err) MLY_MUST_CHECK;
void mly__found_fini(struct mly__found *found);
/* Adds all that was found in a coarser problem, as layouts of this one. */
enum mly_status mly__found_add_refined(struct mly__found *found, const struct mly__found *from,
                                       const struct mly__problem *coarse,
                                       const struct mly__problem *problem,
                                       struct mly_error *err) MLY_MUST_CHECK;
/* The least of each value over all that was found, each of another layout if need be; infinite for nothing. */
enum mly_status mly__found_least(const struct mly__problem *problem, const struct mly__found *found,
                                 struct mly__layout_value *least,
                                 struct mly_error *err) MLY_MUST_CHECK;
/*
 * Finds layouts for the problem's request (objective, segments_max). MLY_E_LIMIT when the problem is
 * too large for it, MLY_E_UNSUPPORTED when it is not made for it.
 */
typedef enum mly_status mly__find(const struct mly__problem *problem, struct mly__found *found,
                                  struct mly_error *err);
/*
 * What a planner's `make` does: problems for every batch size that fits the request, `find` in each,
 * and the whole model on each kind of processor and on all, as plans; the best wins by the rule of
 * choose.c. What bounds say of the one that wins goes to its note, with the notes of its layout and of
 * the search.
 */
enum mly_status mly__plan_by(const struct mly_plan_request *request, const char *planner,
                             mly__find *find, mly_plan **out, struct mly_error *err) MLY_MUST_CHECK;

/* Batch sizes that fit a request, ascending; returns how many. */
#define MLY__BATCHES_MAX 6
uint32_t mly__plan_batches(const struct mly_plan_request *request,
                           uint32_t batches[MLY__BATCHES_MAX]);
/* What may keep one batch size from being planned without keeping the others. */
bool mly__plan_may_pass_over(enum mly_status status);

/*
 * --- what no plan can beat ---
 */

/*
 * Lower bounds over all plans of the problem, of whatever planner: every batch's units are computed
 * somewhere, by whole or by parts (a fractional assignment, bounded by its dual), weights are kept where
 * there is room for them or streamed, every batch starts at least one segment, inputs and outputs cross
 * once; nothing else is counted.
 */
struct mly__bounds {
    double bottleneck_ns;
    const char *bottleneck_by; /* what it is the time of; static text */
    double latency_ns;
    /*
     * For parts of the problem: units U on r[c] processors of each class c take, per batch, at least
     * sum over U of (min over c of weight[c] * time of the unit on c) / sum over c of weight[c] * r[c].
     */
    double weight[MLY__CLASSES_MAX];
};
enum mly_status mly__problem_bounds(const struct mly__problem *problem, struct mly__bounds *out,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif

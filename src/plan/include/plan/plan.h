/* The plan as planners make it and executors read it. */
#ifndef MLY_PLAN_PLAN_H
#define MLY_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/plan.h>

#include "cost/sizes.h"
#include "cost/table.h"
#include "model/graph.h"

/* A processor as the plan uses it. */
struct mly_plan_processor {
    char id[64]; /* "cpu:0-3" */
    char kind[32];
    char backend[16]; /* "ort" */
    uint32_t *cpus;   /* logical CPUs, one per thread; empty for other kinds */
    uint32_t cpu_count;
    uint32_t threads; /* at most cpu_count */
    bool spin;
    bool pin;
    bool runtime_defaults; /* let the runtime choose everything (the baseline) */
};

/* What is known of the time that a segment takes. */
enum mly_plan_basis {
    MLY_PLAN_MEASURED,  /* just this segment was */
    MLY_PLAN_ESTIMATED, /* from measurements of its nodes or of other batches */
    MLY_PLAN_MODELLED,  /* from a device file */
    MLY_PLAN_BASIS_COUNT
};

/* What one batch of a segment is predicted to take on a processor, from inputs to outputs in the host's memory. */
struct mly_plan_time {
    uint32_t processor; /* one of the segment's */
    uint32_t batch;     /* samples */
    double ns;
    enum mly_plan_basis basis;
};

struct mly_plan_segment {
    char *name;      /* "s0" */
    uint32_t *nodes; /* ascending node indices; NULL with node_count 0 means all nodes */
    uint32_t node_count;
    uint32_t *processors; /* indices into processors, ascending: a session on each (replicas) */
    uint32_t processor_count;
    /*
     * By processor: samples of every batch that it computes, side by side with the others; they sum to
     * the batch, and the outputs are put together. NULL: whole batches go to any of the processors.
     */
    uint32_t *shares;
    struct mly_plan_time *times; /* ascending by processor, then batch; NULL: not known */
    uint32_t time_count;
};

struct mly_prediction {
    bool known;
    bool measured;           /* from measurements of just this configuration; else estimated */
    bool modelled;           /* contains times of modelled processors */
    bool cut;                /* of segments, not of the whole model; not kept in files */
    double throughput_per_s; /* samples */
    double latency_ns;       /* median of one batch */
    double spread;           /* relative, of the throughput */
    double memory_bytes;     /* weights once, plus private memory per session */
    double energy_j; /* of one sample, idle power of the processors used included; 0 unknown */
    double
        loaded_latency_ns; /* mean, with the rate that was asked for; 0: none was, infinite: too much */
};

/* What one segment of a plan gives by itself, for one batch on one of its processors. */
struct mly_stage {
    double execution_ns;        /* inputs there, outputs left there; mean over its processors */
    double input_ns, output_ns; /* copies from and to the host */
    double period_ns;           /* between batches, all its processors together */
    double input_bytes, output_bytes;
    double weight_bytes, on_chip_bytes, off_chip_bytes, activation_bytes; /* per processor */
    double energy_j;  /* of one batch, above idle; 0 unknown */
    double spread_ns; /* p90 - p10 of execution_ns */
    bool modelled;
    bool measured; /* just this segment was */
};

/* One alternative that a planner considered. */
struct mly_plan_candidate {
    char *description; /* "2 groups x 1 thread, batch 4, block" */
    char planner[16];
    struct mly_prediction prediction;
    bool chosen;
    bool baseline; /* whole model under the runtime's defaults */
};

/* A time that nothing of a kind can beat. */
struct mly_plan_least {
    double ns;   /* 0: not known */
    char by[96]; /* what says so */
};

/*
 * A way of running the plan's model on its processors that is best up to a rate of arrivals.
 */
struct mly_plan_member {
    double max_rate_per_s; /* samples; of the last member what it can take at most */
    uint32_t batch;
    uint32_t *ladder; /* ascending; holds `batch` */
    uint32_t ladder_count;
    uint32_t in_flight;
    struct mly_plan_segment *segments; /* in topological order; processors are the plan's */
    uint32_t segment_count;
    struct mly_prediction prediction; /* loaded_latency_ns is that at max_rate_per_s, or 0 */
};

struct mly_plan {
    char *model_path;
    char model_name[128];
    char model_hash[65];
    bool keep_overridable; /* how the model has to be loaded */
    char host_id[65];
    char host_cpus[64]; /* the CPUs of the host that it was made for, as after -d; "": not known */
    char runtime[64];
    /* Sizes of symbolic dimensions that it is for, "height=480,width=640"; others count as 1. */
    char shapes[MLY_SIZES_BYTES];
    char planner[16];
    enum mly_objective objective;
    double rate_per_s; /* of arrivals that it is for; 0: none */
    uint32_t batch;    /* samples per task */
    uint32_t *ladder;  /* batch sizes to warm, ascending; holds `batch` */
    uint32_t ladder_count;
    uint32_t in_flight; /* batches in flight that keep every processor busy */
    struct mly_plan_processor *processors;
    uint32_t processor_count;
    struct mly_plan_segment *segments; /* in topological order */
    uint32_t segment_count;
    struct mly_plan_member *family; /* ascending by rate; NULL: there is one way only */
    uint32_t family_count;
    struct mly_prediction prediction;
    struct mly_plan_candidate *candidates; /* best first */
    uint32_t candidate_count;
    char *why;  /* a sentence: why this one won */
    char *note; /* how it was cut, and how far from the best it may be; NULL: nothing is known */
    /* What follows is not kept in files. */
    char *
        account; /* the note without that: what was cut or given up on the way to it; NULL: nothing */
    /*
     * No pipeline on the processors asked for, at the batch sizes that were tried, gives more samples per
     * second, and what says so; 0: not known.
     */
    double most_per_s;
    char most_by[96];
    /* For latency, and latency at a rate: no plan, and no row of segments, is done with a batch sooner. */
    struct mly_plan_least least, least_row;
    bool
        bounds_measured; /* these are by measured times of nodes, of which plans are only made up */
    /* What `auto` tried, in the order it did; not kept in files. */
    struct mly_plan_run *runs;
    uint32_t run_count;
};

/* One planner's turn in `auto`. */
struct mly_plan_run {
    char planner[16];
    bool made;
    int64_t elapsed_ns;
    struct mly_prediction prediction; /* if it made a plan */
    char *reason;                     /* why not, else what it made; owned */
};

/* New plan with everything empty, for model and machine identity; planners fill it in. */
enum mly_status mly_plan_create(const mly_model *model, const mly_machine *machine, mly_plan **out,
                                struct mly_error *err) MLY_MUST_CHECK;
/* Deep copy. */
enum mly_status mly_plan_dup(const mly_plan *plan, mly_plan **out,
                             struct mly_error *err) MLY_MUST_CHECK;
/*
 * Replaces the plan's segments by the parts of a cut (part_of_node[node_count], from 0), each of which
 * all processors run. The prediction is forgotten. On failure the plan may only be destroyed.
 */
enum mly_status mly_plan_recut(mly_plan *plan, uint32_t node_count, const uint32_t *part_of_node,
                               uint32_t part_count, struct mly_error *err) MLY_MUST_CHECK;
/* JSON text of a plan (owned by the caller, mly_free) and back. */
enum mly_status mly_plan_format(const mly_plan *plan, char **text, size_t *length,
                                struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_plan_parse(const char *name, const char *text, size_t length, mly_plan **out,
                               struct mly_error *err) MLY_MUST_CHECK;
/*
 * One line: "2 groups x 1 thread (cpu:0, cpu:1), batch 4, blocking". Owned by the caller
 * (mly_free).
 */
char *mly_plan_describe(const mly_plan *plan);
/*
 * A sentence: the bound that is known for the plan's objective, what it follows from, and how far the plan's
 * prediction is from it; the same distance as in `note`. "" where none is known, or where something that was looked at
 * beats it, being of another kind or measured. The caller's (mly_free), NULL when memory is short.
 */
char *mly_plan_bound_text(const mly_plan *plan);
const char *mly_objective_name(enum mly_objective objective);
/* MLY_E_INVALID names the word and the choices. */
enum mly_status mly_objective_parse(const char *word, enum mly_objective *out,
                                    struct mly_error *err) MLY_MUST_CHECK;

/*
 * Predicts from the cost table alone (no hardware): throughput, latency, memory. MLY_E_NOT_FOUND
 * when a cost is missing (names it).
 */
enum mly_status mly_plan_evaluate(const mly_plan *plan, const mly_model *model,
                                  const mly_cost_table *costs, struct mly_prediction *out,
                                  struct mly_error *err) MLY_MUST_CHECK;
/*
 * Notes in the plan's segments, those of its family too, what they take on their processors for their
 * batch, by the rules of mly_plan_evaluate; what was noted before is forgotten. Raises in_flight where batches are
 * short on cores and throughput is asked for, and where processors of one segment are so unlike that the slow ones
 * would not be given any. Where costs are not known, and where
 * batches are split, nothing is noted. MLY_E_NO_MEMORY, and what mly_modelled_create finds wrong with a device.
 */
enum mly_status mly_plan_note_times(mly_plan *plan, const mly_model *model,
                                    const mly_cost_table *costs,
                                    struct mly_error *err) MLY_MUST_CHECK;
const char *mly_plan_basis_name(enum mly_plan_basis basis);
/*
 * What each processor of each segment takes for what it computes of a batch (its share, where the batch is
 * split): times[] (caller's, one for every processor of every segment, in their order). Shares by the rules
 * of mly_plan_evaluate, whole batches as they are noted; ns is 0 where nothing is. Errors as mly_plan_evaluate.
 */
enum mly_status mly_plan_part_times(const mly_plan *plan, const mly_model *model,
                                    const mly_cost_table *costs, struct mly_plan_time *times,
                                    struct mly_error *err) MLY_MUST_CHECK;

/*
 * What mly_plan_evaluate saw in each segment: fills stages[plan->segment_count] (caller's). Same
 * errors. costs may be NULL where all processors are modelled.
 */
enum mly_status mly_plan_stages(const mly_plan *plan, const mly_model *model,
                                const mly_cost_table *costs, struct mly_stage *stages,
                                struct mly_error *err) MLY_MUST_CHECK;

/* The member of the plan's family for a rate of arrivals; MLY_NO_INDEX if it has no family. */
uint32_t mly_plan_member_at(const mly_plan *plan, double rate_per_s);
/*
 * A member as a plan of its own, without family: *out is the caller's. MLY_E_INVALID for an index out of
 * range; MLY_E_NO_MEMORY.
 */
enum mly_status mly_plan_take_member(const mly_plan *plan, uint32_t index, mly_plan **out,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* What every planner gets. All borrowed. */
struct mly_plan_request {
    const mly_model *model;
    const mly_machine *machine;
    const mly_cost_table *costs;
    enum mly_objective objective;
    uint32_t batch;            /* 0: choose among the measured ones */
    double memory_limit_bytes; /* 0: the machine's */
    uint32_t groups;           /* core groups the user fixed; 0: any number */
    /*
     * Processors that the plan may use, as mly_machine_select gives them; NULL: the box's CPU. With
     * modelled processors only, costs may be NULL.
     */
    const struct mly_processor_list *processors;
    uint32_t segments_max; /* 0: any number */
    bool no_replicas;      /* every segment on one processor; planners of pipelines only */
    bool costs_of_another; /* they were measured on another box, and are taken for this one */
    bool must_cut;         /* only plans of several segments win; planners of pipelines only */
    /*
     * For metis: shares of the work, in the order of segments and of processors, that sum to 1; NULL:
     * by the processors' speed.
     */
    const double *ratio;
    uint32_t ratio_count;
    double rate_per_s; /* samples arriving; with MLY_OBJECTIVE_LATENCY_AT_RATE */
    bool brief;        /* other planners run too: give up where proofs take long (`auto`) */
    /*
     * Asked now and then, from the calling thread, at least every few ms of work; false ends planning with
     * MLY_E_CANCELLED. NULL: nothing does.
     */
    bool (*go_on)(void *user);
    void *user;             /* for go_on */
    struct mly__desk *desk; /* what planners share; mly_plan_make sees to it */
};

/*
 * Even cuts (mly_cut_balanced, between patterns) whose segments are worth measuring as samples of what
 * segments cost besides their nodes: into how many parts. 0 past the end.
 */
uint32_t mly_plan_sample_parts(size_t index);

struct mly_planner {
    const char *name;
    const char *summary;
    bool by_name_only; /* `auto` leaves it out: it predicts between what was measured */
    /*
     * *out owned by the caller, valid by mly_plan_check, with prediction and candidates.
     * MLY_E_NOT_FOUND: nothing measured to decide on.
     */
    enum mly_status (*make)(const struct mly_plan_request *request, mly_plan **out,
                            struct mly_error *err);
};
#define MLY_PLAN_RATIO_MAX 8
/*
 * "80/20" or "50/30/20" as shares that sum to 1, for a request. MLY_E_INVALID for anything but 2 to
 * MLY_PLAN_RATIO_MAX numbers above 0 between slashes.
 */
enum mly_status mly_plan_ratio_parse(const char *text, double ratio[MLY_PLAN_RATIO_MAX],
                                     uint32_t *count, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Of plans for the request (taken, and their array's places set to NULL, whatever comes of it) the best
 * by their predictions, by the rule of mly_plan_make, as a plan of `planner`: the others become its
 * candidates. note (copied) becomes the plan's. MLY_E_NOT_FOUND when none has a prediction for the objective.
 */
enum mly_status mly_plan_take_best(const struct mly_plan_request *request, const char *planner,
                                   const char *note, mly_plan **plans, size_t count, mly_plan **out,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* Registry: NULL past the end. */
const struct mly_planner *mly_planner_at(size_t index);
const struct mly_planner *mly_planner_find(const char *name);
/* What mly_plan_make takes as a planner? MLY_E_INVALID for an unknown name, and for a wrong or needless ratio. */
enum mly_status mly_planner_check(const char *text, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Runs one planner by name ("metis:80/20" with a ratio), or "auto": all that fit; the best prediction wins, ties inside the
 * measured noise go to the simpler plan (fewer groups, smaller batch, no spinning); all candidates
 * are listed, best first, the baseline marked, and `why` says it in a sentence.
 */
enum mly_status mly_plan_make(const char *planner, const struct mly_plan_request *request,
                              mly_plan **out, struct mly_error *err) MLY_MUST_CHECK;

/*
 * The family of ways that are best from the least rates of arrivals to the most that the processors can
 * take; each is within 5 % of the best in its range (up to 40 %, where there would be more than 6): whole
 * models, divisions between two kinds of processors (each within the next), pipelines, at several batch
 * sizes (or the request's), by their latency at a rate as queueing predicts it. The plan's own way is
 * the request's objective's: the first member for latency, that for the rate for latency at a rate, else
 * the last. Errors as mly_plan_make.
 */
enum mly_status mly_plan_make_family(const struct mly_plan_request *request, mly_plan **out,
                                     struct mly_error *err) MLY_MUST_CHECK;

#endif

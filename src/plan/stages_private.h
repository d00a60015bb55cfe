/*
 * What is known while pipelines are looked for along a family of downsets: stages.c says how, and numbers in brackets are its. Private
 * to stages*.c.
 */
#ifndef MLY_PLAN_STAGES_PRIVATE_H
#define MLY_PLAN_STAGES_PRIVATE_H

#include "problem_private.h"
#include "stages.h"
#include "vectors.h"

#define SPILL_WORK 25u /* what finding room for weights takes, in looks at stages */

/* How a state was reached. */
struct mly__step {
    double value;
    double sum;      /* of the stages' periods */
    uint32_t from;   /* downset; MLY_NO_INDEX: not reached */
    uint32_t vector; /* before */
    uint32_t used;   /* vector of the last stage; latency: its class */
    uint32_t parts;
};

struct mly__stages {
    const struct mly__problem *problem;
    const struct mly__downsets *downsets;
    struct mly__vectors vectors;
    uint32_t parts_max, layers; /* layers: 1, or parts_max + 1 where the number of parts counts */
    struct mly__step *steps;    /* [downset][layer][vector] */
    struct mly__load *sums;     /* [class][downset] */
    uint32_t *refused;          /* [class][downset] */
    uint64_t (*keys)[2];        /* by downset: of its units */
    double bound;               /* nothing above it is looked at */
    bool *open;                 /* by downset: a pipeline within the bound may be cut there… */
    bool *open_at;              /* …and by downset and vector: with so many processors before */
    double *share;              /* by downset: what the lower bound says of its units… */
    double *capacity;           /* …and by vector: of those processors (bounds.c) */
    double weight[MLY__CLASSES_MAX];
    double *least;     /* sums, by downset: what its units take at least, each by itself */
    uint64_t work_max; /* stages to be looked at */
    uint64_t work;     /* that were */
    uint32_t *seen;    /* by downset: the smaller one, plus one, that it was seen from last */
    uint32_t *stack;   /* of downsets */
    /* Of the downset that stages begin at: */
    uint32_t *reached, reached_count;     /* its states, as layer * vectors + vector */
    uint32_t available[MLY__CLASSES_MAX]; /* most processors that any of these leaves */
    double available_capacity;
    double least_value; /* of these */
    bool spills;        /* some class streams weights that find no room */
    uint64_t looks;     /* at stages, whatever they took */
};

/* One downset without a smaller one. */
struct mly__stage {
    const struct mly__stages *search;
    uint32_t small, large;
    double input_bytes, output_bytes, input_elements, output_elements;
};

static inline struct mly__step *mly__step_at(const struct mly__stages *s, uint32_t downset,
                                             uint32_t layer, uint32_t vector)
{
    return &s->steps[((size_t)downset * s->layers + layer) * s->vectors.count + vector];
}

/* Layers that a stage may go on from. */
static inline uint32_t mly__stages_from_layers(const struct mly__stages *s)
{
    return s->layers > 1 ? s->layers - 1 : 1;
}

/* May that much of the lower bound's work be done by the processors within the bound? */
static inline bool mly__stages_within(const struct mly__stages *s, double share, double capacity)
{
    return !(share > s->bound * capacity * (1 + 1e-9)); /* without a bound, whatever the capacity */
}

/* --- stages_state.c --- */

/* Nothing is reached yet but the empty downset. MLY_E_NO_MEMORY, MLY_E_LIMIT for too many states. */
enum mly_status mly__stages_init(struct mly__stages *s, const struct mly__downsets *downsets,
                                 bool counted_only, struct mly_error *err);
void mly__stages_fini(struct mly__stages *s);

/* --- stages_cost.c --- */

/* Bytes and elements that go in and out. */
void mly__stage_find_border(struct mly__stage *stage);
/* Does the class refuse a unit of it? */
bool mly__stage_is_refused(const struct mly__stage *stage, uint32_t class);
/* limit_ns: what takes longer may be said to take for ever. */
void mly__stage_cost(const struct mly__stage *stage, uint32_t class, double limit_ns,
                     struct mly__segment_cost *out);
/* What the stage takes on a class at least, without copies; no less with a unit more. */
double mly__stage_least_ns(const struct mly__stage *stage, uint32_t class);

/* --- stages_throughput.c --- */

/* (4) Could all processors that are left do the stage within the bound? */
bool mly__stage_may_do(const struct mly__stage *stage);
/* Improves what states become by the stage. */
void mly__stage_extend_throughput(struct mly__stages *s, struct mly__stage *stage);
/* The shorter; else (3). */
bool mly__step_is_better(const struct mly__step *a, const struct mly__step *b);

/* --- stages_sums.c --- */

/* What the units of every downset take at least, each by itself. */
void mly__stages_find_least(struct mly__stages *s);
/* (4) May the stage, and the least that the rest takes, still stay within the bound? */
bool mly__stage_may_add(const struct mly__stage *stage);
/* Improves what states become by the stage. */
void mly__stage_extend_sum(struct mly__stages *s, struct mly__stage *stage);

#endif

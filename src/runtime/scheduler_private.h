/* The scheduler's own structures, shared by its files. */
#ifndef MLY_RUNTIME_SCHEDULER_PRIVATE_H
#define MLY_RUNTIME_SCHEDULER_PRIVATE_H

#include "base/random.h"
#include "model/graph.h"
#include "runtime/scheduler.h"

/* Far away, and two of it can still be added. */
#define MLY__NEVER_NS (INT64_MAX / 4)

/* Batch sizes per group with costs of their own; others use the nearest. */
#define MLY__BATCH_SIZES 8u
/* What the median is taken of. */
#define MLY__COST_RUNS 5u

/* What runs of one segment and batch size on one processor took. */
struct mly__cost {
    float runs_ns[MLY__COST_RUNS]; /* ring */
    float middle_ns;               /* what they say; 0: unknown */
    float spread_ns;               /* between the second and the fourth of five; else 0 */
    uint8_t count, next;
    uint64_t seen; /* the row's count of runs when this processor was last heard of */
};

/* What is known of one segment and batch size on all processors together. */
struct mly__row {
    uint64_t runs;
    uint64_t forget_at; /* count of runs at which some processor's cost may be halved */
    bool unsure;        /* some processor has run too little to be believed */
    uint32_t waiting;   /* tasks */
    uint32_t at;        /* in group->active while some wait */
    /* Scratch of decisions: what was found in that of this number. */
    uint64_t decision;
    uint32_t idle;   /* the idle processor where tasks would end first; MLY_NO_INDEX: none */
    bool idle_ties;  /* with another one */
    int64_t idle_ns; /* when */
};

/* Tasks that wait, in their order. */
struct mly__lane {
    const uint32_t *processors; /* into group->eligible; none where each task has its own */
    uint32_t processor_count;
    struct mly_schedule_task *first, *last;
};

struct mly__group {
    bool used; /* scratch of one decision: tasks are left to look at */
    uint32_t weight;
    double served, scratch;           /* ns given to it, by weight; the same within a decision */
    struct mly_schedule_task *cursor; /* scratch of one decision, where there is one lane */
    size_t length;                    /* tasks that wait */
    uint64_t outside;                 /* and outside of the scheduler */
    uint32_t segment_count, lane_count;
    uint32_t stride; /* processors known when it was made; it uses no others */
    struct mly__lane *lanes;
    uint32_t *first_lane; /* [segment_count + 1] */
    uint32_t *eligible;   /* all segments' lists, one after the other */
    /* Where every task is looked at: the lists ascending; and as sets, by mly__processor_bit. */
    uint32_t *ascending, *first_ascending; /* [segment_count + 1] */
    uint64_t *sets;                        /* [segment_count] */
    uint32_t *active, active_count;        /* rows of waiting tasks, in any order */
    uint32_t choosy;                       /* waiting tasks that not all processors are alike to */
    uint32_t batches[MLY__BATCH_SIZES];
    uint32_t batch_count; /* batches[0] is 0: all sizes */
    /* Rows: segment * MLY__BATCH_SIZES + batch size; [row][stride]. */
    struct mly__cost *costs;
    int64_t *expected_ns; /* of costs; 0 unknown, MLY__NEVER_NS where there is no session */
    struct mly__row *rows;
};

struct mly__processor {
    bool busy;
    bool aside;
    int64_t released_ns;   /* when it last became idle */
    int64_t ends_ns;       /* expected, while busy; 0: unknown */
    uint32_t failures;     /* since the last success, by weight; not 0: suspect */
    uint32_t doubts;       /* failures that tasks may be to blame for… */
    uint64_t doubts_since; /* …since so many successes of all */
    int64_t until_ns, pause_ns;
};

struct mly_scheduler {
    enum mly_schedule_policy policy;
    struct mly_random random;
    int64_t now_ns, review_ns;
    size_t length;
    uint32_t idle; /* processors that are neither busy nor set aside */
    uint64_t idle_set;
    uint32_t aside;
    uint64_t decisions; /* so many were begun */
    uint64_t successes; /* runs that went well */
    uint32_t processor_count;
    struct mly__processor *processors;
    int64_t *available_ns; /* [processors]: scratch of one decision */
    uint32_t *sorted;      /* as well: idle processors, ascending, and from the end on … */
    uint32_t open_count, awaited_count; /* … those that are busy until a known time, descending */
    uint32_t group_count;
    struct mly__group **groups; /* their places are used again */
};

/* scheduler_costs.c */
/* Index of the costs for a batch size, which becomes known if there is room. */
uint32_t mly__costs_row(struct mly__group *group, uint32_t segment, uint32_t batch);
void mly__costs_set(struct mly__group *group, uint32_t row, uint32_t processor, int64_t cost_ns);
void mly__costs_ran(struct mly__group *group, uint32_t row, uint32_t batch, uint32_t processor,
                    int64_t elapsed_ns);

/* scheduler_health.c */
/* Those whose time has come, and those without whom a lane has nobody, are tried again. */
void mly__health_refresh(mly_scheduler *scheduler);
/*
 * May a task that another processor failed (task->avoid) go to this one? Not if it is suspect itself
 * and others are not; nor the one that failed it, unless all others are set aside.
 */
bool mly__health_may_retry(const mly_scheduler *scheduler, const struct mly_schedule_task *task,
                           uint32_t processor);

/* scheduler.c */
void mly__scheduler_set_state(mly_scheduler *scheduler, uint32_t processor, bool busy, bool aside);
/* Tasks bound to a processor that was set aside go elsewhere. */
void mly__scheduler_rebind(mly_scheduler *scheduler, uint32_t processor);

/*
 * A processor in a set of 64. Of more processors some share a bit: what is not in a set is not there, what is
 * may be.
 */
static inline uint64_t mly__processor_bit(uint32_t processor)
{
    return UINT64_C(1) << (processor % 64);
}

static inline bool mly__is_open(const struct mly__processor *processor)
{
    return !processor->busy && !processor->aside;
}

/*
 * Is a to run before b, of one group? Of one request's tasks those nearer to the end go first: what
 * is begun gets finished and its memory freed.
 */
static inline bool mly__goes_before(const struct mly_schedule_task *a,
                                    const struct mly_schedule_task *b)
{
    if (a->late != b->late)
        return b->late;
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->order != b->order)
        return a->order < b->order;
    return a->segment > b->segment;
}

#endif

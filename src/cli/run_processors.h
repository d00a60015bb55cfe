/*
 * What the processors of a run did, and whose times those are: measured ones, those of models of
 * processors that are not here, or what computing results in their stead took.
 */
#ifndef MLY_CLI_RUN_PROCESSORS_H
#define MLY_CLI_RUN_PROCESSORS_H

#include <motley/engine.h>

#include "internal.h"
#include "plan/plan.h"

/* Zeroed is empty. */
struct run_processors {
    const mly_plan *plan;             /* borrowed */
    struct mly_processor_stats *list; /* [count] */
    uint32_t count;
    uint32_t real, modelled; /* how many are here, and are not */
    uint64_t tasks, slowed;  /* on those that are not; of these, longer than is modelled */
    bool computed;           /* results of modelled ones were computed */
    uint64_t retried;        /* tasks that one failed and another one was given */
    int64_t elapsed_ns;
};

/* Has the plan processors that are not here? */
bool run_is_modelled(const mly_plan *plan);
/*
 * What the plan's modelled processors are to do about results: all are computed where the user wants
 * some, or where a processor that is here may read what a modelled one made; else none, so that times
 * are as modelled.
 */
enum mly_results run_results_mode(const mly_plan *plan, bool wanted);

/* Of a run of so long; *out is freed with run_processors_fini. */
enum mly_status run_processors_get(mly_engine *engine, const mly_plan *plan,
                                   enum mly_results results, int64_t elapsed_ns,
                                   struct run_processors *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
void run_processors_fini(struct run_processors *processors);

/* Are all times as modelled where they are not measured? */
bool run_times_are_modelled(const struct run_processors *processors);
/* In words: "measured", "modelled", "measured and modelled", "of computing results". */
const char *run_times_name(const struct run_processors *processors);
/* A line in brackets where not all times were measured. */
void run_times_print(const struct run_processors *processors, FILE *to);
/* The members "measured", "modelled", "times" and those that explain them. */
void run_times_put(const struct run_processors *processors, struct mly_json_writer *json);

/*
 * A line for each processor, or, where `busy` is false as the run was too short, for those that
 * failed; what failures led to.
 */
void run_processors_print(const struct run_processors *processors, bool busy, FILE *to);
/* The members "retried_tasks" and "processors". */
void run_processors_put(const struct run_processors *processors, struct mly_json_writer *json);

/* Energy of the processors that are not here, by their models. */
struct run_modelled_energy {
    uint32_t processors; /* 0: all are here */
    bool known;          /* of all of them */
    bool idle_included;  /* not where the run took longer than is modelled */
    bool all;            /* none of the run's processors is here */
    bool computed;       /* but this box computed their results */
    double energy_j;
};
struct run_modelled_energy run_processors_energy(const struct run_processors *processors);

#endif

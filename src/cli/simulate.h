/* motley simulate: what its files share. */
#ifndef MLY_CLI_SIMULATE_H
#define MLY_CLI_SIMULATE_H

#include <motley/timeline.h>

#include "measuring.h"
#include "plan/plan.h"
#include "runtime/virtual.h"

struct simulate_values {
    const char *devices, *arrivals, *sweep, *costs, *planner, *policy, *model, *timeline;
    struct cli_texts dims;
    int64_t duration_ns, warm_up_ns, budget_ns;
    uint64_t count, seed, batch, queue;
    bool exact, cold;
};

/* A way of running the model: the plan itself, or a member of its family. */
struct simulated_way {
    const mly_plan *plan;
    mly_plan *member; /* owned; NULL: there is no family */
    struct mly_flow flow;
    struct mly_virtual_cost *costs; /* [segments][processors] */
};

/* A plan made ready to be simulated, as often as wanted. Zeroed is empty. */
struct simulated_plan {
    mly_plan *plan;
    struct simulated_way *ways;
    struct mly_virtual_way *runnable; /* the same, for the executor */
    uint32_t way_count;
    uint32_t batch; /* samples per request */
};
void simulated_plan_fini(struct simulated_plan *plan);

/* What a simulation works with; closed by simulate_close. */
struct simulate {
    const struct cli_common *common;
    const struct simulate_values *given;
    const char *target; /* PLAN|MODEL */
    struct cli_box box;
    struct cli_dims dims;
    mly_model *model;
    mly_cost_table *measured; /* NULL as long as no measured processor is used */
    enum mly_schedule_policy policy;
};

/* simulate_plan.c */
bool simulate_is_plan_file(const char *path);
/*
 * The plan of the file, or one for the model on the processors of `devices` (NULL: the box's CPU),
 * decided on as by `motley plan`. Opens the box, and the model the first time.
 */
enum mly_status simulate_open_plan(struct simulate *s, const char *devices,
                                   struct simulated_plan *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
void simulate_close(struct simulate *s);

/* simulate_ways.c */
/* For a plan with its batch set: all ways of running it, with what they cost. */
enum mly_status simulate_open_ways(struct simulate *s, struct simulated_plan *plan,
                                   struct mly_error *err) MLY_MUST_CHECK;
void simulate_close_ways(struct simulated_plan *plan);

/* simulate_output.c */
/* One run with what it was about. */
struct simulated {
    const struct simulate *simulate;
    const struct simulated_plan *plan;
    const struct mly_arrivals *arrivals;
    struct mly_virtual_result result;
};
/* Joules in the window: of tasks, and of idle modelled processors; *all false if a processor's are not
 * known. */
double simulated_energy_j(const struct simulated *run, bool *all);
double simulated_off_chip_bytes(const struct simulated *run);
/* "modelled", "measured", "measured and modelled". */
const char *simulated_source(const struct simulated_plan *plan);
void simulated_print(const struct simulated *run);
/* simulate_ways.c: what each way of a family did. */
void simulated_print_ways(const struct simulated *run);
void simulated_put_ways(struct mly_json_writer *json, const struct simulated *run);
void simulated_put_json(struct mly_json_writer *json, const struct simulated *run);

#endif

/* What the files of a profiling run share: profile.c owns it, measure.c fills the cells. */
#ifndef MLY_PROFILE_PROFILER_H
#define MLY_PROFILE_PROFILER_H

#include "profile/configs.h"
#include "profile/crew.h"
#include "profile/dims.h"
#include "profile/inputs.h"
#include "profile/profile.h"

#include "energy.h"

enum {
    PROFILE_BATCHES_MAX = 64,
    PROFILE_ROUNDS_MAX = 12,
};

/* The back end where the caller names none. */
#define PROFILE_BACKEND "ort"

/* One configuration, open. */
struct open_crew {
    struct crew crew;
    double opened_bytes;  /* private memory that opening took */
    double warmed_bytes;  /* and running it so far */
    double planned_bytes; /* of activations, by the graph, for the largest batch allowed so far */
    double sample_ns;     /* time of one sample in the batch run last; 0 unknown */
};

/* One configuration with one batch size: what an entry of the table comes from. */
struct cell {
    uint32_t crew, batch; /* indices */
    bool in_play;         /* warm, and still worth rounds */
    double run_ns;        /* median time of one run so far */
    double memory_bytes;
    double rates[PROFILE_ROUNDS_MAX]; /* throughput by round */
    uint32_t rate_count;
    double throughput;        /* over the rounds so far, without the box's drift (levels.c) */
    double throughput_spread; /* of the same */
    double pace;              /* by what that is more than the plain median */
    double rested_ns, rested_p90_ns; /* of runs with rests between them; 0 unknown */
    double energy_j;                 /* of so many runs */
    uint64_t energy_runs;
    struct samples times;
};

struct profiler {
    mly_model *model;
    const mly_machine *machine;
    const struct mly_profile_options *options;
    const char *backend;
    mly_cost_table *table;
    int64_t measured_s;          /* for all entries of this run */
    struct mly_cost_noise noise; /* measured before them; 0 where only nodes are measured */
    double drift;                /* spread of the box's speed over the rounds; 0 unknown */
    struct mly_segment whole;
    struct profile_dims dims;
    struct profile_configs configs; /* those that lack an entry, or all with `again` */
    struct open_crew *crews;        /* [crew_count] of configs.count */
    uint32_t crew_count;
    uint32_t batches[PROFILE_BATCHES_MAX];
    double peak_bytes[PROFILE_BATCHES_MAX];  /* of activations of one session, by the graph */
    double input_bytes[PROFILE_BATCHES_MAX]; /* of all inputs */
    struct mly_tensor
        *inputs[PROFILE_BATCHES_MAX]; /* made when needed, read by all crews; NULL before */
    uint32_t batch_count;
    enum profile_fill fill;
    bool fill_known;    /* some run worked with it */
    struct cell *cells; /* by ascending batch */
    uint32_t cell_count;
    struct profile_energy energy;
    int64_t start_ns, expected_ns; /* of measuring: when, and how long it should take */
    int64_t first_round_ns;        /* that first rounds took so far */
    int64_t budget_ns;
    double fraction; /* told last; never falls */
};

/*
 * Tells the caller what runs now, with a lower bound for the fraction done; MLY_E_CANCELLED when it
 * wants to stop.
 */
enum mly_status profiler_report(struct profiler *p, double at_least, const char *text,
                                struct mly_error *err) MLY_MUST_CHECK;
/* A sentence that the user should see. */
void profiler_remark(const struct profiler *p, const char *format, ...) MLY_PRINTF(2, 3);
/* Time since measuring began. */
int64_t profiler_elapsed_ns(const struct profiler *p);

/* measure.c: warm-up and rounds. On MLY_E_CANCELLED the cells hold what was measured. */
enum mly_status profiler_measure(struct profiler *p, struct mly_error *err) MLY_MUST_CHECK;

#endif

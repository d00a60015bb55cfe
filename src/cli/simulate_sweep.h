/* motley simulate --sweep: the values of one thing, and a line of results for each. */
#ifndef MLY_CLI_SIMULATE_SWEEP_H
#define MLY_CLI_SIMULATE_SWEEP_H

#include "simulate.h"

#define SIMULATE_DURATION_NS INT64_C(60000000000)

enum simulate_sweep_what { SIMULATE_SWEEP_RATE, SIMULATE_SWEEP_PROCESSORS };

struct simulate_sweep {
    enum simulate_sweep_what what;
    double *values; /* owned, mly_free */
    size_t count;
};
/*
 * "rate=10:100:10", "rate=10,20,50", "processors=1..8", "processors=1,2,4". MLY_E_INVALID says what is
 * wrong, also where the other options do not go with it.
 */
enum mly_status simulate_sweep_parse(const struct simulate_values *given, const char *target,
                                     struct simulate_sweep *out,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* A table, printed at the end, or a JSON document. */
struct simulate_sweep_output {
    const struct simulate *simulate;
    const struct simulate_sweep *sweep;
    struct cli_table table;
    struct mly_json_writer json;
    size_t rows;
    char head[256]; /* what all runs share */
};
void simulate_sweep_begin(struct simulate_sweep_output *output, const struct simulate *simulate,
                          const struct simulate_sweep *sweep);
void simulate_sweep_add(struct simulate_sweep_output *output, const struct simulated *run,
                        double value);
/* Prints; exit status. */
int simulate_sweep_end(struct simulate_sweep_output *output);

#endif

/* What `motley run` does with results: collect them, write them, show the top classes, compare them with the yardstick. */
#ifndef MLY_CLI_RUN_RESULTS_H
#define MLY_CLI_RUN_RESULTS_H

#include <motley/engine.h>

#include "internal.h"
#include "run_inputs.h"
#include "tensorio/compare.h"

struct run_results {
    const mly_model *model;
    bool keep; /* outputs are wanted after the run */
    size_t output_count;
    struct mly_tensor **outputs; /* [batch][output], copies; only the distinct batches */
    size_t batch_count, batch_capacity;
};

/* A run_result_fn. */
enum mly_status run_results_take(void *user, const struct run_batch *batch,
                                 const struct mly_tensor *outputs, size_t output_count,
                                 struct mly_error *err);
void run_results_fini(struct run_results *results);

/*
 * Writes every output as .npy, all samples along dimension 0: `path` is FILE.npy for a model with one output, else a folder that gets NAME.npy
 * each (created when missing).
 */
enum mly_status run_results_save(const struct run_results *results, const char *path,
                                 struct mly_error *err) MLY_MUST_CHECK;

/* Class names, one per line. */
struct run_labels {
    char *text;
    char **lines;
    size_t count;
};
enum mly_status run_labels_load(const char *path, struct run_labels *out,
                                struct mly_error *err) MLY_MUST_CHECK;
void run_labels_fini(struct run_labels *labels);
/* Prints (or puts into json, when not NULL) the top classes of the first output per sample. labels may be NULL. */
enum mly_status run_results_top(const struct run_results *results, const struct run_inputs *inputs,
                                uint32_t top, const struct run_labels *labels,
                                struct mly_json_writer *json, struct mly_error *err) MLY_MUST_CHECK;

/* The largest differences from the whole model under the runtime's defaults. */
struct run_verdict {
    bool ok;
    double max_absolute, max_relative; /* relative to the range of the output */
    char output[128];                  /* where the worst is */
    uint64_t sample;
    double tolerance;  /* relative, for that output's type */
    uint64_t compared; /* values */
};
enum mly_status run_results_verify(const struct run_results *results,
                                   const struct run_inputs *inputs, const mly_machine *machine,
                                   struct run_verdict *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

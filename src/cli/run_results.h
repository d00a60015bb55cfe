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
    uint64_t sample_count; /* in them */
    bool written;          /* run_results_save has succeeded */
};

/* A run_result_fn. */
enum mly_status run_results_take(void *user, const struct run_batch *batch,
                                 const struct mly_tensor *outputs, size_t output_count,
                                 struct mly_error *err);
void run_results_fini(struct run_results *results);

/* Before anything runs: MLY_E_INVALID if results of the model cannot go to `path`. */
enum mly_status run_results_check_path(const mly_model *model, const char *path,
                                       struct mly_error *err) MLY_MUST_CHECK;
/*
 * Writes every output as .npy, all samples that are there along dimension 0: `path` is FILE.npy for a model with one output, else a folder
 * that gets NAME.npy each (created when missing).
 */
enum mly_status run_results_save(struct run_results *results, const char *path,
                                 struct mly_error *err) MLY_MUST_CHECK;
/* What was written where: a line, or "output" in json (not NULL), null there when nothing was. */
void run_results_report(const struct run_results *results, const struct run_inputs *inputs,
                        const char *path, struct mly_json_writer *json);

/* Class names, one per line. */
struct run_labels {
    char *text;
    char **lines;
    size_t count;
};
enum mly_status run_labels_load(const char *path, struct run_labels *out,
                                struct mly_error *err) MLY_MUST_CHECK;
void run_labels_fini(struct run_labels *labels);
/* A remark where the file (`path`) has not a line for each class of the first output. */
void run_labels_remark(const struct run_labels *labels, const char *path,
                       const struct run_results *results, const struct cli_common *common);
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
    double tolerance;             /* relative, for that output's type */
    uint64_t compared;            /* values; 0: nothing is known */
    uint64_t batches, batches_of; /* compared, and to be compared */
};
/* MLY_E_CANCELLED when interrupted: *out is then what the batches compared so far say. */
enum mly_status run_results_verify(const struct run_results *results,
                                   const struct run_inputs *inputs, const mly_machine *machine,
                                   struct run_verdict *out, struct mly_error *err) MLY_MUST_CHECK;
/* A line, or "verify" in json (not NULL); one that compared nothing, or not all, says so. */
void run_verdict_report(const struct run_verdict *verdict, struct mly_json_writer *json);

#endif

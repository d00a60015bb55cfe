/* What `motley run` feeds a model: samples from files, made into batches. */
#ifndef MLY_CLI_RUN_INPUTS_H
#define MLY_CLI_RUN_INPUTS_H

#include "measuring.h"
#include "options.h"

/* A full set of inputs for the model, with one row each along the batch dimension (or as many as the model's fixed batch). */
struct run_sample {
    struct mly_tensor *tensors; /* one per model input */
    const char *name;           /* the file it came from, borrowed; "random" */
};

/* One prepared batch; samples [first, first + count) modulo the number of samples. */
struct run_batch {
    struct mly_tensor *tensors;
    uint64_t first, count;
};

struct run_inputs {
    const mly_model *model;
    size_t input_count;
    struct run_sample *samples; /* views into `read` */
    size_t sample_count, sample_capacity;
    struct run_sample *read; /* as the files had them, with as many rows as they had */
    size_t read_count;
    struct run_batch *batches; /* batch i of the stream is batches[i % batch_count] */
    size_t batch_count;
    bool is_random;
    bool borrows_samples; /* made by run_inputs_share */
};

struct run_input_options {
    const struct cli_texts *files; /* "[NAME=]FILE", or "random" */
    const char *preprocess;        /* for images; NULL: from the input's shape */
    const struct mly_dim_binding
        *dims; /* [dim_count], sizes of free dimensions; others count as 1 */
    size_t dim_count;
    uint64_t seed;
    uint64_t random_count; /* samples to make when there are no files; at most 16 */
};

/* Is there an image among the files ("[NAME=]FILE")? The word random, or no file at all? */
bool run_inputs_have_image(const struct cli_texts *files);
bool run_inputs_have_random(const struct cli_texts *files);
/*
 * Reads every file into samples. A file without NAME= belongs to the only input, or is a .npz or a folder with
 * input_0.pb, input_1.pb, … Named files fill one sample after the other. Rows are samples; where the model's batch is fixed,
 * so many rows as that are one. No files: random samples.
 */
enum mly_status run_inputs_load(const mly_model *model, const struct run_input_options *options,
                                struct run_inputs *out, struct mly_error *err) MLY_MUST_CHECK;
/* Makes the batches for `count` samples (cycling through those given) in batches of `batch`; the last may be smaller when the batch is free. */
enum mly_status run_inputs_make_batches(struct run_inputs *inputs, uint32_t batch, uint64_t count,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* *out uses the same samples, to make other batches of them; finish it before the original. */
void run_inputs_share(const struct run_inputs *inputs, struct run_inputs *out);
void run_inputs_fini(struct run_inputs *inputs);

#endif

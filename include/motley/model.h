/*
 * Models: reading an ONNX file and asking what is in it.
 *
 * Threads: several threads may read the same model at once, but for while mly_decide works on it,
 * which may add types and shapes.
 */
#ifndef MOTLEY_MODEL_H
#define MOTLEY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>
#include <motley/tensor.h>

MLY_BEGIN_DECLS

/*
 * A model read from a file: its graph in memory, its weights mapped from the file. Immutable after
 * loading but for types and shapes that a runtime adds. Replacing the file by another while it is
 * loaded is fine; writing into it is not.
 */
typedef struct mly_model mly_model;

/* Zeroed is what most want. */
struct mly_model_options {
    /*
     * Keep initialisers that the file also lists as graph inputs overridable. By default they
     * become constants, because runtimes optimise only constants.
     */
    bool keep_overridable;
};

/*
 * An input or output of the model, as the file says it. Dimensions are -1 where symbolic;
 * dim_names[i] is then its name or "". All borrowed from the model.
 */
struct mly_port {
    const char *name;
    enum mly_dtype dtype;
    struct mly_shape shape;
    const char *dim_names[MLY_RANK_MAX];
};

/* A size for a symbolic dimension, by the dimension's name. */
struct mly_dim_binding {
    const char *name;
    int64_t size;
};

/*
 * Reads and checks the model at path (copied). options may be NULL for defaults. *out is owned by
 * the caller (mly_model_destroy).
 * Errors: MLY_E_NOT_FOUND (the file, or one with its external data), MLY_E_IO; MLY_E_FORMAT with
 * byte position or node name; MLY_E_INVALID for external data outside the model's own folder or a
 * path that is no regular file; MLY_E_LIMIT (docs/internals/model.md lists the limits);
 * MLY_E_UNSUPPORTED for other formats that are mistaken for ONNX; MLY_E_NO_MEMORY.
 * Threads: any.
 * Cost: O(file size without weights); weights are mapped, not read.
 * Source: ONNX, "Open Neural Network Exchange Intermediate Representation", and its onnx.proto.
 */
MLY_API enum mly_status mly_model_load(const char *path, const struct mly_model_options *options,
                                       mly_model **out, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Frees a model and unmaps its weights; NULL is fine. Engines that run it go first.
 * Threads: nobody else may use it any more.
 */
MLY_API void mly_model_destroy(mly_model *model);

/* The path it was loaded from. Borrowed until the model is destroyed, as are all pointers below. */
MLY_API const char *mly_model_path(const mly_model *model);
/*
 * SHA-256 over everything that determines results (the file, its external data, options), 64 hex
 * digits.
 * Errors: MLY_E_NO_MEMORY; MLY_E_ABSENT if OpenSSL offers no SHA-256.
 * Threads: any; one makes the hash while others wait.
 * Cost: the first call reads the whole file, unless the hash of the unchanged file is remembered in
 * the cache directory; later calls cost nothing.
 */
MLY_API enum mly_status mly_model_hash(const mly_model *model, const char **out,
                                       struct mly_error *err) MLY_MUST_CHECK;
/* Inputs that a caller must give; those that have an initialiser only with keep_overridable. */
MLY_API size_t mly_model_input_count(const mly_model *model);
/* Outputs, in the file's order. */
MLY_API size_t mly_model_output_count(const mly_model *model);
/* Input `index`, from 0, in the file's order; NULL if index is out of range. */
MLY_API const struct mly_port *mly_model_input(const mly_model *model, size_t index);
/* Output `index`, from 0, in the file's order; NULL if index is out of range. */
MLY_API const struct mly_port *mly_model_output(const mly_model *model, size_t index);
/*
 * 0 if the batch size is free: dimension 0 of the first input is symbolic, and has a name or is
 * symbolic in all other inputs too. Else the fixed batch: dimension 0 of the first input, or 1 where
 * that says nothing (a scalar, a nameless symbol, a size of 0, no input).
 */
MLY_API int64_t mly_model_fixed_batch(const mly_model *model);

MLY_END_DECLS

#endif

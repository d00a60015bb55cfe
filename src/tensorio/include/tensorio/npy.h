/* NumPy's array files: .npy read and written, .npz read. */
#ifndef MLY_TENSORIO_NPY_H
#define MLY_TENSORIO_NPY_H

#include <stddef.h>

#include <motley/tensor.h>

#include "base/file.h"

/* Bytes of file or of unpacked data that are read when the caller gives 0 as limit. */
#define MLY_NPY_DEFAULT_MAX_BYTES ((size_t)4 << 30)

/*
 * Reads an array from length bytes (borrowed during the call) into *out, owned by the caller
 * (mly_tensor_fini), row-major and little-endian whatever it was in the file. name is used in
 * messages. max_bytes limits the tensor (0: the default). Formats 1.0, 2.0 and 3.0; bool, integers,
 * f2 to f8, c8 and c16. Errors: MLY_E_FORMAT "NAME: byte N: …" for what is malformed, truncated or
 * too long; MLY_E_UNSUPPORTED for Python objects, structured types, text, dates and unknown
 * versions; MLY_E_LIMIT over max_bytes, 16 dimensions or int64; MLY_E_NO_MEMORY. Thread-safe. Cost:
 * one copy. Source: numpy.lib.format's documentation ("Format Version 1.0" to "3.0").
 */
enum mly_status mly_npy_parse(const char *name, const void *bytes, size_t length, size_t max_bytes,
                              struct mly_tensor *out, struct mly_error *err) MLY_MUST_CHECK;
/* The same of a file. */
enum mly_status mly_npy_load(const char *path, size_t max_bytes, struct mly_tensor *out,
                             struct mly_error *err) MLY_MUST_CHECK;

/*
 * Writes a tensor as .npy (1.0, row-major, little-endian), without a copy of it in memory. Types
 * that NumPy has not are widened: bf16 to f4, u4 to u1, i4 to i1. MLY_E_UNSUPPORTED for strings and
 * 8-bit floats; MLY_E_INVALID if the data's size contradicts the shape; the writer's errors.
 */
enum mly_status mly_npy_write(mly_file_writer *writer, const struct mly_tensor *tensor,
                              struct mly_error *err) MLY_MUST_CHECK;
/* The same into a file, which appears whole or not at all. */
enum mly_status mly_npy_save(const char *path, const struct mly_tensor *tensor,
                             struct mly_error *err) MLY_MUST_CHECK;

struct mly_named_tensor {
    char *name;
    struct mly_tensor tensor;
};

/* What an .npz holds, in its order. Zero-initialised is an empty set. */
struct mly_tensor_set {
    struct mly_named_tensor *items;
    size_t count;
};
void mly_tensor_set_fini(struct mly_tensor_set *set);
/* The tensor of that name, borrowed until the set is released; NULL if there is none. */
const struct mly_tensor *mly_tensor_set_find(const struct mly_tensor_set *set, const char *name);

/* 0 in a field: its default. */
struct mly_npz_limits {
    size_t max_bytes;   /* of all arrays together, unpacked; MLY_NPY_DEFAULT_MAX_BYTES */
    size_t max_entries; /* 1024 */
    /* An entry larger than 64 MiB may be this many times its packed size; 200. Real tensors reach
     * 10, zeros 1000. */
    size_t max_ratio;
};

/*
 * Reads all arrays of a .npz (a ZIP of .npy files, stored or deflated) into *out, owned by the
 * caller; their names are without ".npy". limits may be NULL. Errors: as mly_npy_parse, with the
 * entry's name; MLY_E_FORMAT for a broken archive, an entry that is no .npy, a name that comes
 * twice; MLY_E_UNSUPPORTED for other compressions and encryption; MLY_E_LIMIT. Thread-safe.
 */
enum mly_status mly_npz_parse(const char *name, const void *bytes, size_t length,
                              const struct mly_npz_limits *limits, struct mly_tensor_set *out,
                              struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_npz_load(const char *path, const struct mly_npz_limits *limits,
                             struct mly_tensor_set *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

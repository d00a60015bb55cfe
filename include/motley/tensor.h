/*
 * Element types, shapes and tensors: the values that go into and come out of a network.
 *
 * Threads: every function here works on what it is given only: any thread, at any time, for
 * different objects.
 */
#ifndef MOTLEY_TENSOR_H
#define MOTLEY_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

MLY_BEGIN_DECLS

/* Element types. The numbers are part of the ABI: new ones are only added at the end. */
enum mly_dtype {
#define MLY_DTYPE(enumerator, name, onnx, bits, oip, npy) enumerator,
#include <motley/dtype_defs.inc>
#undef MLY_DTYPE
    MLY_DTYPE_COUNT
};

/* "f32", "i64", …; "undefined" for a value out of range. Static. */
MLY_API const char *mly_dtype_name(enum mly_dtype dtype);
/* Bits per element; 0 for strings and undefined. */
MLY_API uint32_t mly_dtype_bits(enum mly_dtype dtype);
/* The type with that name ("f32"; NULL is fine), or MLY_DTYPE_UNDEFINED. */
MLY_API enum mly_dtype mly_dtype_from_name(const char *name);
/* The type with that ONNX TensorProto.DataType number, or MLY_DTYPE_UNDEFINED. */
MLY_API enum mly_dtype mly_dtype_from_onnx(int32_t number);
/* The ONNX TensorProto.DataType number of a type; 0 for a value out of range. */
MLY_API int32_t mly_dtype_to_onnx(enum mly_dtype dtype);
/* NumPy's type string without byte order ("f4"); "" where NumPy has none. Static. */
MLY_API const char *mly_dtype_npy(enum mly_dtype dtype);

/* Highest rank handled; ONNX sets none, real models stay under 9. */
#define MLY_RANK_MAX 16
/* A dimension whose size is not known. */
#define MLY_DIM_UNKNOWN (-1)

/* Dimensions, outermost first ([N, C, H, W]). */
struct mly_shape {
    int32_t rank;               /* 0 is a scalar; -1: not even the rank is known */
    int64_t dims[MLY_RANK_MAX]; /* those below rank count; MLY_DIM_UNKNOWN where not known */
};

/* True if the rank and every dimension are known (>= 0). */
MLY_API bool mly_shape_is_known(const struct mly_shape *shape);
/* True if both have the same rank and dimensions; unknown ones equal each other. */
MLY_API bool mly_shape_equal(const struct mly_shape *a, const struct mly_shape *b);
/*
 * Number of elements into *count; 1 for a scalar.
 * Errors: MLY_E_INVALID if the rank or a dimension is unknown or the rank is over MLY_RANK_MAX;
 * MLY_E_LIMIT if the product overflows int64.
 */
MLY_API enum mly_status mly_shape_count(const struct mly_shape *shape, int64_t *count,
                                        struct mly_error *err) MLY_MUST_CHECK;
/*
 * Bytes of a dense tensor into *bytes (types under 8 bits are packed, the sum is rounded up).
 * Errors: those of mly_shape_count; MLY_E_UNSUPPORTED for types without a fixed size (strings);
 * MLY_E_LIMIT if it is more than an object in memory may have.
 */
MLY_API enum mly_status mly_shape_bytes(enum mly_dtype dtype, const struct mly_shape *shape,
                                        size_t *bytes, struct mly_error *err) MLY_MUST_CHECK;
/* Room for the text of any shape, its terminating zero included. */
#define MLY_SHAPE_TEXT_BYTES 352
/*
 * Writes "1x3x224x224", "?" for an unknown dimension, "scalar" for rank 0, "?" for unknown rank,
 * into the caller's buffer, and returns it.
 */
MLY_API char *mly_shape_format(const struct mly_shape *shape, char buffer[MLY_SHAPE_TEXT_BYTES]);

/*
 * A dense row-major little-endian tensor. `data` belongs to whoever `release` says: with release
 * NULL it is borrowed from elsewhere; else mly_tensor_fini calls release(owner). Zero-initialised
 * is a valid empty tensor.
 */
struct mly_tensor {
    enum mly_dtype dtype;
    struct mly_shape shape;
    void *data; /* NULL only if size_bytes is 0, or in an output that the callee is to provide */
    size_t size_bytes; /* of data; 0 if it is declared absent */
    void (*release)(void *owner);
    void *owner;
};

/*
 * What modelled processors (hardware that is not here, see MLY_RESULTS_WHEN_FAST) do about results:
 * their times come from a model, the values of their results from this box's CPU.
 */
enum mly_results {
    /*
     * Computed where the CPU needs at most half of the modelled time, so that times stay true; else
     * every result is declared absent, from the first one on.
     */
    MLY_RESULTS_WHEN_FAST,
    MLY_RESULTS_ALWAYS, /* computed, even where tasks then take longer than is modelled */
    MLY_RESULTS_NEVER   /* declared absent: times are all that is wanted */
};
/*
 * True for a tensor that is declared absent: type and shape say what it would be, but data is NULL
 * and size_bytes 0. Only modelled processors make such. Threads: any.
 */
MLY_API bool mly_tensor_is_absent(const struct mly_tensor *tensor);

/*
 * Every tensor that mly_tensor_init and mly_tensor_dup allocate starts at a multiple of this (a
 * cache line, and AVX-512's width).
 */
#define MLY_TENSOR_ALIGNMENT 64

/*
 * Allocates a zeroed tensor of that type and fully known shape into *out (free with
 * mly_tensor_fini); what *out held before is overwritten, not freed.
 * Errors: those of mly_shape_bytes; MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_tensor_init(enum mly_dtype dtype, const struct mly_shape *shape,
                                        struct mly_tensor *out,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* Releases what the tensor owns and zeroes it. NULL and empty tensors are fine. */
MLY_API void mly_tensor_fini(struct mly_tensor *tensor);
/*
 * Copies src, data and all, into a newly allocated *out (free with mly_tensor_fini).
 * Errors: those of mly_shape_bytes; MLY_E_INVALID if src's size_bytes is not what its shape needs;
 * MLY_E_ABSENT if src is declared absent; MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_tensor_dup(const struct mly_tensor *src, struct mly_tensor *out,
                                       struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif

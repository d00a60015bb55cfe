/* Element types, shapes and tensors: the values that go into and come out of a network. */
#ifndef MOTLEY_TENSOR_H
#define MOTLEY_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

MLY_BEGIN_DECLS

enum mly_dtype {
#define MLY_DTYPE(enumerator, name, onnx, bits, oip, npy) enumerator,
#include <motley/dtype_defs.inc>
#undef MLY_DTYPE
    MLY_DTYPE_COUNT
};

/* "f32", "i64", …; "undefined" for a value out of range. Thread-safe, like all functions here on
 * values. */
MLY_API const char *mly_dtype_name(enum mly_dtype dtype);
/* Bits per element; 0 for strings and undefined. */
MLY_API uint32_t mly_dtype_bits(enum mly_dtype dtype);
/* The type with that name ("f32"), or MLY_DTYPE_UNDEFINED. */
MLY_API enum mly_dtype mly_dtype_from_name(const char *name);
/* The type with that ONNX TensorProto.DataType number, or MLY_DTYPE_UNDEFINED. */
MLY_API enum mly_dtype mly_dtype_from_onnx(int32_t number);
/* The ONNX TensorProto.DataType number of a type. */
MLY_API int32_t mly_dtype_to_onnx(enum mly_dtype dtype);
/* NumPy's type string without byte order ("f4"); "" where NumPy has none. */
MLY_API const char *mly_dtype_npy(enum mly_dtype dtype);

/* Highest rank handled; ONNX sets none, real models stay under 9. */
#define MLY_RANK_MAX 16
/* A dimension whose size is not known. */
#define MLY_DIM_UNKNOWN (-1)

/* Dimensions, outermost first; rank -1 means that not even the rank is known, rank 0 is a scalar.
 */
struct mly_shape {
    int32_t rank;
    int64_t dims[MLY_RANK_MAX];
};

/* True if the rank and every dimension are known (>= 0). */
MLY_API bool mly_shape_is_known(const struct mly_shape *shape);
MLY_API bool mly_shape_equal(const struct mly_shape *a, const struct mly_shape *b);
/*
 * Number of elements into *count. MLY_E_INVALID if a dimension is unknown, MLY_E_LIMIT if the
 * product overflows int64.
 */
MLY_API enum mly_status mly_shape_count(const struct mly_shape *shape, int64_t *count,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* Bytes of a dense tensor (4-bit types are packed, rounded up); errors as mly_shape_count. */
MLY_API enum mly_status mly_shape_bytes(enum mly_dtype dtype, const struct mly_shape *shape,
                                        size_t *bytes, struct mly_error *err) MLY_MUST_CHECK;
/* Writes "1x3x224x224", "?" for an unknown dimension, "scalar" for rank 0, "?" for unknown rank;
 * returns buffer. */
#define MLY_SHAPE_TEXT_BYTES 352
MLY_API char *mly_shape_format(const struct mly_shape *shape, char buffer[MLY_SHAPE_TEXT_BYTES]);

/*
 * A dense row-major little-endian tensor. `data` belongs to whoever `release` says: with release
 * NULL it is borrowed from elsewhere; else mly_tensor_fini calls release(owner). Zero-initialised
 * is a valid empty tensor. size_bytes is the size of the data; data may be NULL only when
 * size_bytes is 0 or, as an output argument, when the callee is to provide the memory.
 */
struct mly_tensor {
    enum mly_dtype dtype;
    struct mly_shape shape;
    void *data;
    size_t size_bytes;
    void (*release)(void *owner);
    void *owner;
};

/* Every tensor that motley allocates starts at a multiple of this (a cache line, and AVX-512's
 * width). */
#define MLY_TENSOR_ALIGNMENT 64

/* Allocates a zeroed tensor of that type and fully known shape into *out (free with
 * mly_tensor_fini). */
MLY_API enum mly_status mly_tensor_init(enum mly_dtype dtype, const struct mly_shape *shape,
                                        struct mly_tensor *out,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* Releases what the tensor owns and zeroes it. NULL and empty tensors are fine. */
MLY_API void mly_tensor_fini(struct mly_tensor *tensor);
/* Copies src into a newly allocated *out. */
MLY_API enum mly_status mly_tensor_dup(const struct mly_tensor *src, struct mly_tensor *out,
                                       struct mly_error *err) MLY_MUST_CHECK;

MLY_END_DECLS

#endif

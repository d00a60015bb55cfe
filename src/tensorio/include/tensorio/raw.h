/* Tensors from raw bytes, from a seed, and from other tensors. */
#ifndef MLY_TENSORIO_RAW_H
#define MLY_TENSORIO_RAW_H

#include <stddef.h>
#include <stdint.h>

#include <motley/tensor.h>

/*
 * Copies length bytes (dense, row-major, little-endian) into a tensor of that type and fully known
 * shape. MLY_E_MISMATCH "NAME: …" if their number is not what the shape needs; errors of
 * mly_tensor_init.
 */
enum mly_status mly_raw_parse(const char *name, const void *bytes, size_t length,
                              enum mly_dtype dtype, const struct mly_shape *shape,
                              struct mly_tensor *out, struct mly_error *err) MLY_MUST_CHECK;
/* The same of a file. */
enum mly_status mly_raw_load(const char *path, enum mly_dtype dtype, const struct mly_shape *shape,
                             struct mly_tensor *out, struct mly_error *err) MLY_MUST_CHECK;

/*
 * A tensor of seeded values, the same on every box: floating types uniform in [-1, 1]; u8 and i8
 * uniform over their range; wider and 4-bit integers 0 or 1, so that what is used as index, token
 * or mask stays in range; bool 0 or 1. MLY_E_UNSUPPORTED for strings; errors of mly_tensor_init.
 */
enum mly_status mly_tensor_random(enum mly_dtype dtype, const struct mly_shape *shape,
                                  uint64_t seed, struct mly_tensor *out,
                                  struct mly_error *err) MLY_MUST_CHECK;

/*
 * Joins count tensors (borrowed) along dimension 0 into *out: images into a batch. MLY_E_MISMATCH
 * if a type or another dimension differs, MLY_E_INVALID for none, scalars and 4-bit types.
 */
enum mly_status mly_tensor_join(const struct mly_tensor *const *parts, size_t count,
                                struct mly_tensor *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

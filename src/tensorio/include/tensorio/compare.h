/* How far two tensors are apart, and the largest values of one. */
#ifndef MLY_TENSORIO_COMPARE_H
#define MLY_TENSORIO_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/tensor.h>

struct mly_comparison {
    int64_t count;          /* elements */
    int64_t mismatches;     /* elements that are too far apart; 0 means that the tensors agree */
    int64_t nan_mismatches; /* of these: NaN or infinity in only one of the two, or infinities of
                               both signs */
    double max_abs;         /* largest |actual - expected| of finite elements */
    double mean_abs;
    double expected_range; /* largest minus smallest finite expected value */
    double max_relative; /* max_abs / expected_range (/ largest |expected| if that is 0, / 1 if that
                            is 0 too) */
    int64_t worst; /* flat index of the worst element: first mismatch of NaN, else of max_abs; -1
                      for none */
    double worst_actual, worst_expected;
};

/*
 * Compares two tensors (borrowed) of the same shape. Elements of floating types agree if |actual -
 * expected| <= atol + rtol * |expected|, or both are NaN, or both the same infinity; types may
 * differ in width (f16 against f32). Integers and bool must be of one type; their difference is
 * exact and may be atol (rtol does not count), so that 0.001 demands equality. Complex numbers are
 * compared as twice as many reals; strings and 8-bit floats are not (MLY_E_UNSUPPORTED). Errors:
 * MLY_E_MISMATCH for types or shapes that differ, MLY_E_INVALID for a size that contradicts its
 * shape.
 */
enum mly_status mly_tensor_compare(const struct mly_tensor *actual,
                                   const struct mly_tensor *expected, double atol, double rtol,
                                   struct mly_comparison *out,
                                   struct mly_error *err) MLY_MUST_CHECK;

/* "[0, 3, 17]" for a flat index into a shape; "[]" for a scalar. Returns buffer. */
char *mly_index_format(const struct mly_shape *shape, int64_t flat,
                       char buffer[MLY_SHAPE_TEXT_BYTES]);

struct mly_top {
    int64_t index; /* in the row */
    double value;
};

/* Rows of a tensor for mly_tensor_top: dimension 0, or 1 for ranks 0 and 1. */
int64_t mly_tensor_rows(const struct mly_tensor *tensor);

/*
 * The k largest values of one row, largest first, into out[0 … *found - 1]; of equal ones the lower
 * index comes first, NaN last. *found is min(k, elements of the row). Errors: MLY_E_INVALID for a
 * row that is not there; MLY_E_UNSUPPORTED for complex numbers, strings and 8-bit floats. Cost:
 * O(elements * k).
 */
enum mly_status mly_tensor_top(const struct mly_tensor *tensor, int64_t row, size_t k,
                               struct mly_top *out, size_t *found,
                               struct mly_error *err) MLY_MUST_CHECK;

#endif

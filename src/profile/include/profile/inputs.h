/* Inputs to measure with: right types and shapes, arbitrary but harmless values. */
#ifndef MLY_PROFILE_INPUTS_H
#define MLY_PROFILE_INPUTS_H

#include "profile/dims.h"

/* Models exist that fail for values of one kind and work with those of another. */
enum profile_fill { FILL_RANDOM, FILL_ZEROS, FILL_ONES, FILL_COUNT };

/* "random values", "zeros", "ones". */
const char *profile_fill_name(enum profile_fill fill);

/*
 * New array of one tensor per model input for that batch size; free with profile_inputs_free.
 * Dimensions that nothing gives a size are 1, and an input of unknown rank is a single number.
 * MLY_E_UNSUPPORTED names an input of a type without values (text, sequences).
 */
enum mly_status profile_inputs_make(const mly_model *model, const struct profile_dims *dims,
                                    uint32_t batch, enum profile_fill fill, struct mly_tensor **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
void profile_inputs_free(const mly_model *model, struct mly_tensor *inputs);

/* True for failures that other values may cure. */
bool profile_fill_may_help(enum mly_status status);

#endif

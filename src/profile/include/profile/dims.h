/* Sizes of a model's symbolic dimensions other than the batch. */
#ifndef MLY_PROFILE_DIMS_H
#define MLY_PROFILE_DIMS_H

#include <stdbool.h>

#include "model/graph.h"

/*
 * A size for every symbolic dimension of the inputs but the batch. One that has no name in the file
 * is called by its input and place, from 0: "state[1]". Zeroed is empty.
 */
struct profile_dims {
    struct mly_dim_binding *items; /* first those given, then the others, which are 1 */
    size_t count, given_count;
    char **made_names; /* of nameless dimensions */
    size_t made_count;
    const char *rankless; /* an input of unknown rank; NULL: there is none */
};

/*
 * bindings (borrowed with their names while the result lives, as is the model) are checked:
 * MLY_E_INVALID for a name that no input has (with those there are), the batch, a size under 1, or
 * two sizes for one name.
 */
enum mly_status profile_dims_init(const mly_model *model, const struct mly_dim_binding *bindings,
                                  size_t count, struct profile_dims *out,
                                  struct mly_error *err) MLY_MUST_CHECK;
void profile_dims_fini(struct profile_dims *dims);
/* Size of a dimension that the file gives no name, of a graph tensor that is an input; else 1. */
int64_t profile_dims_nameless(const struct profile_dims *dims, const char *input, int32_t dim);

/*
 * "height=480,width=640": the sizes given that are not 1, by name, so that what is measured alike
 * reads alike. MLY_E_LIMIT if it is longer than text.
 */
enum mly_status profile_dims_text(const struct profile_dims *dims, char *text, size_t text_bytes,
                                  struct mly_error *err) MLY_MUST_CHECK;
/* "W, H": the dimensions that were given no size, into text; false if there are none. */
bool profile_dims_assumed(const struct profile_dims *dims, char *text, size_t text_bytes);
/* A sentence on the dimensions that were given no size, into text; false if there are none. */
bool profile_dims_remark(const struct profile_dims *dims, char *text, size_t text_bytes);

#endif

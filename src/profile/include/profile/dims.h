/* Sizes of a model's symbolic dimensions other than the batch. */
#ifndef MLY_PROFILE_DIMS_H
#define MLY_PROFILE_DIMS_H

#include <stdbool.h>

#include "model/graph.h"

/* A size for every named symbolic dimension of the inputs but the batch. Zeroed is empty. */
struct profile_dims {
    struct mly_dim_binding *items; /* first those given, then the others, which are 1 */
    size_t count, given_count;
    bool has_nameless; /* there are unknown dimensions that cannot be named, which are 1 too */
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

/*
 * "height=480,width=640": the sizes given that are not 1, by name, so that what is measured alike
 * reads alike. MLY_E_LIMIT if it is longer than text.
 */
enum mly_status profile_dims_text(const struct profile_dims *dims, char *text, size_t text_bytes,
                                  struct mly_error *err) MLY_MUST_CHECK;
/* A sentence on the dimensions that were given no size, into text; false if there are none. */
bool profile_dims_remark(const struct profile_dims *dims, char *text, size_t text_bytes);

#endif

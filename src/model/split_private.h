/* Shared by the files that write splits; for src/model only. */
#ifndef MLY_MODEL_SPLIT_PRIVATE_H
#define MLY_MODEL_SPLIT_PRIVATE_H

#include "model.h"
#include "model/split.h"

/* split_manifest.c: the manifest's text, owned by the caller (mly_free). folder is where the segments
 * lie already. */
enum mly_status mly__split_manifest(const struct mly_split *split,
                                    const struct mly_split_part *parts, const char *folder,
                                    char **text, size_t *length,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif

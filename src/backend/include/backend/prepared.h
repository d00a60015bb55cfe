/*
 * Prepared copies: the optimised and pre-packed form of a segment, written once to the user's cache directory
 * and mapped by every session of it. Key: segment hash, runtime version, processor features, options.
 */
#ifndef MLY_BACKEND_PREPARED_H
#define MLY_BACKEND_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

struct mly_prepared_entry {
    char key[65];
    char model_name[128]; /* file name of the model it was made from */
    char runtime[48];
    uint64_t bytes;
    int64_t created_s, used_s; /* Unix time */
};

/* Lists what is there; *items owned by the caller (mly_free). */
enum mly_status mly_prepared_list(struct mly_prepared_entry **items, size_t *count,
                                  struct mly_error *err) MLY_MUST_CHECK;
/* Removes all (key NULL) or one; freed_bytes may be NULL. Copies in use by running processes stay mapped there. */
enum mly_status mly_prepared_clear(const char *key, uint64_t *freed_bytes,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* Limit in bytes ($MOTLEY_CACHE_LIMIT, such as 20G; default a quarter of the free disk, at most 32 GiB). Least recently used go first. */
uint64_t mly_prepared_limit_bytes(void);

#endif

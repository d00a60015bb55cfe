/* SHA-256 of bytes and files, as lower-case hexadecimal text (OpenSSL does the work). */
#ifndef MLY_BASE_HASH_H
#define MLY_BASE_HASH_H

#include <stddef.h>

#include <motley/status.h>

#define MLY_HASH_TEXT_BYTES 65

typedef struct mly_hasher mly_hasher;
enum mly_status mly_hasher_create(mly_hasher **out, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_hasher_update(mly_hasher *hasher, const void *bytes,
                                  size_t length) MLY_MUST_CHECK;
/* Writes the digest and frees the hasher. */
enum mly_status mly_hasher_finish(mly_hasher *hasher,
                                  char text[MLY_HASH_TEXT_BYTES]) MLY_MUST_CHECK;
void mly_hasher_destroy(mly_hasher *hasher);
enum mly_status mly_hash_bytes(const void *bytes, size_t length, char text[MLY_HASH_TEXT_BYTES],
                               struct mly_error *err) MLY_MUST_CHECK;

#endif

/* SHA-256 by OpenSSL's EVP interface; the only file that includes OpenSSL for hashing. */
#include "base/hash.h"

#include <openssl/evp.h>

#include "base/alloc.h"

#define DIGEST_BYTES 32

struct mly_hasher {
    EVP_MD_CTX *context;
};

enum mly_status mly_hasher_create(mly_hasher **out, struct mly_error *err)
{
    mly_hasher *hasher = mly_alloc(sizeof *hasher);
    if (!hasher)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a hash");
    hasher->context = EVP_MD_CTX_new();
    if (!hasher->context) {
        mly_hasher_destroy(hasher);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a hash");
    }
    if (EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1) {
        mly_hasher_destroy(hasher);
        return mly_error_set(err, MLY_E_ABSENT, "OpenSSL offers no SHA-256");
    }
    *out = hasher;
    return MLY_OK;
}

enum mly_status mly_hasher_update(mly_hasher *hasher, const void *bytes, size_t length)
{
    if (length && EVP_DigestUpdate(hasher->context, bytes, length) != 1)
        return MLY_E_INTERNAL;
    return MLY_OK;
}

enum mly_status mly_hasher_finish(mly_hasher *hasher, char text[MLY_HASH_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    int ok = EVP_DigestFinal_ex(hasher->context, digest, &length);
    mly_hasher_destroy(hasher);
    if (ok != 1 || length != DIGEST_BYTES)
        return MLY_E_INTERNAL;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * DIGEST_BYTES] = '\0';
    return MLY_OK;
}

void mly_hasher_destroy(mly_hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->context);
    mly_free(hasher);
}

enum mly_status mly_hash_bytes(const void *bytes, size_t length, char text[MLY_HASH_TEXT_BYTES],
                               struct mly_error *err)
{
    mly_hasher *hasher = NULL;
    enum mly_status status = mly_hasher_create(&hasher, err);
    if (status != MLY_OK)
        return status;
    status = mly_hasher_update(hasher, bytes, length);
    if (status != MLY_OK)
        mly_hasher_destroy(hasher);
    else
        status = mly_hasher_finish(hasher, text);
    if (status != MLY_OK)
        mly_error_set(err, status, "OpenSSL failed to hash %zu bytes", length);
    return status;
}

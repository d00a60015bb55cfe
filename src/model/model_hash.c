/*
 * The model's identity: SHA-256 over the file, its external data and the options.
 *
 * Hashing hundreds of megabytes at every start is slow, so results are kept in one small file in
 * the cache directory, a line "KEY HASH" each: KEY is a hash of the paths' stamps (device, inode,
 * size, times) and the options. What cannot be read there is ignored; what cannot be written is no
 * failure. A file changed in the last seconds is not kept: another change might leave its times as
 * they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "model.h"

#define MEMO_NAME "models.txt"
#define MEMO_LINES_MAX 512
#define HASH_CHARACTERS (MLY_HASH_TEXT_BYTES - 1)
#define LINE_BYTES (2 * HASH_CHARACTERS + 2)
#define SETTLED_NS INT64_C(3000000000)

static enum mly_status update_text(mly_hasher *hasher, const char *text)
{
    return mly_hasher_update(hasher, text, strlen(text) + 1);
}

static enum mly_status content_hash(const mly_model *model, char text[MLY_HASH_TEXT_BYTES],
                                    struct mly_error *err)
{
    mly_hasher *hasher = NULL;
    enum mly_status status = mly_hasher_create(&hasher, err);
    if (status != MLY_OK) {
        return status;
    }
    status = update_text(hasher, model->options.keep_overridable ? "motley model 1 overridable"
                                                                 : "motley model 1");
    for (size_t i = 0; i < model->region_count && status == MLY_OK; i++) {
        const struct mly__region *region = &model->regions[i];
        char size[24];
        snprintf(size, sizeof size, "%zu", region->map.length);
        status = update_text(hasher, region->location != NULL ? region->location : "");
        if (status == MLY_OK) {
            status = update_text(hasher, size);
        }
        if (status == MLY_OK) {
            status = mly_hasher_update(hasher, region->map.data, region->map.length);
        }
    }
    if (status != MLY_OK) {
        mly_hasher_destroy(hasher);
    } else {
        status = mly_hasher_finish(hasher, text);
    }
    return status == MLY_OK
               ? status
               : mly_error_set(err, status, "%s: its hash could not be made", model->path);
}

/* False if a file is too fresh for its stamp to be trusted, or anything else fails. */
static bool memo_key(const mly_model *model, char key[MLY_HASH_TEXT_BYTES])
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return false;
    }
    const int64_t settled_ns = (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec - SETTLED_NS;
    mly_hasher *hasher = NULL;
    if (mly_hasher_create(&hasher, NULL) != MLY_OK) {
        return false;
    }
    bool good = update_text(hasher, model->options.keep_overridable ? "memo 1 overridable"
                                                                    : "memo 1") == MLY_OK;
    for (size_t i = 0; i < model->region_count && good; i++) {
        const struct mly_file_stamp *stamp = &model->regions[i].stamp;
        char line[160];
        snprintf(line, sizeof line, "%llu %llu %llu %lld %lld", (unsigned long long)stamp->device,
                 (unsigned long long)stamp->inode, (unsigned long long)stamp->size_bytes,
                 (long long)stamp->modified_ns, (long long)stamp->changed_ns);
        good = stamp->size_bytes == model->regions[i].map.length &&
               stamp->modified_ns < settled_ns && stamp->changed_ns < settled_ns &&
               update_text(hasher, line) == MLY_OK &&
               update_text(hasher, model->regions[i].location != NULL ? model->regions[i].location
                                                                      : "") == MLY_OK;
    }
    if (!good) {
        mly_hasher_destroy(hasher);
        return false;
    }
    return mly_hasher_finish(hasher, key) == MLY_OK;
}

static bool is_memo_line(const char *line)
{
    for (size_t i = 0; i < LINE_BYTES; i++) {
        const char expected = i == HASH_CHARACTERS ? ' ' : i == LINE_BYTES - 1 ? '\n' : '\0';
        const bool hex = (line[i] >= '0' && line[i] <= '9') || (line[i] >= 'a' && line[i] <= 'f');
        if (expected != '\0' ? line[i] != expected : !hex) {
            return false;
        }
    }
    return true;
}

/* The memo's text, whole lines only; NULL if there is none that can be used. */
static char *memo_read(const char *path, size_t *length)
{
    char *text = NULL;
    if (mly_file_read(path, (size_t)LINE_BYTES * MEMO_LINES_MAX, &text, length, NULL) != MLY_OK) {
        return NULL;
    }
    bool good = *length % LINE_BYTES == 0;
    for (size_t at = 0; good && at < *length; at += LINE_BYTES) {
        good = is_memo_line(text + at);
    }
    if (!good) {
        mly_free(text);
        return NULL;
    }
    return text;
}

static bool memo_find(const char *path, const char *key, char hash[MLY_HASH_TEXT_BYTES])
{
    size_t length;
    char *text = memo_read(path, &length);
    bool found = false;
    for (size_t at = 0; text != NULL && at < length && !found; at += LINE_BYTES) {
        if (memcmp(text + at, key, HASH_CHARACTERS) == 0) {
            memcpy(hash, text + at + HASH_CHARACTERS + 1, HASH_CHARACTERS);
            hash[HASH_CHARACTERS] = '\0';
            found = true;
        }
    }
    mly_free(text);
    return found;
}

/* The new line goes last; the oldest go when there are too many. */
static void memo_add(const char *path, const char *key, const char *hash)
{
    size_t length = 0;
    char *old = memo_read(path, &length);
    size_t skipped = length >= (size_t)LINE_BYTES * MEMO_LINES_MAX ? LINE_BYTES : 0;
    size_t kept = old != NULL ? length - skipped : 0;
    char *text = mly_alloc(kept + LINE_BYTES + 1);
    if (text != NULL) {
        if (kept > 0) {
            memcpy(text, old + skipped, kept);
        }
        snprintf(text + kept, LINE_BYTES + 1, "%s %s\n", key, hash);
        if (mly_file_write(path, text, kept + LINE_BYTES, NULL) != MLY_OK) {
            /* The cache is read-only or full: the hash is made again next time. */
        }
    }
    mly_free(text);
    mly_free(old);
}

static char *memo_path(void)
{
    char *folder = NULL;
    if (mly_cache_dir("hashes", &folder, NULL) != MLY_OK) {
        return NULL;
    }
    char *path = mly_strfmt("%s/%s", folder, MEMO_NAME);
    mly_free(folder);
    return path;
}

static enum mly_status find_or_make(const mly_model *model, char hash[MLY_HASH_TEXT_BYTES],
                                    struct mly_error *err)
{
    char key[MLY_HASH_TEXT_BYTES];
    char *path = memo_key(model, key) ? memo_path() : NULL;
    enum mly_status status = MLY_OK;
    if (path == NULL || !memo_find(path, key, hash)) {
        status = content_hash(model, hash, err);
        if (status == MLY_OK && path != NULL) {
            memo_add(path, key, hash);
        }
    }
    mly_free(path);
    return status;
}

enum mly_status mly_model_hash(const mly_model *model, const char **out, struct mly_error *err)
{
    mly_model *writable =
        (mly_model *)(uintptr_t)model; /* the lock and what it protects are made for this */
    enum mly_status status = MLY_OK;
    pthread_mutex_lock(&writable->hash_lock);
    if (writable->hash[0] == '\0') {
        char hash[MLY_HASH_TEXT_BYTES];
        status = find_or_make(model, hash, err);
        if (status == MLY_OK) {
            memcpy(writable->hash, hash, sizeof hash);
        }
    }
    pthread_mutex_unlock(&writable->hash_lock);
    if (status == MLY_OK) {
        *out = writable->hash;
    }
    return status;
}

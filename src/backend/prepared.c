/* Listing, clearing and bounding the prepared copies. */
#include "backend/prepared.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/os.h"
#include "prepared_store.h"

#define LIMIT_MOST (UINT64_C(32) << 30)
#define LEFTOVER_S 3600
#define REFUSED_S (30 * 24 * 3600)
#define MANIFEST_BYTES_MAX 65536

static bool stat_in(const char *folder, const char *key, const char *name, struct stat *out)
{
    char *path = mly_strfmt("%s/%s/%s", folder, key, name);
    const bool there = path && stat(path, out) == 0;
    mly_free(path);
    return there;
}

bool mly__prepared_describe(const char *folder, const char *key, struct mly_prepared_entry *out)
{
    static const char *const files[] = {MLY__PREPARED_MODEL, MLY__PREPARED_WEIGHTS,
                                        MLY__PREPARED_MANIFEST};
    struct mly_prepared_entry entry = {.model_name = "?", .runtime = "?"};
    struct stat s;
    mly_json_doc *doc = NULL;
    const char *text;
    if (!stat_in(folder, key, ".", &s))
        return false;
    snprintf(entry.key, sizeof entry.key, "%s", key);
    entry.created_s = entry.used_s = s.st_mtime;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (stat_in(folder, key, files[i], &s))
            entry.bytes += (uint64_t)s.st_size;
    if (stat_in(folder, key, MLY__PREPARED_USED, &s))
        entry.used_s = s.st_mtime;
    char *path = mly_strfmt("%s/%s/" MLY__PREPARED_MANIFEST, folder, key);
    if (path && mly_json_load(path, MANIFEST_BYTES_MAX, &doc, NULL) == MLY_OK) {
        const struct mly_json root = mly_json_root(doc);
        if (mly_json_string(root, "model_name", &text, NULL) == MLY_OK)
            snprintf(entry.model_name, sizeof entry.model_name, "%s", text);
        if (mly_json_string(root, "runtime", &text, NULL) == MLY_OK)
            snprintf(entry.runtime, sizeof entry.runtime, "%s", text);
        if (mly_json_int(root, "created_s", 0, INT64_MAX, &entry.created_s, NULL) != MLY_OK)
            entry.created_s = entry.used_s;
    }
    mly_json_destroy(doc);
    mly_free(path);
    *out = entry;
    return true;
}

static int by_use(const void *a, const void *b)
{
    const struct mly_prepared_entry *x = a, *y = b;
    if (x->used_s != y->used_s)
        return x->used_s < y->used_s ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* Least recently used first. */
static enum mly_status list(const char *folder, struct mly_prepared_entry **items, size_t *count,
                            struct mly_error *err)
{
    struct mly_prepared_entry *list = NULL;
    size_t used = 0, capacity = 0;
    enum mly_status status = MLY_OK;
    DIR *directory = opendir(folder);
    if (!directory)
        return mly_error_os(err, errno, "cannot read '%s'", folder);
    for (const struct dirent *at; status == MLY_OK && (at = readdir(directory));) {
        struct mly_prepared_entry entry;
        if (!mly__prepared_is_key(at->d_name) ||
            !mly__prepared_describe(folder, at->d_name, &entry))
            continue;
        if (mly_array_reserve(&list, &capacity, used + 1, sizeof *list) != 0)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        else
            list[used++] = entry;
    }
    closedir(directory);
    if (status != MLY_OK) {
        mly_free(list);
        return status;
    }
    if (used > 1)
        qsort(list, used, sizeof *list, by_use);
    *items = list;
    *count = used;
    return MLY_OK;
}

enum mly_status mly_prepared_list(struct mly_prepared_entry **items, size_t *count,
                                  struct mly_error *err)
{
    char *folder = NULL;
    enum mly_status status = mly__prepared_folder(&folder, err);
    if (status == MLY_OK)
        status = list(folder, items, count, err);
    mly_free(folder);
    return status;
}

/* "20G", "512M", "1000000"; false if it is none. */
static bool parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *rest;
    errno = 0;
    const unsigned long long value = strtoull(text, &rest, 10);
    if (!isdigit((unsigned char)text[0]) || errno != 0)
        return false;
    const char *unit = *rest ? strchr(units, toupper((unsigned char)*rest)) : NULL;
    const int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    rest += unit != NULL;
    if (strcasecmp(rest, "iB") == 0 || strcasecmp(rest, "B") == 0)
        rest += strlen(rest);
    if (*rest != '\0' || value > UINT64_MAX >> shift)
        return false;
    *out = (uint64_t)value << shift;
    return true;
}

static uint64_t free_bytes(const char *folder)
{
    struct statvfs s;
    return statvfs(folder, &s) == 0 ? (uint64_t)s.f_bavail * s.f_frsize : 0;
}

static uint64_t limit(const char *folder, uint64_t used_bytes)
{
    const char *text = getenv("MOTLEY_CACHE_LIMIT");
    uint64_t bytes;
    if (text && *text) {
        if (parse_bytes(text, &bytes))
            return bytes;
        mly_log(MLY_LOG_WARNING,
                "MOTLEY_CACHE_LIMIT '%s' is no size such as 20G; the default is used", text);
    }
    bytes = (free_bytes(folder) + used_bytes) / 4;
    return bytes < LIMIT_MOST ? bytes : LIMIT_MOST;
}

static uint64_t total(const struct mly_prepared_entry *items, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += items[i].bytes;
    return bytes;
}

uint64_t mly_prepared_limit_bytes(void)
{
    char *folder = NULL;
    struct mly_prepared_entry *items = NULL;
    size_t count = 0;
    uint64_t bytes = 0;
    if (mly__prepared_folder(&folder, NULL) == MLY_OK) {
        if (list(folder, &items, &count, NULL) != MLY_OK)
            count = 0;
        bytes = limit(folder, total(items, count));
    }
    mly_free(items);
    mly_free(folder);
    return bytes;
}

/* A lock that nobody holds is what a crash left. */
static void remove_lock(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

/* True if neither the file or folder nor anything in it was written to for so long. */
static bool is_leftover(const char *path, time_t now, time_t after_s)
{
    struct stat s;
    bool old = lstat(path, &s) == 0 && now - s.st_mtime > after_s;
    DIR *directory = old && S_ISDIR(s.st_mode) ? opendir(path) : NULL;
    const int fd = directory ? dirfd(directory) : -1;
    for (const struct dirent *at; fd >= 0 && old && (at = readdir(directory));)
        if (strcmp(at->d_name, "..") != 0 && strcmp(at->d_name, ".") != 0 &&
            fstatat(fd, at->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0)
            old = now - s.st_mtime > after_s;
    if (directory)
        closedir(directory);
    return old;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What crashes left, and refusals that may be over by now; with all, every refusal. */
static void sweep(const char *folder, bool all)
{
    const time_t now = time(NULL);
    DIR *directory = opendir(folder);
    for (const struct dirent *at; directory && (at = readdir(directory));) {
        const bool temporary = begins(at->d_name, MLY__PREPARED_TEMPORARY);
        const bool lock = begins(at->d_name, MLY__PREPARED_LOCK);
        const bool refused = begins(at->d_name, MLY__PREPARED_REFUSED);
        char *path = temporary || lock || refused ? mly_strfmt("%s/%s", folder, at->d_name) : NULL;
        struct mly_error why = {0};
        if (!path)
            continue;
        if (refused && (all || is_leftover(path, now, REFUSED_S)))
            unlink(path);
        else if (lock && is_leftover(path, now, LEFTOVER_S))
            remove_lock(path);
        else if (temporary && is_leftover(path, now, LEFTOVER_S) &&
                 mly_dir_remove(path, &why) != MLY_OK)
            mly_log(MLY_LOG_DEBUG, "%s", why.message);
        mly_free(path);
    }
    if (directory)
        closedir(directory);
}

enum mly_status mly_prepared_clear(const char *key, uint64_t *freed_bytes, struct mly_error *err)
{
    char *folder = NULL;
    struct mly_prepared_entry *items = NULL;
    size_t count = 0;
    uint64_t freed = 0;
    bool found = false;
    enum mly_status status = mly__prepared_folder(&folder, err);
    if (status == MLY_OK)
        status = list(folder, &items, &count, err);
    for (size_t i = 0; status == MLY_OK && i < count; i++) {
        if (key && strcmp(items[i].key, key) != 0)
            continue;
        found = true;
        status = mly__prepared_remove(folder, items[i].key, err);
        freed += status == MLY_OK ? items[i].bytes : 0;
    }
    if (status == MLY_OK && !key)
        sweep(folder, true);
    if (status == MLY_OK && key && !found)
        status = mly_error_set(err, MLY_E_NOT_FOUND, "there is no prepared copy %s", key);
    mly_free(items);
    mly_free(folder);
    if (freed_bytes)
        *freed_bytes = freed;
    return status;
}

static enum mly_status too_large(const char *folder, uint64_t bytes, uint64_t most,
                                 struct mly_error *err)
{
    const char *text = getenv("MOTLEY_CACHE_LIMIT");
    uint64_t given;
    const double wanted_mib = (double)bytes / 0x1p20, most_mib = (double)most / 0x1p20;
    if (text && *text && parse_bytes(text, &given))
        return mly_error_set(err, MLY_E_LIMIT,
                             "it takes %.1f MiB, and all copies together may take %.1f "
                             "(MOTLEY_CACHE_LIMIT=%.40s)",
                             wanted_mib, most_mib, text);
    return mly_error_set(
        err, MLY_E_LIMIT,
        "it takes %.1f MiB, and all copies together may take %.1f, a quarter of what is "
        "free or theirs on the disk of '%s' (make room there, or set MOTLEY_CACHE_LIMIT)",
        wanted_mib, most_mib, folder);
}

enum mly_status mly__prepared_make_room(const char *folder, uint64_t extra_bytes,
                                        struct mly_error *err)
{
    struct mly_prepared_entry *items = NULL;
    size_t count = 0;
    sweep(folder, false);
    enum mly_status status = list(folder, &items, &count, err);
    if (status != MLY_OK)
        return status;
    uint64_t used = total(items, count);
    const uint64_t most = limit(folder, used);
    if (extra_bytes > most)
        status = too_large(folder, extra_bytes, most, err);
    for (size_t i = 0; status == MLY_OK && i < count && used + extra_bytes > most; i++) {
        if (mly__prepared_is_held(items[i].key))
            continue;
        struct mly_error why = {0};
        if (mly__prepared_remove(folder, items[i].key, &why) == MLY_OK)
            used -= items[i].bytes;
        else
            mly_log(MLY_LOG_DEBUG, "%s", why.message);
    }
    mly_free(items);
    if (status == MLY_OK && free_bytes(folder) < extra_bytes)
        status = mly_error_set(err, MLY_E_NO_SPACE,
                               "it takes %" PRIu64 " MiB, and the disk of '%s' has %" PRIu64,
                               extra_bytes >> 20, folder, free_bytes(folder) >> 20);
    return status;
}

/*
 * Prepared copies on the disk.
 *
 * 1. A copy is made in a temporary folder, under a lock of its key, so that nobody makes it twice.
 * 2. The manifest says how its files look (size, time of modification, inode) and the model's hash;
 *    a copy that looks otherwise is not used. Files are never modified in place: sessions map them.
 * 3. Everything is flushed, then one rename makes the copy appear, and one makes it disappear.
 */
#include "prepared_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/os.h"

/* Changes whenever copies made by older versions of this code must not be used. */
#define FORMAT "motley prepared 2"
#define MANIFEST_BYTES_MAX 65536
#define MODEL_BYTES_MAX (UINT64_C(2) << 30) /* protobuf's limit */

static const char *const file_names[] = {MLY__PREPARED_MODEL, MLY__PREPARED_WEIGHTS};
enum { FILE_COUNT = sizeof file_names / sizeof *file_names };

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
}

/* --- keys --- */

/* The lines of /proc/cpuinfo's first processor by which kernels are chosen. */
static enum mly_status read_features(char *text, size_t size, struct mly_error *err)
{
    static const char *const wanted[] = {"vendor_id",   "cpu family",      "model\t",
                                         "flags",       "CPU implementer", "CPU architecture",
                                         "CPU variant", "CPU part",        "Features"};
    FILE *file = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t capacity = 0, length = 0;
    ssize_t got;
    while (file && (got = getline(&line, &capacity, file)) > 1) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0 && (size_t)got < size - length) {
                memcpy(text + length, line, (size_t)got);
                length += (size_t)got;
            }
        }
    }
    text[length] = '\0';
    free(line);
    if (file)
        fclose(file);
    return length ? MLY_OK
                  : mly_error_set(err, MLY_E_ABSENT,
                                  "the processor's features cannot be read from /proc/cpuinfo");
}

enum mly_status mly__prepared_key(const mly_model *model, const struct mly_segment *segment,
                                  const char *runtime, bool packed, char key[MLY_HASH_TEXT_BYTES],
                                  struct mly_error *err)
{
    char segment_hash[MLY_HASH_TEXT_BYTES], features[8192];
    enum mly_status status = mly_segment_hash(model, segment, segment_hash, err);
    if (status == MLY_OK)
        status = read_features(features, sizeof features, err);
    if (status != MLY_OK)
        return status;
    char *text = mly_strfmt("%s\n%s\n%s\n%s\n%s", FORMAT, segment_hash, runtime,
                            packed ? "packed" : "plain", features);
    if (!text)
        return no_memory(err);
    status = mly_hash_bytes(text, strlen(text), key, err);
    mly_free(text);
    return status;
}

bool mly__prepared_is_key(const char *name)
{
    return strlen(name) == MLY_HASH_TEXT_BYTES - 1 &&
           strspn(name, "0123456789abcdef") == MLY_HASH_TEXT_BYTES - 1;
}

enum mly_status mly__prepared_folder(char **out, struct mly_error *err)
{
    return mly_cache_dir("prepared", out, err);
}

/* --- keys in use by this process --- */

struct held {
    struct held *next;
    uint32_t count;
    char key[MLY_HASH_TEXT_BYTES];
};
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER; /* protects held_keys and its items */
static struct held *held_keys;

static struct held **find_held(const char *key)
{
    struct held **at = &held_keys;
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

enum mly_status mly__prepared_hold(const char *key, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    pthread_mutex_lock(&held_lock);
    struct held **at = find_held(key);
    if (!*at && !(*at = mly_alloc(sizeof **at))) {
        status = no_memory(err);
    } else {
        snprintf((*at)->key, sizeof(*at)->key, "%s", key);
        (*at)->count++;
    }
    pthread_mutex_unlock(&held_lock);
    return status;
}

void mly__prepared_release(const char *key)
{
    if (!key)
        return;
    pthread_mutex_lock(&held_lock);
    struct held **at = find_held(key), *item = *at;
    if (item && --item->count == 0) {
        *at = item->next;
        mly_free(item);
    }
    pthread_mutex_unlock(&held_lock);
}

bool mly__prepared_is_held(const char *key)
{
    pthread_mutex_lock(&held_lock);
    const bool is = *find_held(key) != NULL;
    pthread_mutex_unlock(&held_lock);
    return is;
}

/* --- 2. how a copy must look --- */

static enum mly_status hash_file(const char *path, char text[MLY_HASH_TEXT_BYTES],
                                 struct mly_error *err)
{
    char *data = NULL;
    size_t length;
    enum mly_status status = mly_file_read(path, MODEL_BYTES_MAX, &data, &length, err);
    if (status == MLY_OK)
        status = mly_hash_bytes(data, length, text, err);
    mly_free(data);
    return status;
}

/* True if the file looks as its entry in the manifest says; a file without entry must be missing. */
static bool looks_right(const char *folder, const char *key, const char *name,
                        struct mly_json files)
{
    struct mly_file_stamp stamp;
    struct mly_json entry = mly_json_member_opt(files, name);
    int64_t size_bytes, modified_ns, inode;
    char *path = mly_strfmt("%s/%s/%s", folder, key, name);
    const bool there = path && mly_file_stamp(path, &stamp, NULL) == MLY_OK;
    mly_free(path);
    if (mly_json_is_null(entry))
        return !there;
    return there && mly_json_int(entry, "size_bytes", 0, INT64_MAX, &size_bytes, NULL) == MLY_OK &&
           mly_json_int(entry, "modified_ns", INT64_MIN, INT64_MAX, &modified_ns, NULL) == MLY_OK &&
           mly_json_int(entry, "inode", INT64_MIN, INT64_MAX, &inode, NULL) == MLY_OK &&
           (uint64_t)size_bytes == stamp.size_bytes && modified_ns == stamp.modified_ns &&
           (uint64_t)inode == stamp.inode;
}

bool mly__prepared_check(const char *folder, const char *key)
{
    mly_json_doc *doc = NULL;
    char hash[MLY_HASH_TEXT_BYTES];
    const char *format = "", *wanted_hash = "";
    bool good = false;
    char *manifest = mly_strfmt("%s/%s/" MLY__PREPARED_MANIFEST, folder, key);
    char *model = mly_strfmt("%s/%s/" MLY__PREPARED_MODEL, folder, key);
    if (manifest && model && mly_json_load(manifest, MANIFEST_BYTES_MAX, &doc, NULL) == MLY_OK) {
        const struct mly_json root = mly_json_root(doc);
        struct mly_json files = mly_json_member_opt(root, "files");
        good =
            mly_json_string(root, "format", &format, NULL) == MLY_OK && strcmp(format, FORMAT) == 0;
        for (int i = 0; i < FILE_COUNT && good; i++)
            good = looks_right(folder, key, file_names[i], files);
        good = good && mly_json_string(root, "model_sha256", &wanted_hash, NULL) == MLY_OK &&
               hash_file(model, hash, NULL) == MLY_OK && strcmp(hash, wanted_hash) == 0;
    }
    mly_json_destroy(doc);
    mly_free(manifest);
    mly_free(model);
    return good;
}

void mly__prepared_touch(const char *folder, const char *key)
{
    char *path = mly_strfmt("%s/%s/" MLY__PREPARED_USED, folder, key);
    if (path && utimensat(AT_FDCWD, path, NULL, 0) != 0)
        errno = 0; /* read-only: then nothing is removed either */
    mly_free(path);
}

/* 3. */
enum mly_status mly__prepared_remove(const char *folder, const char *key, struct mly_error *err)
{
    char *aside = NULL;
    char *path = mly_strfmt("%s/%s", folder, key);
    enum mly_status status = path ? mly__prepared_begin(folder, &aside, err) : no_memory(err);
    if (status == MLY_OK) {
        if (rename(path, aside) != 0 && errno != ENOENT)
            status = mly_error_os(err, errno, "cannot remove the prepared copy %s", path);
        enum mly_status removed = mly_dir_remove(aside, status == MLY_OK ? err : NULL);
        status = status == MLY_OK ? removed : status;
    }
    mly_free(aside);
    mly_free(path);
    return status;
}

/* --- 1. making one --- */

enum mly_status mly__prepared_lock(const char *folder, const char *key,
                                   struct mly__prepared_lock *out, struct mly_error *err)
{
    char *path = mly_strfmt("%s/" MLY__PREPARED_LOCK "%s", folder, key);
    if (!path)
        return no_memory(err);
    for (;;) {
        struct stat locked, named;
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int result = fd < 0 ? -1 : flock(fd, LOCK_EX);
        while (fd >= 0 && result != 0 && errno == EINTR)
            result = flock(fd, LOCK_EX);
        if (result != 0) {
            enum mly_status status = mly_error_os(err, errno, "cannot lock '%s'", path);
            if (fd >= 0)
                close(fd);
            mly_free(path);
            return status;
        }
        /* Who held it before may have removed the file: then this lock locks nothing. */
        if (fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
            locked.st_dev == named.st_dev) {
            *out = (struct mly__prepared_lock){.fd = fd, .path = path};
            return MLY_OK;
        }
        close(fd);
    }
}

void mly__prepared_unlock(struct mly__prepared_lock *lock)
{
    if (!lock->path)
        return;
    unlink(lock->path);
    close(lock->fd);
    mly_free(lock->path);
    *lock = (struct mly__prepared_lock){0};
}

enum mly_status mly__prepared_begin(const char *folder, char **out, struct mly_error *err)
{
    char *path = mly_strfmt("%s/" MLY__PREPARED_TEMPORARY "XXXXXX", folder);
    if (!path)
        return no_memory(err);
    if (!mkdtemp(path)) {
        enum mly_status status = mly_error_os(err, errno, "cannot write in '%s'", folder);
        mly_free(path);
        return status;
    }
    *out = path;
    return MLY_OK;
}

void mly__prepared_refuse(const char *folder, const char *key, const char *reason)
{
    struct mly_error why = {0};
    char *path = mly_strfmt("%s/" MLY__PREPARED_REFUSED "%s", folder, key);
    if (path && mly_file_write(path, reason, strlen(reason), &why) != MLY_OK)
        mly_log(MLY_LOG_DEBUG, "%s", why.message);
    mly_free(path);
}

enum mly_status mly__prepared_refused(const char *folder, const char *key, struct mly_error *err)
{
    char *reason = NULL;
    size_t length;
    enum mly_status status = MLY_OK;
    char *path = mly_strfmt("%s/" MLY__PREPARED_REFUSED "%s", folder, key);
    if (!path)
        return no_memory(err);
    if (mly_file_read(path, MLY_ERROR_MESSAGE_BYTES, &reason, &length, NULL) == MLY_OK)
        status = mly_error_set(err, MLY_E_BACKEND, "%s", reason);
    mly_free(reason);
    mly_free(path);
    return status;
}

/* Read-only and on the disk. */
static enum mly_status settle(const char *path, bool *there, struct mly_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    *there = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? MLY_OK : mly_error_os(err, errno, "cannot open '%s'", path);
    enum mly_status status = MLY_OK;
    if (fchmod(fd, 0444) != 0 || fsync(fd) != 0)
        status = mly_error_os(err, errno, "cannot write '%s' to the disk", path);
    close(fd);
    return status;
}

static enum mly_status write_manifest(const char *temporary, const char *model_name,
                                      const char *runtime, struct mly_error *err)
{
    struct mly_json_writer json;
    char hash[MLY_HASH_TEXT_BYTES];
    char *text = NULL;
    size_t length;
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_put_string(&json, "format", FORMAT);
    mly_json_put_string(&json, "model_name", model_name);
    mly_json_put_string(&json, "runtime", runtime);
    mly_json_put_int(&json, "created_s", (int64_t)time(NULL));
    mly_json_begin_object(&json, "files");
    enum mly_status status = MLY_OK;
    for (int i = 0; i < FILE_COUNT && status == MLY_OK; i++) {
        struct mly_file_stamp stamp;
        bool there = false;
        char *path = mly_strfmt("%s/%s", temporary, file_names[i]);
        status = path ? settle(path, &there, err) : no_memory(err);
        if (status == MLY_OK && there)
            status = mly_file_stamp(path, &stamp, err);
        if (status == MLY_OK && there && i == 0)
            status = hash_file(path, hash, err);
        if (status == MLY_OK && !there && i == 0)
            status = mly_error_set(err, MLY_E_IO, "'%s' was not written", path);
        if (status == MLY_OK && there) {
            mly_json_begin_object(&json, file_names[i]);
            mly_json_put_int(&json, "size_bytes", (int64_t)stamp.size_bytes);
            mly_json_put_int(&json, "modified_ns", stamp.modified_ns);
            mly_json_put_int(&json, "inode", (int64_t)stamp.inode);
            mly_json_end_object(&json);
        }
        mly_free(path);
    }
    mly_json_end_object(&json);
    if (status == MLY_OK)
        mly_json_put_string(&json, "model_sha256", hash);
    mly_json_end_object(&json);
    if (status != MLY_OK) {
        mly_json_writer_fini(&json);
        return status;
    }
    status = mly_json_finish(&json, &text, &length, err);
    char *path = mly_strfmt("%s/" MLY__PREPARED_MANIFEST, temporary);
    if (status == MLY_OK)
        status = path ? mly_file_write(path, text, length, err) : no_memory(err);
    mly_free(path);
    mly_free(text);
    return status;
}

static enum mly_status sync_folder(const char *path, struct mly_error *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems cannot flush folders; the files themselves are flushed. */
    const bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP);
    enum mly_status status =
        good ? MLY_OK : mly_error_os(err, errno, "cannot write '%s' to the disk", path);
    if (fd >= 0)
        close(fd);
    return status;
}

static enum mly_status make_used(const char *temporary, struct mly_error *err)
{
    char *path = mly_strfmt("%s/" MLY__PREPARED_USED, temporary);
    if (!path)
        return no_memory(err);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    enum mly_status status = fd >= 0 ? MLY_OK : mly_error_os(err, errno, "cannot write '%s'", path);
    if (fd >= 0)
        close(fd);
    mly_free(path);
    return status;
}

enum mly_status mly__prepared_publish(const char *folder, const char *key, const char *temporary,
                                      const char *model_name, const char *runtime,
                                      struct mly_error *err)
{
    char *path = NULL;
    enum mly_status status = write_manifest(temporary, model_name, runtime, err);
    if (status == MLY_OK)
        status = make_used(temporary, err);
    if (status == MLY_OK)
        status = sync_folder(temporary, err);
    if (status == MLY_OK) {
        path = mly_strfmt("%s/%s", folder, key);
        status = path ? MLY_OK : no_memory(err);
    }
    if (status == MLY_OK && rename(temporary, path) != 0)
        status = mly_error_os(err, errno, "cannot put '%s' in its place", path);
    if (status == MLY_OK)
        status = sync_folder(folder, err);
    mly_free(path);
    return status;
}

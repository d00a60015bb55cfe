/* Reading files: stamps, bounded reads and read-only maps. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/os.h"

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum mly_status mly_file_stamp(const char *path, struct mly_file_stamp *out, struct mly_error *err)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return mly_error_os(err, errno, "cannot examine '%s'", path);
    *out = (struct mly_file_stamp){
        .device = s.st_dev,
        .inode = s.st_ino,
        .size_bytes = (uint64_t)s.st_size,
        .modified_ns = nanoseconds(s.st_mtim),
        .changed_ns = nanoseconds(s.st_ctim),
    };
    return MLY_OK;
}

/* Opens a regular file; anything else is refused, and a FIFO without a writer does not block. */
static enum mly_status open_regular(const char *path, int *fd, size_t *size, struct mly_error *err)
{
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (opened < 0)
        return mly_error_os(err, errno, "cannot open '%s'", path);
    struct stat s;
    enum mly_status status = MLY_OK;
    if (fstat(opened, &s) != 0)
        status = mly_error_os(err, errno, "cannot examine '%s'", path);
    else if (!S_ISREG(s.st_mode))
        status = mly_error_set(err, MLY_E_INVALID, "'%s' is %s, not a regular file", path,
                               S_ISDIR(s.st_mode) ? "a directory" : "a device, pipe or socket");
    if (status != MLY_OK) {
        close(opened);
        return status;
    }
    *fd = opened;
    *size = (size_t)s.st_size;
    return MLY_OK;
}

/* Reads to the end: the size that fstat gave may be 0 (/proc, /sys) or out of date. */
static enum mly_status read_all(int fd, const char *path, size_t max_bytes, size_t expected,
                                char **data, size_t *length, struct mly_error *err)
{
    char *bytes = NULL;
    size_t capacity = 0, filled = 0;
    enum mly_status status;
    if (expected > max_bytes)
        goto too_large;
    if (mly_array_reserve(&bytes, &capacity, expected + 2, 1) != 0)
        goto no_memory;
    for (;;) {
        if (capacity - filled < 2 && mly_array_reserve(&bytes, &capacity, capacity + 1, 1) != 0)
            goto no_memory;
        ssize_t got = read(fd, bytes + filled, capacity - filled - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = mly_error_os(err, errno, "cannot read '%s' at byte %zu", path, filled);
            goto fail;
        }
        if (got == 0)
            break;
        filled += (size_t)got;
        if (filled > max_bytes)
            goto too_large;
    }
    bytes[filled] = '\0';
    *data = bytes;
    *length = filled;
    return MLY_OK;
too_large:
    status = mly_error_set(err, MLY_E_LIMIT, "'%s' is larger than the %zu bytes allowed", path,
                           max_bytes);
    goto fail;
no_memory:
    status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory to read '%s'", path);
fail:
    mly_free(bytes);
    return status;
}

enum mly_status mly_file_read(const char *path, size_t max_bytes, char **data, size_t *length,
                              struct mly_error *err)
{
    int fd = -1;
    size_t size = 0;
    enum mly_status status = open_regular(path, &fd, &size, err);
    if (status != MLY_OK)
        return status;
    status = read_all(fd, path, max_bytes, size, data, length, err);
    close(fd);
    return status;
}

enum mly_status mly_file_map_open(const char *path, struct mly_file_map *out, struct mly_error *err)
{
    int fd = -1;
    size_t size = 0;
    enum mly_status status = open_regular(path, &fd, &size, err);
    if (status != MLY_OK)
        return status;
    void *data = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (data == MAP_FAILED)
        status = mly_error_os(err, errno, "cannot map '%s' (%zu bytes)", path, size);
    else
        *out = (struct mly_file_map){size ? data : (const uint8_t *)"", size};
    close(fd);
    return status;
}

void mly_file_map_close(struct mly_file_map *map)
{
    if (!map)
        return;
    if (map->length)
        munmap((void *)(uintptr_t)map->data, map->length);
    *map = (struct mly_file_map){0};
}

/*
 * Atomic writing.
 *
 * 1. A temporary file of a random name is created in the destination's directory.
 * 2. Bytes go there through a buffer.
 * 3. On commit it is flushed to the disk, renamed over the destination, and the directory is
 * flushed, so that after a crash either the old or the new file is there, whole. A destination that
 * exists and is no regular file (/dev/stdout, a pipe) is written to directly instead: to rename
 * over it would replace the device.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/os.h"

#define BUFFER_BYTES 65536
#define NAME_ATTEMPTS 16
#define TEMPORARY_NAME_BYTES 32

struct mly_file_writer {
    char *path;      /* as the user gave it, for messages */
    char *directory; /* of the destination, links resolved */
    char *name;      /* of the destination in it */
    int directory_fd;
    int fd;
    char temporary[TEMPORARY_NAME_BYTES]; /* "" when the destination is written to directly */
    enum mly_status failure;              /* the first one: no commit after it */
    size_t buffered;
    char buffer[BUFFER_BYTES];
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Splits a path into its directory and last component, following a link at the end if there is one.
 */
static enum mly_status split_path(mly_file_writer *writer, struct mly_error *err)
{
    struct stat s;
    char *resolved = NULL;
    if (lstat(writer->path, &s) == 0 && S_ISLNK(s.st_mode))
        resolved = realpath(writer->path, NULL); /* NULL for a dangling link, which is replaced */
    const char *path = resolved ? resolved : writer->path, *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    enum mly_status status = MLY_OK;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        status = mly_error_set(err, MLY_E_INVALID, "'%s' does not name a file", writer->path);
    } else {
        writer->name = mly_strdup(name);
        writer->directory = !slash          ? mly_strdup(".")
                            : slash == path ? mly_strdup("/")
                                            : mly_strndup(path, (size_t)(slash - path));
        if (!writer->name || !writer->directory)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory to write '%s'", writer->path);
    }
    free(resolved);
    return status;
}

static void make_temporary_name(char name[TEMPORARY_NAME_BYTES])
{
    static const char digits[] = "0123456789abcdef", prefix[] = ".motley-", suffix[] = ".tmp";
    unsigned char random[8] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        int64_t now = mly_now_ns(); /* O_EXCL guards against repetition */
        memcpy(random, &now, sizeof random);
    }
    char *at = memcpy(name, prefix, sizeof prefix);
    at += sizeof prefix - 1;
    for (size_t i = 0; i < sizeof random; i++) {
        *at++ = digits[random[i] >> 4];
        *at++ = digits[random[i] & 15];
    }
    memcpy(at, suffix, sizeof suffix);
}

/* (1) Or opens the destination itself when it is a device or pipe. */
static enum mly_status open_target(mly_file_writer *writer, struct mly_error *err)
{
    writer->directory_fd = open(writer->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (writer->directory_fd < 0)
        return mly_error_os(err, errno, "cannot write '%s': cannot open its directory",
                            writer->path);
    struct stat s;
    bool exists = fstatat(writer->directory_fd, writer->name, &s, 0) == 0;
    if (exists && S_ISDIR(s.st_mode))
        return mly_error_set(err, MLY_E_INVALID, "cannot write '%s': it is a directory",
                             writer->path);
    if (exists && !S_ISREG(s.st_mode)) {
        writer->fd = openat(writer->directory_fd, writer->name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (writer->fd < 0)
            return mly_error_os(err, errno, "cannot write '%s'", writer->path);
        return MLY_OK;
    }
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        make_temporary_name(writer->temporary);
        writer->fd = openat(writer->directory_fd, writer->temporary,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (writer->fd >= 0) {
            /* A file that is replaced keeps its permissions, if that is allowed. */
            if (exists && fchmod(writer->fd, s.st_mode & 0777) != 0)
                errno = 0;
            return MLY_OK;
        }
        if (errno != EEXIST)
            break;
    }
    int number = errno;
    writer->temporary[0] = '\0';
    return mly_error_os(err, number, "cannot write '%s'", writer->path);
}

enum mly_status mly_file_writer_create(const char *path, mly_file_writer **out,
                                       struct mly_error *err)
{
    mly_file_writer *writer = mly_alloc(sizeof *writer);
    if (!writer)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to write '%s'", path);
    writer->fd = writer->directory_fd = -1;
    enum mly_status status = MLY_OK;
    writer->path = mly_strdup(path);
    if (!writer->path)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory to write '%s'", path);
    if (status == MLY_OK)
        status = split_path(writer, err);
    if (status == MLY_OK)
        status = open_target(writer, err);
    if (status != MLY_OK) {
        mly_file_writer_abort(writer);
        return status;
    }
    *out = writer;
    return MLY_OK;
}

static enum mly_status write_fully(mly_file_writer *writer, const char *bytes, size_t length,
                                   struct mly_error *err)
{
    while (length) {
        ssize_t written = write(writer->fd, bytes, length < SSIZE_MAX ? length : SSIZE_MAX);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            writer->failure = mly_error_os(err, errno, "cannot write '%s'", writer->path);
            return writer->failure;
        }
        bytes += written;
        length -= (size_t)written;
    }
    return MLY_OK;
}

static enum mly_status flush(mly_file_writer *writer, struct mly_error *err)
{
    size_t length = writer->buffered;
    writer->buffered = 0;
    return write_fully(writer, writer->buffer, length, err);
}

enum mly_status mly_file_writer_write(mly_file_writer *writer, const void *bytes, size_t length,
                                      struct mly_error *err)
{
    if (writer->failure != MLY_OK)
        return mly_error_set(err, writer->failure, "writing '%s' failed before", writer->path);
    if (length > BUFFER_BYTES - writer->buffered) {
        enum mly_status status = flush(writer, err);
        if (status != MLY_OK)
            return status;
    }
    if (length >= BUFFER_BYTES)
        return write_fully(writer, bytes, length, err);
    if (length)
        memcpy(writer->buffer + writer->buffered, bytes, length);
    writer->buffered += length;
    return MLY_OK;
}

enum mly_status mly_file_writer_skip(mly_file_writer *writer, uint64_t length,
                                     struct mly_error *err)
{
    static const char zeros[4096];
    if (writer->failure != MLY_OK)
        return mly_error_set(err, writer->failure, "writing '%s' failed before", writer->path);
    enum mly_status status = flush(writer, err);
    if (status == MLY_OK && writer->temporary[0] && length <= INT64_MAX / 2) {
        off_t end = lseek(writer->fd, (off_t)length, SEEK_CUR);
        if (end < 0 || ftruncate(writer->fd, end) != 0)
            status = writer->failure = mly_error_os(err, errno, "cannot write '%s'", writer->path);
        return status;
    }
    for (; status == MLY_OK && length > 0; length -= length < sizeof zeros ? length : sizeof zeros)
        status = mly_file_writer_write(writer, zeros,
                                       length < sizeof zeros ? (size_t)length : sizeof zeros, err);
    return status;
}

/* (3) */
static enum mly_status publish(mly_file_writer *writer, struct mly_error *err)
{
    bool direct = !writer->temporary[0];
    /* Devices and pipes cannot be flushed to a disk, and say EINVAL or ENOTSUP. */
    if (!direct && fsync(writer->fd) != 0)
        return mly_error_os(err, errno, "cannot write '%s' to the disk", writer->path);
    int closed = close(writer->fd);
    writer->fd = -1; /* closed even when close reports an error, which is one of a late write */
    if (closed != 0 && errno != EINTR)
        return mly_error_os(err, errno, "cannot write '%s'", writer->path);
    if (direct)
        return MLY_OK;
    if (renameat(writer->directory_fd, writer->temporary, writer->directory_fd, writer->name) != 0)
        return mly_error_os(err, errno, "cannot put '%s' in its place", writer->path);
    writer->temporary[0] = '\0';
    /* Some file systems cannot flush directories; the file itself is there and whole. */
    if (fsync(writer->directory_fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        return mly_error_os(err, errno, "cannot write the directory of '%s' to the disk",
                            writer->path);
    return MLY_OK;
}

enum mly_status mly_file_writer_commit(mly_file_writer *writer, struct mly_error *err)
{
    enum mly_status status = writer->failure;
    if (status != MLY_OK)
        mly_error_set(err, status, "writing '%s' failed before", writer->path);
    else
        status = flush(writer, err);
    if (status == MLY_OK)
        status = publish(writer, err);
    mly_file_writer_abort(writer);
    return status;
}

void mly_file_writer_abort(mly_file_writer *writer)
{
    if (!writer)
        return;
    close_fd(&writer->fd);
    if (writer->temporary[0] && writer->directory_fd >= 0)
        unlinkat(writer->directory_fd, writer->temporary, 0);
    close_fd(&writer->directory_fd);
    mly_free(writer->path);
    mly_free(writer->directory);
    mly_free(writer->name);
    mly_free(writer);
}

enum mly_status mly_file_write(const char *path, const void *bytes, size_t length,
                               struct mly_error *err)
{
    mly_file_writer *writer = NULL;
    enum mly_status status = mly_file_writer_create(path, &writer, err);
    if (status != MLY_OK)
        return status;
    status = mly_file_writer_write(writer, bytes, length, err);
    if (status != MLY_OK) {
        mly_file_writer_abort(writer);
        return status;
    }
    return mly_file_writer_commit(writer, err);
}

/* Files: bounded reads, read-only maps, atomic writes, directories. All paths are borrowed. */
#ifndef MLY_BASE_FILE_H
#define MLY_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <motley/status.h>

/* What identifies a file's content without reading it. */
struct mly_file_stamp {
    uint64_t device, inode, size_bytes;
    int64_t modified_ns, changed_ns;
};
enum mly_status mly_file_stamp(const char *path, struct mly_file_stamp *out,
                               struct mly_error *err) MLY_MUST_CHECK;

/* Reads a whole regular file of at most max_bytes into *data (NUL-terminated, free with mly_free).
 */
enum mly_status mly_file_read(const char *path, size_t max_bytes, char **data, size_t *length,
                              struct mly_error *err) MLY_MUST_CHECK;

/* Read-only private mapping of a regular file; empty files map to data "" with length 0. */
struct mly_file_map {
    const uint8_t *data;
    size_t length;
};
enum mly_status mly_file_map_open(const char *path, struct mly_file_map *out,
                                  struct mly_error *err) MLY_MUST_CHECK;
void mly_file_map_close(struct mly_file_map *map);

/*
 * Atomic writing: bytes go to a temporary file beside `path`, which appears under its final name
 * only on commit (after fsync); abort, a failure or a crash leave nothing under the final name.
 * NULL from create never happens: errors are statuses. ENOSPC and EDQUOT become MLY_E_NO_SPACE.
 */
typedef struct mly_file_writer mly_file_writer;
enum mly_status mly_file_writer_create(const char *path, mly_file_writer **out,
                                       struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_file_writer_write(mly_file_writer *writer, const void *bytes, size_t length,
                                      struct mly_error *err) MLY_MUST_CHECK;
/* Zeros, as a hole where the file system has such: takes neither time nor room. */
enum mly_status mly_file_writer_skip(mly_file_writer *writer, uint64_t length,
                                     struct mly_error *err) MLY_MUST_CHECK;
/* Closes and publishes; frees the writer in every case. */
enum mly_status mly_file_writer_commit(mly_file_writer *writer,
                                       struct mly_error *err) MLY_MUST_CHECK;
/* Removes the temporary file and frees; NULL is fine. */
void mly_file_writer_abort(mly_file_writer *writer);
/* All at once. */
enum mly_status mly_file_write(const char *path, const void *bytes, size_t length,
                               struct mly_error *err) MLY_MUST_CHECK;

/* Creates a directory and its parents, for the user: with the permissions that the umask leaves. */
enum mly_status mly_dir_create(const char *path, struct mly_error *err) MLY_MUST_CHECK;
/* Removes a directory tree without following symbolic links; a missing one is fine. */
enum mly_status mly_dir_remove(const char *path, struct mly_error *err) MLY_MUST_CHECK;

/*
 * motley's cache directory: $MOTLEY_CACHE_DIR, else $XDG_CACHE_HOME/motley, else ~/.cache/motley,
 * created on demand (0700), with `sub` below it. *out is owned by the caller (mly_free). MLY_E_IO if it
 * cannot be made.
 */
enum mly_status mly_cache_dir(const char *sub, char **out, struct mly_error *err) MLY_MUST_CHECK;

#endif

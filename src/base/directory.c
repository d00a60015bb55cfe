/* Directories: making them, removing trees, and where motley's cache lies. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/os.h"

/* Levels of a tree that is removed; each holds a descriptor. */
#define DEPTH_MAX 200
/* Passes over a directory that others fill meanwhile. */
#define PASSES_MAX 4

static bool is_directory(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static enum mly_status make_one(const char *path, mode_t mode, struct mly_error *err)
{
    if (mkdir(path, mode) == 0)
        return MLY_OK;
    int number = errno;
    if (is_directory(path))
        return MLY_OK;
    if (number == EEXIST)
        return mly_error_set(err, MLY_E_INVALID,
                             "cannot make the directory '%s': a file is in its place", path);
    return mly_error_os(err, number, "cannot make the directory '%s'", path);
}

static enum mly_status make_path(const char *path, mode_t mode, struct mly_error *err)
{
    if (!*path)
        return mly_error_set(err, MLY_E_INVALID, "a directory's name is empty");
    if (is_directory(path))
        return MLY_OK;
    char *part = mly_strdup(path);
    if (!part)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the path '%s'", path);
    enum mly_status status = MLY_OK;
    for (char *at = part + 1; status == MLY_OK && *at; at++) {
        if (*at != '/' || at[-1] == '/')
            continue;
        *at = '\0';
        status = make_one(part, mode, err);
        *at = '/';
    }
    if (status == MLY_OK)
        status = make_one(part, mode, err);
    mly_free(part);
    return status;
}

enum mly_status mly_dir_create(const char *path, struct mly_error *err)
{
    return make_path(path, 0777, err);
}

static enum mly_status remove_entry(int parent, const char *name, const char *root, int depth,
                                    struct mly_error *err);

/* Removes what lies in the directory `fd`, which is closed in every case. */
static enum mly_status empty_directory(int fd, const char *root, int depth, struct mly_error *err)
{
    DIR *stream = fdopendir(fd);
    if (!stream) {
        int number = errno;
        close(fd);
        return mly_error_os(err, number, "cannot list what lies in '%s'", root);
    }
    enum mly_status status = MLY_OK;
    while (status == MLY_OK) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry) {
            if (errno)
                status = mly_error_os(err, errno, "cannot list what lies in '%s'", root);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status =
                remove_entry(fd, entry->d_name, root, depth, err); /* the stream keeps it open */
    }
    closedir(stream);
    return status;
}

static enum mly_status remove_entry(int parent, const char *name, const char *root, int depth,
                                    struct mly_error *err)
{
    /* Links are unlinked, never followed; a directory says EISDIR (POSIX: EPERM). */
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return MLY_OK;
    if (errno != EISDIR && errno != EPERM)
        return mly_error_os(err, errno, "cannot remove '%s' in '%s'", name, root);
    if (depth >= DEPTH_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "'%s' has more than %d levels of directories", root,
                             DEPTH_MAX);
    for (int pass = 0;; pass++) {
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return mly_error_os(err, errno, "cannot remove '%s' in '%s'", name, root);
        enum mly_status status = empty_directory(fd, root, depth + 1, err);
        if (status != MLY_OK)
            return status;
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return MLY_OK;
        if ((errno != ENOTEMPTY && errno != EEXIST) || pass + 1 == PASSES_MAX)
            return mly_error_os(err, errno, "cannot remove '%s' in '%s'", name, root);
    }
}

enum mly_status mly_dir_remove(const char *path, struct mly_error *err)
{
    struct stat s, root;
    if (lstat(path, &s) != 0) {
        if (errno == ENOENT && *path)
            return MLY_OK;
        return mly_error_os(err, errno, "cannot remove '%s'", path);
    }
    if (!S_ISDIR(s.st_mode))
        return mly_error_set(err, MLY_E_INVALID, "cannot remove '%s': it is no directory", path);
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    const char *last = path + length;
    while (last > path && last[-1] != '/')
        last--;
    size_t last_length = length - (size_t)(last - path);
    bool dots = (last_length == 1 && last[0] == '.') ||
                (last_length == 2 && last[0] == '.' && last[1] == '.');
    if (dots || (stat("/", &root) == 0 && root.st_dev == s.st_dev && root.st_ino == s.st_ino))
        return mly_error_set(err, MLY_E_INVALID, "refusing to remove '%s'", path);
    /* Only a path that ends in slashes needs memory: what cleans up works when that is short. */
    char *name = path[length] ? mly_strndup(path, length) : NULL;
    if (path[length] && !name)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to remove '%s'", path);
    enum mly_status status = remove_entry(AT_FDCWD, name ? name : path, path, 0, err);
    mly_free(name);
    return status;
}

static char *home_directory(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return mly_strdup(home);
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found &&
        found->pw_dir && found->pw_dir[0] == '/')
        return mly_strdup(found->pw_dir);
    return NULL;
}

static char *cache_root(void)
{
    const char *own = getenv("MOTLEY_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
    if (own && *own)
        return mly_strdup(own);
    if (xdg && xdg[0] == '/') /* the specification ignores relative ones */
        return mly_strfmt("%s/motley", xdg);
    char *home = home_directory();
    char *root = home ? mly_strfmt("%s/.cache/motley", home) : NULL;
    mly_free(home);
    return root;
}

/* "sub" may have several components, but none that leads out of the cache. */
static bool is_below(const char *sub)
{
    if (*sub == '/')
        return false;
    for (const char *at = sub; *at;) {
        size_t length = strcspn(at, "/");
        if (length == 2 && at[0] == '.' && at[1] == '.')
            return false;
        at += length;
        at += *at == '/';
    }
    return true;
}

enum mly_status mly_cache_dir(const char *sub, char **out, struct mly_error *err)
{
    if (sub && !is_below(sub))
        return mly_error_set(err, MLY_E_INVALID, "'%s' does not lie below the cache directory",
                             sub);
    char *root = cache_root();
    if (!root)
        return mly_error_set(err, MLY_E_IO,
                             "no cache directory: set MOTLEY_CACHE_DIR (HOME is not set either)");
    char *path = sub && *sub ? mly_strfmt("%s/%s", root, sub) : mly_strdup(root);
    mly_free(root);
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the cache directory's path");
    enum mly_status status = make_path(path, 0700, err);
    if (status != MLY_OK) {
        mly_free(path);
        if (status != MLY_E_NO_MEMORY && status != MLY_E_NO_SPACE)
            status = MLY_E_IO;
        if (err)
            err->status = status;
        return mly_error_prefix(err, status, "cache directory");
    }
    *out = path;
    return MLY_OK;
}

/* Where a model's files lie, so that a runtime can map them itself instead of being given copies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model.h"

/* What follows the folder in path, or NULL if path does not lie inside it. */
static const char *inside(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    if (length == 1) {
        length = 0; /* the root folder */
    }
    return strncmp(path, folder, length) == 0 && path[length] == '/' && path[length + 1] != '\0'
               ? path + length + 1
               : NULL;
}

/* The folder of a file, links on the way to it resolved; NULL if it cannot be had (errno says
 * why). Free with free(). */
char *mly__folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return realpath(".", NULL);
    }
    char *folder = mly_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    char *resolved = realpath(folder, NULL);
    mly_free(folder);
    return resolved;
}

/*
 * The model file's region. A model that is a link to a file elsewhere has that file's folder; its
 * external data, which must lie beside the link, is then outside.
 */
enum mly_status mly__folder_set(mly_model *model, struct mly_error *err)
{
    struct mly__region *file = &model->regions[0];
    char *real = realpath(model->path, NULL);
    char *folder = mly__folder_of(model->path);
    if (real != NULL && folder != NULL && inside(folder, real) == NULL) {
        free(folder);
        folder = mly__folder_of(real);
    }
    const char *name = real != NULL && folder != NULL ? inside(folder, real) : NULL;
    model->folder = mly_strdup(name != NULL ? folder : "");
    file->name = mly_strdup(name != NULL ? name : "motley.weights");
    file->real_path = mly_strdup(real != NULL ? real : "");
    free(real);
    free(folder);
    return model->folder != NULL && file->name != NULL && file->real_path != NULL
               ? MLY_OK
               : mly__no_memory(err);
}

enum mly_status mly__folder_add(mly_model *model, const char *real_path, struct mly__region *region,
                                struct mly_error *err)
{
    const char *name = model->folder[0] != '\0' ? inside(model->folder, real_path) : NULL;
    region->name =
        name != NULL ? mly_strdup(name) : mly_strfmt("motley.weights.%zu", model->region_count);
    region->real_path = mly_strdup(name != NULL ? real_path : "");
    return region->name != NULL && region->real_path != NULL ? MLY_OK : mly__no_memory(err);
}

enum mly_status mly_model_folder(const mly_model *model, const char **out, struct mly_error *err)
{
    const char *folder = model->folder;
    for (size_t i = 0; i < model->region_count; i++) {
        const struct mly__region *region = &model->regions[i];
        struct mly_file_stamp now;
        if (region->real_path[0] == '\0' ||
            mly_file_stamp(region->real_path, &now, NULL) != MLY_OK ||
            now.inode != region->stamp.inode || now.device != region->stamp.device) {
            folder = NULL; /* elsewhere, removed or replaced: our mapping still has the old one */
            continue;
        }
        if (now.size_bytes != region->stamp.size_bytes ||
            now.modified_ns != region->stamp.modified_ns) {
            return mly_error_set(err, MLY_E_MISMATCH,
                                 "%s was written to after the model was loaded; load it again",
                                 region->real_path);
        }
    }
    *out = folder;
    return MLY_OK;
}

/*
 * Writing the parts of a model as files.
 *
 * 1. Everything goes into a folder of another name beside the one that is wanted, which it becomes by
 * one rename.
 * 2. With linked weights the serialised segments are written as they are: they refer to the model's own
 * files by name, and a hard link of that name makes those part of the folder. (A symbolic link would
 * lead out of it, and that is refused on reading.)
 */
#include "model/split.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/os.h"
#include "split_private.h"

#define NAME_TRIES 1000

static enum mly_status extract_part(const struct mly_split *split, uint32_t index, uint32_t *nodes,
                                    struct mly_split_part *part, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(split->model);
    uint32_t count = 0;
    snprintf(part->name, sizeof part->name, "s%u", index);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (split->part_of_node[i] == index) {
            struct mly_node_work work;
            mly_graph_node_work(graph, split->shapes, i, &work);
            part->macs += work.known ? work.macs : 0;
            nodes[count++] = i;
        }
    }
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        bool read = false;
        for (uint32_t k = 0; k < tensor->consumer_count && !read; k++) {
            read = split->part_of_node[tensor->consumers[k]] == index;
        }
        int64_t elements;
        if (read && tensor->kind == MLY_TENSOR_INITIALISER) {
            part->weight_bytes += (double)tensor->weight_bytes;
            part->parameters +=
                mly_shape_count(&tensor->shape, &elements, NULL) == MLY_OK ? (double)elements : 0;
        }
    }
    enum mly_status status = mly_segment_extract(split->model, nodes, count, &part->segment, err);
    return status == MLY_OK ? status : mly_error_prefix(err, status, "segment %s", part->name);
}

enum mly_status mly_split_parts(const struct mly_split *split, struct mly_split_part **parts,
                                struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(split->model);
    struct mly_split_part *made = mly_alloc_array((size_t)split->part_count + 1, sizeof *made);
    uint32_t *nodes = mly_alloc_array((size_t)graph->node_count + 1, sizeof *nodes);
    enum mly_status status = made == NULL || nodes == NULL ? mly__no_memory(err) : MLY_OK;
    for (uint32_t i = 0; i < split->part_count && status == MLY_OK; i++) {
        status = extract_part(split, i, nodes, &made[i], err);
    }
    mly_free(nodes);
    if (status != MLY_OK) {
        mly_split_parts_fini(made, split->part_count);
        return status;
    }
    *parts = made;
    return MLY_OK;
}

void mly_split_parts_fini(struct mly_split_part *parts, uint32_t count)
{
    for (uint32_t i = 0; parts != NULL && i < count; i++) {
        mly_segment_fini(&parts[i].segment);
    }
    mly_free(parts);
}

/* There is nothing of that name, or an empty folder. */
static enum mly_status check_free(const char *folder, struct mly_error *err)
{
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        return errno == ENOENT ? MLY_OK : mly_error_os(err, errno, "folder '%s'", folder);
    }
    const struct dirent *entry;
    bool empty = true;
    while (empty && (entry = readdir(directory)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(directory);
    return empty ? MLY_OK
                 : mly_error_set(err, MLY_E_INVALID,
                                 "folder '%s' is not empty; remove it or name another one", folder);
}

/* 1. *out is owned by the caller (mly_free). */
static enum mly_status make_beside(const char *folder, char **out, struct mly_error *err)
{
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        char *name = mly_strfmt("%s.part-%ld-%u", folder, (long)getpid(), i);
        if (name == NULL) {
            return mly__no_memory(err);
        }
        if (mkdir(name, 0777) == 0) {
            *out = name;
            return MLY_OK;
        }
        const int error_number = errno;
        mly_free(name);
        if (error_number != EEXIST) {
            return mly_error_os(err, error_number, "cannot make folder '%s'", folder);
        }
    }
    return mly_error_set(err, MLY_E_IO, "folder '%s': %d unfinished ones lie beside it", folder,
                         NAME_TRIES);
}

/* 2. One of the model's files, once. */
static enum mly_status link_file(const char *from_folder, const char *to_folder, const char *name,
                                 struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    char *from = mly_strfmt("%s/%s", from_folder, name);
    char *to = mly_strfmt("%s/%s", to_folder, name);
    if (from == NULL || to == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    char *slash = strrchr(to, '/');
    *slash = '\0';
    status = mly_dir_create(to, err);
    *slash = '/';
    if (status == MLY_OK && linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0 &&
        errno != EEXIST) {
        status = mly_error_os(err, errno, "'%s' cannot be linked", from);
        status = mly_error_prefix(err, status == MLY_E_IO ? MLY_E_INVALID : status,
                                  "without --link every segment has its own weights");
    }
done:
    mly_free(from);
    mly_free(to);
    return status;
}

static enum mly_status save_linked(const struct mly_split *split, const struct mly_split_part *part,
                                   const char *folder, const char *path, struct mly_error *err)
{
    const char *from;
    enum mly_status status = mly_model_folder(split->model, &from, err);
    if (status == MLY_OK && from == NULL && part->segment.region_count > 0) {
        status = mly_error_set(err, MLY_E_INVALID,
                               "the model's files are not where they were, so that nothing can be "
                               "linked to them");
    }
    for (size_t i = 0; i < part->segment.region_count && status == MLY_OK; i++) {
        const char *name = part->segment.regions[i].name;
        char end;
        unsigned number;
        if (sscanf(name, "s%u.onn%c", &number, &end) == 2 || strcmp(name, "manifest.json") == 0) {
            return mly_error_set(err, MLY_E_INVALID,
                                 "'%s' cannot be linked: a segment is named so; rename the model, "
                                 "or leave --link off",
                                 name);
        }
        status = link_file(from, folder, name, err);
    }
    return status == MLY_OK
               ? mly_file_write(path, part->segment.onnx, part->segment.onnx_bytes, err)
               : status;
}

static enum mly_status save_all(const struct mly_split *split, const struct mly_split_part *parts,
                                const char *folder, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < split->part_count && status == MLY_OK; i++) {
        if (split->go_on != NULL && !split->go_on(i, split->user)) {
            return mly_error_set(err, MLY_E_CANCELLED, "interrupted: nothing is written");
        }
        char *path = mly_strfmt("%s/%s.onnx", folder, parts[i].name);
        status = path == NULL          ? mly__no_memory(err)
                 : split->link_weights ? save_linked(split, &parts[i], folder, path, err)
                                       : mly_segment_save(&parts[i].segment, path, err);
        mly_free(path);
    }
    if (status != MLY_OK) {
        return status;
    }
    char *text = NULL;
    size_t length;
    status = mly__split_manifest(split, parts, folder, &text, &length, err);
    char *path = mly_strfmt("%s/manifest.json", folder);
    if (status == MLY_OK) {
        status = path == NULL ? mly__no_memory(err) : mly_file_write(path, text, length, err);
    }
    mly_free(path);
    mly_free(text);
    return status;
}

enum mly_status mly_split_save(const struct mly_split *split, const struct mly_split_part *parts,
                               const char *folder, struct mly_error *err)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') {
        length--;
    }
    char *wanted = mly_strndup(folder, length);
    char *beside = NULL;
    enum mly_status status = wanted == NULL ? mly__no_memory(err) : MLY_OK;
    if (status == MLY_OK) {
        status = check_free(wanted, err);
    }
    if (status == MLY_OK) {
        status = make_beside(wanted, &beside, err);
    }
    if (status == MLY_OK) {
        status = save_all(split, parts, beside, err);
    }
    if (status == MLY_OK && rename(beside, wanted) != 0) {
        status = mly_error_os(err, errno, "folder '%s'", wanted);
    }
    if (status != MLY_OK && beside != NULL) {
        enum mly_status removed = mly_dir_remove(beside, NULL);
        (void)removed; /* the first error is the one to tell */
    }
    mly_free(beside);
    mly_free(wanted);
    return status;
}

/*
 * The library's list of modelled devices, read once from folders of device files:
 *
 *   1. those that came with motley: beside the build (BUILD/data/devices) or installed
 *      (PREFIX/share/motley/devices), found from where this code was loaded;
 *   2. the user's: the folder MOTLEY_DEVICES, else devices/ in the configuration folder. They
 *      replace those of equal name.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/os.h"
#include "device/internal.h"
#include "device/modelled.h"
#include "modelled_paths.h"

#define MODELS_MAX 256      /* devices in all; more are not read */
#define WORD_BYTES_MAX 8192 /* what is said of files that are wrong */

struct model_list {
    struct mly_device_model *items[MODELS_MAX];
    size_t count;
    char *word; /* of files that were left out; NULL when there is nothing to say */
};

/* The list, once it has been read; never changed after. */
static _Atomic(struct model_list *) the_list;
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER; /* one thread makes the list */

/* --- where --- */

/* meson says how folders of an installation lie to each other; the others are the build tree's. */
static const char *const beside[] = {
    MLY__BINDIR_TO_DEVICES, MLY__LIBDIR_TO_DEVICES,  "../data/devices",
    "../../data/devices",   "../../../data/devices",
};

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* A folder of device files near the file at path; *out stays NULL if there is none. */
static enum mly_status folder_near(const char *path, char **out)
{
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; slash && i < sizeof beside / sizeof *beside; i++) {
        char *folder = mly_strfmt("%.*s/%s", (int)(slash - path), path, beside[i]);
        if (!folder)
            return MLY_E_NO_MEMORY;
        if (is_folder(folder)) {
            *out = folder;
            return MLY_OK;
        }
        mly_free(folder);
    }
    return MLY_OK;
}

/* Where motley's own device files lie: near the library, else near the program. */
static enum mly_status own_folder(char **out)
{
    static const char here = 0;
    Dl_info info;
    char program[4096];
    enum mly_status status = MLY_OK;
    if (dladdr(&here, &info) != 0 && info.dli_fname) {
        char *library = realpath(info.dli_fname, NULL);
        status = library ? folder_near(library, out) : MLY_OK;
        free(library);
    }
    if (status || *out)
        return status;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return MLY_OK;
    program[length] = '\0';
    return folder_near(program, out);
}

/* The user's; *needed if it was asked for by name. *out stays NULL if there is none. */
static enum mly_status user_folder(char **out, bool *needed)
{
    const char *own = getenv("MOTLEY_DEVICES"), *xdg = getenv("XDG_CONFIG_HOME"),
               *home = getenv("HOME");
    *needed = own && *own;
    if (*needed)
        *out = mly_strdup(own);
    else if (xdg && xdg[0] == '/') /* the specification ignores relative ones */
        *out = mly_strfmt("%s/motley/devices", xdg);
    else if (home && home[0] == '/')
        *out = mly_strfmt("%s/.config/motley/devices", home);
    else
        return MLY_OK;
    return *out ? MLY_OK : MLY_E_NO_MEMORY;
}

/* --- reading --- */

/* A list in the making. */
struct making {
    struct model_list *list;
    struct mly_buffer word;
};

static enum mly_status say(struct making *making, const char *text, struct mly_error *err)
{
    enum mly_status status =
        mly_buffer_printf(&making->word, "%s%s", making->word.length ? "\n" : "", text);
    if (status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "no memory for the list of modelled devices");
    return MLY_OK; /* more than can be said is not said */
}

/* Takes the model in; one of equal name goes. */
static enum mly_status put(struct model_list *list, struct mly_device_model *model,
                           struct mly_error *err)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i]->name, model->name) == 0) {
            mly_free(list->items[i]);
            list->items[i] = model;
            return MLY_OK;
        }
    if (list->count == MODELS_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: over %d devices; this one is left out",
                             model->path, MODELS_MAX);
    list->items[list->count++] = model;
    return MLY_OK;
}

/* The file NAME.json describes the device NAME. */
static enum mly_status load_one(const char *path, struct model_list *list, struct mly_error *err)
{
    char *text = NULL;
    size_t length = 0;
    struct mly_device_model *model = mly_alloc(sizeof *model);
    if (!model)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a modelled device");
    enum mly_status status = mly_file_read(path, MLY_DEVICE_TEXT_BYTES_MAX, &text, &length, err);
    if (!status)
        status = mly_device_model_parse(path, text, length, model, err);
    mly_free(text);
    if (!status) {
        const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
        size_t stem = strlen(file) - strlen(".json");
        if (strlen(model->name) != stem || strncmp(model->name, file, stem) != 0)
            status = mly_error_set(err, MLY_E_FORMAT, "%s: name: '%s'; the file must be %s.json",
                                   path, model->name, model->name);
    }
    if (!status)
        status = put(list, model, err);
    if (status)
        mly_free(model);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the folder's *.json, sorted; the caller frees each and the array. */
static enum mly_status list_files(const char *folder, char ***out, size_t *out_count,
                                  struct mly_error *err)
{
    char **names = NULL;
    size_t count = 0, capacity = 0;
    enum mly_status status = MLY_OK;
    DIR *stream = opendir(folder);
    if (!stream)
        return mly_error_os(err, errno, "cannot list the device files of '%s'", folder);
    for (const struct dirent *entry; !status && (entry = readdir(stream));) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || length < sizeof ".json" ||
            strcmp(entry->d_name + length - strlen(".json"), ".json") != 0)
            continue;
        if (mly_array_reserve(&names, &capacity, count + 1, sizeof *names) ||
            !(names[count] = mly_strdup(entry->d_name)))
            status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the names in '%s'", folder);
        else
            count++;
    }
    closedir(stream);
    if (count)
        qsort(names, count, sizeof *names, by_name);
    *out = names;
    *out_count = count;
    return status;
}

/* Files that are wrong are named in the word; only memory fails. */
static enum mly_status load_folder(struct making *making, const char *folder, struct mly_error *err)
{
    struct mly_error problem = {0};
    char **names = NULL;
    size_t count = 0;
    enum mly_status status = list_files(folder, &names, &count, &problem);
    if (status && status != MLY_E_NO_MEMORY)
        status = say(making, problem.message, err);
    else if (status)
        (void)mly_error_set(err, status, "%s", problem.message);
    for (size_t i = 0; i < count; i++) {
        char *path = status ? NULL : mly_strfmt("%s/%s", folder, names[i]);
        if (!status && !path)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a path in '%s'", folder);
        if (!status && (status = load_one(path, making->list, &problem)))
            status = status == MLY_E_NO_MEMORY ? mly_error_set(err, status, "%s", problem.message)
                                               : say(making, problem.message, err);
        mly_free(path);
        mly_free(names[i]);
    }
    mly_free(names);
    return status;
}

static void list_destroy(struct model_list *list)
{
    for (size_t i = 0; list && i < list->count; i++)
        mly_free(list->items[i]);
    if (list)
        mly_free(list->word);
    mly_free(list);
}

static enum mly_status load_folders(struct making *making, struct mly_error *err)
{
    static const char lost[] = "motley's own device files are not where they were installed";
    char *own = NULL, *user = NULL;
    bool needed = false;
    enum mly_status status = own_folder(&own);
    if (!status)
        status = user_folder(&user, &needed);
    if (status)
        (void)mly_error_set(err, status, "no memory for the folders of device files");
    if (!status)
        status = own ? load_folder(making, own, err) : say(making, lost, err);
    if (!status && user && (needed || is_folder(user)))
        status = load_folder(making, user, err);
    mly_free(own);
    mly_free(user);
    return status;
}

static enum mly_status make_list(struct model_list **out, struct mly_error *err)
{
    struct making making = {.list = mly_alloc(sizeof *making.list),
                            .word.max_bytes = WORD_BYTES_MAX};
    enum mly_status status = MLY_OK;
    if (!making.list)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the list of modelled devices");
    else
        status = load_folders(&making, err);
    if (status) {
        mly_buffer_fini(&making.word);
        list_destroy(making.list);
        return status;
    }
    making.list->word = making.word.data;
    *out = making.list;
    return MLY_OK;
}

/* --- the list --- */

static enum mly_status get_list(const struct model_list **out, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    struct model_list *list = atomic_load(&the_list);
    if (!list) {
        pthread_mutex_lock(&reading);
        list = atomic_load(&the_list);
        if (!list && !(status = make_list(&list, err)))
            atomic_store(&the_list, list);
        pthread_mutex_unlock(&reading);
    }
    if (!status)
        *out = list;
    return status;
}

enum mly_status mly_device_models_load(char **word, struct mly_error *err)
{
    const struct model_list *list = NULL;
    enum mly_status status = get_list(&list, err);
    if (status || !word)
        return status;
    char *copy = list->word ? mly_strdup(list->word) : NULL;
    if (list->word && !copy)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a word about device files");
    *word = copy;
    return MLY_OK;
}

const struct mly_device_model *mly_device_model_at(size_t index)
{
    const struct model_list *list = NULL;
    if (get_list(&list, NULL) || index >= list->count)
        return NULL;
    return list->items[index];
}

const struct mly_device_model *mly_device_model_find(const char *name)
{
    const struct mly_device_model *model;
    for (size_t i = 0; (model = mly_device_model_at(i)); i++)
        if (strcmp(model->name, name) == 0)
            return model;
    return NULL;
}

void mly__device_models_forget(void)
{
    list_destroy(atomic_exchange(&the_list, NULL));
}

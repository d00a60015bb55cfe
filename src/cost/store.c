/* The store of cost tables: one file per model, host, runtime and shapes in the cache directory. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "internal.h"

/* Identities are hashes; were one ever something else, it must not lead out of the directory. */
static void make_file_name(char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    for (; *text; text++)
        if (!strchr(plain, *text))
            *text = '_';
}

/*
 * What tells apart tables of one model and host: "-" and a hash of the runtime's name and the
 * shapes; "" for ONNX Runtime with nothing given. Not the runtime's version: a table of another one
 * is of no use any more.
 */
static enum mly_status variant(const struct mly_cost_identity *identity, char text[18],
                               struct mly_error *err)
{
    static const char usual[] = "ort";
    char hash[MLY_HASH_TEXT_BYTES], key[sizeof identity->runtime + sizeof identity->shapes + 1];
    int name = (int)strcspn(identity->runtime, " ");
    text[0] = '\0';
    if (!*identity->shapes && name == (int)strlen(usual) &&
        strncmp(identity->runtime, usual, (size_t)name) == 0)
        return MLY_OK;
    int length = snprintf(key, sizeof key, "%.*s\n%s", name, identity->runtime, identity->shapes);
    enum mly_status status = mly_hash_bytes(key, (size_t)length, hash, err);
    if (!status)
        snprintf(text, 18, "-%.16s", hash);
    return status;
}

enum mly_status mly_cost_store_path(const struct mly_cost_identity *identity, char **out,
                                    struct mly_error *err)
{
    char model[sizeof identity->model_hash], host[sizeof identity->host_id];
    snprintf(model, sizeof model, "%.*s", (int)sizeof model - 1, identity->model_hash);
    snprintf(host, sizeof host, "%.*s", (int)sizeof host - 1, identity->host_id);
    if (!*model || !*host)
        return mly_error_set(err, MLY_E_INVALID,
                             "costs are stored by model hash and host; the %s is empty",
                             *model ? "host" : "model hash");
    make_file_name(model);
    make_file_name(host);
    char *directory, suffix[18];
    enum mly_status status = variant(identity, suffix, err);
    if (!status)
        status = mly_cache_dir("costs", &directory, err);
    if (status)
        return status;
    char *path = mly_strfmt("%s/%s-%s%s.costs.json", directory, model, host, suffix);
    mly_free(directory);
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the name of a cost table");
    *out = path;
    return MLY_OK;
}

/* Why stored costs cannot be used for this identity, as the rest of a sentence; NULL if they can.
 */
static char *difference(const struct mly_cost_identity *stored,
                        const struct mly_cost_identity *wanted, bool *no_memory)
{
    char *text = NULL;
    *no_memory = false;
    if (strcmp(stored->model_hash, wanted->model_hash))
        text = mly_strfmt("are of another model (%.12s…, this is %.12s…)", stored->model_hash,
                          wanted->model_hash);
    else if (strcmp(stored->host_id, wanted->host_id))
        text = mly_strfmt("were measured on another host (%s; this is %s)",
                          *stored->host_description ? stored->host_description : stored->host_id,
                          *wanted->host_description ? wanted->host_description : wanted->host_id);
    else if (strcmp(stored->runtime, wanted->runtime))
        text = mly_strfmt("were measured with %s; this is %s", stored->runtime, wanted->runtime);
    else if (strcmp(stored->shapes, wanted->shapes))
        text = mly_strfmt("were measured with other sizes of dimensions (%.120s; wanted: %.120s)",
                          *stored->shapes ? stored->shapes : "all 1",
                          *wanted->shapes ? wanted->shapes : "all 1");
    else
        return NULL;
    *no_memory = !text;
    return text;
}

/* MLY_OK with *out NULL and *word saying why, when what is stored cannot be used. */
static enum mly_status load_stored(const char *path, const struct mly_cost_identity *identity,
                                   mly_cost_table **out, char **word, struct mly_error *err)
{
    struct mly_error reason;
    mly_cost_table *table = NULL;
    bool no_memory;
    *out = NULL;
    *word = NULL;
    enum mly_status status = mly_cost_table_load(path, &table, &reason);
    if (status == MLY_E_NOT_FOUND)
        return MLY_OK;
    if (status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "%s", reason.message);
    if (status) {
        *word = mly_strfmt("the stored costs cannot be read and are ignored: %s", reason.message);
        no_memory = !*word;
    } else {
        char *why = difference(mly_cost_table_identity(table), identity, &no_memory);
        if (!why && !no_memory) {
            *out = table;
            return MLY_OK;
        }
        if (why)
            *word = mly_strfmt("the stored costs in %s %s; they are ignored", path, why);
        no_memory = !*word;
        mly_free(why);
        mly_cost_table_destroy(table);
    }
    return no_memory ? mly_error_set(err, MLY_E_NO_MEMORY, "no memory for reading %s", path)
                     : MLY_OK;
}

enum mly_status mly_cost_store_open(const struct mly_cost_identity *identity, mly_cost_table **out,
                                    char **word, struct mly_error *err)
{
    char *path = NULL, *said = NULL;
    struct mly_error no_place = {0};
    mly_cost_table *table = NULL;
    enum mly_status status = mly_cost_store_path(identity, &path, &no_place);
    if (status == MLY_E_NO_MEMORY)
        return mly_error_set(err, status, "%s", no_place.message);
    if (status) {
        said = mly_strfmt("measurements cannot be kept: %s", no_place.message);
        status = MLY_OK;
    } else {
        status = load_stored(path, identity, &table, &said, err);
    }
    mly_free(path);
    if (!status && !table)
        status = mly_cost_table_create(identity, &table, err);
    if (status) {
        mly_free(said);
        return status;
    }
    *out = table;
    if (word)
        *word = said;
    else
        mly_free(said);
    return MLY_OK;
}

enum mly_status mly_cost_store_save(const mly_cost_table *table, struct mly_error *err)
{
    char *path;
    enum mly_status status = mly_cost_store_path(mly_cost_table_identity(table), &path, err);
    if (status)
        return status;
    status = mly_cost_table_save(table, path, err);
    mly_free(path);
    return status;
}

/* Reading .npz; the only file that includes libzip. */
#include <stdint.h>
#include <string.h>

#include <zip.h>

#include "base/alloc.h"
#include "tensorio/npy.h"

#define DEFAULT_MAX_ENTRIES 1024
#define DEFAULT_MAX_RATIO 200
/* Entries up to this size may be packed as tightly as they like. */
#define RATIO_FREE_BYTES ((size_t)64 << 20)
#define SUFFIX ".npy"

struct archive {
    const char *name;
    zip_t *zip;
    struct mly_npz_limits limits;
    size_t bytes_left; /* of the limit for all arrays together */
    struct mly_tensor_set set;
    struct mly_error *err;
};

void mly_tensor_set_fini(struct mly_tensor_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++) {
        mly_free(set->items[i].name);
        mly_tensor_fini(&set->items[i].tensor);
    }
    mly_free(set->items);
    *set = (struct mly_tensor_set){0};
}

const struct mly_tensor *mly_tensor_set_find(const struct mly_tensor_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->items[i].name, name) == 0)
            return &set->items[i].tensor;
    }
    return NULL;
}

/* libzip's errors become ours here, and only here. */
static enum mly_status fail_zip(const struct archive *a, const char *entry, zip_error_t *error)
{
    enum mly_status status = MLY_E_FORMAT;
    switch (zip_error_code_zip(error)) {
    case ZIP_ER_MEMORY:
        status = MLY_E_NO_MEMORY;
        break;
    case ZIP_ER_COMPNOTSUPP:
    case ZIP_ER_ENCRNOTSUPP:
    case ZIP_ER_NOPASSWD:
    case ZIP_ER_MULTIDISK:
        status = MLY_E_UNSUPPORTED;
        break;
    default:
        break;
    }
    return mly_error_set(a->err, status, "%s: %s%s%s", a->name, entry ? entry : "",
                         entry ? ": " : "", zip_error_strerror(error));
}

static enum mly_status open_archive(struct archive *a, const void *bytes, size_t length)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(bytes, length, 0, &error);
    if (source)
        a->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    enum mly_status status = a->zip ? MLY_OK : fail_zip(a, NULL, &error);
    if (!a->zip)
        zip_source_free(source);
    zip_error_fini(&error);
    return status;
}

/* Everything that the directory says of an entry is checked before a byte of it is unpacked. */
static enum mly_status check_entry(const struct archive *a, const zip_stat_t *s)
{
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if ((s->valid & needed) != needed)
        return mly_error_set(a->err, MLY_E_FORMAT, "%s: an entry without name or size", a->name);
    size_t length = strlen(s->name), suffix = strlen(SUFFIX);
    if (length <= suffix || strcmp(s->name + length - suffix, SUFFIX) != 0)
        return mly_error_set(a->err, MLY_E_FORMAT, "%s: '%s' is no .npy file", a->name, s->name);
    if (s->encryption_method != ZIP_EM_NONE)
        return mly_error_set(a->err, MLY_E_UNSUPPORTED, "%s: '%s' is encrypted", a->name, s->name);
    if (s->comp_method != ZIP_CM_STORE && s->comp_method != ZIP_CM_DEFLATE)
        return mly_error_set(a->err, MLY_E_UNSUPPORTED,
                             "%s: '%s' is compressed by method %u; NumPy stores or deflates",
                             a->name, s->name, (unsigned)s->comp_method);
    if (s->size > a->bytes_left)
        return mly_error_set(a->err, MLY_E_LIMIT, "%s: with '%s' more than %zu bytes unpacked",
                             a->name, s->name, a->limits.max_bytes);
    if (s->size > RATIO_FREE_BYTES && s->size / a->limits.max_ratio > s->comp_size)
        return mly_error_set(a->err, MLY_E_LIMIT,
                             "%s: '%s' would unpack to over %zu times its packed size", a->name,
                             s->name, a->limits.max_ratio);
    return MLY_OK;
}

/* Unpacks one entry; *bytes is the caller's to free. */
static enum mly_status unpack(const struct archive *a, zip_uint64_t index, const zip_stat_t *s,
                              char **bytes)
{
    zip_file_t *file = zip_fopen_index(a->zip, index, 0);
    if (!file)
        return fail_zip(a, s->name, zip_get_error(a->zip));
    enum mly_status status = MLY_OK;
    size_t size = (size_t)s->size, filled = 0;
    char *data = mly_realloc_array(NULL, size + 1, 1);
    if (!data)
        status = mly_error_set(a->err, MLY_E_NO_MEMORY, "%s: no memory for the %zu bytes of '%s'",
                               a->name, size, s->name);
    /* The byte beyond asks for the end, where libzip checks length and CRC. */
    while (status == MLY_OK) {
        zip_int64_t got = zip_fread(file, data + filled, size + 1 - filled);
        if (got < 0) {
            status = fail_zip(a, s->name, zip_file_get_error(file));
        } else if (got == 0) {
            if (filled != size)
                status = mly_error_set(a->err, MLY_E_FORMAT, "%s: '%s' ends at byte %zu of %zu",
                                       a->name, s->name, filled, size);
            break;
        } else if ((filled += (size_t)got) > size) {
            status = mly_error_set(a->err, MLY_E_FORMAT, "%s: '%s' is longer than its %zu bytes",
                                   a->name, s->name, size);
        }
    }
    zip_fclose(file);
    if (status == MLY_OK)
        *bytes = data;
    else
        mly_free(data);
    return status;
}

static enum mly_status read_entry(struct archive *a, zip_uint64_t index)
{
    zip_stat_t s;
    zip_stat_init(&s);
    if (zip_stat_index(a->zip, index, 0, &s) != 0)
        return fail_zip(a, NULL, zip_get_error(a->zip));
    enum mly_status status = check_entry(a, &s);
    if (status != MLY_OK)
        return status;
    struct mly_named_tensor *item = &a->set.items[a->set.count];
    char *bytes = NULL, *label = mly_strfmt("%s: %s", a->name, s.name);
    item->name = mly_strndup(s.name, strlen(s.name) - strlen(SUFFIX));
    if (!item->name || !label)
        status = mly_error_set(a->err, MLY_E_NO_MEMORY, "%s: no memory for a name", a->name);
    if (status == MLY_OK && mly_tensor_set_find(&a->set, item->name))
        status = mly_error_set(a->err, MLY_E_FORMAT, "%s: '%s' comes twice", a->name, s.name);
    if (status == MLY_OK)
        status = unpack(a, index, &s, &bytes);
    if (status == MLY_OK)
        status = mly_npy_parse(label, bytes, (size_t)s.size, (size_t)s.size, &item->tensor, a->err);
    if (status == MLY_OK) {
        a->bytes_left -= (size_t)s.size;
        a->set.count++;
    } else {
        mly_free(item->name);
        item->name = NULL;
    }
    mly_free(bytes);
    mly_free(label);
    return status;
}

enum mly_status mly_npz_parse(const char *name, const void *bytes, size_t length,
                              const struct mly_npz_limits *limits, struct mly_tensor_set *out,
                              struct mly_error *err)
{
    struct archive a = {.name = name, .err = err};
    if (limits)
        a.limits = *limits;
    if (!a.limits.max_bytes)
        a.limits.max_bytes = MLY_NPY_DEFAULT_MAX_BYTES;
    if (!a.limits.max_entries)
        a.limits.max_entries = DEFAULT_MAX_ENTRIES;
    if (!a.limits.max_ratio)
        a.limits.max_ratio = DEFAULT_MAX_RATIO;
    a.bytes_left = a.limits.max_bytes;
    if (length == 0) /* which libzip would take for an archive without entries */
        return mly_error_set(err, MLY_E_FORMAT, "%s: empty, no archive", name);
    enum mly_status status = open_archive(&a, bytes, length);
    if (!a.zip)
        return status;
    zip_int64_t count = zip_get_num_entries(a.zip, 0);
    if (count < 0 || (zip_uint64_t)count > a.limits.max_entries)
        status = mly_error_set(err, MLY_E_LIMIT, "%s: %lld entries are over the limit of %zu", name,
                               (long long)count, a.limits.max_entries);
    if (status == MLY_OK && count > 0) {
        a.set.items = mly_alloc_array((size_t)count, sizeof *a.set.items);
        if (!a.set.items)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory for %lld entries", name,
                                   (long long)count);
    }
    for (zip_int64_t i = 0; status == MLY_OK && i < count; i++)
        status = read_entry(&a, (zip_uint64_t)i);
    zip_discard(a.zip);
    if (status == MLY_OK)
        *out = a.set;
    else
        mly_tensor_set_fini(&a.set);
    return status;
}

enum mly_status mly_npz_load(const char *path, const struct mly_npz_limits *limits,
                             struct mly_tensor_set *out, struct mly_error *err)
{
    struct mly_file_map map = {0};
    enum mly_status status = mly_file_map_open(path, &map, err);
    if (status != MLY_OK)
        return status;
    status = mly_npz_parse(path, map.data, map.length, limits, out, err);
    mly_file_map_close(&map);
    return status;
}

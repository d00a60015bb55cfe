/* JSON reading with positions and typed getters; the only file that includes yyjson. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <yyjson.h>

#include "base/alloc.h"
#include "base/file.h"
#include "json_number.h"

#define DEPTH_MAX 128

struct mly_json_doc {
    yyjson_doc *impl;
    char *name;
    uint64_t id; /* unique in the process, so that a cursor never outlives its document unnoticed */
};

static _Atomic uint64_t last_id;

static void *allocate(void *context, size_t bytes)
{
    (void)context;
    return mly_realloc_array(NULL, bytes, 1);
}

static void *reallocate(void *context, void *p, size_t old_bytes, size_t bytes)
{
    (void)context;
    (void)old_bytes;
    return mly_realloc_array(p, bytes, 1);
}

static void release(void *context, void *p)
{
    (void)context;
    mly_free(p);
}

/* Line and column (in characters) of a byte position, both from 1. */
static void locate(const char *text, size_t position, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < position; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

static MLY_PRINTF(6, 7) enum mly_status
    fail_at(struct mly_error *err, enum mly_status status, const char *name, const char *text,
            size_t position, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    size_t line, column;
    locate(text, position, &line, &column);
    return mly_error_set(err, status, "%s:%zu:%zu: %s", name, line, column, message);
}

/* yyjson limits neither depth nor the memory that depth costs later: brackets are counted
 * beforehand. */
static enum mly_status check_depth(const char *name, const char *text, size_t length,
                                   struct mly_error *err)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return fail_at(err, MLY_E_LIMIT, name, text, i, "more than %d levels of nesting",
                               DEPTH_MAX);
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return MLY_OK;
}

enum mly_status mly_json_parse(const char *name, const char *text, size_t length,
                               mly_json_doc **out, struct mly_error *err)
{
    if (!text || length == 0)
        return mly_error_set(err, MLY_E_FORMAT, "%s:1:1: empty document", name);
    enum mly_status status = check_depth(name, text, length, err);
    if (status != MLY_OK)
        return status;
    mly_json_doc *doc = mly_alloc(sizeof *doc);
    if (!doc || !(doc->name = mly_strdup(name))) {
        mly_json_destroy(doc);
        return mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory for %zu bytes of JSON", name,
                             length);
    }
    const yyjson_alc allocator = {allocate, reallocate, release, NULL};
    yyjson_read_err failure = {0};
    /* Without YYJSON_READ_INSITU the text is only read. */
    doc->impl =
        yyjson_read_opts((char *)(uintptr_t)text, length, YYJSON_READ_NOFLAG, &allocator, &failure);
    if (!doc->impl) {
        mly_json_destroy(doc);
        if (failure.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
            return mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory for %zu bytes of JSON", name,
                                 length);
        size_t position = failure.pos < length ? failure.pos : length;
        return fail_at(err, MLY_E_FORMAT, name, text, position, "%s", failure.msg);
    }
    doc->id = atomic_fetch_add(&last_id, 1) + 1;
    *out = doc;
    return MLY_OK;
}

enum mly_status mly_json_load(const char *path, size_t max_bytes, mly_json_doc **out,
                              struct mly_error *err)
{
    char *text = NULL;
    size_t length = 0;
    enum mly_status status = mly_file_read(path, max_bytes, &text, &length, err);
    if (status != MLY_OK)
        return status;
    status = mly_json_parse(path, text, length, out, err);
    mly_free(text);
    return status;
}

void mly_json_destroy(mly_json_doc *doc)
{
    if (!doc)
        return;
    yyjson_doc_free(doc->impl);
    mly_free(doc->name);
    mly_free(doc);
}

struct mly_json mly_json_root(const mly_json_doc *doc)
{
    return (struct mly_json){.doc = doc, .impl = doc ? yyjson_doc_get_root(doc->impl) : NULL};
}

/* Adds a step to a path; a path that grows too long loses its beginning, at a character's border.
 */
static void extend(struct mly_json *to, const char *before, const char *step, size_t step_length,
                   const char *after)
{
    static const char cut[] = "…";
    char path[2 * sizeof to->where + 8];
    size_t length = strlen(to->where), room = sizeof to->where - 1;
    if (step_length > room)
        step_length = room;
    memcpy(path, to->where, length);
    while (*before)
        path[length++] = *before++;
    for (size_t i = 0; i < step_length; i++)
        path[length++] = (unsigned char)step[i] < 0x20 || step[i] == 0x7F ? '?' : step[i];
    while (*after)
        path[length++] = *after++;
    path[length] = '\0';
    if (length <= room) {
        memcpy(to->where, path, length + 1);
        return;
    }
    size_t start = length - (room - (sizeof cut - 1));
    while (((unsigned char)path[start] & 0xC0) == 0x80)
        start++;
    memcpy(to->where, cut, sizeof cut - 1);
    memcpy(to->where + sizeof cut - 1, path + start, length - start + 1);
}

static struct mly_json child_by_key(struct mly_json parent, const char *key, size_t key_length,
                                    yyjson_val *value)
{
    struct mly_json child = parent;
    child.impl = value;
    extend(&child, parent.where[0] ? "." : "", key, key_length, "");
    return child;
}

static struct mly_json child_by_index(struct mly_json parent, size_t index, yyjson_val *value)
{
    char digits[24];
    size_t start = sizeof digits;
    do
        digits[--start] = (char)('0' + index % 10);
    while (index /= 10);
    struct mly_json child = parent;
    child.impl = value;
    extend(&child, "[", digits + start, sizeof digits - start, "]");
    return child;
}

static const char *kind(struct mly_json value)
{
    if (!value.impl)
        return "nothing";
    if (yyjson_is_obj(value.impl))
        return "an object";
    if (yyjson_is_arr(value.impl))
        return "an array";
    if (yyjson_is_str(value.impl))
        return "a string";
    if (yyjson_is_num(value.impl))
        return "a number";
    if (yyjson_is_bool(value.impl))
        return "a boolean";
    return "null";
}

static MLY_PRINTF(3, 4) enum mly_status
    fail(struct mly_error *err, struct mly_json value, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return mly_error_set(err, MLY_E_FORMAT, "%s: %s%s%s", value.doc ? value.doc->name : "JSON",
                         value.where, value.where[0] ? ": " : "", message);
}

static enum mly_status fail_kind(struct mly_error *err, struct mly_json value, const char *wanted)
{
    if (!value.impl)
        return fail(err, value, "missing");
    return fail(err, value, "expected %s, found %s", wanted, kind(value));
}

bool mly_json_is_null(struct mly_json value)
{
    return !value.impl || yyjson_is_null(value.impl);
}

bool mly_json_is_object(struct mly_json value)
{
    return yyjson_is_obj(value.impl);
}

bool mly_json_is_array(struct mly_json value)
{
    return yyjson_is_arr(value.impl);
}

bool mly_json_is_string(struct mly_json value)
{
    return yyjson_is_str(value.impl);
}

bool mly_json_is_number(struct mly_json value)
{
    return yyjson_is_num(value.impl);
}

bool mly_json_is_bool(struct mly_json value)
{
    return yyjson_is_bool(value.impl);
}

enum mly_status mly_json_member(struct mly_json object, const char *key, struct mly_json *out,
                                struct mly_error *err)
{
    if (!yyjson_is_obj(object.impl))
        return fail_kind(err, object, "an object");
    struct mly_json value = mly_json_member_opt(object, key);
    if (!value.impl)
        return fail(err, value, "missing");
    *out = value;
    return MLY_OK;
}

struct mly_json mly_json_member_opt(struct mly_json object, const char *key)
{
    size_t length = strlen(key);
    return child_by_key(object, key, length, yyjson_obj_getn(object.impl, key, length));
}

size_t mly_json_length(struct mly_json array_or_object)
{
    return yyjson_is_obj(array_or_object.impl) ? yyjson_obj_size(array_or_object.impl)
                                               : yyjson_arr_size(array_or_object.impl);
}

/*
 * yyjson walks from the first element to the index-th. Callers walk by index, so each thread
 * remembers where it was last: a whole walk is then linear. Document numbers are never reused, so
 * that a remembered place in a destroyed document is never taken for one in another.
 */
static _Thread_local struct {
    uint64_t doc_id;
    const yyjson_val *container;
    size_t index;
    yyjson_val *at; /* an element, or a member's key */
} cursor;

static yyjson_val *walk(struct mly_json container, size_t index, bool is_object)
{
    yyjson_val *at = unsafe_yyjson_get_first(container.impl);
    size_t from = 0;
    if (cursor.doc_id == container.doc->id && cursor.container == container.impl &&
        cursor.index <= index) {
        at = cursor.at;
        from = cursor.index;
    }
    for (; from < index; from++)
        at = unsafe_yyjson_get_next(is_object ? at + 1 : at);
    cursor.doc_id = container.doc->id;
    cursor.container = container.impl;
    cursor.index = index;
    cursor.at = at;
    return at;
}

struct mly_json mly_json_element(struct mly_json array, size_t index)
{
    yyjson_val *value = index < yyjson_arr_size(array.impl) ? walk(array, index, false) : NULL;
    return child_by_index(array, index, value);
}

struct mly_json mly_json_entry(struct mly_json object, size_t index, const char **key)
{
    if (index >= yyjson_obj_size(object.impl)) {
        *key = NULL;
        return child_by_index(object, index, NULL);
    }
    yyjson_val *name = walk(object, index, true);
    *key = yyjson_get_str(name);
    return child_by_key(object, *key, yyjson_get_len(name), yyjson_obj_iter_get_val(name));
}

enum mly_status mly_json_only(struct mly_json object, const char *const *known,
                              struct mly_error *err)
{
    if (!yyjson_is_obj(object.impl))
        return fail_kind(err, object, "an object");
    uint64_t seen =
        0; /* the first 64 names; a list of more goes unchecked for repetitions beyond */
    size_t count = mly_json_length(object);
    for (size_t i = 0; i < count; i++) {
        const char *key;
        struct mly_json value = mly_json_entry(object, i, &key);
        size_t k = 0;
        while (known[k] && !yyjson_equals_str((yyjson_val *)value.impl - 1, known[k]))
            k++;
        if (!known[k])
            return fail(err, value, "unknown field");
        if (k < 64 && (seen & (UINT64_C(1) << k)))
            return fail(err, value, "given twice");
        if (k < 64)
            seen |= UINT64_C(1) << k;
    }
    return MLY_OK;
}

enum mly_status mly_json_as_string(struct mly_json value, const char **out, struct mly_error *err)
{
    if (!yyjson_is_str(value.impl))
        return fail_kind(err, value, "a string");
    const char *text = yyjson_get_str(value.impl);
    if (strlen(text) != yyjson_get_len(value.impl))
        return fail(err, value, "the string has a NUL character in it");
    *out = text;
    return MLY_OK;
}

/* "0 is not in 1…65536", "0 is less than 1", "9 is more than 8": bounds that bind nothing stay
 * unsaid. */
static enum mly_status fail_range(struct mly_error *err, struct mly_json value, const char *shown,
                                  const char *min, const char *max)
{
    if (min && max)
        return fail(err, value, "%s is not in %s…%s", shown, min, max);
    if (min)
        return fail(err, value, "%s is less than %s", shown, min);
    return fail(err, value, "%s is more than %s", shown, max ? max : "can be represented");
}

/* Writes a number as the document's text would have it. */
static void show(yyjson_val *value, char text[MLY__NUMBER_BYTES])
{
    if (yyjson_is_uint(value))
        snprintf(text, MLY__NUMBER_BYTES, "%" PRIu64, yyjson_get_uint(value));
    else if (yyjson_is_sint(value))
        snprintf(text, MLY__NUMBER_BYTES, "%" PRId64, yyjson_get_sint(value));
    else
        mly__format_number(yyjson_get_real(value), text);
}

enum mly_status mly_json_as_int(struct mly_json value, int64_t min, int64_t max, int64_t *out,
                                struct mly_error *err)
{
    if (!yyjson_is_num(value.impl))
        return fail_kind(err, value, "an integer");
    char shown[MLY__NUMBER_BYTES], low[24], high[24];
    show(value.impl, shown);
    bool fits = true;
    int64_t number = 0;
    if (yyjson_is_real(value.impl)) {
        /* 4.0 and 1e3 are integers too; beyond 2^53 a double does not say which. */
        double real = yyjson_get_real(value.impl);
        if (real != trunc(real))
            return fail(err, value, "expected an integer, found %s", shown);
        fits = fabs(real) <= 0x1p53;
        number = fits ? (int64_t)real : 0;
    } else if (yyjson_is_sint(value.impl)) {
        number = yyjson_get_sint(value.impl);
    } else {
        fits = yyjson_get_uint(value.impl) <= INT64_MAX;
        number = fits ? (int64_t)yyjson_get_uint(value.impl) : 0;
    }
    if (!fits || number < min || number > max) {
        snprintf(low, sizeof low, "%" PRId64, min);
        snprintf(high, sizeof high, "%" PRId64, max);
        return fail_range(err, value, shown, min == INT64_MIN ? NULL : low,
                          max == INT64_MAX ? NULL : high);
    }
    *out = number;
    return MLY_OK;
}

enum mly_status mly_json_as_number(struct mly_json value, double min, double max, double *out,
                                   struct mly_error *err)
{
    if (!yyjson_is_num(value.impl))
        return fail_kind(err, value, "a number");
    double number = yyjson_get_num(value.impl);
    if (!(number >= min && number <= max)) {
        char shown[MLY__NUMBER_BYTES], low[32], high[32];
        show(value.impl, shown);
        snprintf(low, sizeof low, "%g", min);
        snprintf(high, sizeof high, "%g", max);
        return fail_range(err, value, shown, isinf(min) ? NULL : low, isinf(max) ? NULL : high);
    }
    *out = number;
    return MLY_OK;
}

enum mly_status mly_json_as_bool(struct mly_json value, bool *out, struct mly_error *err)
{
    if (!yyjson_is_bool(value.impl))
        return fail_kind(err, value, "a boolean");
    *out = yyjson_get_bool(value.impl);
    return MLY_OK;
}

enum mly_status mly_json_string(struct mly_json object, const char *key, const char **out,
                                struct mly_error *err)
{
    struct mly_json value;
    enum mly_status status = mly_json_member(object, key, &value, err);
    return status == MLY_OK ? mly_json_as_string(value, out, err) : status;
}

enum mly_status mly_json_int(struct mly_json object, const char *key, int64_t min, int64_t max,
                             int64_t *out, struct mly_error *err)
{
    struct mly_json value;
    enum mly_status status = mly_json_member(object, key, &value, err);
    return status == MLY_OK ? mly_json_as_int(value, min, max, out, err) : status;
}

enum mly_status mly_json_number(struct mly_json object, const char *key, double min, double max,
                                double *out, struct mly_error *err)
{
    struct mly_json value;
    enum mly_status status = mly_json_member(object, key, &value, err);
    return status == MLY_OK ? mly_json_as_number(value, min, max, out, err) : status;
}

enum mly_status mly_json_bool(struct mly_json object, const char *key, bool *out,
                              struct mly_error *err)
{
    struct mly_json value;
    enum mly_status status = mly_json_member(object, key, &value, err);
    return status == MLY_OK ? mly_json_as_bool(value, out, err) : status;
}

void mly__format_number(double number, char text[MLY__NUMBER_BYTES])
{
    /* yyjson's shortest digits, in any locale; its pool keeps the allocator out of it. */
    char pool[1024];
    yyjson_alc allocator;
    yyjson_val value = {0};
    size_t length = 0;
    char *written = NULL;
    unsafe_yyjson_set_real(&value, number);
    if (yyjson_alc_pool_init(&allocator, pool, sizeof pool))
        written = yyjson_val_write_opts(&value, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &allocator,
                                        &length, NULL);
    if (!written || length >= MLY__NUMBER_BYTES) {
        snprintf(text, MLY__NUMBER_BYTES, "null");
        return;
    }
    memcpy(text, written, length + 1);
}

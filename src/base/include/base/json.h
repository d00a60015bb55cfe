/*
 * JSON with limits and positions, over yyjson.
 *
 * Reading: a document is parsed whole; errors name line and column. Typed getters take the path by
 * which the value was reached ("segments[2].name") from the value itself, so that a message says
 * where. Writing: a streaming writer that keeps commas, escapes and indentation right.
 */
#ifndef MLY_BASE_JSON_H
#define MLY_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

#include "base/buffer.h"

typedef struct mly_json_doc mly_json_doc;

/*
 * A value inside a document, valid until the document is destroyed. `impl` NULL means absent. `doc`
 * and `where` serve messages; copy freely. A document may be read by several threads.
 */
struct mly_json {
    const mly_json_doc *doc;
    void *impl;
    char where[96]; /* path from the root, cut at the left when long */
};

/* name is used in messages (a file name; copied). 128 levels of nesting (MLY_E_LIMIT). MLY_E_FORMAT
 * is "NAME:LINE:COLUMN: …". */
enum mly_status mly_json_parse(const char *name, const char *text, size_t length,
                               mly_json_doc **out, struct mly_error *err) MLY_MUST_CHECK;
/* Reads and parses a file of at most max_bytes. */
enum mly_status mly_json_load(const char *path, size_t max_bytes, mly_json_doc **out,
                              struct mly_error *err) MLY_MUST_CHECK;
void mly_json_destroy(mly_json_doc *doc);
struct mly_json mly_json_root(const mly_json_doc *doc);

bool mly_json_is_null(struct mly_json value); /* absent or null */
bool mly_json_is_object(struct mly_json value);
bool mly_json_is_array(struct mly_json value);
bool mly_json_is_string(struct mly_json value);
bool mly_json_is_number(struct mly_json value);
bool mly_json_is_bool(struct mly_json value);

/* Member of an object; MLY_E_FORMAT "FILE: plan.batch: …" if it is missing or value is no object.
 */
enum mly_status mly_json_member(struct mly_json object, const char *key, struct mly_json *out,
                                struct mly_error *err) MLY_MUST_CHECK;
/* The same, absent (impl NULL) when missing. */
struct mly_json mly_json_member_opt(struct mly_json object, const char *key);
size_t mly_json_length(struct mly_json array_or_object);
struct mly_json mly_json_element(struct mly_json array, size_t index);
/*
 * Key (NULL when out of range) and value of an object's index-th member; used to refuse unknown
 * fields. Walking elements or members by ascending index costs O(1) each.
 */
struct mly_json mly_json_entry(struct mly_json object, size_t index, const char **key);
/*
 * MLY_E_FORMAT naming the first member of object that is not in the NULL-terminated list `known`,
 * or that comes twice (of the list's first 64).
 */
enum mly_status mly_json_only(struct mly_json object, const char *const *known,
                              struct mly_error *err) MLY_MUST_CHECK;

/* Typed members; range errors are MLY_E_FORMAT and name path, value and bounds. Strings are
 * borrowed from doc. */
enum mly_status mly_json_string(struct mly_json object, const char *key, const char **out,
                                struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_json_int(struct mly_json object, const char *key, int64_t min, int64_t max,
                             int64_t *out, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_json_number(struct mly_json object, const char *key, double min, double max,
                                double *out, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_json_bool(struct mly_json object, const char *key, bool *out,
                              struct mly_error *err) MLY_MUST_CHECK;
/* Bare values, for array elements. */
enum mly_status mly_json_as_string(struct mly_json value, const char **out,
                                   struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_json_as_int(struct mly_json value, int64_t min, int64_t max, int64_t *out,
                                struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_json_as_number(struct mly_json value, double min, double max, double *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_json_as_bool(struct mly_json value, bool *out,
                                 struct mly_error *err) MLY_MUST_CHECK;

/*
 * Writer: errors (memory, limit) are remembered and returned by finish; calls after an error do
 * nothing. key is NULL inside arrays and for the root. Doubles are written in the shortest form
 * that reads back the same; NaN and infinities as null; bytes that are no UTF-8 as U+FFFD. Nesting
 * is limited to 128 levels (MLY_E_LIMIT); a misplaced key or end is MLY_E_INTERNAL.
 */
struct mly_json_writer {
    struct mly_buffer buffer;
    enum mly_status status;
    uint32_t depth;
    bool pretty;
    bool first;
    bool inline_array;     /* an array whose first element is no container is written on one line */
    uint32_t inline_depth; /* depth of that array */
    uint64_t objects[2];   /* bit per level: object or array */
};
void mly_json_writer_init(struct mly_json_writer *writer, bool pretty);
void mly_json_begin_object(struct mly_json_writer *writer, const char *key);
void mly_json_end_object(struct mly_json_writer *writer);
void mly_json_begin_array(struct mly_json_writer *writer, const char *key);
void mly_json_end_array(struct mly_json_writer *writer);
void mly_json_put_string(struct mly_json_writer *writer, const char *key,
                         const char *value); /* NULL: null */
void mly_json_put_int(struct mly_json_writer *writer, const char *key, int64_t value);
void mly_json_put_number(struct mly_json_writer *writer, const char *key, double value);
void mly_json_put_bool(struct mly_json_writer *writer, const char *key, bool value);
void mly_json_put_null(struct mly_json_writer *writer, const char *key);
/* Ends with a newline when pretty; *text is owned by the caller (mly_free), NUL-terminated. Frees
 * the writer's memory. */
enum mly_status mly_json_finish(struct mly_json_writer *writer, char **text, size_t *length,
                                struct mly_error *err) MLY_MUST_CHECK;
void mly_json_writer_fini(struct mly_json_writer *writer);

#endif

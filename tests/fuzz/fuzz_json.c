/* JSON text from anywhere: parsed, walked, written again, and what was written must parse. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy(struct mly_json value, const char *key, struct mly_json_writer *writer)
{
    struct mly_error err;
    const char *text;
    int64_t integer;
    double number;
    bool flag;
    if (mly_json_is_object(value)) {
        mly_json_begin_object(writer, key);
        for (size_t i = 0; i < mly_json_length(value); i++) {
            const char *name;
            struct mly_json member = mly_json_entry(value, i, &name);
            copy(member, name, writer);
        }
        mly_json_end_object(writer);
    } else if (mly_json_is_array(value)) {
        mly_json_begin_array(writer, key);
        for (size_t i = 0; i < mly_json_length(value); i++)
            copy(mly_json_element(value, i), NULL, writer);
        mly_json_end_array(writer);
    } else if (mly_json_as_string(value, &text, &err) == MLY_OK) {
        mly_json_put_string(writer, key, text);
    } else if (mly_json_as_int(value, -1000, 1000, &integer, &err) == MLY_OK) {
        mly_json_put_int(writer, key, integer);
    } else if (mly_json_as_number(value, -INFINITY, INFINITY, &number, &err) == MLY_OK) {
        mly_json_put_number(writer, key, number);
    } else if (mly_json_as_bool(value, &flag, &err) == MLY_OK) {
        mly_json_put_bool(writer, key, flag);
    } else {
        mly_json_put_null(writer, key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"name", "segments", NULL};
    struct mly_error err;
    mly_json_doc *doc = NULL, *again = NULL;
    char *text = NULL;
    size_t length = 0;
    if (mly_json_parse("fuzz", (const char *)data, size, &doc, &err) != MLY_OK)
        return 0;
    struct mly_json root = mly_json_root(doc);
    if (mly_json_only(root, known, &err) == MLY_OK && mly_json_length(root) > 2)
        abort();
    struct mly_json_writer writer;
    mly_json_writer_init(&writer, size & 1);
    copy(root, NULL, &writer);
    if (mly_json_finish(&writer, &text, &length, &err) != MLY_OK ||
        mly_json_parse("again", text, length, &again, &err) != MLY_OK)
        abort();
    mly_json_destroy(again);
    mly_json_destroy(doc);
    mly_free(text);
    return 0;
}

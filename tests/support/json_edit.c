/* Walks a document, writing it again, and edits the place whose turn it is. */
#include "support/json_edit.h"

#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "support/test.h"

struct walk {
    struct mly_json_writer writer;
    enum json_edit edit;
    size_t turn; /* places still to pass before the one to edit */
    bool done;
    char *where;
};

static bool is_turn(struct walk *walk, enum json_edit edit)
{
    if (walk->done || walk->edit != edit)
        return false;
    if (walk->turn) {
        walk->turn--;
        return false;
    }
    walk->done = true;
    return true;
}

static void write_value(struct walk *walk, const char *key, struct mly_json value);

static void write_object(struct walk *walk, const char *key, struct mly_json value)
{
    mly_json_begin_object(&walk->writer, key);
    for (size_t i = 0; i < mly_json_length(value); i++) {
        const char *name;
        struct mly_json member = mly_json_entry(value, i, &name);
        if (is_turn(walk, JSON_EDIT_REMOVE)) {
            memcpy(walk->where, member.where, sizeof member.where);
            continue;
        }
        write_value(walk, name, member);
        if (is_turn(walk, JSON_EDIT_REPEAT)) {
            memcpy(walk->where, member.where, sizeof member.where);
            write_value(walk, name, member);
        }
    }
    if (is_turn(walk, JSON_EDIT_ADD)) {
        struct mly_json member = mly_json_member_opt(value, "surprise");
        memcpy(walk->where, member.where, sizeof member.where);
        mly_json_put_int(&walk->writer, "surprise", 1);
    }
    mly_json_end_object(&walk->writer);
}

static void write_scalar(struct walk *walk, const char *key, struct mly_json value)
{
    const char *text;
    double number;
    int64_t integer;
    bool boolean;
    if (mly_json_is_string(value)) {
        assert_int_equal(mly_json_as_string(value, &text, NULL), MLY_OK);
        mly_json_put_string(&walk->writer, key, text);
    } else if (mly_json_is_bool(value)) {
        assert_int_equal(mly_json_as_bool(value, &boolean, NULL), MLY_OK);
        mly_json_put_bool(&walk->writer, key, boolean);
    } else if (mly_json_as_int(value, INT64_MIN, INT64_MAX, &integer, NULL) == MLY_OK) {
        mly_json_put_int(&walk->writer, key, integer);
    } else if (mly_json_as_number(value, -1e308, 1e308, &number, NULL) == MLY_OK) {
        mly_json_put_number(&walk->writer, key, number);
    } else {
        mly_json_put_null(&walk->writer, key);
    }
}

static void write_value(struct walk *walk, const char *key, struct mly_json value)
{
    const bool container = mly_json_is_object(value) || mly_json_is_array(value);
    if ((!container || !mly_json_length(value)) && is_turn(walk, JSON_EDIT_TYPE)) {
        memcpy(walk->where, value.where, sizeof value.where);
        mly_json_begin_object(&walk->writer, key);
        mly_json_put_int(&walk->writer, "wrong", 1);
        mly_json_end_object(&walk->writer);
    } else if (mly_json_is_object(value)) {
        write_object(walk, key, value);
    } else if (mly_json_is_array(value)) {
        mly_json_begin_array(&walk->writer, key);
        for (size_t i = 0; i < mly_json_length(value); i++)
            write_value(walk, NULL, mly_json_element(value, i));
        mly_json_end_array(&walk->writer);
    } else {
        write_scalar(walk, key, value);
    }
}

bool json_edit(const char *text, size_t length, enum json_edit edit, size_t index, char **out,
               size_t *out_length, char where[96])
{
    mly_json_doc *doc;
    struct walk walk = {.edit = edit, .turn = index, .where = where};
    assert_int_equal(mly_json_parse("original", text, length, &doc, NULL), MLY_OK);
    mly_json_writer_init(&walk.writer, true);
    write_value(&walk, NULL, mly_json_root(doc));
    mly_json_destroy(doc);
    assert_int_equal(mly_json_finish(&walk.writer, out, out_length, NULL), MLY_OK);
    if (!walk.done)
        mly_free(*out);
    return walk.done;
}

char *text_replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("'%s' is not in the text", from);
    char *result = mly_strfmt("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_non_null(result);
    return result;
}

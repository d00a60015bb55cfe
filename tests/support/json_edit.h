/* Damages JSON documents in every place, one at a time, for tests of readers that must say what is
 * wrong where. */
#ifndef MOTLEY_TEST_JSON_EDIT_H
#define MOTLEY_TEST_JSON_EDIT_H

#include <stdbool.h>
#include <stddef.h>

enum json_edit {
    JSON_EDIT_TYPE,   /* a number, text, boolean, null, or empty container becomes {"wrong": 1} */
    JSON_EDIT_ADD,    /* an object gets the member "surprise": 1; where is that member's path */
    JSON_EDIT_REMOVE, /* an object loses a member */
    JSON_EDIT_REPEAT  /* an object has a member twice */
};

/*
 * Writes the document again with its index-th place (from 0) of that kind edited. False when there
 * are not so many. *out (NUL-terminated) is the caller's (mly_free); where gets the path of the
 * edited place.
 */
bool json_edit(const char *text, size_t length, enum json_edit edit, size_t index, char **out,
               size_t *out_length, char where[96]);

/* The text with the first `from` replaced by `to`; fails the test if there is none. The caller's
 * (mly_free). */
char *text_replace(const char *text, const char *from, const char *to);

#endif

/*
 * Checks a synthetic description before hwloc sees it, because hwloc says neither what it did not
 * understand nor where, and would build a machine of any size. Grammar, a subset of hwloc's
 * ("Synthetic topologies"; memory in brackets is left out, since hwloc 2.9 leaks some of it):
 *
 *   description = level { " " level }
 *   level       = [ name ":" ] count [ "(" attribute { " " attribute } ")" ]
 *   attribute   = "memory=" size | "size=" size | "indexes=" order
 */
#include "device/internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MAX_THREADS 4096 /* over twice the largest machines sold with one memory */
#define MAX_OBJECTS 16384
#define MAX_DESCRIPTION_BYTES 1024

static const char *const level_names[] = {
    "pack",    "package", "socket", "die",     "numa",    "numanode", "node",    "group",
    "cluster", "l5",      "l5u",    "l5cache", "l4",      "l4u",      "l4cache", "l3",
    "l3u",     "l3cache", "l2",     "l2u",     "l2cache", "l1",       "l1d",     "l1u",
    "l1cache", "l1i",     "l2i",    "core",    "pu"};

struct reader {
    const char *text;
    size_t at;
    uint64_t product, objects;
    struct mly_error *err;
};

static enum mly_status bad(const struct reader *reader, size_t at, const char *problem)
{
    size_t length = strcspn(reader->text + at, " ");
    return mly_error_set(
        reader->err, MLY_E_INVALID,
        "synthetic machine: column %zu: %s at '%.*s': write levels from the outermost "
        "to the innermost, such as 'package:2 numa:1 l3:1 core:16 pu:2'",
        at + 1, problem, (int)(length > 40 ? 40 : length), reader->text + at);
}

static bool known_level(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strlen(level_names[i]) == length && strncasecmp(level_names[i], name, length) == 0)
            return true;
    return false;
}

static enum mly_status read_name(struct reader *reader)
{
    size_t start = reader->at;
    while (isalpha((unsigned char)reader->text[reader->at]) ||
           (reader->at == start + 1 && tolower((unsigned char)reader->text[start]) == 'l' &&
            isdigit((unsigned char)reader->text[reader->at])))
        reader->at++;
    if (reader->at > start && !known_level(reader->text + start, reader->at - start))
        return bad(reader, start,
                   "an unknown level (package, die, numa, l1 to l5, core, pu, group)");
    return MLY_OK;
}

/* Every level puts `product` more objects into the machine. */
static enum mly_status add_objects(struct reader *reader, size_t at)
{
    reader->objects += reader->product;
    if (reader->product <= MAX_THREADS && reader->objects <= MAX_OBJECTS)
        return MLY_OK;
    return mly_error_set(
        reader->err, MLY_E_LIMIT,
        "synthetic machine: column %zu: more than %d hardware threads or %d objects", at + 1,
        MAX_THREADS, MAX_OBJECTS);
}

static enum mly_status read_count(struct reader *reader)
{
    size_t start = reader->at;
    uint64_t count = 0;
    while (isdigit((unsigned char)reader->text[reader->at]) && count <= MAX_THREADS)
        count = count * 10 + (uint64_t)(reader->text[reader->at++] - '0');
    if (reader->at == start || count == 0)
        return bad(reader, start, "a count of 1 or more is missing");
    reader->product *= count;
    return add_objects(reader, start);
}

/* NAME=VALUE of the characters that hwloc's values need; what they mean is hwloc's to judge. */
static enum mly_status read_attributes(struct reader *reader)
{
    static const char *const names[] = {"memory=", "size=", "indexes="};
    static const char *const allowed[] = {"0123456789kKMGTiB", "0123456789kKMGTiB",
                                          "0123456789,:*"};
    const char *text = reader->text;
    for (reader->at++; text[reader->at] != ')'; reader->at += text[reader->at] == ' ') {
        size_t which = 0;
        while (which < 3 && strncmp(text + reader->at, names[which], strlen(names[which])) != 0)
            which++;
        if (which == 3)
            return bad(reader, reader->at, "an unknown attribute (memory=, size=, indexes=)");
        size_t value = reader->at + strlen(names[which]);
        size_t length = strspn(text + value, allowed[which]);
        if (length == 0 || length > 256 || !isdigit((unsigned char)text[value]))
            return bad(reader, reader->at, "an attribute without a value");
        reader->at = value + length;
        if (text[reader->at] != ' ' && text[reader->at] != ')')
            return bad(reader, reader->at, "an unexpected character");
    }
    reader->at++;
    return MLY_OK;
}

static enum mly_status read_level(struct reader *reader)
{
    size_t start = reader->at;
    enum mly_status status = read_name(reader);
    if (status)
        return status;
    if (reader->at > start) {
        if (reader->text[reader->at] != ':')
            return bad(reader, start, "a level without ':' and its count");
        reader->at++;
    }
    if ((status = read_count(reader)))
        return status;
    if (reader->text[reader->at] == '(')
        return read_attributes(reader);
    return MLY_OK;
}

enum mly_status mly__synthetic_check(const char *description, struct mly_error *err)
{
    struct reader reader = {.text = description, .product = 1, .err = err};
    if (strnlen(description, MAX_DESCRIPTION_BYTES + 1) > MAX_DESCRIPTION_BYTES)
        return mly_error_set(err, MLY_E_LIMIT, "synthetic machine: description over %d bytes",
                             MAX_DESCRIPTION_BYTES);
    while (description[reader.at] == ' ')
        reader.at++;
    if (description[reader.at] == '\0')
        return bad(&reader, reader.at, "an empty description");
    while (description[reader.at] != '\0') {
        enum mly_status status = read_level(&reader);
        if (status)
            return status;
        if (description[reader.at] != ' ' && description[reader.at] != '\0')
            return bad(&reader, reader.at, "an unexpected character");
        while (description[reader.at] == ' ')
            reader.at++;
    }
    return MLY_OK;
}

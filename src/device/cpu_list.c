/* Logical CPUs as text: "0-3+8", "0-30:2" (every second one), "0x5555" (a mask). */
#include "device/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Length of the arithmetic progression that cpus begins with, worth writing as a range, and its
 * step. */
static size_t run_length(const uint32_t *cpus, size_t count, uint32_t *step)
{
    *step = 1;
    if (count < 2)
        return 1;
    *step = cpus[1] - cpus[0];
    size_t length = 2;
    while (length < count && cpus[length] - cpus[length - 1] == *step)
        length++;
    return *step == 1 || length >= 4 ? length : 1;
}

bool mly__cpu_list_text(const uint32_t *cpus, size_t count, char separator, char *text,
                        size_t text_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t at = 0; at < count;) {
        char range[64];
        uint32_t step, first = cpus[at];
        size_t length = run_length(cpus + at, count - at, &step);
        uint32_t last = cpus[at + length - 1];
        int needed;
        if (length == 1)
            needed = snprintf(range, sizeof range, "%" PRIu32, first);
        else if (step == 1)
            needed = snprintf(range, sizeof range, "%" PRIu32 "-%" PRIu32, first, last);
        else
            needed = snprintf(range, sizeof range, "%" PRIu32 "-%" PRIu32 ":%" PRIu32, first, last,
                              step);
        if (used + (used > 0) + (size_t)needed >= text_bytes)
            return false;
        if (used > 0)
            text[used++] = separator;
        memcpy(text + used, range, (size_t)needed + 1);
        used += (size_t)needed;
        at += length;
    }
    return true;
}

/* Hexadecimal, the highest CPU's digit first; false when it does not fit. */
static bool mask_text(const uint32_t *cpus, size_t count, char *text, size_t text_bytes)
{
    size_t digits = (size_t)cpus[count - 1] / 4 + 1;
    if (2 + digits >= text_bytes)
        return false;
    text[0] = '0';
    text[1] = 'x';
    size_t next = count; /* cpus[next - 1] is the highest one not yet written */
    for (size_t i = 0; i < digits; i++) {
        size_t base = (digits - 1 - i) * 4;
        unsigned digit = 0;
        while (next > 0 && cpus[next - 1] >= base)
            digit |= 1u << (cpus[--next] - base);
        text[2 + i] = "0123456789abcdef"[digit];
    }
    text[2 + digits] = '\0';
    return true;
}

void mly__cpu_id(const uint32_t *cpus, size_t count, char *id, size_t id_bytes)
{
    static const char prefix[] = "cpu:";
    const size_t prefix_length = sizeof prefix - 1;
    memcpy(id, prefix, sizeof prefix);
    char *list = id + prefix_length;
    size_t list_bytes = id_bytes - prefix_length;
    if (mly__cpu_list_text(cpus, count, '+', list, list_bytes) ||
        mask_text(cpus, count, list, list_bytes))
        return;
    /* FNV-1a (Fowler, Noll, Vo) keeps the names of different groups different. */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ cpus[i]) * UINT64_C(0x100000001b3);
    snprintf(list, list_bytes, "%" PRIu32 "+%zu-others~%016" PRIx64, cpus[0], count - 1, hash);
}

struct list_reader {
    const char *text;
    size_t length, at, column;
    struct mly_error *err;
};

static enum mly_status bad_list(const struct list_reader *reader, const char *problem)
{
    return mly_error_set(
        reader->err, MLY_E_INVALID,
        "column %zu: %s in the CPU list '%.*s': write numbers and ranges joined by '+', "
        "such as 0-3+8",
        reader->column + reader->at, problem, (int)reader->length, reader->text);
}

static bool at_char(const struct list_reader *reader, char c)
{
    return reader->at < reader->length && reader->text[reader->at] == c;
}

static enum mly_status read_number(struct list_reader *reader, uint32_t *number)
{
    size_t start = reader->at;
    uint32_t value = 0;
    while (reader->at < reader->length && isdigit((unsigned char)reader->text[reader->at])) {
        value = value * 10 + (uint32_t)(reader->text[reader->at] - '0');
        if (value > MLY__MAX_CPU) {
            reader->at = start;
            return bad_list(reader, "a number over 65535");
        }
        reader->at++;
    }
    if (reader->at == start)
        return bad_list(reader, "a number is missing");
    *number = value;
    return MLY_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum mly_status read_mask(struct list_reader *reader, mly__cpu_visitor *each, void *user)
{
    const size_t digits = reader->length - 2;
    bool any = false;
    for (reader->at = 2; reader->at < reader->length; reader->at++) {
        int digit = hex_digit(reader->text[reader->at]);
        if (digit < 0)
            return bad_list(reader, "no hexadecimal digit");
        any |= digit != 0;
    }
    if (!any)
        return bad_list(reader, "an empty mask");
    if (digits > (MLY__MAX_CPU + 1) / 4)
        return bad_list(reader, "too long a mask");
    for (size_t i = 0; i < digits; i++) { /* the last digit holds the lowest CPUs */
        int digit = hex_digit(reader->text[reader->length - 1 - i]);
        for (uint32_t bit = 0; bit < 4; bit++) {
            if (!(digit >> bit & 1))
                continue;
            enum mly_status status = each((uint32_t)i * 4 + bit, user, reader->err);
            if (status)
                return status;
        }
    }
    return MLY_OK;
}

/* A, A-B or A-B:STEP */
static enum mly_status read_range(struct list_reader *reader, mly__cpu_visitor *each, void *user)
{
    uint32_t first = 0, last = 0, step = 1;
    enum mly_status status = read_number(reader, &first);
    if (status)
        return status;
    last = first;
    if (at_char(reader, '-')) {
        size_t start = ++reader->at;
        if ((status = read_number(reader, &last)))
            return status;
        if (last < first) {
            reader->at = start;
            return bad_list(reader, "a range that runs backward");
        }
        if (at_char(reader, ':')) {
            start = ++reader->at;
            if ((status = read_number(reader, &step)))
                return status;
            if (step == 0) {
                reader->at = start;
                return bad_list(reader, "a step of 0");
            }
        }
    }
    for (uint32_t cpu = first; cpu <= last; cpu += step)
        if ((status = each(cpu, user, reader->err)))
            return status;
    return MLY_OK;
}

enum mly_status mly__cpu_list_parse(const char *text, size_t length, size_t column,
                                    mly__cpu_visitor *each, void *user, struct mly_error *err)
{
    struct list_reader reader = {.text = text, .length = length, .column = column, .err = err};
    if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return read_mask(&reader, each, user);
    for (;;) {
        enum mly_status status = read_range(&reader, each, user);
        if (status)
            return status;
        if (reader.at == length)
            return MLY_OK;
        if (!at_char(&reader, '+'))
            return bad_list(&reader, "an unexpected character");
        reader.at++;
    }
}

uint32_t mly__cpu_position(const mly_machine *machine, uint32_t os_index)
{
    uint32_t low = 0, high = machine->info.hardware_threads;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t found = machine->cpus[machine->by_os_index[middle]].os_index;
        if (found == os_index)
            return machine->by_os_index[middle];
        if (found < os_index)
            low = middle + 1;
        else
            high = middle;
    }
    return UINT32_MAX;
}

void mly__usable_text(const mly_machine *machine, char *text, size_t text_bytes)
{
    /* As many as can matter: a longer list is cut in any case. */
    uint32_t cpus[1024];
    uint32_t count = machine->info.hardware_threads;
    if (count > sizeof cpus / sizeof cpus[0])
        count = sizeof cpus / sizeof cpus[0];
    for (uint32_t i = 0; i < count; i++)
        cpus[i] = machine->cpus[machine->by_os_index[i]].os_index;
    bool whole = mly__cpu_list_text(cpus, count, ',', text, text_bytes);
    if ((!whole || count < machine->info.hardware_threads) && strlen(text) + 5 < text_bytes)
        strcat(text, ",...");
}

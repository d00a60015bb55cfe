/* Parsing of command lines against the option tables. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option common_options[] = {
    {"help", 'h', CLI_FLAG, NULL, "Show this help and exit.", NULL,
     offsetof(struct cli_common, help), 0, 0},
    {"json", 'j', CLI_FLAG, NULL, "Print the result as JSON on standard output.", NULL,
     offsetof(struct cli_common, json), 0, 0},
    {"quiet", 'q', CLI_FLAG, NULL, "No progress, no remarks; only the result and errors.", NULL,
     offsetof(struct cli_common, quiet), 0, 0},
};
#define COMMON_COUNT (sizeof common_options / sizeof common_options[0])

const struct cli_option *cli_common_option(size_t index)
{
    return index < COMMON_COUNT ? &common_options[index] : NULL;
}

/* An option together with the struct that its offset counts from. */
struct target {
    const struct cli_option *option;
    char *base;
};

static struct target find_option(const struct cli_command *command, const char *name, size_t length,
                                 char letter, struct cli_common *common, void *values)
{
    for (size_t i = 0; i < command->option_count + COMMON_COUNT; i++) {
        bool own = i < command->option_count;
        const struct cli_option *option =
            own ? &command->options[i] : &common_options[i - command->option_count];
        bool same = letter
                        ? option->letter == letter
                        : strlen(option->name) == length && memcmp(option->name, name, length) == 0;
        if (same)
            return (struct target){option, own ? (char *)values : (char *)common};
    }
    return (struct target){0};
}

/* Edit distance, cut at small words: good enough to say "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t row[40];
    size_t n = strlen(b);
    if (n >= sizeof row / sizeof row[0])
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t above = row[j + 1];
            size_t best = diagonal + (a[i] != b[j]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            diagonal = above;
            row[j + 1] = best;
        }
    }
    return row[n];
}

static const char *nearest_option(const struct cli_command *command, const char *name)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < command->option_count + COMMON_COUNT; i++) {
        const char *candidate = i < command->option_count
                                    ? command->options[i].name
                                    : common_options[i - command->option_count].name;
        size_t d = distance(name, candidate);
        if (d < least) {
            least = d;
            best = candidate;
        }
    }
    return best;
}

const char *cli_nearest_command(const char *name)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; cli_command_at(i); i++) {
        size_t d = distance(name, cli_command_at(i)->name);
        if (d < least) {
            least = d;
            best = cli_command_at(i)->name;
        }
    }
    return best;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *at = choices; at && *at; at += strcspn(at, " "), at += *at == ' ') {
        size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, value, length) == 0)
            return true;
    }
    return false;
}

static enum mly_status store_count(const struct cli_option *option, const char *value,
                                   uint64_t *out, struct mly_error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno || *value < '0' || *value > '9' || *end != '\0' || number < option->min ||
        number > option->max)
        return mly_error_set(
            err, MLY_E_INVALID, "--%s %s: a whole number from %llu to %llu is needed", option->name,
            value, (unsigned long long)option->min, (unsigned long long)option->max);
    *out = number;
    return MLY_OK;
}

static enum mly_status store_seconds(const struct cli_option *option, const char *value,
                                     int64_t *out, struct mly_error *err)
{
    char *end = NULL;
    double seconds = strtod(value, &end);
    if (end == value || (*end != '\0' && strcmp(end, "s") != 0) || !isfinite(seconds) ||
        seconds <= 0 || seconds > 1e6)
        return mly_error_set(err, MLY_E_INVALID, "--%s %s: seconds are needed, such as 0.5 or 30",
                             option->name, value);
    *out = (int64_t)(seconds * 1e9);
    return MLY_OK;
}

static enum mly_status store_path(const struct cli_option *option, const char *value,
                                  const char **out, struct mly_error *err)
{
    if (!*value)
        return mly_error_set(err, MLY_E_INVALID, "--%s: a path is needed", option->name);
    if (strcmp(value, "-") == 0)
        return mly_error_set(err, MLY_E_INVALID,
                             "--%s -: a path is needed, standard streams are not used here (a file "
                             "of that name: ./-)",
                             option->name);
    *out = value;
    return MLY_OK;
}

static enum mly_status store(struct target target, const char *value, struct mly_error *err)
{
    const struct cli_option *option = target.option;
    void *place = target.base + option->offset;
    if (option->choices && !is_choice(option->choices, value))
        return mly_error_set(err, MLY_E_INVALID, "--%s %s: must be one of: %s", option->name, value,
                             option->choices);
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)place = true;
        return MLY_OK;
    case CLI_TEXT:
    case CLI_FILE_OR_STDOUT:
        *(const char **)place = value;
        return MLY_OK;
    case CLI_FILE:
        return store_path(option, value, place, err);
    case CLI_COUNT:
        return store_count(option, value, place, err);
    case CLI_SECONDS:
        return store_seconds(option, value, place, err);
    case CLI_REPEAT: {
        struct cli_texts *texts = place;
        if (texts->count == CLI_REPEAT_MAX)
            return mly_error_set(err, MLY_E_LIMIT, "--%s: given more than %d times", option->name,
                                 CLI_REPEAT_MAX);
        texts->items[texts->count++] = value;
        return MLY_OK;
    }
    }
    return mly_error_set(err, MLY_E_INTERNAL, "--%s: option of unknown kind", option->name);
}

static enum mly_status unknown_option(const struct cli_command *command, const char *word,
                                      const char *name, struct mly_error *err)
{
    const char *near = nearest_option(command, name);
    if (near)
        return mly_error_set(err, MLY_E_INVALID, "unknown option %s; did you mean --%s?", word,
                             near);
    return mly_error_set(err, MLY_E_INVALID, "unknown option %s; see `motley %s --help`", word,
                         command->name);
}

/* One option word with its value, which may be in the next word; *index moves past what was used.
 */
static enum mly_status parse_option(const struct cli_command *command, int argc, char **argv,
                                    int *index, struct cli_common *common, void *values,
                                    struct mly_error *err)
{
    char *word = argv[*index];
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    struct target target =
        find_option(command, name, length, is_long ? 0 : name[0], common, values);
    if (!target.option)
        return unknown_option(command, word, name, err);
    const char *value = equals ? equals + 1 : NULL;
    if (!is_long && name[1] != '\0')
        value = name + 1;
    if (target.option->kind == CLI_FLAG) {
        if (value)
            return mly_error_set(err, MLY_E_INVALID, "%s: --%s takes no value", word,
                                 target.option->name);
        return store(target, "", err);
    }
    if (!value) {
        if (*index + 1 >= argc)
            return mly_error_set(err, MLY_E_INVALID, "%s: needs a value: %s", word,
                                 target.option->value_name);
        value = argv[++*index];
    }
    return store(target, value, err);
}

enum mly_status cli_parse(const struct cli_command *command, int argc, char **argv,
                          struct cli_common *common, void *values, char **operands,
                          size_t *operand_count, struct mly_error *err)
{
    size_t count = 0;
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0') {
            enum mly_status status = parse_option(command, argc, argv, &i, common, values, err);
            if (status != MLY_OK)
                return status;
        } else {
            operands[count++] = argv[i];
        }
    }
    *operand_count = count;
    if (common->help)
        return MLY_OK;
    if (count < command->min_operands)
        return mly_error_set(err, MLY_E_INVALID, "something is missing: motley %s %s",
                             command->name, command->operands);
    if (count > command->max_operands)
        return mly_error_set(err, MLY_E_INVALID, "'%s': one operand too many: motley %s %s",
                             operands[command->max_operands], command->name, command->operands);
    return MLY_OK;
}

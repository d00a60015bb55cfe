/* Commands and their options as tables: parsing, --help, the man page, the reference and shell completion
 * come from the same rows. */
#ifndef MLY_CLI_OPTIONS_H
#define MLY_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <motley/status.h>

/* What a value is, and the C type at the option's offset. */
enum cli_kind {
    CLI_FLAG,           /* bool */
    CLI_TEXT,           /* const char *, borrowed from argv */
    CLI_FILE,           /* the same; a path: completed as one, never "-" */
    CLI_FILE_OR_STDOUT, /* the same, where "-" is standard output */
    CLI_COUNT,          /* uint64_t within [min, max] */
    CLI_SECONDS,        /* int64_t nanoseconds; the user writes seconds such as 0.5 */
    CLI_REPEAT          /* struct cli_texts: may be given several times */
};

#define CLI_REPEAT_MAX 64
struct cli_texts {
    const char *items[CLI_REPEAT_MAX];
    size_t count;
};

struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum cli_kind kind;
    const char *value_name; /* "N"; NULL for flags */
    const char *help;
    const char *choices; /* space-separated words for completion and checking, or NULL */
    size_t offset;       /* in the command's values */
    uint64_t min, max;   /* CLI_COUNT */
};

/* Options that every command has. */
struct cli_common {
    bool help;
    bool json;
    bool quiet;
};

struct cli_command {
    const char *name;
    const char *operands;    /* "MODEL", "[NAME…]": for the usage line */
    const char *summary;     /* one line */
    const char *description; /* paragraphs for --help and the man page */
    const char *examples;    /* lines of commands */
    const struct cli_option *options;
    size_t option_count;
    size_t values_bytes; /* size of the struct that the options fill, zeroed before */
    size_t min_operands, max_operands;
    /* Names that operands are chosen from, for completion; NULL past the end. No function: files. */
    const char *(*operand_at)(size_t index);
    /* Returns the exit status. values points to the filled struct. */
    int (*run)(const struct cli_common *common, const void *values, char **operands,
               size_t operand_count);
};

/* NULL past the end. */
const struct cli_command *cli_command_at(size_t index);

/*
 * Parses argv after the command's name. operands[] (caller's array of argc) gets what is not an
 * option. Options and operands may be mixed; `--` ends options; `--name=value` and `--name value`,
 * `-b4` and `-b 4` are the same. MLY_E_INVALID names the word, and the nearest known option when
 * there is one.
 */
enum mly_status cli_parse(const struct cli_command *command, int argc, char **argv,
                          struct cli_common *common, void *values, char **operands,
                          size_t *operand_count, struct mly_error *err) MLY_MUST_CHECK;

void cli_print_help(const struct cli_command *command, FILE *to);
void cli_print_overview(FILE *to);
void cli_print_man(FILE *to);
/* docs/reference/commands.md. */
void cli_print_markdown(FILE *to);
/* shell is "bash", "zsh" or "fish"; false if unknown. */
bool cli_print_completion(const char *shell, FILE *to);

#endif

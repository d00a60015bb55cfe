/* --help, the man page and the reference in Markdown, all made from the command tables. */
#include <inttypes.h>
#include <string.h>

#include <motley/version.h>

#include "internal.h"
#include "options.h"

enum { HELP_WIDTH = 88, OPTION_COLUMN = 26 };

static const struct {
    int status;
    const char *when;
} exits[] = {
    {CLI_EXIT_OK, "success"},
    {CLI_EXIT_FAILED, "the work failed"},
    {CLI_EXIT_USAGE, "wrong usage"},
};

static const struct {
    const char *name, *help;
} environment[] = {
    {"MOTLEY_CACHE_DIR",
     "Where prepared models and cost tables are kept (default: $XDG_CACHE_HOME/motley, else "
     "~/.cache/motley)."},
    {"MOTLEY_CACHE_LIMIT", "Most bytes that prepared models may take, such as 20G (default: a "
                           "quarter of the free disk, at most 32 GiB)."},
    {"MOTLEY_LOG", "error, warning (default), info or debug."},
    {"MOTLEY_SENSORS_ROOT", "What goes before /sys where sensors of energy and temperature are "
                            "looked for: in a container, where the host's is mounted."},
};

/* Prints text wrapped at HELP_WIDTH with every line indented; `at` is the column where the cursor
 * stands. */
static void print_wrapped(const char *text, size_t indent, size_t at, FILE *to)
{
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (at + word > HELP_WIDTH && at > indent) {
            fprintf(to, "\n%*s", (int)indent, "");
            at = indent;
        }
        fprintf(to, "%.*s", (int)word, text);
        at += word;
        text += word;
        if (*text == ' ') {
            fputc(' ', to);
            at++;
            text++;
        } else if (*text == '\n') {
            fprintf(to, "\n%*s", text[1] ? (int)indent : 0, "");
            at = indent;
            text++;
        }
    }
    fputc('\n', to);
}

static void print_option(const struct cli_option *option, FILE *to)
{
    char head[64];
    int length =
        snprintf(head, sizeof head, "  %c%c%c --%s%s%s", option->letter ? '-' : ' ',
                 option->letter ? option->letter : ' ', option->letter ? ',' : ' ', option->name,
                 option->value_name ? " " : "", option->value_name ? option->value_name : "");
    fputs(head, to);
    size_t at = (size_t)length;
    if (at + 2 > OPTION_COLUMN) {
        fputc('\n', to);
        at = 0;
    }
    fprintf(to, "%*s", (int)(OPTION_COLUMN - at), "");
    print_wrapped(option->help, OPTION_COLUMN, OPTION_COLUMN, to);
}

void cli_print_help(const struct cli_command *command, FILE *to)
{
    fprintf(to, "motley %s %s%s\n\n", command->name, command->operands,
            command->option_count ? " [OPTION…]" : "");
    print_wrapped(command->description, 0, 0, to);
    fputs("\nOptions:\n", to);
    for (size_t i = 0; i < command->option_count; i++)
        print_option(&command->options[i], to);
    for (size_t i = 0; cli_common_option(i); i++)
        print_option(cli_common_option(i), to);
    if (command->examples)
        fprintf(to, "\nExamples:\n%s", command->examples);
}

void cli_print_overview(FILE *to)
{
    fprintf(
        to,
        "motley %s: one fast inference service from a network and a box of mixed processors\n\n",
        mly_version());
    fputs("motley COMMAND [OPERAND…] [OPTION…]\n\nCommands:\n", to);
    for (size_t i = 0; cli_command_at(i); i++)
        fprintf(to, "  %-10s %s\n", cli_command_at(i)->name, cli_command_at(i)->summary);
    fputs(
        "\n`motley COMMAND --help` explains one. Exit status: 0 success, 1 failed, 2 wrong usage.\n"
        "Environment: MOTLEY_CACHE_DIR (prepared models and costs; default ~/.cache/motley),\n"
        "MOTLEY_CACHE_LIMIT (such as 20G), MOTLEY_LOG (error, warning, info, debug).\n",
        to);
}

/* troff: a leading dot or quote, and backslashes and hyphens, are special. */
static void print_roff(const char *text, FILE *to)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", to);
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else
            fputc(*text, to);
        line_start = *text == '\n';
    }
}

static void print_man_option(const struct cli_option *option, FILE *to)
{
    fputs(".TP\n.B ", to);
    if (option->letter)
        fprintf(to, "\\-%c, ", option->letter);
    fputs("\\-\\-", to);
    print_roff(option->name, to);
    if (option->value_name) {
        fputs(" \\fI", to);
        print_roff(option->value_name, to);
        fputs("\\fR", to);
    }
    fputc('\n', to);
    print_roff(option->help, to);
    fputc('\n', to);
}

static void print_man_command(const struct cli_command *command, FILE *to)
{
    fprintf(to, ".SS motley %s ", command->name);
    print_roff(command->operands, to);
    fputc('\n', to);
    print_roff(command->description, to);
    fputc('\n', to);
    for (size_t i = 0; i < command->option_count; i++)
        print_man_option(&command->options[i], to);
    if (command->examples) {
        fputs(".PP\n.nf\n", to);
        print_roff(command->examples, to);
        fputs(".fi\n", to);
    }
}

void cli_print_man(FILE *to)
{
    fprintf(to, ".TH MOTLEY 1 \"\" \"motley %s\" \"User Commands\"\n", mly_version());
    fputs(".SH NAME\nmotley \\- measure, plan and run neural networks on mixed processors\n"
          ".SH SYNOPSIS\n.B motley\n\\fICOMMAND\\fR [\\fIOPERAND\\fR...] [\\fIOPTION\\fR...]\n"
          ".SH COMMANDS\n",
          to);
    for (size_t i = 0; cli_command_at(i); i++)
        print_man_command(cli_command_at(i), to);
    fputs(".SH COMMON OPTIONS\n", to);
    for (size_t i = 0; cli_common_option(i); i++)
        print_man_option(cli_common_option(i), to);
    fputs(".SH EXIT STATUS\n", to);
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        fprintf(to, ".TP\n.B %d\n%s\n", exits[i].status, exits[i].when);
    fputs(".SH ENVIRONMENT\n", to);
    for (size_t i = 0; i < sizeof environment / sizeof environment[0]; i++) {
        fprintf(to, ".TP\n.B %s\n", environment[i].name);
        print_roff(environment[i].help, to);
        fputc('\n', to);
    }
}

/* --- Markdown: docs/reference/commands.md --- */

/* Within a cell, a bar ends it, even in code; outside code, markup and entities are special. */
static void print_md(const char *text, bool cell, FILE *to)
{
    bool code = false;
    for (; *text; text++) {
        if (*text == '`')
            code = !code;
        if ((*text == '|' && cell) || (!code && strchr("*<[]\\", *text)))
            fputc('\\', to);
        fputc(cell && *text == '\n' ? ' ' : *text, to);
    }
}

/* What may follow an option, from its row. */
static void print_md_values(const struct cli_option *option, FILE *to)
{
    switch (option->kind) {
    case CLI_FLAG:
        break;
    case CLI_TEXT:
    case CLI_FILE:
    case CLI_FILE_OR_STDOUT:
        for (const char *at = option->choices; at && *at;) {
            size_t word = strcspn(at, " ");
            fprintf(to, "%s`%.*s`", at == option->choices ? "" : ", ", (int)word, at);
            at += word + (at[word] == ' ');
        }
        if (!option->choices)
            fputs(option->kind == CLI_TEXT ? "text" : "a path", to);
        break;
    case CLI_COUNT:
        fprintf(to, "%" PRIu64 "…%" PRIu64, option->min, option->max);
        break;
    case CLI_SECONDS:
        fputs("seconds", to);
        break;
    case CLI_REPEAT:
        fprintf(to, "text, up to %d times", CLI_REPEAT_MAX);
        break;
    }
}

static void print_md_option(const struct cli_option *option, FILE *to)
{
    fputs("| ", to);
    if (option->letter)
        fprintf(to, "`-%c`, ", option->letter);
    fprintf(to, "`--%s%s%s` | ", option->name, option->value_name ? " " : "",
            option->value_name ? option->value_name : "");
    print_md_values(option, to);
    fputs(" | ", to);
    print_md(option->help, true, to);
    fputs(" |\n", to);
}

static const char md_options_head[] = "| option | value | what it does |\n|---|---|---|\n";

static void print_md_command(const struct cli_command *command, FILE *to)
{
    fprintf(to, "\n## motley %s\n\n    motley %s%s%s%s\n\n", command->name, command->name,
            *command->operands ? " " : "", command->operands,
            command->option_count ? " [OPTION…]" : "");
    print_md(command->description, false, to);
    fputs("\n", to);
    if (command->option_count > 0)
        fprintf(to, "\n%s", md_options_head);
    for (size_t i = 0; i < command->option_count; i++)
        print_md_option(&command->options[i], to);
    if (!command->examples)
        return;
    fputs("\nExamples:\n\n", to);
    for (const char *at = command->examples; *at;) {
        size_t line = strcspn(at, "\n");
        fprintf(to, "  %.*s\n", (int)line, at);
        at += line + (at[line] == '\n');
    }
}

void cli_print_markdown(FILE *to)
{
    fputs("# Commands\n\nMade by `motley help --markdown` from the tables that parse the command "
          "line; change those\n(`src/cli/cmd_*.c`), not this file.\n\n"
          "| command | what it is for |\n|---|---|\n",
          to);
    for (size_t i = 0; cli_command_at(i); i++) {
        const struct cli_command *command = cli_command_at(i);
        fprintf(to, "| [`motley %s`](#motley-%s) | ", command->name, command->name);
        print_md(command->summary, true, to);
        fputs(" |\n", to);
    }
    fprintf(to, "\nEvery command also takes these options:\n\n%s", md_options_head);
    for (size_t i = 0; cli_common_option(i); i++)
        print_md_option(cli_common_option(i), to);
    fputs("\n| exit status | when |\n|---|---|\n", to);
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        fprintf(to, "| %d | %s |\n", exits[i].status, exits[i].when);
    fputs("\n| environment variable | what it is |\n|---|---|\n", to);
    for (size_t i = 0; i < sizeof environment / sizeof environment[0]; i++) {
        fprintf(to, "| `%s` | ", environment[i].name);
        print_md(environment[i].help, true, to);
        fputs(" |\n", to);
    }
    for (size_t i = 0; cli_command_at(i); i++)
        print_md_command(cli_command_at(i), to);
}

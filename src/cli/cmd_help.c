/* motley help: the overview, one command's help, the man page, the reference, shell completion. */
#include <string.h>

#include "internal.h"

struct help_values {
    bool man;
    bool markdown;
    const char *completion;
};

static const struct cli_option help_options[] = {
    {"man", 0, CLI_FLAG, NULL, "Print the man page (troff).", NULL,
     offsetof(struct help_values, man), 0, 0},
    {"markdown", 0, CLI_FLAG, NULL, "Print the reference of all commands (Markdown).", NULL,
     offsetof(struct help_values, markdown), 0, 0},
    {"completion", 0, CLI_TEXT, "SHELL", "Print completion for a shell: bash, zsh or fish.",
     "bash zsh fish", offsetof(struct help_values, completion), 0, 0},
};

static int run_help(const struct cli_common *common, const void *values, char **operands,
                    size_t operand_count)
{
    (void)common;
    const struct help_values *help = values;
    struct mly_error err = {0};
    if (help->man) {
        cli_print_man(stdout);
        return cli_finish_output();
    }
    if (help->markdown) {
        cli_print_markdown(stdout);
        return cli_finish_output();
    }
    if (help->completion) {
        cli_print_completion(help->completion, stdout);
        return cli_finish_output();
    }
    if (operand_count == 0) {
        cli_print_overview(stdout);
        return cli_finish_output();
    }
    for (size_t i = 0; cli_command_at(i); i++) {
        if (strcmp(cli_command_at(i)->name, operands[0]) == 0) {
            cli_print_help(cli_command_at(i), stdout);
            return cli_finish_output();
        }
    }
    mly_error_set(&err, MLY_E_INVALID, "unknown command '%s'; `motley --help` lists them",
                  operands[0]);
    return cli_usage(&err);
}

static const char *command_at(size_t index)
{
    const struct cli_command *command = cli_command_at(index);
    return command ? command->name : NULL;
}

const struct cli_command cli_command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "explain a command; print the man page or shell completion",
    .description = "Explains a command, or prints what an installation needs: the man page, the "
                   "reference of all commands, and completion for a shell.",
    .examples = "  motley help run\n  motley help --man | man -l -\n  motley help --completion "
                "bash > /etc/bash_completion.d/motley\n",
    .options = help_options,
    .option_count = sizeof help_options / sizeof help_options[0],
    .values_bytes = sizeof(struct help_values),
    .max_operands = 1,
    .operand_at = command_at,
    .run = run_help,
};

/* Completion for bash, zsh and fish, made from the command tables. */
#include <string.h>

#include "internal.h"
#include "options.h"

static bool takes_file(const struct cli_option *option)
{
    return option->kind == CLI_FILE || option->kind == CLI_FILE_OR_STDOUT ||
           option->kind == CLI_REPEAT;
}

/* The names that a command's operands are chosen from, with spaces between; nothing for file names. */
static void print_operands(const struct cli_command *command, FILE *to)
{
    const char *name;
    for (size_t i = 0; command->operand_at && (name = command->operand_at(i)); i++)
        fprintf(to, "%s%s", i ? " " : "", name);
}

static void print_bash(FILE *to)
{
    fputs("# bash completion for motley; made by `motley help --completion bash`\n_motley()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
          "command=${COMP_WORDS[1]} words= operands=\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='",
          to);
    for (size_t i = 0; cli_command_at(i); i++)
        fprintf(to, "%s%s", i ? " " : "", cli_command_at(i)->name);
    fputs("'\n        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n        return\n    fi\n  "
          "  case \"$command $before\" in\n",
          to);
    for (size_t i = 0; cli_command_at(i); i++) {
        const struct cli_command *command = cli_command_at(i);
        for (size_t j = 0; j < command->option_count; j++)
            if (command->options[j].choices)
                fprintf(to,
                        "    '%s --%s') COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n",
                        command->name, command->options[j].name, command->options[j].choices);
    }
    fputs("    esac\n    case \"$command\" in\n", to);
    for (size_t i = 0; cli_command_at(i); i++) {
        const struct cli_command *command = cli_command_at(i);
        fprintf(to, "    %s) words='", command->name);
        for (size_t j = 0; j < command->option_count; j++)
            fprintf(to, "--%s ", command->options[j].name);
        for (size_t j = 0; cli_common_option(j); j++)
            fprintf(to, "--%s ", cli_common_option(j)->name);
        fputs("' ;;\n", to);
    }
    fputs("    esac\n    case \"$command\" in\n", to);
    for (size_t i = 0; cli_command_at(i); i++) {
        const struct cli_command *command = cli_command_at(i);
        if (!command->operand_at)
            continue;
        fprintf(to, "    %s) [[ $before == -* ]] || operands='", command->name);
        print_operands(command, to);
        fputs("' ;;\n", to);
    }
    fputs("    esac\n    if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W \"$words\" -- "
          "\"$word\"))\n"
          "    elif [ -n \"$operands\" ]; then\n        COMPREPLY=($(compgen -W \"$operands\" -- "
          "\"$word\"))\n"
          "    else\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}\ncomplete -o "
          "filenames -F _motley motley\n",
          to);
}

/* zsh's _arguments and fish's quotes both end at an apostrophe. */
static void print_quoted(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("\xe2\x80\x99", to);
        else if (*text == '[' || *text == ']' || *text == ':')
            fputc(' ', to);
        else
            fputc(*text == '\n' ? ' ' : *text, to);
    }
}

static void print_zsh(FILE *to)
{
    fputs("#compdef motley\n# made by `motley help --completion zsh`\n_motley() {\n    local -a "
          "commands\n    commands=(\n",
          to);
    for (size_t i = 0; cli_command_at(i); i++) {
        fprintf(to, "        '%s:", cli_command_at(i)->name);
        print_quoted(cli_command_at(i)->summary, to);
        fputs("'\n", to);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then _describe command commands; return; fi\n    case "
          "$words[2] in\n",
          to);
    for (size_t i = 0; cli_command_at(i); i++) {
        const struct cli_command *command = cli_command_at(i);
        fprintf(to, "    %s) _arguments '*:", command->name);
        if (command->operand_at) {
            fputs("name:(", to);
            print_operands(command, to);
            fputs(")'", to);
        } else {
            fputs("file:_files'", to);
        }
        for (size_t j = 0; j < command->option_count; j++) {
            const struct cli_option *option = &command->options[j];
            fprintf(to, " \\\n        '--%s[", option->name);
            print_quoted(option->help, to);
            fputs("]", to);
            if (option->choices)
                fprintf(to, ":value:(%s)", option->choices);
            else if (takes_file(option))
                fputs(":file:_files", to);
            else if (option->value_name)
                fputs(":value:", to);
            fputs("'", to);
        }
        fputs(" ;;\n", to);
    }
    fputs("    esac\n}\n_motley \"$@\"\n", to);
}

static void print_fish(FILE *to)
{
    fputs("# fish completion for motley; made by `motley help --completion fish`\n", to);
    for (size_t i = 0; cli_command_at(i); i++) {
        const struct cli_command *command = cli_command_at(i);
        fprintf(to, "complete -c motley -f -n __fish_use_subcommand -a %s -d '", command->name);
        print_quoted(command->summary, to);
        fputs("'\n", to);
        if (command->operand_at) {
            fprintf(to, "complete -c motley -f -n '__fish_seen_subcommand_from %s' -a '",
                    command->name);
            print_operands(command, to);
            fputs("'\n", to);
        }
        for (size_t j = 0; j < command->option_count; j++) {
            const struct cli_option *option = &command->options[j];
            fprintf(to, "complete -c motley -n '__fish_seen_subcommand_from %s' -l %s",
                    command->name, option->name);
            if (option->value_name)
                fputs(takes_file(option) ? " -r -F" : " -x", to);
            if (option->choices)
                fprintf(to, " -a '%s'", option->choices);
            fputs(" -d '", to);
            print_quoted(option->help, to);
            fputs("'\n", to);
        }
    }
}

bool cli_print_completion(const char *shell, FILE *to)
{
    static const struct {
        const char *name;
        void (*print)(FILE *to);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].print(to);
            return true;
        }
    }
    return false;
}

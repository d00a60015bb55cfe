/* The command's entry: finds the command, parses its options, runs it; interruption and failing. */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <motley/version.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "internal.h"

static const struct cli_command *const commands[] = {
    &cli_command_devices,   &cli_command_inspect, &cli_command_zoo,   &cli_command_split,
    &cli_command_profile,   &cli_command_plan,    &cli_command_run,   &cli_command_simulate,
    &cli_command_calibrate, &cli_command_bench,   &cli_command_cache, &cli_command_help,
};

const struct cli_command *cli_command_at(size_t index)
{
    return index < sizeof commands / sizeof commands[0] ? commands[index] : NULL;
}

static atomic_bool stop_requested;

const atomic_bool *cli_stop_flag(void)
{
    return &stop_requested;
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    atomic_store(&stop_requested, true);
}

void cli_catch_interrupts(void)
{
    /* SA_RESETHAND: a second Ctrl-C ends the program the usual way. */
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /*
     * A closed terminal: the kernel and the shell may both tell, so a second time means nothing; and nohup's wish
     * that it be ignored stands.
     */
    struct sigaction before;
    action.sa_flags = 0;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}

int cli_fail(const struct mly_error *err)
{
    fflush(stdout);
    fprintf(stderr, "motley: %s\n", err->message);
    return CLI_EXIT_FAILED;
}

int cli_usage(const struct mly_error *err)
{
    cli_fail(err);
    return CLI_EXIT_USAGE;
}

void cli_remark(const struct cli_common *common, const char *format, ...)
{
    if (common->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_common common = {0};
    struct mly_error err = {0};
    size_t operand_count = 0;
    int status = CLI_EXIT_FAILED;
    void *values = mly_alloc(command->values_bytes ? command->values_bytes : 1);
    char **operands = mly_alloc_array((size_t)argc + 1, sizeof *operands);
    if (!values || !operands) {
        mly_error_set(&err, MLY_E_NO_MEMORY, "memory is short");
        status = cli_fail(&err);
    } else if (cli_parse(command, argc, argv, &common, values, operands, &operand_count, &err) !=
               MLY_OK) {
        status = cli_usage(&err);
    } else if (common.help) {
        cli_print_help(command, stdout);
        status = cli_finish_output();
    } else {
        status = command->run(&common, values, operands, operand_count);
    }
    mly_free(operands);
    mly_free(values);
    return status;
}

int cli_main(int argc, char **argv)
{
    struct mly_error err = {0};
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "";
    if (argc < 2) {
        cli_print_overview(stderr);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_print_overview(stdout);
        return cli_finish_output();
    }
    if (strcmp(name, "--version") == 0) {
        printf("motley %s\n", mly_version());
        return cli_finish_output();
    }
    for (size_t i = 0; cli_command_at(i); i++)
        if (strcmp(cli_command_at(i)->name, name) == 0)
            return run_command(cli_command_at(i), argc - 2, argv + 2);
    const char *near = cli_nearest_command(name);
    if (near)
        mly_error_set(&err, MLY_E_INVALID, "unknown command '%s'; did you mean %s?", name, near);
    else
        mly_error_set(&err, MLY_E_INVALID, "unknown command '%s'; `motley --help` lists them",
                      name);
    return cli_usage(&err);
}

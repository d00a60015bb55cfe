/* What the files of the command share: failing, interruption, tables, progress and number formats.
 */
#ifndef MLY_CLI_INTERNAL_H
#define MLY_CLI_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <motley/decide.h>
#include <motley/device.h>
#include <motley/model.h>
#include <motley/status.h>

#include "base/json.h"
#include "options.h"

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILED = 1, CLI_EXIT_USAGE = 2 };

/* options.c, for help.c: the options of every command; NULL past the end. */
const struct cli_option *cli_common_option(size_t index);
/* Nearest command name within two edits, or NULL. */
const char *cli_nearest_command(const char *name);

/* Prints "motley: MESSAGE" on standard error and returns the exit status that belongs to a failure.
 */
int cli_fail(const struct mly_error *err);
/* The same for wrong usage. */
int cli_usage(const struct mly_error *err);
/* Prints a remark on standard error unless quiet. */
void cli_remark(const struct cli_common *common, const char *format, ...) MLY_PRINTF(2, 3);
/* Writes a finished JSON document to standard output and returns the exit status. */
int cli_print_json(struct mly_json_writer *writer);
/* Flushes standard output; a write error (full disk, closed pipe) is a failure. Returns the exit
 * status. */
int cli_finish_output(void);

/* Set by SIGINT, SIGTERM and SIGHUP once cli_catch_interrupts has been called; a second signal ends the
 * program. */
const atomic_bool *cli_stop_flag(void);
void cli_catch_interrupts(void);

/* A bar on standard error when that is a terminal, nothing otherwise. */
struct cli_progress {
    bool active;
    int64_t last_ns;
    int64_t start_ns;
};
void cli_progress_begin(struct cli_progress *progress, const struct cli_common *common);
/* fraction in [0, 1]; redraws at most ten times a second. */
void cli_progress_update(struct cli_progress *progress, double fraction, const char *text);
/* Clears the line. */
void cli_progress_end(struct cli_progress *progress);

/* A plain table: columns as wide as their widest cell. Numbers right, words left. */
enum { CLI_COLUMNS_MAX = 12 };
struct cli_table {
    size_t columns;
    bool right[CLI_COLUMNS_MAX];
    char **cells;
    size_t cell_count, capacity;
    bool failed;
};
/* heads: '|'-separated; a head that starts with '>' makes its column right-aligned. */
void cli_table_init(struct cli_table *table, const char *heads);
void cli_table_cell(struct cli_table *table, const char *format, ...) MLY_PRINTF(2, 3);
void cli_table_print(struct cli_table *table, FILE *to);
void cli_table_fini(struct cli_table *table);

/* "1.50 GB", "12.3 M", "4.21 ms": buffer is returned. */
enum { CLI_NUMBER_BYTES = 32 };
char *cli_bytes(double bytes, char buffer[CLI_NUMBER_BYTES]);
char *cli_count(double count, char buffer[CLI_NUMBER_BYTES]);
char *cli_time(double ns, char buffer[CLI_NUMBER_BYTES]);

/* setup.c: what several commands do first. */
struct cli_box {
    mly_machine *machine;
    uint32_t groups; /* from -d cpu:groups=N; 0 when the user left it open */
    /* What -d named, if that is more than equal core groups; else empty. */
    struct mly_processor_list processors;
};
/*
 * Opens this box (or a synthetic one), restricted to the CPUs of `devices` (NULL: all that this
 * process may use), and pins the process to them.
 */
enum mly_status cli_box_open(const char *devices, const char *topology, struct cli_box *out,
                             struct mly_error *err) MLY_MUST_CHECK;
void cli_box_close(struct cli_box *box);
/* Loads a model and makes its shapes known. */
enum mly_status cli_model_open(const char *path, bool keep_overridable, mly_model **out,
                               struct mly_error *err) MLY_MUST_CHECK;
/* "1,2,4" into a new ascending array (mly_free) without duplicates, each within [1, 65536]. */
enum mly_status cli_parse_counts(const char *option, const char *text, uint32_t **out,
                                 uint32_t *count, struct mly_error *err) MLY_MUST_CHECK;

/* plan_open.c: a plan file, and what it needs. */
struct cli_plan_source {
    const char *path;
    const char *devices; /* NULL: the CPUs that it was made for */
    const char *model;   /* NULL: where the plan says */
    bool keep_overridable;
};
/*
 * Each may be set, and is then the caller's, whatever is returned. MLY_E_MISMATCH: the plan is of another box,
 * model or way of reading it.
 */
enum mly_status cli_plan_open(const struct cli_plan_source *source, mly_plan **plan,
                              mly_model **model, struct cli_box *box,
                              struct mly_error *err) MLY_MUST_CHECK;

/* The commands. */
extern const struct cli_command cli_command_devices, cli_command_inspect, cli_command_zoo,
    cli_command_split, cli_command_profile, cli_command_plan, cli_command_run, cli_command_simulate,
    cli_command_calibrate, cli_command_bench, cli_command_cache, cli_command_help;

#endif

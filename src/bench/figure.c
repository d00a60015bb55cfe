/*
 * Figures by gnuplot.
 *
 *   1. The script: settings, one block of numbers for each curve, one plot.
 *   2. gnuplot reads it on its standard input and writes SVG to its standard output, both of them files
 *      in memory; it is started without a shell, and stopped if it takes a minute.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/os.h"
#include "result_private.h"

#define SVG_BYTES_MAX ((size_t)32 << 20)
#define PATIENCE_MS 60000
#define WORDS_BYTES 400

/* --- 1 --- */

/* 'text', as gnuplot quotes it; what would end the line becomes a space. */
static enum mly_status put_quoted(struct mly_buffer *out, const char *text)
{
    enum mly_status status = mly_buffer_append(out, "'", 1);
    for (; *text && status == MLY_OK; text++) {
        const char *piece = *text == '\'' ? "''" : (unsigned char)*text < ' ' ? " " : text;
        status = mly_buffer_append(out, piece, *text == '\'' ? 2 : 1);
    }
    return status == MLY_OK ? mly_buffer_append(out, "'", 1) : status;
}

static enum mly_status put_setting(struct mly_buffer *out, const char *name, const char *text)
{
    enum mly_status status = mly_buffer_printf(out, "set %s ", name);
    if (status == MLY_OK)
        status = put_quoted(out, text);
    return status == MLY_OK ? mly_buffer_append(out, "\n", 1) : status;
}

static bool is_wanted(const mly_result_table *table, size_t row, const struct mly_series *series)
{
    for (size_t i = 0; i < sizeof series->where / sizeof *series->where; i++) {
        if (!series->where[i].column)
            continue;
        const struct mly__cell *cell =
            mly__result_cell(table, row, mly__result_find_column(table, series->where[i].column));
        if (series->where[i].text ? !cell->text || strcmp(cell->text, series->where[i].text) != 0
                                  : !(cell->number == series->where[i].number))
            return false;
    }
    return true;
}

/* How many points it has. */
static enum mly_status put_block(struct mly_buffer *out, const mly_result *result,
                                 const struct mly_figure *figure, size_t index, size_t *points)
{
    const struct mly_series *series = &figure->series[index];
    const mly_result_table *table = mly__result_find_table(result, series->table);
    const size_t x = mly__result_find_column(table, series->x),
                 y = mly__result_find_column(table, series->y);
    enum mly_status status = mly_buffer_printf(out, "$d%zu << EOD\n", index);
    *points = 0;
    for (size_t r = 0; r < table->row_count && status == MLY_OK; r++) {
        const double at = mly__result_cell(table, r, x)->number,
                     value = mly__result_cell(table, r, y)->number;
        if (isnan(at) || isnan(value) || (figure->log_y && value <= 0) ||
            !is_wanted(table, r, series))
            continue;
        status = mly_buffer_printf(out, "%.10g %.10g\n", at, value);
        ++*points;
    }
    return status == MLY_OK ? mly_buffer_printf(out, "EOD\n") : status;
}

static enum mly_status put_script(struct mly_buffer *out, const mly_result *result,
                                  const struct mly_figure *figure, size_t *points)
{
    enum mly_status status =
        mly_buffer_printf(out,
                          "set terminal svg noenhanced size 760,460 background '#ffffff'\n"
                          "set grid lc rgb '#dddddd'\nset key below\n%s",
                          figure->log_y ? "set logscale y\n" : "");
    if (status == MLY_OK)
        status = put_setting(out, "title", figure->title);
    if (status == MLY_OK)
        status = put_setting(out, "xlabel", figure->x_label);
    if (status == MLY_OK)
        status = put_setting(out, "ylabel", figure->y_label);
    for (size_t i = 0; i < figure->series_count && status == MLY_OK; i++)
        status = put_block(out, result, figure, i, &points[i]);
    const char *comma = "plot ";
    for (size_t i = 0; i < figure->series_count && status == MLY_OK; i++) {
        if (points[i] == 0)
            continue;
        status = mly_buffer_printf(out, "%s$d%zu using 1:2 with %s title ", comma, i,
                                   figure->series[i].points ? "points pt 6 lc rgb '#000000'"
                                                            : "lines lw 2");
        if (status == MLY_OK)
            status = put_quoted(out, figure->series[i].title);
        comma = ", ";
    }
    return status == MLY_OK ? mly_buffer_append(out, "\n", 1) : status;
}

enum mly_status mly__figure_script(const mly_result *result, const struct mly_figure *figure,
                                   struct mly_buffer *out, struct mly_error *err)
{
    size_t total = 0, *points = mly_alloc_array(figure->series_count + 1, sizeof *points);
    enum mly_status status = points ? put_script(out, result, figure, points) : MLY_E_NO_MEMORY;
    for (size_t i = 0; points && i < figure->series_count; i++)
        total += points[i];
    mly_free(points);
    if (status != MLY_OK)
        return mly_error_set(err, status, "no memory for figure %s", figure->name);
    return total > 0 ? MLY_OK
                     : mly_error_set(err, MLY_E_NOT_FOUND, "figure %s has no points", figure->name);
}

/* --- 2 --- */

/* Files in memory. */
struct files {
    int script, svg, words;
};

static void files_close(struct files *files)
{
    const int all[] = {files->script, files->svg, files->words};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            close(all[i]);
}

static enum mly_status files_open(struct files *files, const struct mly_buffer *script,
                                  struct mly_error *err)
{
    *files = (struct files){.script = memfd_create("motley-figure", MFD_CLOEXEC),
                            .svg = memfd_create("motley-svg", MFD_CLOEXEC),
                            .words = memfd_create("motley-words", MFD_CLOEXEC)};
    if (files->script < 0 || files->svg < 0 || files->words < 0)
        return mly_error_os(err, errno, "no files in memory for gnuplot");
    for (size_t done = 0; done < script->length;) {
        const ssize_t wrote = write(files->script, script->data + done, script->length - done);
        if (wrote < 0 && errno != EINTR)
            return mly_error_os(err, errno, "the script for gnuplot cannot be written");
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return lseek(files->script, 0, SEEK_SET) == 0
               ? MLY_OK
               : mly_error_os(err, errno, "the script for gnuplot cannot be read");
}

static enum mly_status start(const struct files *files, pid_t *out, struct mly_error *err)
{
    static char name[] = "gnuplot", defaults[] = "-d", input[] = "-";
    char *arguments[] = {name, defaults, input, NULL};
    posix_spawn_file_actions_t actions;
    int problem = posix_spawn_file_actions_init(&actions);
    if (problem)
        return mly_error_os(err, problem, "gnuplot cannot be started");
    problem = posix_spawn_file_actions_adddup2(&actions, files->script, STDIN_FILENO);
    if (!problem)
        problem = posix_spawn_file_actions_adddup2(&actions, files->svg, STDOUT_FILENO);
    if (!problem)
        problem = posix_spawn_file_actions_adddup2(&actions, files->words, STDERR_FILENO);
    if (!problem)
        problem = posix_spawnp(out, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem == ENOENT || problem == EACCES)
        return mly_error_set(err, MLY_E_ABSENT, "gnuplot is not installed");
    return problem ? mly_error_os(err, problem, "gnuplot cannot be started") : MLY_OK;
}

/* Its status as waitpid has it; stopped if it takes too long. */
static int await(pid_t process, bool *stopped)
{
    int status = -1;
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, process, 0), .events = POLLIN};
    int ready = 1; /* kernels before 5.3: waited for without an end */
    while (ended.fd >= 0 && (ready = poll(&ended, 1, PATIENCE_MS)) < 0 && errno == EINTR)
        continue;
    *stopped = ready == 0;
    if (*stopped)
        kill(process, SIGKILL);
    while (waitpid(process, &status, 0) < 0 && errno == EINTR)
        continue;
    if (ended.fd >= 0)
        close(ended.fd);
    return status;
}

static enum mly_status read_all(int file, size_t max_bytes, char **out, size_t *length,
                                struct mly_error *err)
{
    const off_t size = lseek(file, 0, SEEK_END);
    if (size < 0 || (size_t)size > max_bytes)
        return mly_error_set(err, MLY_E_LIMIT, "gnuplot wrote more than %zu bytes", max_bytes);
    char *text = mly_alloc((size_t)size + 1);
    if (!text)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a figure");
    size_t done = 0;
    while (done < (size_t)size) {
        const ssize_t got = pread(file, text + done, (size_t)size - done, (off_t)done);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    *out = text;
    *length = done;
    return MLY_OK;
}

/* What gnuplot said, on one line. */
static void read_words(int file, char words[WORDS_BYTES])
{
    const ssize_t got = pread(file, words, WORDS_BYTES - 1, 0);
    size_t length = got > 0 ? (size_t)got : 0;
    while (length > 0 && (unsigned char)words[length - 1] <= ' ')
        length--;
    words[length] = '\0';
    for (char *at = words; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
}

static enum mly_status draw(const struct files *files, char **svg, size_t *length,
                            struct mly_error *err)
{
    char words[WORDS_BYTES];
    bool stopped = false;
    pid_t process = 0;
    enum mly_status status = start(files, &process, err);
    if (status != MLY_OK)
        return status;
    const int ended = await(process, &stopped);
    if (stopped)
        return mly_error_set(err, MLY_E_BACKEND, "gnuplot took longer than a minute");
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 127)
        return mly_error_set(err, MLY_E_ABSENT, "gnuplot is not installed");
    read_words(files->words, words);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
        return mly_error_set(err, MLY_E_BACKEND, "gnuplot failed: %s", words);
    status = read_all(files->svg, SVG_BYTES_MAX, svg, length, err);
    if (status == MLY_OK && !strstr(*svg, "</svg>")) {
        mly_free(*svg);
        *svg = NULL;
        status = mly_error_set(err, MLY_E_BACKEND, "gnuplot wrote no picture: %s", words);
    }
    return status;
}

enum mly_status mly__figure_draw(const mly_result *result, const struct mly_figure *figure,
                                 char **svg, size_t *length, struct mly_error *err)
{
    struct mly_buffer script = {0};
    struct files files = {-1, -1, -1};
    enum mly_status status = mly__figure_script(result, figure, &script, err);
    if (status == MLY_OK)
        status = files_open(&files, &script, err);
    if (status == MLY_OK)
        status = draw(&files, svg, length, err);
    files_close(&files);
    mly_buffer_fini(&script);
    return status;
}

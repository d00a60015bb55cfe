/* A result's insides, for src/bench only. */
#ifndef MLY_BENCH_RESULT_PRIVATE_H
#define MLY_BENCH_RESULT_PRIVATE_H

#include <math.h>

#include "base/buffer.h"
#include "bench/result.h"

struct mly__cell {
    double number; /* NaN: empty, or a text */
    char *text;    /* NULL: a number */
};

struct mly_result_table {
    mly_result *result; /* that it belongs to: failures are noted there */
    char *name, *title;
    bool detail;
    const struct mly_result_column *columns;
    size_t column_count;
    struct mly__cell *cells; /* row by row */
    size_t cell_capacity;
    enum mly_origin *origins; /* by row */
    size_t origin_capacity;
    size_t row_count;
    size_t filled; /* cells of the last row that were given */
};

struct mly__result_model {
    char *name, *hash;
};

struct mly_result {
    char *experiment, *summary, *source, *processors, *host_id, *host;
    char date[24]; /* UTC */
    uint64_t seed;
    bool quick;
    mly_result_table **tables;
    size_t table_count, table_capacity;
    struct mly_finding *findings;
    size_t finding_count, finding_capacity;
    char **notes;
    size_t note_count, note_capacity;
    struct mly__result_model *models;
    size_t model_count, model_capacity;
    struct mly_figure *figures;
    size_t figure_count, figure_capacity;
    mly_result_table nowhere; /* takes what comes after a failure */
    struct mly_error failure;
};

/* NULL if there is none. */
const mly_result_table *mly__result_find_table(const mly_result *result, const char *name);
/* column_count if there is none. */
size_t mly__result_find_column(const mly_result_table *table, const char *name);

static inline const struct mly__cell *mly__result_cell(const mly_result_table *table, size_t row,
                                                       size_t column)
{
    return &table->cells[row * table->column_count + column];
}

/* Does a finding keep its bar? One without keeps it. */
static inline bool mly__finding_holds(const struct mly_finding *finding)
{
    return isnan(finding->bar) || finding->value >= finding->bar;
}

/*
 * figure.c: the text for gnuplot that draws a figure as SVG on standard output. MLY_E_NOT_FOUND when no
 * curve has a point.
 */
enum mly_status mly__figure_script(const mly_result *result, const struct mly_figure *figure,
                                   struct mly_buffer *out, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Draws it by gnuplot: *svg is the caller's (mly_free). MLY_E_ABSENT where gnuplot is not installed,
 * MLY_E_BACKEND with its words if it fails or takes longer than a minute.
 */
enum mly_status mly__figure_draw(const mly_result *result, const struct mly_figure *figure,
                                 char **svg, size_t *length, struct mly_error *err) MLY_MUST_CHECK;

#endif

/*
 * What an experiment found: tables of numbers of which each says where it comes from, findings beside what
 * was published, figures, and what they were made with.
 *
 * Building: a failure (memory, a column that there is not) is remembered and returned by
 * mly_result_check; calls after it do nothing. Not thread-safe.
 */
#ifndef MLY_BENCH_RESULT_H
#define MLY_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <motley/status.h>

/* Where a number comes from. */
enum mly_origin {
    MLY_ORIGIN_SET,       /* it was chosen: a size, a name */
    MLY_ORIGIN_MEASURED,  /* it ran on this box */
    MLY_ORIGIN_MODELLED,  /* it follows from a device file */
    MLY_ORIGIN_PUBLISHED, /* others measured it, and said so */
    MLY_ORIGIN_ROW        /* of columns only: as each row says */
};
/* "measured"; "" for MLY_ORIGIN_SET. Static. */
const char *mly_origin_name(enum mly_origin origin);

/* All strings are static. */
struct mly_result_column {
    const char *name; /* lower case, digits and _, with the unit: "time_ms"; head of the CSV */
    const char *head; /* for people: "time" */
    const char *unit; /* "ms"; "" for none */
    enum mly_origin origin;
    bool is_text;
    int decimals; /* printed; of numbers */
};

typedef struct mly_result mly_result;
typedef struct mly_result_table mly_result_table;

/* A number of note, beside what others say of the same. Numbers that are not there are NaN. */
struct mly_finding {
    const char *what; /* copied: "FC: best speed-up over one TPU, 4 TPUs" */
    double value;
    const char *unit; /* static: "x" */
    enum mly_origin origin;
    double published;          /* the same number as a publication has it */
    const char *published_by;  /* static; NULL for none */
    double published_too;      /* and another one */
    const char *published_2nd; /* static; NULL for none */
    double bar;                /* what is wanted of it at least */
    const char
        *note; /* copied; NULL for none: where the value was found, why it is below the bar */
};

/* A curve of a figure: rows of a table of which two columns, or one, have given texts or numbers. */
struct mly_series {
    const char *table; /* names of table and columns */
    const char *x, *y;
    struct {
        const char *column; /* NULL: no condition */
        const char *text;   /* NULL: the number counts */
        double number;
    } where[3];
    const char *title;
    bool points; /* points; else a line */
};
struct mly_figure {
    const char *name, *title, *x_label, *y_label; /* name as those of columns */
    bool log_y;
    const struct mly_series *series;
    size_t series_count;
};

/* What a result was made with. Strings are copied. */
struct mly_result_head {
    const char *experiment, *summary, *source;
    const char *processors; /* as after -d; "" for none */
    const char *host_id, *host;
    uint64_t seed;
    bool quick;
};
enum mly_status mly_result_create(const struct mly_result_head *head, mly_result **out,
                                  struct mly_error *err) MLY_MUST_CHECK;
void mly_result_destroy(mly_result *result);
/* The first failure of building. */
enum mly_status mly_result_check(const mly_result *result, struct mly_error *err) MLY_MUST_CHECK;

/*
 * A table of these columns (static, borrowed), after those there are. detail: for files rather than for
 * reading. Borrowed from the result; never NULL.
 */
mly_result_table *mly_result_add_table(mly_result *result, const char *name, const char *title,
                                       bool detail, const struct mly_result_column *columns,
                                       size_t column_count);
/* A row whose values follow, column by column; those left out are empty. */
void mly_result_begin_row(mly_result_table *table, enum mly_origin origin);
/* NaN: empty. */
void mly_result_number(mly_result_table *table, double value);
void mly_result_text(mly_result_table *table, const char *value);

void mly_result_find(mly_result *result, const struct mly_finding *finding);
/* A sentence that readers of the numbers should know. */
void mly_result_note(mly_result *result, const char *format, ...) MLY_PRINTF(2, 3);
/* A network that was used: by its name once, with its hash (both copied). */
void mly_result_model(mly_result *result, const char *name, const char *hash);
/* What it points to is static. */
void mly_result_add_figure(mly_result *result, const struct mly_figure *figure);

/* The commit that this motley was built from; "unknown" outside a repository. Static. */
const char *mly_result_commit(void);
const char *mly_result_experiment(const mly_result *result);
size_t mly_result_table_count(const mly_result *result);
const char *mly_result_table_name(const mly_result *result, size_t index);

/* For people; details: tables of details, too. *hidden (may be NULL) gets the rows not shown. */
void mly_result_print(const mly_result *result, bool details, size_t *hidden, FILE *to);

/* docs/reference/formats.md, "Result". */
#define MLY_RESULT_VERSION 1
struct mly_json_writer;
/* The result as a value of a document that is being written; key NULL in arrays. */
void mly_result_put_json(const mly_result *result, const char *key, struct mly_json_writer *json);
/* *text is the caller's (mly_free). */
enum mly_status mly_result_format_json(const mly_result *result, char **text, size_t *length,
                                       struct mly_error *err) MLY_MUST_CHECK;
/*
 * The index-th table by RFC 4180 (but for \n), a last column `origin` with what each row says. *text is the
 * caller's (mly_free).
 */
enum mly_status mly_result_format_csv(const mly_result *result, size_t index, char **text,
                                      size_t *length, struct mly_error *err) MLY_MUST_CHECK;

/*
 * Writes everything into a folder (made if it is not there), every file at once and under its name only
 * when it is complete: EXPERIMENT.TABLE.csv, EXPERIMENT.FIGURE.svg, and last EXPERIMENT.result.json.
 * Figures are drawn by gnuplot; *word (the caller's, mly_free; NULL when there is nothing to say) says
 * why there are none. Errors: those of writing files.
 */
enum mly_status mly_result_save(const mly_result *result, const char *folder, char **word,
                                struct mly_error *err) MLY_MUST_CHECK;

#endif

/*
 * A timeline as a picture (SVG 1.1, nothing outside the file): a lane per processor, tasks coloured
 * by segment, under them copies by their direction, below all how many tasks waited.
 *
 *   1. A task or copy at least WIDE pixels wide is a rectangle of its own.
 *   2. Narrower ones are added up by column of pixels: how much of it was busy, and with which
 *      colour most.
 *   3. Neighbouring columns that look alike become one rectangle, as high as its share of busy time.
 *
 * So the file's size depends on its width and lanes, not on the number of tasks.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "timeline_private.h"

/* Pixels. */
enum {
    PLOT_LEFT = 170,
    PLOT_WIDTH = 960,
    PLOT_RIGHT = PLOT_LEFT + PLOT_WIDTH,
    PAGE_WIDTH = PLOT_RIGHT + 70,
    TASK_HEIGHT = 24,
    COPY_HEIGHT = 6,
    LANE_HEIGHT = TASK_HEIGHT + COPY_HEIGHT + 8,
    WAIT_HEIGHT = 48,
    HEAD_HEIGHT = 58,
    LEGEND_ROW = 20,
    AXIS_HEIGHT = 40,
    LETTER = 6,
    NOTE_LETTER = 5,
    NOTE_LETTERS = 60,
    NOTE_ROWS = 3
};

#define WIDE 1.5
/* Steps of height by which busy columns differ. */
#define LEVELS 16
#define LEGEND_MAX 24
#define LABEL_BYTES 512

/* Neighbours in the list differ in hue and lightness, for the colour-blind too (after Okabe, Ito). */
static const char *const colours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                      "#56b4e9", "#d55e00", "#8c8c00", "#7b4fa3",
                                      "#4c9f38", "#a05d2c", "#3f4fa0", "#c94f6d"};

/* Of copies to the processor, and of those from it. */
static const char *const copy_colours[] = {"#555555", "#b0a090"};

/* A column of pixels: what too narrow tasks add up to. */
struct column {
    double busy;  /* of the column's time, 0 to 1 */
    uint32_t key; /* segment or direction, by weighted majority vote (Boyer, Moore 1981) */
    double votes;
};

/* A row of tasks, or of copies, of one processor. */
struct strip {
    enum mly__timeline_kind kind;
    uint32_t processor;
    double y;
    int height;
};

struct picture {
    const struct timeline_view *view;
    struct timeline_sink *sink;
    double ns_per_pixel;
    struct column *columns; /* [PLOT_WIDTH] of the lane that is being drawn */
    uint32_t *waiting;      /* [PLOT_WIDTH] most tasks that waited at once; NULL when none did */
    uint32_t waiting_most;
    bool *used; /* by segment */
    size_t tasks, copies, requests;
    int height;
};

static const char *colour_of(uint32_t segment)
{
    return colours[segment % (sizeof colours / sizeof *colours)];
}

/* What says the colour of a record. */
static uint32_t key_of(const struct mly__timeline_record *r)
{
    return r->kind == MLY__TIMELINE_COPY ? r->out : r->segment;
}

static const char *fill_of(enum mly__timeline_kind kind, uint32_t key)
{
    return kind == MLY__TIMELINE_COPY ? copy_colours[key] : colour_of(key);
}

static double x_of(const struct picture *picture, int64_t at_ns)
{
    return PLOT_LEFT + (double)(at_ns - picture->view->from_ns) / picture->ns_per_pixel;
}

/* "1.25 ms" */
static const char *time_text(double ns, char out[32])
{
    static const struct {
        double ns;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
    size_t u = 0;
    while (u < 3 && fabs(ns) < units[u].ns)
        u++;
    snprintf(out, 32, "%.4g %s", ns / units[u].ns, units[u].unit);
    return out;
}

/* --- text --- */

/* Length of the well-formed UTF-8 sequence at text, or 0. Over-long ones pass: no reader minds. */
static size_t sequence_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80                       ? 1
                    : text[0] >= 0xC2 && text[0] <= 0xDF ? 2
                    : (text[0] & 0xF0) == 0xE0           ? 3
                    : text[0] >= 0xF0 && text[0] <= 0xF4 ? 4
                                                         : 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

/* At most `letters` characters of text, escaped; "…" where it was cut. */
static void put_text(struct picture *picture, const char *text, size_t letters)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at && letters-- > 0) {
        size_t length = sequence_length(at);
        if (length == 0 || *at < 0x20)
            mly__sink_printf(picture->sink, "?");
        else if (strchr("&<>\"'", *at))
            mly__sink_printf(picture->sink, "&#%d;", *at);
        else
            mly__sink_printf(picture->sink, "%.*s", (int)length, (const char *)at);
        at += length ? length : 1;
    }
    if (*at)
        mly__sink_printf(picture->sink, "…");
}

static void put_label(struct picture *picture, double x, double y, const char *class,
                      const char *text, size_t letters)
{
    mly__sink_printf(picture->sink, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
    put_text(picture, text, letters);
    mly__sink_printf(picture->sink, "</text>\n");
}

/* --- lanes --- */

/* (2) */
static void add_to_columns(struct picture *picture, const struct mly__timeline_record *r,
                           double from, double to)
{
    double left = from - PLOT_LEFT, right = to - PLOT_LEFT;
    for (int c = left < 0 ? 0 : (int)left; c < PLOT_WIDTH && c < right; c++) {
        double share = fmin(right, c + 1) - fmax(left, c);
        struct column *column = &picture->columns[c];
        column->busy += share;
        if (column->key == key_of(r)) {
            column->votes += share;
        } else if ((column->votes -= share) < 0) {
            column->key = key_of(r);
            column->votes = -column->votes;
        }
    }
}

static void put_tooltip(struct picture *picture, const struct mly__timeline_record *r)
{
    char label[LABEL_BYTES], a[32], b[32], c[32];
    mly__timeline_segment_label(picture->view, r->segment, label, sizeof label);
    mly__sink_printf(picture->sink, "<title>%s",
                     r->kind != MLY__TIMELINE_COPY ? ""
                     : r->out                      ? "copy from "
                                                   : "copy to ");
    put_text(picture, label, 80);
    mly__sink_printf(picture->sink, ": request %" PRIu64 ", batch %" PRIu32 "; %s at %s",
                     r->request, r->batch, time_text((double)(r->end_ns - r->begin_ns), a),
                     time_text((double)(r->begin_ns - picture->view->from_ns), b));
    if (r->ready_ns < r->begin_ns)
        mly__sink_printf(picture->sink, "; waited %s",
                         time_text((double)(r->begin_ns - r->ready_ns), c));
    if (r->kind == MLY__TIMELINE_COPY)
        mly__sink_printf(picture->sink, "; %" PRIu64 " bytes", r->bytes);
    if (r->status != MLY_OK)
        mly__sink_printf(picture->sink, "; %s", mly_status_name((enum mly_status)r->status));
    mly__sink_printf(picture->sink, "</title>");
}

/* (1) */
static void put_task(struct picture *picture, const struct mly__timeline_record *r,
                     const struct strip *strip, double from, double to)
{
    char label[LABEL_BYTES];
    bool copy = r->kind == MLY__TIMELINE_COPY;
    mly__sink_printf(picture->sink,
                     "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
                     "class=\"%s\">",
                     from, strip->y, to - from, strip->height, fill_of(strip->kind, key_of(r)),
                     copy                  ? "copy"
                     : r->status == MLY_OK ? "task"
                                           : "failed");
    put_tooltip(picture, r);
    mly__sink_printf(picture->sink, "</rect>\n");
    size_t letters = (size_t)((to - from - 6) / LETTER);
    if (copy || to - from < 4 * LETTER + 6)
        return;
    mly__timeline_segment_label(picture->view, r->segment, label, sizeof label);
    put_label(picture, from + 3, strip->y + TASK_HEIGHT / 2.0 + 4, "in", label, letters);
}

static int level_of(const struct column *column)
{
    if (column->busy <= 0)
        return 0;
    int level = (int)lround(column->busy * LEVELS);
    return level < 1 ? 1 : level > LEVELS ? LEVELS : level;
}

/* (3) */
static void put_columns(struct picture *picture, const struct strip *strip)
{
    const char *what = strip->kind == MLY__TIMELINE_COPY ? "copies" : "tasks";
    for (int from = 0, to; from < PLOT_WIDTH; from = to) {
        const struct column *first = &picture->columns[from];
        int level = level_of(first);
        double busy = first->busy;
        for (to = from + 1; to < PLOT_WIDTH; to++) {
            const struct column *next = &picture->columns[to];
            if (level_of(next) != level || (level > 0 && next->key != first->key))
                break;
            busy += next->busy;
        }
        if (level == 0)
            continue;
        double height = (double)strip->height * level / LEVELS;
        mly__sink_printf(picture->sink,
                         "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\">"
                         "<title>many short %s: %.0f %% busy</title></rect>\n",
                         PLOT_LEFT + from, strip->y + strip->height - height, to - from, height,
                         fill_of(strip->kind, first->key), what, 100 * busy / (to - from));
    }
}

/* The time of all that is in it. */
static double put_strip(struct picture *picture, const struct strip *strip)
{
    const struct timeline_view *view = picture->view;
    double busy_ns = 0;
    memset(picture->columns, 0, PLOT_WIDTH * sizeof *picture->columns);
    for (int wide = 0; wide < 2; wide++) { /* the wide ones lie on top */
        for (size_t i = 0; i < view->record_count; i++) {
            const struct mly__timeline_record *r = &view->records[i];
            if (r->processor != strip->processor || r->kind != strip->kind)
                continue;
            double from = x_of(picture, r->begin_ns), to = x_of(picture, r->end_ns);
            if (wide && to - from >= WIDE)
                put_task(picture, r, strip, from, to);
            else if (!wide && to - from < WIDE)
                add_to_columns(picture, r, from, to);
            busy_ns += wide ? 0 : (double)(r->end_ns - r->begin_ns);
        }
        if (!wide)
            put_columns(picture, strip);
    }
    return busy_ns;
}

static void put_lane(struct picture *picture, uint32_t processor, double y)
{
    const struct timeline_processor *p = &picture->view->processors[processor];
    const struct strip tasks = {MLY__TIMELINE_TASK, processor, y, TASK_HEIGHT};
    const struct strip copies = {MLY__TIMELINE_COPY, processor, y + TASK_HEIGHT + 1, COPY_HEIGHT};
    char label[LABEL_BYTES];
    snprintf(label, sizeof label, "%s%s", p->name, p->modelled ? " (modelled)" : "");
    put_label(picture, PLOT_LEFT - 8, y + TASK_HEIGHT / 2.0 + 4, "name", label,
              (PLOT_LEFT - 16) / LETTER);
    mly__sink_printf(picture->sink,
                     "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\" class=\"lane\"/>\n",
                     PLOT_LEFT, y, PLOT_WIDTH, TASK_HEIGHT);
    double busy_ns = put_strip(picture, &tasks);
    if (picture->copies > 0)
        put_strip(picture, &copies);
    snprintf(label, sizeof label, "%.0f %%", 100 * busy_ns / (picture->ns_per_pixel * PLOT_WIDTH));
    put_label(picture, PLOT_RIGHT + 8, y + TASK_HEIGHT / 2.0 + 4, "share", label, 10);
}

/* --- what waits --- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool waits(const struct mly__timeline_record *r)
{
    return r->kind == MLY__TIMELINE_TASK && r->ready_ns < r->begin_ns;
}

static int column_at(const struct picture *picture, int64_t at_ns)
{
    int c = (int)(x_of(picture, at_ns) - PLOT_LEFT);
    return c < 0 ? 0 : c >= PLOT_WIDTH ? PLOT_WIDTH - 1 : c;
}

/* The most that waited at once, by column. Records come by begin_ns, which is when waiting ends. */
static bool count_waiting(struct picture *picture)
{
    const struct timeline_view *view = picture->view;
    size_t count = 0;
    for (size_t i = 0; i < view->record_count; i++)
        count += waits(&view->records[i]);
    if (count == 0)
        return true;
    int64_t *ready_ns = mly_alloc_array(count, sizeof *ready_ns);
    picture->waiting = mly_alloc_array(PLOT_WIDTH, sizeof *picture->waiting);
    if (!ready_ns || !picture->waiting) {
        mly_free(ready_ns);
        return false;
    }
    count = 0;
    for (size_t i = 0; i < view->record_count; i++) {
        if (waits(&view->records[i]))
            ready_ns[count++] = view->records[i].ready_ns;
    }
    qsort(ready_ns, count, sizeof *ready_ns, by_time);
    uint32_t level = 0;
    int column = 0;
    for (size_t began = 0, ended = 0; ended < view->record_count;) {
        const struct mly__timeline_record *r = &view->records[ended];
        if (!waits(r)) {
            ended++;
            continue;
        }
        bool begins = began < count && ready_ns[began] < r->begin_ns;
        int next = column_at(picture, begins ? ready_ns[began] : r->begin_ns);
        for (; column < next; column++) {
            if (picture->waiting[column] < level)
                picture->waiting[column] = level;
        }
        if (picture->waiting[column] < level)
            picture->waiting[column] = level;
        level += begins ? 1 : UINT32_MAX;
        began += begins;
        ended += !begins;
        if (picture->waiting[column] < level)
            picture->waiting[column] = level;
        if (picture->waiting_most < level)
            picture->waiting_most = level;
    }
    mly_free(ready_ns);
    return true;
}

static void put_waiting(struct picture *picture, double y)
{
    char label[64];
    put_label(picture, PLOT_LEFT - 8, y + WAIT_HEIGHT / 2.0 + 4, "name", "tasks waiting", 20);
    mly__sink_printf(picture->sink,
                     "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\" class=\"lane\"/>\n"
                     "<path class=\"waiting\" d=\"M%d %.1f",
                     PLOT_LEFT, y, PLOT_WIDTH, WAIT_HEIGHT, PLOT_LEFT, y + WAIT_HEIGHT);
    uint32_t last = 0;
    for (int c = 0; c < PLOT_WIDTH; c++) {
        if (picture->waiting[c] == last)
            continue;
        last = picture->waiting[c];
        mly__sink_printf(picture->sink, "H%dV%.1f", PLOT_LEFT + c,
                         y + WAIT_HEIGHT - (double)WAIT_HEIGHT * last / picture->waiting_most);
    }
    mly__sink_printf(picture->sink, "H%dV%.1fZ\"/>\n", PLOT_RIGHT, y + WAIT_HEIGHT);
    snprintf(label, sizeof label, "most %" PRIu32, picture->waiting_most);
    put_label(picture, PLOT_RIGHT + 8, y + WAIT_HEIGHT / 2.0 + 4, "share", label, 12);
}

/* --- around the lanes --- */

static void put_axis(struct picture *picture, double top, double bottom)
{
    double span_ns = picture->ns_per_pixel * PLOT_WIDTH;
    double step = pow(10, floor(log10(span_ns / 6)));
    if (span_ns / step > 30)
        step *= 5;
    else if (span_ns / step > 12)
        step *= 2;
    char text[32];
    for (int i = 0; i * step <= span_ns * 1.0001; i++) {
        double x = PLOT_LEFT + i * step / picture->ns_per_pixel;
        mly__sink_printf(picture->sink,
                         "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n",
                         x, top, x, bottom);
        put_label(picture, x, bottom + 16, "tick", i ? time_text(i * step, text) : "0", 16);
    }
}

/* Beside its line in a row where no other text is; else the line alone has it. */
static void put_note(struct picture *picture, double x, double bottom, const char *text,
                     double free_from[NOTE_ROWS])
{
    const size_t letters = strnlen(text, NOTE_LETTERS);
    const double width = (double)letters * NOTE_LETTER + 8;
    for (int row = 0; row < NOTE_ROWS; row++) {
        if (x < free_from[row] || x + width > PAGE_WIDTH)
            continue;
        put_label(picture, x + 3, bottom - 2 - (double)row * 11, "note", text, NOTE_LETTERS);
        free_from[row] = x + width;
        return;
    }
}

static void put_marks(struct picture *picture, double top, double bottom)
{
    const struct timeline_view *view = picture->view;
    double free_from[NOTE_ROWS] = {0};
    for (size_t i = 0; i < view->mark_count; i++) {
        const struct timeline_mark *mark = &view->marks[i];
        double x = x_of(picture, mark->at_ns);
        mly__sink_printf(
            picture->sink,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"mark\"><title>", x, top,
            x, bottom);
        put_text(picture, mark->text, 160);
        mly__sink_printf(picture->sink, "</title></line>\n");
        put_note(picture, x, bottom, mark->text, free_from);
    }
}

static int count_used(const struct picture *picture)
{
    int used = 0;
    for (uint32_t s = 0; s < picture->view->segment_count; s++)
        used += picture->used[s];
    return used;
}

/* Where the next entry of the legend goes. */
struct legend {
    double x;
    int y;
    bool write; /* else it is only laid out */
};

static void put_key(struct picture *picture, struct legend *at, const char *fill, const char *label)
{
    size_t letters = strnlen(label, 40);
    double width = 20 + (double)letters * LETTER + 14;
    if (at->x + width > PLOT_RIGHT && at->x > PLOT_LEFT) {
        at->x = PLOT_LEFT;
        at->y += LEGEND_ROW;
    }
    if (at->write) {
        mly__sink_printf(picture->sink,
                         "<rect x=\"%.1f\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>\n",
                         at->x, at->y, fill);
        put_label(picture, at->x + 17, at->y + 10, "key", label, 40);
    }
    at->x += width;
}

/* Writes it, or only says how high it is. */
static int put_legend(struct picture *picture, bool write)
{
    char label[LABEL_BYTES];
    struct legend at = {.x = PLOT_LEFT, .y = HEAD_HEIGHT, .write = write};
    int shown = 0, used = count_used(picture);
    for (uint32_t s = 0; s < picture->view->segment_count && shown < LEGEND_MAX; s++) {
        if (!picture->used[s])
            continue;
        mly__timeline_segment_label(picture->view, s, label, sizeof label);
        put_key(picture, &at, colour_of(s), label);
        shown++;
    }
    if (shown < used) {
        snprintf(label, sizeof label, "and %d more", used - shown);
        put_key(picture, &at, "none", label);
    }
    if (picture->copies > 0) {
        put_key(picture, &at, copy_colours[0], "copies to the processor");
        put_key(picture, &at, copy_colours[1], "back from it");
    }
    return shown || picture->copies ? at.y + LEGEND_ROW - HEAD_HEIGHT : 0;
}

static void put_head(struct picture *picture)
{
    const struct timeline_view *view = picture->view;
    mly__sink_printf(
        picture->sink,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
        "%d\">\n"
        "<style>text{font:11px sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}"
        ".name{text-anchor:end}.tick{text-anchor:middle;fill:#555}.share,.sub{fill:#555}"
        ".in{fill:#fff;font-size:10px;pointer-events:none}.note{font-size:9px;fill:#a00;stroke:#"
        "fff;stroke-width:2px;paint-order:stroke}"
        ".lane{fill:#f3f3f3}.grid{stroke:#ccc;stroke-width:.5}.task{stroke:#fff;stroke-width:.4}"
        ".failed{stroke:#d00;stroke-width:2}.waiting{fill:#c9a227}"
        ".mark{stroke:#a00;stroke-dasharray:3 2}</style>\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
        PAGE_WIDTH, picture->height, PAGE_WIDTH, picture->height, PAGE_WIDTH, picture->height);
    put_label(picture, 14, 24, "title", view->title, 110);

    char span[32], line[256];
    int written =
        snprintf(line, sizeof line, "%zu tasks, %zu requests", picture->tasks, picture->requests);
    if (picture->copies > 0)
        written += snprintf(line + written, sizeof line - (size_t)written, ", %zu copies",
                            picture->copies);
    snprintf(line + written, sizeof line - (size_t)written, " in %s of %s time",
             time_text((double)(view->to_ns - view->from_ns), span),
             view->virtual_time ? "virtual" : "real");
    if (view->dropped > 0) {
        size_t length = strlen(line);
        snprintf(line + length, sizeof line - length, "; %" PRIu64 " older records were dropped",
                 view->dropped);
    }
    put_label(picture, 14, 42, "sub", line, 160);
}

static void put_all(struct picture *picture)
{
    const struct timeline_view *view = picture->view;
    double top = HEAD_HEIGHT + put_legend(picture, false) + 6, y = top;
    double bottom = top + (double)view->processor_count * LANE_HEIGHT;
    if (picture->waiting)
        bottom += WAIT_HEIGHT + 8;
    picture->height = (int)bottom + AXIS_HEIGHT;
    put_head(picture);
    put_legend(picture, true);
    for (uint32_t i = 0; i < view->processor_count; i++, y += LANE_HEIGHT)
        put_lane(picture, i, y);
    if (picture->waiting)
        put_waiting(picture, y);
    put_axis(picture, top, bottom);
    put_marks(picture, top, bottom);
    mly__sink_printf(picture->sink, "</svg>\n");
}

void mly__timeline_write_svg(const struct timeline_view *view, struct timeline_sink *sink)
{
    struct picture picture = {.view = view, .sink = sink};
    double span_ns = (double)(view->to_ns - view->from_ns);
    picture.ns_per_pixel = (span_ns > 1 ? span_ns : 1) / PLOT_WIDTH;
    picture.columns = mly_alloc_array(PLOT_WIDTH, sizeof *picture.columns);
    picture.used = mly_alloc_array(view->segment_count, sizeof *picture.used);
    bool ok = picture.columns && picture.used;
    for (size_t i = 0; ok && i < view->record_count; i++) {
        const struct mly__timeline_record *r = &view->records[i];
        if (r->kind == MLY__TIMELINE_TASK && r->segment < view->segment_count)
            picture.used[r->segment] = true;
        picture.tasks += r->kind == MLY__TIMELINE_TASK;
        picture.copies += r->kind == MLY__TIMELINE_COPY;
        picture.requests += r->kind == MLY__TIMELINE_REQUEST;
    }
    ok = ok && count_waiting(&picture);
    if (ok)
        put_all(&picture);
    else if (sink->status == MLY_OK)
        sink->status = mly_error_set(sink->err, MLY_E_NO_MEMORY, "no memory to draw a timeline");
    mly_free(picture.columns);
    mly_free(picture.waiting);
    mly_free(picture.used);
}

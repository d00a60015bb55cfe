/*
 * The store of a timeline: names and marks under one lock that recording does not take, records in
 * chunks that each writer fills alone.
 *
 *   1. A writer appends to its last chunk under its own lock.
 *   2. A full chunk is followed by a new one while the timeline may have more.
 *   3. Then the writer's oldest chunk is emptied and becomes its last.
 */
#include "runtime/timeline.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "timeline_private.h"

#define MAX_RECORDS_DEFAULT ((uint64_t)1 << 20)
#define MAX_RECORDS_LIMIT ((uint64_t)1 << 32)
#define NAMES_MAX 65536
#define MARKS_MAX 4096

enum { CHUNK_RECORDS = 255, MARK_BYTES = 160 };

_Static_assert(sizeof(struct mly__timeline_record) == 64, "records fill a cache line each");

struct chunk {
    struct chunk *next;
    uint32_t count;
    struct mly__timeline_record records[CHUNK_RECORDS];
};

struct mly__timeline_writer {
    mly_timeline *timeline;
    struct mly__timeline_writer *next; /* of the timeline; under its lock */
    pthread_mutex_t lock;              /* protects all below */
    struct chunk *first, *last;
    uint64_t dropped;
};

struct mly_timeline {
    uint64_t max_chunks;
    _Atomic uint64_t chunks; /* of all writers; may pass max_chunks for a moment */
    pthread_mutex_t lock;    /* protects all below */
    char *title;
    bool virtual_time;
    struct mly__timeline_writer *writers;
    struct timeline_processor *processors;
    size_t processor_count, processor_capacity;
    char **models;
    size_t model_count, model_capacity;
    struct timeline_segment *segments;
    size_t segment_count, segment_capacity;
    struct timeline_mark *marks;
    size_t mark_count, mark_capacity;
    uint64_t marks_dropped;
};

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a timeline");
}

/* --- the timeline --- */

enum mly_status mly_timeline_create(const struct mly_timeline_options *options, mly_timeline **out,
                                    struct mly_error *err)
{
    uint64_t max_records = options ? options->max_records : 0;
    if (max_records == 0)
        max_records = MAX_RECORDS_DEFAULT;
    if (max_records > MAX_RECORDS_LIMIT)
        return mly_error_set(err, MLY_E_INVALID,
                             "a timeline of %" PRIu64 " records; at most %" PRIu64 " are possible",
                             max_records, MAX_RECORDS_LIMIT);
    mly_timeline *timeline = mly_alloc(sizeof *timeline);
    char *title = mly_strdup(options && options->title ? options->title : "timeline");
    if (!timeline || !title) {
        mly_free(title);
        mly_free(timeline);
        return out_of_memory(err);
    }
    timeline->title = title;
    timeline->max_chunks = (max_records + CHUNK_RECORDS - 1) / CHUNK_RECORDS;
    pthread_mutex_init(&timeline->lock, NULL);
    *out = timeline;
    return MLY_OK;
}

static void destroy_writer(struct mly__timeline_writer *writer)
{
    while (writer->first) {
        struct chunk *chunk = writer->first;
        writer->first = chunk->next;
        mly_free(chunk);
    }
    pthread_mutex_destroy(&writer->lock);
    mly_free(writer);
}

void mly_timeline_destroy(mly_timeline *timeline)
{
    if (!timeline)
        return;
    while (timeline->writers) {
        struct mly__timeline_writer *writer = timeline->writers;
        timeline->writers = writer->next;
        destroy_writer(writer);
    }
    for (size_t i = 0; i < timeline->processor_count; i++)
        mly_free(timeline->processors[i].name);
    for (size_t i = 0; i < timeline->model_count; i++)
        mly_free(timeline->models[i]);
    for (size_t i = 0; i < timeline->segment_count; i++)
        mly_free(timeline->segments[i].name);
    for (size_t i = 0; i < timeline->mark_count; i++)
        mly_free(timeline->marks[i].text);
    mly_free(timeline->processors);
    mly_free(timeline->models);
    mly_free(timeline->segments);
    mly_free(timeline->marks);
    mly_free(timeline->title);
    pthread_mutex_destroy(&timeline->lock);
    mly_free(timeline);
}

void mly__timeline_set_virtual(mly_timeline *timeline)
{
    pthread_mutex_lock(&timeline->lock);
    timeline->virtual_time = true;
    pthread_mutex_unlock(&timeline->lock);
}

/* --- names --- */

/* With the lock held: room for one more of *array, and a copy of its name. */
static enum mly_status make_room(void *array, size_t *capacity, size_t count, size_t element_bytes,
                                 const char *name, char **copy, struct mly_error *err)
{
    if (count >= NAMES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "a timeline has at most %d names of a kind",
                             NAMES_MAX);
    if (mly_array_reserve(array, capacity, count + 1, element_bytes) != 0 ||
        !(*copy = mly_strdup(name)))
        return out_of_memory(err);
    return MLY_OK;
}

enum mly_status mly__timeline_add_processor(mly_timeline *timeline, const char *name, bool modelled,
                                            uint32_t *out, struct mly_error *err)
{
    char *copy = NULL;
    pthread_mutex_lock(&timeline->lock);
    enum mly_status status =
        make_room(&timeline->processors, &timeline->processor_capacity, timeline->processor_count,
                  sizeof *timeline->processors, name, &copy, err);
    if (status == MLY_OK) {
        *out = (uint32_t)timeline->processor_count++;
        timeline->processors[*out] =
            (struct timeline_processor){.name = copy, .modelled = modelled};
    }
    pthread_mutex_unlock(&timeline->lock);
    return status;
}

enum mly_status mly__timeline_add_model(mly_timeline *timeline, const char *name, uint32_t *out,
                                        struct mly_error *err)
{
    char *copy = NULL;
    pthread_mutex_lock(&timeline->lock);
    enum mly_status status =
        make_room(&timeline->models, &timeline->model_capacity, timeline->model_count,
                  sizeof *timeline->models, name, &copy, err);
    if (status == MLY_OK) {
        *out = (uint32_t)timeline->model_count++;
        timeline->models[*out] = copy;
    }
    pthread_mutex_unlock(&timeline->lock);
    return status;
}

enum mly_status mly__timeline_add_segment(mly_timeline *timeline, uint32_t model, const char *name,
                                          uint32_t *out, struct mly_error *err)
{
    char *copy = NULL;
    pthread_mutex_lock(&timeline->lock);
    enum mly_status status =
        make_room(&timeline->segments, &timeline->segment_capacity, timeline->segment_count,
                  sizeof *timeline->segments, name, &copy, err);
    if (status == MLY_OK) {
        *out = (uint32_t)timeline->segment_count++;
        timeline->segments[*out] = (struct timeline_segment){.name = copy, .model = model};
    }
    pthread_mutex_unlock(&timeline->lock);
    return status;
}

/* --- recording --- */

enum mly_status mly__timeline_add_writer(mly_timeline *timeline, mly__timeline_writer **out,
                                         struct mly_error *err)
{
    struct mly__timeline_writer *writer = mly_alloc(sizeof *writer);
    struct chunk *chunk = mly_alloc(sizeof *chunk); /* so that a full timeline has room for it */
    if (!writer || !chunk) {
        mly_free(chunk);
        mly_free(writer);
        return out_of_memory(err);
    }
    atomic_fetch_add_explicit(&timeline->chunks, 1, memory_order_relaxed);
    writer->timeline = timeline;
    writer->first = writer->last = chunk;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_mutex_lock(&timeline->lock);
    writer->next = timeline->writers;
    timeline->writers = writer;
    pthread_mutex_unlock(&timeline->lock);
    *out = writer;
    return MLY_OK;
}

/* (2) NULL when the timeline has as many as it may, or memory is short. */
static struct chunk *new_chunk(mly_timeline *timeline)
{
    uint64_t before = atomic_fetch_add_explicit(&timeline->chunks, 1, memory_order_relaxed);
    struct chunk *chunk = before < timeline->max_chunks ? mly_alloc(sizeof *chunk) : NULL;
    if (!chunk)
        atomic_fetch_sub_explicit(&timeline->chunks, 1, memory_order_relaxed);
    return chunk;
}

/* (3) */
static struct chunk *take_oldest(struct mly__timeline_writer *writer)
{
    struct chunk *chunk = writer->first;
    writer->dropped += chunk->count;
    chunk->count = 0;
    if (chunk == writer->last)
        return NULL;
    writer->first = chunk->next;
    chunk->next = NULL;
    return chunk;
}

void mly__timeline_add(mly__timeline_writer *writer, const struct mly__timeline_record *record)
{
    pthread_mutex_lock(&writer->lock);
    if (writer->last->count == CHUNK_RECORDS) {
        struct chunk *chunk = new_chunk(writer->timeline);
        if (!chunk)
            chunk = take_oldest(writer);
        if (chunk) {
            writer->last->next = chunk;
            writer->last = chunk;
        }
    }
    writer->last->records[writer->last->count++] = *record; /* (1) */
    pthread_mutex_unlock(&writer->lock);
}

void mly__timeline_mark(mly_timeline *timeline, uint32_t processor, int64_t at_ns,
                        const char *format, ...)
{
    char text[MARK_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *copy = NULL;
    pthread_mutex_lock(&timeline->lock);
    if (timeline->mark_count < MARKS_MAX &&
        mly_array_reserve(&timeline->marks, &timeline->mark_capacity, timeline->mark_count + 1,
                          sizeof *timeline->marks) == 0)
        copy = mly_strdup(text);
    if (copy)
        timeline->marks[timeline->mark_count++] =
            (struct timeline_mark){.at_ns = at_ns, .processor = processor, .text = copy};
    else
        timeline->marks_dropped++;
    pthread_mutex_unlock(&timeline->lock);
}

void mly_timeline_get_counts(mly_timeline *timeline, struct mly_timeline_counts *out)
{
    *out = (struct mly_timeline_counts){0};
    pthread_mutex_lock(&timeline->lock);
    out->dropped = timeline->marks_dropped;
    out->kept = timeline->mark_count;
    for (struct mly__timeline_writer *w = timeline->writers; w; w = w->next) {
        pthread_mutex_lock(&w->lock);
        out->dropped += w->dropped;
        for (const struct chunk *chunk = w->first; chunk; chunk = chunk->next)
            out->kept += chunk->count;
        pthread_mutex_unlock(&w->lock);
    }
    pthread_mutex_unlock(&timeline->lock);
}

/* --- views --- */

static int by_begin(const void *a, const void *b)
{
    const struct mly__timeline_record *x = a, *y = b;
    if (x->begin_ns != y->begin_ns)
        return x->begin_ns < y->begin_ns ? -1 : 1;
    return (x->end_ns > y->end_ns) - (x->end_ns < y->end_ns);
}

static int by_moment(const void *a, const void *b)
{
    const struct timeline_mark *x = a, *y = b;
    return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

/* With the lock held; false when memory is short. */
static bool copy_names(const mly_timeline *timeline, struct timeline_view *view)
{
    view->title = mly_strdup(timeline->title);
    view->processors = mly_alloc_array(timeline->processor_count, sizeof *view->processors);
    view->models = mly_alloc_array(timeline->model_count, sizeof *view->models);
    view->segments = mly_alloc_array(timeline->segment_count, sizeof *view->segments);
    view->marks = mly_alloc_array(timeline->mark_count, sizeof *view->marks);
    bool ok = view->title && view->processors && view->models && view->segments && view->marks;
    for (size_t i = 0; ok && i < timeline->processor_count; i++) {
        view->processors[i] = timeline->processors[i];
        ok = (view->processors[i].name = mly_strdup(timeline->processors[i].name)) != NULL;
        view->processor_count += ok;
    }
    for (size_t i = 0; ok && i < timeline->model_count; i++) {
        ok = (view->models[i] = mly_strdup(timeline->models[i])) != NULL;
        view->model_count += ok;
    }
    for (size_t i = 0; ok && i < timeline->segment_count; i++) {
        view->segments[i] = timeline->segments[i];
        ok = (view->segments[i].name = mly_strdup(timeline->segments[i].name)) != NULL;
        view->segment_count += ok;
    }
    for (size_t i = 0; ok && i < timeline->mark_count; i++) {
        view->marks[i] = timeline->marks[i];
        ok = (view->marks[i].text = mly_strdup(timeline->marks[i].text)) != NULL;
        view->mark_count += ok;
    }
    return ok;
}

/* With the timeline's lock held; false when memory is short. */
static bool copy_records(struct mly__timeline_writer *writer, struct timeline_view *view,
                         size_t *capacity)
{
    bool ok = true;
    pthread_mutex_lock(&writer->lock);
    view->dropped += writer->dropped;
    for (const struct chunk *chunk = writer->first; chunk && ok; chunk = chunk->next) {
        ok = mly_array_reserve(&view->records, capacity, view->record_count + chunk->count,
                               sizeof *view->records) == 0;
        if (ok && chunk->count > 0)
            memcpy(&view->records[view->record_count], chunk->records,
                   chunk->count * sizeof *chunk->records);
        view->record_count += ok ? chunk->count : 0;
    }
    pthread_mutex_unlock(&writer->lock);
    return ok;
}

static void widen(struct timeline_view *view, bool *any, int64_t from_ns, int64_t to_ns)
{
    if (!*any || from_ns < view->from_ns)
        view->from_ns = from_ns;
    if (!*any || to_ns > view->to_ns)
        view->to_ns = to_ns;
    *any = true;
}

enum mly_status mly__timeline_view_init(mly_timeline *timeline, struct timeline_view *out,
                                        struct mly_error *err)
{
    struct timeline_view view = {0};
    size_t capacity = 0;
    pthread_mutex_lock(&timeline->lock);
    bool ok = copy_names(timeline, &view);
    view.virtual_time = timeline->virtual_time;
    view.dropped = timeline->marks_dropped;
    for (struct mly__timeline_writer *w = timeline->writers; w && ok; w = w->next)
        ok = copy_records(w, &view, &capacity);
    pthread_mutex_unlock(&timeline->lock);
    if (!ok) {
        mly__timeline_view_fini(&view);
        return out_of_memory(err);
    }
    bool any = false;
    for (size_t i = 0; i < view.record_count; i++) {
        const struct mly__timeline_record *r = &view.records[i];
        bool waited = r->kind != MLY__TIMELINE_REQUEST && r->ready_ns < r->begin_ns;
        widen(&view, &any, waited ? r->ready_ns : r->begin_ns, r->end_ns);
    }
    for (size_t i = 0; i < view.mark_count; i++)
        widen(&view, &any, view.marks[i].at_ns, view.marks[i].at_ns);
    if (view.record_count > 0)
        qsort(view.records, view.record_count, sizeof *view.records, by_begin);
    if (view.mark_count > 0)
        qsort(view.marks, view.mark_count, sizeof *view.marks, by_moment);
    *out = view;
    return MLY_OK;
}

void mly__timeline_view_fini(struct timeline_view *view)
{
    for (uint32_t i = 0; i < view->processor_count; i++)
        mly_free(view->processors[i].name);
    for (uint32_t i = 0; i < view->model_count; i++)
        mly_free(view->models[i]);
    for (uint32_t i = 0; i < view->segment_count; i++)
        mly_free(view->segments[i].name);
    for (size_t i = 0; i < view->mark_count; i++)
        mly_free(view->marks[i].text);
    mly_free(view->processors);
    mly_free(view->models);
    mly_free(view->segments);
    mly_free(view->marks);
    mly_free(view->records);
    mly_free(view->title);
    *view = (struct timeline_view){0};
}

void mly__timeline_segment_label(const struct timeline_view *view, uint32_t segment, char *out,
                                 size_t out_bytes)
{
    const struct timeline_segment *s =
        segment < view->segment_count ? &view->segments[segment] : NULL;
    if (!s)
        snprintf(out, out_bytes, "?");
    else if (view->model_count > 1 && s->model < view->model_count)
        snprintf(out, out_bytes, "%s / %s", view->models[s->model], s->name);
    else
        snprintf(out, out_bytes, "%s", s->name);
}

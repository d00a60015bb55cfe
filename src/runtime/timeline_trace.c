/*
 * A timeline in the Chrome trace format ("Trace Event Format", the JSON object form), as Perfetto
 * and chrome://tracing read it.
 *
 * Process 1 has a lane per processor with its tasks (complete events), and one more for copies to and
 * from it where there are any. Process 2 has what waits, as asynchronous events: requests from submission
 * to delivery, and tasks from when they could have begun. Times are microseconds since the first
 * record.
 */
#include <inttypes.h>
#include <stdio.h>

#include <motley/version.h>

#include "base/alloc.h"
#include "base/json.h"
#include "timeline_private.h"

enum { PROCESSORS = 1, WAITING = 2, LABEL_BYTES = 512 };

struct trace {
    const struct timeline_view *view;
    struct timeline_sink *sink;
    char **segments;   /* labels as JSON strings, quotes included */
    char **models;     /* names, the same */
    bool *has_copies;  /* by processor */
    uint32_t *classes; /* request classes seen, ascending */
    size_t class_count, class_capacity;
    bool any; /* an event was written */
};

/* text as a JSON string with its quotes; NULL when memory is short. */
static char *quoted(const char *text)
{
    struct mly_json_writer json;
    char *out = NULL;
    size_t length;
    mly_json_writer_init(&json, false);
    mly_json_put_string(&json, NULL, text);
    if (mly_json_finish(&json, &out, &length, NULL) != MLY_OK)
        return NULL;
    return out;
}

static void put_quoted(struct trace *trace, const char *text)
{
    char *string = quoted(text);
    if (!string)
        trace->sink->status =
            mly_error_set(trace->sink->err, MLY_E_NO_MEMORY, "no memory to write a timeline");
    else
        mly__sink_printf(trace->sink, "%s", string);
    mly_free(string);
}

/* Begins an event; what follows are its members. */
static void begin_event(struct trace *trace, const char *phase, int pid, uint64_t tid)
{
    mly__sink_printf(trace->sink, "%s\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%" PRIu64,
                     trace->any ? "," : "", phase, pid, tid);
    trace->any = true;
}

static void put_time(struct trace *trace, const char *key, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    mly__sink_printf(trace->sink, ",\"%s\":%" PRId64 ".%03d", key, ns / 1000, (int)(ns % 1000));
}

static void put_moment(struct trace *trace, int64_t at_ns)
{
    put_time(trace, "ts", at_ns - trace->view->from_ns);
}

/* --- names of lanes --- */

static uint64_t lane_of(uint32_t processor, bool copies)
{
    return (uint64_t)processor * 2 + 1 + copies;
}

static void name_process(struct trace *trace, int pid, const char *name)
{
    begin_event(trace, "M", pid, 0);
    mly__sink_printf(trace->sink, ",\"name\":\"process_name\",\"args\":{\"name\":\"%s%s\"}}", name,
                     trace->view->virtual_time ? " (virtual time)" : "");
    begin_event(trace, "M", pid, 0);
    mly__sink_printf(trace->sink, ",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}",
                     pid);
}

static void name_lane(struct trace *trace, int pid, uint64_t tid, const char *name)
{
    begin_event(trace, "M", pid, tid);
    mly__sink_printf(trace->sink, ",\"name\":\"thread_name\",\"args\":{\"name\":");
    put_quoted(trace, name);
    mly__sink_printf(trace->sink, "}}");
    begin_event(trace, "M", pid, tid);
    mly__sink_printf(trace->sink,
                     ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%" PRIu64 "}}", tid);
}

static void name_lanes(struct trace *trace)
{
    const struct timeline_view *view = trace->view;
    char name[LABEL_BYTES];
    name_process(trace, PROCESSORS, "processors");
    for (uint32_t i = 0; i < view->processor_count; i++) {
        const struct timeline_processor *p = &view->processors[i];
        snprintf(name, sizeof name, "%s%s", p->name, p->modelled ? " (modelled)" : "");
        name_lane(trace, PROCESSORS, lane_of(i, false), name);
        if (!trace->has_copies[i])
            continue;
        snprintf(name, sizeof name, "copies to and from %s%s", p->name,
                 p->modelled ? " (modelled)" : "");
        name_lane(trace, PROCESSORS, lane_of(i, true), name);
    }
    name_process(trace, WAITING, "requests and what waits");
    for (size_t i = 0; i < trace->class_count; i++) {
        snprintf(name, sizeof name, "class %" PRIu32, trace->classes[i]);
        name_lane(trace, WAITING, (uint64_t)trace->classes[i] + 1, name);
    }
}

/* --- events --- */

static const char *segment_name(const struct trace *trace, uint32_t segment)
{
    return segment < trace->view->segment_count ? trace->segments[segment] : "\"?\"";
}

static void put_arguments(struct trace *trace, const struct mly__timeline_record *r)
{
    const struct timeline_view *view = trace->view;
    mly__sink_printf(trace->sink, ",\"args\":{\"request\":%" PRIu64 ",\"batch\":%" PRIu32,
                     r->request, r->batch);
    if (r->model < view->model_count)
        mly__sink_printf(trace->sink, ",\"model\":%s", trace->models[r->model]);
    if (r->kind == MLY__TIMELINE_COPY)
        mly__sink_printf(trace->sink, ",\"direction\":\"%s\",\"bytes\":%" PRIu64,
                         r->out ? "out" : "in", r->bytes);
    if (r->request_class != 0)
        mly__sink_printf(trace->sink, ",\"class\":%" PRIu32, r->request_class);
    if (r->status != MLY_OK)
        mly__sink_printf(trace->sink, ",\"status\":\"%s\"",
                         mly_status_name((enum mly_status)r->status));
    mly__sink_printf(trace->sink, "}}");
}

static void put_on_processor(struct trace *trace, const struct mly__timeline_record *r)
{
    bool copy = r->kind == MLY__TIMELINE_COPY;
    begin_event(trace, "X", PROCESSORS, lane_of(r->processor, copy));
    put_moment(trace, r->begin_ns);
    put_time(trace, "dur", r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0);
    /* Names are quoted already: what comes before one goes behind its first quote. */
    mly__sink_printf(trace->sink, ",\"cat\":\"%s\",\"name\":\"%s%s", copy ? "copy" : "task",
                     !copy    ? ""
                     : r->out ? "from "
                              : "to ",
                     segment_name(trace, r->segment) + 1);
    put_arguments(trace, r);
}

/* One asynchronous event. Equal names share lanes, so a number is in the id only. */
static void put_span(struct trace *trace, const struct mly__timeline_record *r,
                     const char *category, const char *name, const char *id, int64_t from_ns,
                     int64_t to_ns)
{
    for (int end = 0; end < 2; end++) {
        begin_event(trace, end ? "e" : "b", WAITING, (uint64_t)r->request_class + 1);
        put_moment(trace, end ? to_ns : from_ns);
        mly__sink_printf(trace->sink, ",\"cat\":\"%s\",\"id\":\"%s\",\"name\":%s", category, id,
                         name);
        if (end)
            mly__sink_printf(trace->sink, "}");
        else
            put_arguments(trace, r);
    }
}

static void put_record(struct trace *trace, size_t index)
{
    const struct mly__timeline_record *r = &trace->view->records[index];
    char id[64];
    if (r->kind == MLY__TIMELINE_REQUEST) {
        snprintf(id, sizeof id, "m%" PRIu32 "r%" PRIu64, r->model, r->request);
        put_span(trace, r, "request", "\"request\"", id, r->begin_ns, r->end_ns);
        return;
    }
    if (r->processor < trace->view->processor_count)
        put_on_processor(trace, r);
    if (r->kind != MLY__TIMELINE_TASK || r->ready_ns >= r->begin_ns)
        return;
    snprintf(id, sizeof id, "w%zu", index);
    put_span(trace, r, "wait", segment_name(trace, r->segment), id, r->ready_ns, r->begin_ns);
}

static void put_mark(struct trace *trace, const struct timeline_mark *mark)
{
    bool global = mark->processor >= trace->view->processor_count;
    begin_event(trace, "i", PROCESSORS, global ? 0 : lane_of(mark->processor, false));
    put_moment(trace, mark->at_ns);
    mly__sink_printf(trace->sink, ",\"s\":\"%s\",\"cat\":\"mark\",\"name\":", global ? "g" : "t");
    put_quoted(trace, mark->text);
    mly__sink_printf(trace->sink, "}");
}

/* --- the whole --- */

static bool note_class(struct trace *trace, uint32_t request_class)
{
    size_t at = 0;
    while (at < trace->class_count && trace->classes[at] < request_class)
        at++;
    if (at < trace->class_count && trace->classes[at] == request_class)
        return true;
    if (mly_array_reserve(&trace->classes, &trace->class_capacity, trace->class_count + 1,
                          sizeof *trace->classes) != 0)
        return false;
    for (size_t i = trace->class_count++; i > at; i--)
        trace->classes[i] = trace->classes[i - 1];
    trace->classes[at] = request_class;
    return true;
}

static bool prepare(struct trace *trace)
{
    const struct timeline_view *view = trace->view;
    char label[LABEL_BYTES];
    trace->segments = mly_alloc_array(view->segment_count, sizeof *trace->segments);
    trace->models = mly_alloc_array(view->model_count, sizeof *trace->models);
    trace->has_copies = mly_alloc_array(view->processor_count, sizeof *trace->has_copies);
    bool ok = trace->segments && trace->models && trace->has_copies;
    for (uint32_t i = 0; ok && i < view->segment_count; i++) {
        mly__timeline_segment_label(view, i, label, sizeof label);
        ok = (trace->segments[i] = quoted(label)) != NULL;
    }
    for (uint32_t i = 0; ok && i < view->model_count; i++)
        ok = (trace->models[i] = quoted(view->models[i])) != NULL;
    for (size_t i = 0; ok && i < view->record_count; i++) {
        const struct mly__timeline_record *r = &view->records[i];
        ok = note_class(trace, r->request_class);
        if (r->kind == MLY__TIMELINE_COPY && r->processor < view->processor_count)
            trace->has_copies[r->processor] = true;
    }
    return ok;
}

static void put_head(struct trace *trace)
{
    const struct timeline_view *view = trace->view;
    mly__sink_printf(trace->sink, "{\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"generator\":"
                                  "\"motley " MLY_VERSION "\",\"title\":");
    put_quoted(trace, view->title);
    mly__sink_printf(
        trace->sink, ",\"clock\":\"%s\",\"records\":%zu,\"dropped\":%" PRIu64 ",\"modelled\":[",
        view->virtual_time ? "virtual" : "monotonic", view->record_count, view->dropped);
    bool first = true;
    for (uint32_t i = 0; i < view->processor_count; i++) {
        if (!view->processors[i].modelled)
            continue;
        mly__sink_printf(trace->sink, first ? "" : ",");
        put_quoted(trace, view->processors[i].name);
        first = false;
    }
    mly__sink_printf(trace->sink, "]},\n\"traceEvents\":[");
}

void mly__timeline_write_trace(const struct timeline_view *view, struct timeline_sink *sink)
{
    struct trace trace = {.view = view, .sink = sink};
    if (prepare(&trace)) {
        put_head(&trace);
        name_lanes(&trace);
        for (size_t i = 0; i < view->record_count; i++)
            put_record(&trace, i);
        for (size_t i = 0; i < view->mark_count; i++)
            put_mark(&trace, &view->marks[i]);
        mly__sink_printf(sink, "\n]}\n");
    } else if (sink->status == MLY_OK) {
        sink->status = mly_error_set(sink->err, MLY_E_NO_MEMORY, "no memory to write a timeline");
    }
    for (uint32_t i = 0; trace.segments && i < view->segment_count; i++)
        mly_free(trace.segments[i]);
    for (uint32_t i = 0; trace.models && i < view->model_count; i++)
        mly_free(trace.models[i]);
    mly_free(trace.segments);
    mly_free(trace.models);
    mly_free(trace.has_copies);
    mly_free(trace.classes);
}

/*
 * Times of single nodes, from the runtime's own profile.
 *
 * 1. When the session is opened, the runtime is told to note every node that it runs, in a file in a
 *    private folder.
 * 2. When times are asked for, it ends that and writes the file, which is read: one event per node
 *    and run, with the node's index in the model that the runtime opened, and one per run.
 * 3. The model that it opened is the prepared copy: its nodes tell which tensors of the original they
 *    complete (ort_profile_nodes.c). Without a copy the runtime's names are all there is.
 */
#include "ort_profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/os.h"
#include "base/stats.h"
#include "ort_session.h"

#define PROFILE_BYTES_MAX ((size_t)1 << 30)
#define MODEL_BYTES_MAX ((size_t)2 << 30)
#define KERNEL_TIME "_kernel_time"

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
}

/* --- 1. --- */

enum mly_status mly__ort_profile_begin(struct mly__ort_session *session, OrtSessionOptions *options,
                                       struct mly_error *err)
{
    const char *base = getenv("TMPDIR");
    session->profile_directory =
        mly_strfmt("%s/motley-profile-XXXXXX", base && *base ? base : "/tmp");
    if (!session->profile_directory)
        return no_memory(err);
    if (!mkdtemp(session->profile_directory)) {
        enum mly_status status =
            mly_error_os(err, errno, "cannot make '%s'", session->profile_directory);
        mly_free(session->profile_directory);
        session->profile_directory = NULL;
        return status;
    }
    char *prefix = mly_strfmt("%s/times", session->profile_directory);
    if (!prefix)
        return no_memory(err);
    enum mly_status status =
        mly__ort_check(session->ort, session->ort->api->EnableProfiling(options, prefix), err);
    mly_free(prefix);
    return status;
}

void mly__ort_profile_end(struct mly__ort_session *session)
{
    struct mly_error why = {0};
    char *file = NULL;
    if (!session->profile_directory)
        return;
    if (session->session) {
        mly__ort_ignore(session->ort, session->ort->api->SessionEndProfiling(
                                          session->session, session->ort->allocator, &file));
        mly__ort_free(session->ort, file);
    }
    if (mly_dir_remove(session->profile_directory, &why) != MLY_OK)
        mly_log(MLY_LOG_DEBUG, "%s", why.message);
    mly_free(session->profile_directory);
    session->profile_directory = NULL;
}

/* --- 2. --- */

/* What was noted of one node of the runtime's graph. */
struct record {
    char *name;    /* owned */
    char *op_type; /* owned */
    double *samples;
    size_t count, capacity;
};

struct notes {
    struct record *records; /* by the runtime's node index */
    size_t count, capacity;
    double *runs;
    size_t run_count, run_capacity;
};

static void notes_fini(struct notes *notes)
{
    for (size_t i = 0; i < notes->count; i++) {
        mly_free(notes->records[i].name);
        mly_free(notes->records[i].op_type);
        mly_free(notes->records[i].samples);
    }
    mly_free(notes->records);
    mly_free(notes->runs);
}

static enum mly_status add_sample(double **samples, size_t *count, size_t *capacity, double value,
                                  struct mly_error *err)
{
    if (mly_array_reserve(samples, capacity, *count + 1, sizeof **samples) != 0)
        return no_memory(err);
    (*samples)[(*count)++] = value;
    return MLY_OK;
}

/* Event names are the node's with "_kernel_time" behind; of a nameless one "Conv_17_kernel_time". */
static char *node_name(const char *event)
{
    const size_t length = strlen(event), ending = strlen(KERNEL_TIME);
    return length > ending && strcmp(event + length - ending, KERNEL_TIME) == 0
               ? mly_strndup(event, length - ending)
               : mly_strdup(event);
}

#define NODES_MAX 1000000

static enum mly_status note_node(struct notes *notes, struct mly_json event, double duration_ns,
                                 struct mly_error *err)
{
    const char *name, *index_text, *op_type;
    struct mly_json args;
    enum mly_status status = mly_json_string(event, "name", &name, err);
    if (status == MLY_OK)
        status = mly_json_member(event, "args", &args, err);
    if (status == MLY_OK)
        status = mly_json_string(args, "node_index", &index_text, err);
    if (status == MLY_OK)
        status = mly_json_string(args, "op_name", &op_type, err);
    if (status != MLY_OK)
        return status;
    const size_t index = strtoull(index_text, NULL, 10);
    if (index >= NODES_MAX)
        return mly_error_set(err, MLY_E_FORMAT, "node index '%.40s' is out of range", index_text);
    if (index >= notes->count) {
        if (mly_array_reserve(&notes->records, &notes->capacity, index + 1,
                              sizeof *notes->records) != 0)
            return no_memory(err);
        memset(notes->records + notes->count, 0,
               (index + 1 - notes->count) * sizeof *notes->records);
        notes->count = index + 1;
    }
    struct record *record = &notes->records[index];
    char *text = node_name(name);
    if (text && !record->name) {
        record->name = text;
        record->op_type = mly_strdup(op_type);
        text = mly_strdup(text);
    }
    if (!text || !record->op_type) {
        mly_free(text);
        return no_memory(err);
    }
    /* Nodes of sub-graphs count from 0 as well; they are part of the time of the node around them. */
    const bool same = strcmp(text, record->name) == 0 && strcmp(op_type, record->op_type) == 0;
    mly_free(text);
    return same ? add_sample(&record->samples, &record->count, &record->capacity, duration_ns, err)
                : MLY_OK;
}

static enum mly_status note(struct notes *notes, struct mly_json event, struct mly_error *err)
{
    const char *category = "", *name = "";
    double duration_us;
    if (mly_json_string(event, "cat", &category, NULL) != MLY_OK ||
        mly_json_string(event, "name", &name, NULL) != MLY_OK ||
        mly_json_number(event, "dur", 0, 1e15, &duration_us, NULL) != MLY_OK)
        return MLY_OK; /* of a kind that newer runtimes have */
    const size_t length = strlen(name), ending = strlen(KERNEL_TIME);
    if (strcmp(category, "Node") == 0 && length > ending &&
        strcmp(name + length - ending, KERNEL_TIME) == 0)
        return note_node(notes, event, duration_us * 1e3, err);
    if (strcmp(category, "Session") == 0 && strcmp(name, "model_run") == 0)
        return add_sample(&notes->runs, &notes->run_count, &notes->run_capacity, duration_us * 1e3,
                          err);
    return MLY_OK;
}

static enum mly_status read_notes(struct mly__ort_session *s, struct notes *notes,
                                  struct mly_error *err)
{
    const OrtApi *api = s->ort->api;
    char *file = NULL;
    mly_json_doc *doc = NULL;
    enum mly_status status =
        mly__ort_check(s->ort, api->SessionEndProfiling(s->session, s->ort->allocator, &file), err);
    if (status == MLY_OK)
        status = mly_json_load(file, PROFILE_BYTES_MAX, &doc, err);
    mly__ort_free(s->ort, file);
    if (status != MLY_OK)
        return status;
    const struct mly_json events = mly_json_root(doc);
    for (size_t i = 0; status == MLY_OK && i < mly_json_length(events); i++)
        status = note(notes, mly_json_element(events, i), err);
    mly_json_destroy(doc);
    return status;
}

/* --- 3. --- */

/* Memory behind the answer: blocks in a list. */
struct block {
    struct block *next;
    max_align_t bytes[];
};

static void *take(struct mly_node_times *times, size_t count, size_t bytes)
{
    struct block *block = mly_alloc(sizeof *block + (count + 1) * bytes);
    if (!block)
        return NULL;
    block->next = times->arena;
    times->arena = block;
    return block->bytes;
}

static const char *take_text(struct mly_node_times *times, const char *text)
{
    char *copy = take(times, strlen(text), 1);
    return copy ? strcpy(copy, text) : NULL;
}

void mly_node_times_fini(struct mly_node_times *times)
{
    for (struct block *at = times->arena; at;) {
        struct block *next = at->next;
        mly_free(at);
        at = next;
    }
    *times = (struct mly_node_times){0};
}

static enum mly_status fill(struct mly_node_times *times, struct mly_node_time *item,
                            const struct mly_graph *graph, const struct record *record,
                            const struct mly__node_map *map, struct mly_error *err)
{
    const uint32_t count = map ? map->tensor_count : 0;
    const char **outputs = take(times, count, sizeof *outputs);
    item->name = take_text(times, record->name);
    item->op_type = take_text(times, record->op_type);
    item->outputs = outputs;
    if (!outputs || !item->name || !item->op_type)
        return no_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        outputs[i] = take_text(times, graph->tensors[map->tensors[i]].name);
        if (!outputs[i])
            return no_memory(err);
    }
    item->output_count = count;
    return MLY_OK;
}

/* maps is NULL when the runtime's graph is not known. */
static enum mly_status answer(const struct mly_graph *graph, struct notes *notes,
                              const struct mly__node_map *maps, struct mly_node_times *out,
                              struct mly_error *err)
{
    uint32_t *place = mly_alloc_array(notes->count + 1, sizeof *place);
    out->items = take(out, notes->count, sizeof *out->items);
    enum mly_status status = place && out->items ? MLY_OK : no_memory(err);
    for (size_t i = 0; status == MLY_OK && i < notes->count; i++) {
        place[i] = MLY_NO_INDEX;
        if (notes->records[i].count == 0 || (maps && maps[i].counts_for != i))
            continue;
        place[i] = out->count;
        status = fill(out, &out->items[out->count++], graph, &notes->records[i],
                      maps ? &maps[i] : NULL, err);
    }
    double sum_ns = 0.0;
    for (size_t i = 0; status == MLY_OK && i < notes->count; i++) {
        struct record *record = &notes->records[i];
        size_t owner = i;
        /* A reorder may count for another reorder. */
        for (int step = 0; maps && step < 4 && owner < notes->count; step++)
            owner = maps[owner].counts_for;
        if (record->count == 0)
            continue;
        const struct mly_summary summary = mly_summarise(record->samples, record->count);
        if (owner >= notes->count || place[owner] == MLY_NO_INDEX)
            continue; /* bookkeeping of nobody: overhead */
        struct mly_node_time *item = &out->items[place[owner]];
        item->median_ns += summary.median;
        item->p10_ns += summary.p10;
        item->p90_ns += summary.p90;
        if (owner == i)
            item->samples = (uint32_t)summary.count;
        sum_ns += summary.median;
    }
    mly_free(place);
    out->overhead_ns = mly_percentile(notes->runs, notes->run_count, 0.5) - sum_ns;
    if (out->overhead_ns < 0)
        out->overhead_ns = 0;
    return status;
}

/* The nodes of the copy that the session was opened from; none if it is gone. */
static enum mly_status read_nodes(const struct mly__ort_session *s, struct mly_onnx_nodes *nodes,
                                  struct mly_error *err)
{
    char *data = NULL;
    size_t length;
    if (!s->prepared_model ||
        mly_file_read(s->prepared_model, MODEL_BYTES_MAX, &data, &length, NULL) != MLY_OK)
        return MLY_OK;
    enum mly_status status = mly_onnx_nodes_read(data, length, nodes, err);
    mly_free(data);
    return status;
}

enum mly_status mly__ort_node_times(mly_session *session, struct mly_node_times *out,
                                    struct mly_error *err)
{
    struct mly__ort_session *s = mly__ort_session_of(session);
    struct notes notes = {0};
    struct mly_onnx_nodes nodes = {0};
    struct mly__node_map *maps = NULL;
    struct mly_node_times times = {0};
    if (!s->profile_directory)
        return mly_error_set(err, MLY_E_INVALID,
                             "times of nodes are not noted: the session was opened without "
                             "profile_nodes, or its times were asked for before");
    const struct mly_graph *graph = mly_model_graph(s->model);
    enum mly_status status = read_notes(s, &notes, err);
    mly__ort_profile_end(s);
    if (status == MLY_OK)
        status = read_nodes(s, &nodes, err);
    if (status == MLY_OK && nodes.count >= notes.count && nodes.count > 0)
        status = mly__node_maps_make(graph, &nodes, &maps, err);
    if (status == MLY_OK)
        status = answer(graph, &notes, maps, &times, err);
    mly__node_maps_free(maps, nodes.count);
    mly_onnx_nodes_fini(&nodes);
    notes_fini(&notes);
    if (status != MLY_OK) {
        mly_node_times_fini(&times);
        return status;
    }
    *out = times;
    return MLY_OK;
}

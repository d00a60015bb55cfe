/*
 * A plan in Graphviz's language.
 *
 *   1. Each node's segment; a segment's colour goes by its number.
 *   2. Of a small graph every node in its segment's box; of a large one, or if asked for, one node per
 *      segment with its most frequent operators.
 *   3. Edges within a segment are thin and bare. What passes between segments is drawn bold with its
 *      bytes: once for each segment that reads it, for that is how often it is copied. Contracted, all
 *      that passes from one segment to another is one edge.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dot_private.h"
#include "internal.h"
#include "model/cut.h"
#include "plan/dot.h"

enum { OPERATORS_SHOWN = 4, PROCESSORS_SHOWN = 4 };

/* Pale ones, neighbours unlike (ColorBrewer's Set3 and Pastel1). */
static const char *const colours[] = {"#8dd3c7", "#ffffb3", "#bebada", "#fb8072", "#80b1d3",
                                      "#fdb462", "#b3de69", "#fccde5", "#ccebc5", "#d9d9d9"};

/* A tensor that passes from one segment to another. */
struct passing {
    uint32_t from, to;
    double bytes; /* negative: not known */
};

struct drawing {
    const mly_plan *plan;
    const struct mly_graph *graph;
    const struct mly_shape *shapes;
    const struct mly_stage *stages;
    const struct mly_plan_time *times; /* by segment and its processors, or NULL */
    bool contracted;
    uint32_t *segment_of;    /* by node */
    uint32_t *last_to;       /* by segment: the tensor last drawn to it */
    struct passing *passing; /* contracted: what passes between segments, in the tensors' order */
    size_t passing_count, passing_capacity;
    struct mly_buffer *out;
};

/* --- words --- */

/* "147 KiB": three digits, or whole bytes. */
static void bytes_text(double bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024;
    snprintf(text, 32, unit && bytes < 100 ? "%.3g %s" : "%.0f %s", bytes, units[unit]);
}

static void time_text(double ns, char text[32])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    for (; ns >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        ns /= 1000;
    snprintf(text, 32, ns < 100 ? "%.3g %s" : "%.0f %s", ns, units[unit]);
}

static const char *colour_of(uint32_t segment)
{
    return colours[segment % (sizeof colours / sizeof *colours)];
}

/* --- 1 --- */

static enum mly_status place_nodes(struct drawing *d, struct mly_error *err)
{
    const mly_plan *plan = d->plan;
    const uint32_t count = d->graph->node_count;
    const bool whole = plan->segment_count == 1 && plan->segments[0].node_count == 0;
    for (uint32_t v = 0; v < count; v++)
        d->segment_of[v] = whole ? 0 : MLY_NO_INDEX;
    for (uint32_t s = 0; s < plan->segment_count; s++) {
        for (uint32_t i = 0; i < plan->segments[s].node_count; i++) {
            if (plan->segments[s].nodes[i] >= count)
                return mly_error_set(err, MLY_E_INVALID,
                                     "plan: segments[%u].nodes: the model has %u nodes, counted "
                                     "from 0; %u is none of them",
                                     s, count, plan->segments[s].nodes[i]);
            d->segment_of[plan->segments[s].nodes[i]] = s;
        }
    }
    for (uint32_t v = 0; v < count; v++)
        if (d->segment_of[v] == MLY_NO_INDEX)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments: node %u (%.100s) lies in none of them", v,
                                 d->graph->nodes[v].label);
    return MLY_OK;
}

static uint32_t nodes_in(const struct drawing *d, uint32_t segment)
{
    const uint32_t count = d->plan->segments[segment].node_count;
    return count ? count : d->graph->node_count;
}

/* --- what a segment is --- */

static enum mly_status put_processors(struct drawing *d, const struct mly_plan_segment *segment)
{
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < segment->processor_count && i < PROCESSORS_SHOWN; i++) {
        status = mly_buffer_printf(d->out, "%s", i ? ", " : "");
        if (!status && segment->processors[i] < d->plan->processor_count)
            status = mly__dot_text(d->out, d->plan->processors[segment->processors[i]].id);
    }
    if (!status && segment->processor_count > PROCESSORS_SHOWN)
        status = mly_buffer_printf(d->out, ", … %u in all", segment->processor_count);
    return status;
}

/* The times of the segment's processors, in its order; NULL: not known. */
static const struct mly_plan_time *times_of(const struct drawing *d, uint32_t index)
{
    const struct mly_plan_segment *segment = &d->plan->segments[index];
    size_t at = 0;
    for (uint32_t s = 0; s < index; s++)
        at += d->plan->segments[s].processor_count;
    for (uint32_t i = 0; d->times && i < segment->processor_count; i++)
        if (!(d->times[at + i].ns > 0))
            return NULL;
    return d->times && segment->processor_count ? d->times + at : NULL;
}

/* Are two of them of one kind, and take as long for as much? */
static bool are_alike(const struct drawing *d, const struct mly_plan_time *a,
                      const struct mly_plan_time *b)
{
    const double more = a->ns > b->ns ? a->ns - b->ns : b->ns - a->ns;
    return a->batch == b->batch && more <= 1e-9 * a->ns &&
           !strcmp(d->plan->processors[a->processor].kind, d->plan->processors[b->processor].kind);
}

/* "\np100:0: 6 samples in 4.53 ms (slowest, modelled)": the first of those that are alike, and how many. */
static enum mly_status put_part(struct drawing *d, const struct mly_plan_segment *segment,
                                const struct mly_plan_time *part, uint32_t alike, bool slowest)
{
    const struct mly_plan_processor *processor = &d->plan->processors[part->processor];
    char text[32], count[32] = "", samples[48] = "";
    if (alike > 1)
        snprintf(count, sizeof count, " x %u", alike);
    if (segment->shares)
        snprintf(samples, sizeof samples, "%u sample%s in ", part->batch,
                 part->batch == 1 ? "" : "s");
    time_text(part->ns, text);
    enum mly_status status = mly_buffer_printf(d->out, "\\n");
    if (!status)
        status = mly__dot_text(d->out, alike > 1 ? processor->kind : processor->id);
    return status ? status
                  : mly_buffer_printf(d->out, "%s: %s%s (%s%s)", count, samples, text,
                                      slowest ? "slowest, " : "", mly_plan_basis_name(part->basis));
}

/* Whole batches go to any of processors of which some take longer than others. */
static bool is_uneven(const struct drawing *d, uint32_t index)
{
    const struct mly_plan_segment *segment = &d->plan->segments[index];
    const struct mly_plan_time *times = times_of(d, index);
    for (uint32_t i = 0; times && !segment->shares && i < segment->processor_count; i++)
        if (!are_alike(d, times, &times[i]))
            return true;
    return false;
}

/* Each kind of the processors, where they are unlike or share a batch; *said: they are. */
static enum mly_status put_parts(struct drawing *d, uint32_t index, bool *said)
{
    const struct mly_plan_segment *segment = &d->plan->segments[index];
    const struct mly_plan_time *times = times_of(d, index);
    enum mly_status status = MLY_OK;
    double most = 0;
    uint32_t kinds = 0;
    *said = times && (segment->shares || is_uneven(d, index));
    for (uint32_t i = 0; times && i < segment->processor_count; i++)
        most = times[i].ns > most ? times[i].ns : most;
    for (uint32_t i = 0; *said && !status && i < segment->processor_count; i++) {
        uint32_t before = 0, alike = 0;
        for (uint32_t k = 0; k < segment->processor_count; k++) {
            alike += are_alike(d, &times[i], &times[k]);
            before += k < i && are_alike(d, &times[i], &times[k]);
        }
        const bool slowest = times[i].ns >= most;
        if (!before && (kinds++ < PROCESSORS_SHOWN || slowest))
            status = put_part(d, segment, &times[i], alike, slowest);
    }
    if (!status && kinds > PROCESSORS_SHOWN)
        status = mly_buffer_printf(d->out, "\\n… %u kinds in all", kinds);
    return status;
}

/* "\n12.3 ms (modelled), in 0.4 ms, out 0.1 ms": of one processor, or of all that are alike. */
static enum mly_status put_execution(struct drawing *d, const struct mly_stage *stage, bool mean)
{
    char text[32];
    time_text(stage->execution_ns, text);
    enum mly_status status = mly_buffer_printf(d->out, "\\n%s%s %s", mean ? "mean " : "", text,
                                               stage->modelled   ? "(modelled)"
                                               : stage->measured ? "(measured)"
                                                                 : "(estimated)");
    const struct {
        const char *words;
        double ns;
    } copies[] = {{"in", stage->input_ns}, {"out", stage->output_ns}};
    for (size_t i = 0; !status && i < MLY__COUNT(copies); i++) {
        if (copies[i].ns <= 0)
            continue;
        time_text(copies[i].ns, text);
        status = mly_buffer_printf(d->out, ", %s %s", copies[i].words, text);
    }
    return status;
}

static enum mly_status put_stage(struct drawing *d, uint32_t index)
{
    const struct mly_stage *stage = d->stages ? &d->stages[index] : NULL;
    const bool several = d->plan->segments[index].processor_count > 1;
    char text[32];
    bool said;
    enum mly_status status = put_parts(d, index, &said);
    if (!status && stage && !said)
        status = put_execution(d, stage, several && !times_of(d, index));
    if (!status && stage && stage->off_chip_bytes > 0) {
        bytes_text(stage->off_chip_bytes, text);
        status = mly_buffer_printf(d->out, "\\n%s off chip", text);
    }
    return status;
}

static enum mly_status put_segment_label(struct drawing *d, uint32_t index)
{
    const struct mly_plan_segment *segment = &d->plan->segments[index];
    const uint32_t count = nodes_in(d, index);
    enum mly_status status = mly__dot_text(d->out, segment->name ? segment->name : "");
    if (!status)
        status = mly_buffer_printf(d->out, " on ");
    if (!status)
        status = put_processors(d, segment);
    if (!status)
        status = put_stage(d, index);
    return status ? status
                  : mly_buffer_printf(d->out, "\\n%u node%s", count, count == 1 ? "" : "s");
}

/* --- 2 --- */

static enum mly_status put_node(struct drawing *d, uint32_t index)
{
    const struct mly_graph_node *node = &d->graph->nodes[index];
    enum mly_status status = mly_buffer_printf(d->out, "    n%u [label=\"", index);
    if (!status)
        status = mly__dot_text(d->out, node->op_type);
    if (!status)
        status = mly_buffer_printf(d->out, "\", tooltip=\"");
    if (!status)
        status = mly__dot_text(d->out, node->label);
    return status ? status : mly_buffer_printf(d->out, "\"];\n");
}

static enum mly_status put_box(struct drawing *d, uint32_t segment)
{
    enum mly_status status =
        mly_buffer_printf(d->out, "  subgraph cluster_%u {\n    label=\"", segment);
    if (!status)
        status = put_segment_label(d, segment);
    if (!status)
        status = mly_buffer_printf(d->out, "\";\n    fillcolor=\"%s\";\n", colour_of(segment));
    for (uint32_t v = 0; !status && v < d->graph->node_count; v++)
        if (d->segment_of[v] == segment)
            status = put_node(d, v);
    return status ? status : mly_buffer_printf(d->out, "  }\n");
}

/* An operator and how often it occurs; the most frequent ones of a segment, most first. */
struct frequent {
    const char *op_type;
    uint32_t count;
};

/* Operators are few, so the list of those seen is searched through. */
static enum mly_status count_operators(const struct drawing *d, uint32_t segment,
                                       struct frequent top[OPERATORS_SHOWN], uint32_t *kinds)
{
    struct frequent *seen = NULL;
    size_t capacity = 0, count = 0;
    memset(top, 0, OPERATORS_SHOWN * sizeof *top);
    for (uint32_t v = 0; v < d->graph->node_count; v++) {
        const char *op_type = d->graph->nodes[v].op_type;
        size_t i = 0;
        if (d->segment_of[v] != segment)
            continue;
        while (i < count && strcmp(seen[i].op_type, op_type) != 0)
            i++;
        if (i == count) {
            if (mly_array_reserve(&seen, &capacity, count + 1, sizeof *seen)) {
                mly_free(seen);
                return MLY_E_NO_MEMORY;
            }
            seen[count++] = (struct frequent){.op_type = op_type};
        }
        seen[i].count++;
    }
    for (size_t shown = 0; shown < OPERATORS_SHOWN && shown < count; shown++) {
        size_t most = 0;
        for (size_t i = 1; i < count; i++)
            if (seen[i].count > seen[most].count)
                most = i;
        top[shown] = seen[most];
        seen[most].count = 0;
    }
    mly_free(seen);
    *kinds = (uint32_t)count;
    return MLY_OK;
}

static enum mly_status put_contracted(struct drawing *d, uint32_t segment)
{
    struct frequent top[OPERATORS_SHOWN];
    uint32_t kinds = 0;
    enum mly_status status = count_operators(d, segment, top, &kinds);
    if (!status)
        status = mly_buffer_printf(d->out, "  s%u [label=\"", segment);
    if (!status)
        status = put_segment_label(d, segment);
    for (uint32_t i = 0; !status && i < OPERATORS_SHOWN && top[i].count; i++) {
        status = mly_buffer_printf(d->out, "%s%u ", i ? ", " : "\\n", top[i].count);
        if (!status)
            status = mly__dot_text(d->out, top[i].op_type);
    }
    if (!status && kinds > OPERATORS_SHOWN)
        status = mly_buffer_printf(d->out, ", …");
    return status ? status
                  : mly_buffer_printf(d->out, "\", fillcolor=\"%s\"];\n", colour_of(segment));
}

/* --- 3 --- */

/* A tensor's node for its maker: itself if it comes from outside. */
static void maker_text(const struct drawing *d, uint32_t tensor, char text[32])
{
    const uint32_t producer = d->graph->tensors[tensor].producer;
    if (producer == MLY_NO_INDEX)
        snprintf(text, 32, "t%u", tensor);
    else if (d->contracted)
        snprintf(text, 32, "s%u", d->segment_of[producer]);
    else
        snprintf(text, 32, "n%u", producer);
}

static enum mly_status put_port(struct drawing *d, uint32_t tensor)
{
    enum mly_status status =
        mly_buffer_printf(d->out, "  t%u [shape=ellipse, fillcolor=white, label=\"", tensor);
    if (!status)
        status = mly__dot_text(d->out, d->graph->tensors[tensor].name);
    return status ? status : mly_buffer_printf(d->out, "\"];\n");
}

/* The bytes are said once for each segment they go to. */
static enum mly_status put_crossing(struct drawing *d, uint32_t tensor, const char *from,
                                    const char *to, bool said)
{
    const double bytes = mly_cut_tensor_bytes(d->graph, d->shapes, tensor);
    char text[32] = "?";
    if (bytes >= 0)
        bytes_text(bytes, text);
    return said ? mly_buffer_printf(d->out, "  %s -> %s [penwidth=2];\n", from, to)
                : mly_buffer_printf(d->out, "  %s -> %s [penwidth=2, label=\"%s\"];\n", from, to,
                                    text);
}

static enum mly_status note_passing(struct drawing *d, uint32_t tensor, uint32_t from, uint32_t to)
{
    if (mly_array_reserve(&d->passing, &d->passing_capacity, d->passing_count + 1,
                          sizeof *d->passing))
        return MLY_E_NO_MEMORY;
    d->passing[d->passing_count++] = (struct passing){
        .from = from, .to = to, .bytes = mly_cut_tensor_bytes(d->graph, d->shapes, tensor)};
    return MLY_OK;
}

static enum mly_status put_readers(struct drawing *d, uint32_t tensor)
{
    const struct mly_graph_tensor *t = &d->graph->tensors[tensor];
    const uint32_t home = t->producer == MLY_NO_INDEX ? MLY_NO_INDEX : d->segment_of[t->producer];
    enum mly_status status = MLY_OK;
    char from[32], to[32];
    maker_text(d, tensor, from);
    for (uint32_t i = 0; !status && i < t->consumer_count; i++) {
        const uint32_t reader = t->consumers[i], segment = d->segment_of[reader];
        const bool said = d->last_to[segment] == tensor;
        d->last_to[segment] = tensor;
        snprintf(to, sizeof to, "%c%u", d->contracted ? 's' : 'n',
                 d->contracted ? segment : reader);
        if (d->contracted && (segment == home || said))
            continue;
        if (d->contracted && home != MLY_NO_INDEX)
            status = note_passing(d, tensor, home, segment);
        else
            status = segment == home ? mly_buffer_printf(d->out, "  %s -> %s;\n", from, to)
                                     : put_crossing(d, tensor, from, to, said);
    }
    return status;
}

static int compare_passing(const void *a, const void *b)
{
    const struct passing *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* "3 tensors, 1.2 MiB" from one segment to another. */
static enum mly_status put_passing(struct drawing *d)
{
    enum mly_status status = MLY_OK;
    if (d->passing_count)
        qsort(d->passing, d->passing_count, sizeof *d->passing, compare_passing);
    for (size_t i = 0, next; !status && i < d->passing_count; i = next) {
        const struct passing *first = &d->passing[i];
        char text[32] = "?", tensors[32] = "";
        double bytes = 0;
        bool known = true;
        for (next = i; next < d->passing_count && !compare_passing(first, &d->passing[next]);
             next++) {
            known = known && d->passing[next].bytes >= 0;
            bytes += d->passing[next].bytes;
        }
        if (known)
            bytes_text(bytes, text);
        if (next - i > 1)
            snprintf(tensors, sizeof tensors, "%zu tensors, ", next - i);
        status = mly_buffer_printf(d->out, "  s%u -> s%u [penwidth=2, label=\"%s%s\"];\n",
                                   first->from, first->to, tensors, text);
    }
    return status;
}

static enum mly_status put_tensor(struct drawing *d, uint32_t tensor)
{
    const struct mly_graph_tensor *t = &d->graph->tensors[tensor];
    const bool made = t->producer != MLY_NO_INDEX;
    enum mly_status status = MLY_OK;
    if (t->kind == MLY_TENSOR_INITIALISER)
        return MLY_OK;
    if (!made || t->is_output)
        status = put_port(d, tensor);
    if (!status)
        status = put_readers(d, tensor);
    if (!status && made && t->is_output) {
        char from[32], to[32];
        maker_text(d, tensor, from);
        snprintf(to, sizeof to, "t%u", tensor);
        status = put_crossing(d, tensor, from, to, false);
    }
    return status;
}

/* --- the whole picture --- */

/* Of a family's ways one is drawn: "\nway 3 of 8, best up to 120 samples/s". */
static enum mly_status put_way(struct drawing *d)
{
    const mly_plan *plan = d->plan;
    for (uint32_t i = 0; i < plan->family_count; i++) {
        const struct mly_plan_member *m = &plan->family[i];
        if (m->batch == plan->batch && m->segment_count == plan->segment_count &&
            m->prediction.throughput_per_s == plan->prediction.throughput_per_s &&
            m->prediction.latency_ns == plan->prediction.latency_ns)
            return mly_buffer_printf(d->out, "\\ndrawn is way %u of %u, best up to %.4g samples/s",
                                     i + 1, plan->family_count, m->max_rate_per_s);
    }
    return MLY_OK;
}

static enum mly_status put_title(struct drawing *d)
{
    const mly_plan *plan = d->plan;
    char *line = mly_plan_describe(plan);
    bool uneven = false;
    enum mly_status status = line ? MLY_OK : MLY_E_NO_MEMORY;
    for (uint32_t s = 0; s < plan->segment_count; s++)
        uneven = uneven || is_uneven(d, s);
    if (!status)
        status = mly_buffer_printf(d->out, "  label=\"");
    if (!status)
        status = mly__dot_text(d->out, plan->model_name);
    if (!status)
        status = mly_buffer_printf(d->out, ": ");
    if (!status)
        status = mly__dot_text(d->out, line);
    mly_free(line);
    if (!status && plan->prediction.known)
        status = mly_buffer_printf(d->out, "\\n%.4g samples/s, %s%.4g ms per batch (%s)",
                                   plan->prediction.throughput_per_s, uneven ? "on average " : "",
                                   plan->prediction.latency_ns / 1e6,
                                   plan->prediction.modelled   ? "modelled"
                                   : plan->prediction.measured ? "measured"
                                                               : "estimated");
    if (!status)
        status = put_way(d);
    return status ? status : mly_buffer_printf(d->out, "\";\n");
}

static enum mly_status put_all(struct drawing *d)
{
    enum mly_status status = mly_buffer_printf(
        d->out,
        "digraph plan {\n"
        "  graph [style=\"filled,rounded\", fontname=\"sans\", labelloc=t, color=\"#888888\"];\n"
        "  node [shape=box, style=\"filled,rounded\", fillcolor=white, fontname=\"sans\"];\n"
        "  edge [fontname=\"sans\", fontsize=10];\n");
    if (!status)
        status = put_title(d);
    for (uint32_t s = 0; !status && s < d->plan->segment_count; s++)
        status = d->contracted ? put_contracted(d, s) : put_box(d, s);
    for (uint32_t i = 0; !status && i < d->graph->tensor_count; i++)
        status = put_tensor(d, i);
    if (!status)
        status = put_passing(d);
    return status ? status : mly_buffer_printf(d->out, "}\n");
}

enum mly_status mly_dot_plan(const mly_plan *plan, const struct mly_graph *graph,
                             const struct mly_shape *shapes, const struct mly_dot_options *options,
                             struct mly_buffer *out, struct mly_error *err)
{
    struct drawing d = {
        .plan = plan,
        .graph = graph,
        .shapes = shapes,
        .stages = options->stages,
        .times = options->times,
        .contracted = options->contracted || graph->node_count > MLY__DOT_NODES_MAX,
        .segment_of = mly_alloc_array((size_t)graph->node_count + 1, sizeof(uint32_t)),
        .last_to = mly_alloc_array((size_t)plan->segment_count + 1, sizeof(uint32_t)),
        .out = out,
    };
    enum mly_status status;
    if (!d.segment_of || !d.last_to) {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a picture");
        goto done;
    }
    for (uint32_t s = 0; s < plan->segment_count; s++)
        d.last_to[s] = MLY_NO_INDEX;
    status = place_nodes(&d, err);
    if (status)
        goto done;
    status = put_all(&d);
    if (status == MLY_E_NO_MEMORY)
        (void)mly_error_set(err, status, "no memory for a picture");
    else if (status)
        (void)mly_error_set(err, status, "the picture is too large");
done:
    mly_free(d.passing);
    mly_free(d.segment_of);
    mly_free(d.last_to);
    return status;
}

/*
 * Cutting the topological order into parts of about equal arithmetic.
 *
 * 1. Groups that count, in topological order, with their load; a cut before a group costs the bytes
 * that are then made and read later.
 * 2. The smallest possible load of the largest part, by bisection: a limit can be kept if filling part
 * after part as far as it goes needs no more parts than there are.
 * 3. Within 10 % of it, the cheapest cuts: least[k][j], the fewest bytes for k parts of the first j
 * groups. The first group of the last part moves only forward as j does, so a queue of ascending
 * candidates gives each minimum in constant time. Between equals the more even one wins.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "cut_private.h"
#include "segment_private.h"

#define SLACK 1.1
#define BISECTIONS 60
/* A node without arithmetic counts as this part of an average one. */
#define NODE_WEIGHT 1e-3

struct row {
    const struct mly__groups *groups;
    uint32_t count;
    uint32_t *position; /* of a group in the row */
    double *sum;        /* sum[i]: load of the first i */
    double *bytes;      /* bytes[i]: cross when cut before the i-th */
};

double mly_cut_tensor_bytes(const struct mly_graph *graph, const struct mly_shape *shapes,
                            uint32_t tensor)
{
    size_t bytes;
    if (mly_shape_bytes(graph->tensors[tensor].dtype, &shapes[tensor], &bytes, NULL) != MLY_OK) {
        return -1;
    }
    return (double)bytes;
}

/* Dimensions that are not known count as 1: something crosses. */
static double crossing_bytes(const struct mly_graph *graph, const struct mly_shape *shapes,
                             uint32_t tensor)
{
    const uint32_t producer = graph->tensors[tensor].producer;
    if (mly__is_copied(graph, producer) && graph->nodes[producer].input_count > 0) {
        tensor = graph->nodes[producer].inputs[0]; /* what is dequantised crosses */
    }
    const struct mly_shape *shape = &shapes[tensor];
    const uint32_t bits = mly_dtype_bits(graph->tensors[tensor].dtype);
    double bytes = bits > 0 ? (double)bits / 8 : 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        bytes *= shape->dims[i] >= 0 ? (double)shape->dims[i] : 1;
    }
    return bytes;
}

static void row_fini(struct row *row)
{
    mly_free(row->position);
    mly_free(row->sum);
    mly_free(row->bytes);
}

static void add_crossings(struct row *row, const struct mly_shape *shapes)
{
    const struct mly__groups *groups = row->groups;
    const struct mly_graph *graph = groups->graph;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->producer == MLY_NO_INDEX ||
            !groups->placed[groups->of_node[tensor->producer]]) {
            continue;
        }
        const uint32_t made = row->position[groups->of_node[tensor->producer]];
        uint32_t last = made;
        for (uint32_t k = 0; k < tensor->consumer_count; k++) {
            const uint32_t reader = groups->of_node[tensor->consumers[k]];
            if (groups->placed[reader] && row->position[reader] > last) {
                last = row->position[reader];
            }
        }
        if (last > made) {
            const double bytes = crossing_bytes(graph, shapes, i);
            row->bytes[made + 1] += bytes;
            row->bytes[last + 1] -= bytes;
        }
    }
    for (uint32_t i = 1; i <= row->count; i++) {
        row->bytes[i] += row->bytes[i - 1];
    }
}

/* 1. */
static enum mly_status row_init(struct row *row, const struct mly__groups *groups,
                                const struct mly_shape *shapes, struct mly_error *err)
{
    const struct mly_graph *graph = groups->graph;
    *row = (struct row){.groups = groups,
                        .position = mly_alloc_array((size_t)groups->count + 1, sizeof(uint32_t)),
                        .sum = mly_alloc_array((size_t)groups->count + 2, sizeof(double)),
                        .bytes = mly_alloc_array((size_t)groups->count + 2, sizeof(double))};
    if (row->position == NULL || row->sum == NULL || row->bytes == NULL) {
        return mly__no_memory(err);
    }
    double macs = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(graph, shapes, i, &work);
        macs += work.known ? work.macs : 0;
    }
    const double per_node = macs > 0 ? macs / (double)graph->node_count * NODE_WEIGHT : 1;
    for (uint32_t g = 0; g < groups->count; g++) {
        if (!groups->placed[g]) {
            continue;
        }
        double load = 0;
        for (uint32_t k = groups->begin[g]; k < groups->begin[g + 1]; k++) {
            struct mly_node_work work;
            mly_graph_node_work(graph, shapes, groups->nodes[k], &work);
            load += per_node + (work.known ? work.macs : 0);
        }
        row->position[g] = row->count;
        row->sum[row->count + 1] = row->sum[row->count] + load;
        row->count++;
    }
    add_crossings(row, shapes);
    return MLY_OK;
}

/* 2. */
static bool can_keep(const struct row *row, uint32_t parts, double limit)
{
    uint32_t used = 1;
    uint32_t first = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        if (row->sum[i + 1] - row->sum[i] > limit) {
            return false;
        }
        if (row->sum[i + 1] - row->sum[first] > limit) {
            first = i;
            if (++used > parts) {
                return false;
            }
        }
    }
    return true;
}

static double smallest_limit(const struct row *row, uint32_t parts)
{
    double low = row->sum[row->count] / parts;
    double high = row->sum[row->count];
    for (unsigned i = 0; i < BISECTIONS; i++) {
        const double middle = (low + high) / 2;
        if (can_keep(row, parts, middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return high;
}

/*
 * Bytes that cross when part `number` (counted from 0) of `parts` begins with group i, and, to decide
 * between equals, how far that is from where parts of equal load would have it: all that together is less
 * than half a byte, the least by which bytes can differ.
 */
static double cost_of_begin(const struct row *row, uint32_t i, uint32_t number, uint32_t parts)
{
    const double wanted = (double)number / parts;
    const double found = row->sum[i] / row->sum[row->count];
    return row->bytes[i] + fabs(found - wanted) / parts * 0.25;
}

/* 3. One more part: least[j] from the parts before; from[j] is where the last one begins. */
static void add_part(const struct row *row, double limit, uint32_t number, uint32_t parts,
                     const double *before, double *least, uint32_t *from, uint32_t *queue,
                     double *cost)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    least[0] = INFINITY;
    for (uint32_t j = 1; j <= row->count; j++) {
        /* the last part may begin with group j - 1 */
        cost[j - 1] = before[j - 1] + cost_of_begin(row, j - 1, number, parts);
        while (tail > head && cost[queue[tail - 1]] >= cost[j - 1]) {
            tail--;
        }
        queue[tail++] = j - 1;
        while (tail > head && row->sum[j] - row->sum[queue[head]] > limit) {
            head++;
        }
        least[j] = INFINITY;
        if (tail > head) {
            least[j] = cost[queue[head]];
            from[j] = queue[head];
        }
    }
}

static enum mly_status choose_cuts(const struct row *row, uint32_t parts, uint32_t *begins,
                                   struct mly_error *err)
{
    const size_t width = (size_t)row->count + 1;
    const double limit = smallest_limit(row, parts) * SLACK;
    enum mly_status status = MLY_OK;
    double *least = mly_alloc_array(3 * width, sizeof *least);
    uint32_t *from = mly_alloc_array(width * (parts + 1), sizeof *from);
    uint32_t *queue = mly_alloc_array(width + 1, sizeof *queue);
    if (least == NULL || from == NULL || queue == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    double *before = least;
    double *after = least + width;
    for (size_t j = 1; j < width; j++) {
        before[j] = INFINITY;
    }
    for (uint32_t k = 1; k <= parts; k++) {
        add_part(row, limit, k - 1, parts, before, after, from + k * width, queue,
                 least + 2 * width);
        double *swap = before;
        before = after;
        after = swap;
    }
    if (!isfinite(before[row->count])) {
        status =
            mly_error_set(err, MLY_E_INTERNAL, "no balanced cut into %u parts was found", parts);
        goto done;
    }
    uint32_t end = row->count;
    for (uint32_t k = parts; k > 0; k--) {
        end = from[k * width + end];
        begins[k - 1] = end;
    }
done:
    mly_free(least);
    mly_free(from);
    mly_free(queue);
    return status;
}

static enum mly_status cut(const struct row *row, uint32_t parts, uint32_t *part_of_node,
                           struct mly_error *err)
{
    const struct mly__groups *groups = row->groups;
    if (parts > row->count) {
        return mly_error_set(err, MLY_E_INVALID,
                             "%u parts: there are only %u pieces that may be cut apart", parts,
                             row->count);
    }
    uint32_t begins[MLY_CUT_PARTS_MAX];
    uint32_t *part_of_group = mly_alloc_array((size_t)groups->count + 1, sizeof *part_of_group);
    if (part_of_group == NULL) {
        return mly__no_memory(err);
    }
    enum mly_status status = choose_cuts(row, parts, begins, err);
    uint32_t part = 0;
    for (uint32_t g = 0; g < groups->count && status == MLY_OK; g++) {
        if (groups->placed[g]) {
            while (part + 1 < parts && row->position[g] >= begins[part + 1]) {
                part++;
            }
            part_of_group[g] = part;
        }
    }
    if (status == MLY_OK) {
        mly__groups_finish(groups, part_of_group, part_of_node);
    }
    mly_free(part_of_group);
    return status;
}

enum mly_status mly_cut_balanced(const struct mly_graph *graph, enum mly_cut_rule rule,
                                 const struct mly_shape *shapes, uint32_t parts,
                                 uint32_t *part_of_node, struct mly_error *err)
{
    if (parts < 1 || parts > MLY_CUT_PARTS_MAX) {
        return mly_error_set(err, MLY_E_INVALID, "%u parts: from 1 to %d are possible", parts,
                             MLY_CUT_PARTS_MAX);
    }
    struct mly__groups groups = {0};
    enum mly_status status = mly__groups_init(&groups, graph, rule, err);
    if (status != MLY_OK) {
        return status;
    }
    struct row row;
    status = row_init(&row, &groups, shapes, err);
    if (status == MLY_OK) {
        status = cut(&row, parts, part_of_node, err);
    }
    row_fini(&row);
    mly__groups_fini(&groups);
    return status;
}

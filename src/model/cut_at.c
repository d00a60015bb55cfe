/*
 * Cutting after named tensors.
 *
 * 1. Each name must be a place to cut; the reason is told if it is none.
 * 2. Forward: the earliest part of a group is the most named tensors on one path that leads to it.
 * 3. Backward: it goes as late as its readers allow, less one for each named tensor between. Results
 * of the model that nobody reads stay as early as they can be. Both hold by induction: the latest part
 * is never before the earliest, and no tensor goes from a later part to an earlier one; the longest
 * chain of named tensors gives every part a group.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cut_private.h"
#include "segment_private.h"

#define NEAR_MAX 4
#define NEAR_NAME_BYTES 64

struct placing {
    const struct mly__groups *groups;
    const bool *named; /* by tensor */
    uint32_t *earliest;
    uint32_t *latest; /* MLY_NO_INDEX: no reader so far */
};

/* One name within the other, or as long and few letters apart. */
static bool is_near(const char *name, const char *other)
{
    const size_t n = strlen(name);
    const size_t m = strlen(other);
    if (n >= 3 && m >= 3 && (strstr(other, name) != NULL || strstr(name, other) != NULL)) {
        return true;
    }
    const size_t apart = n < m ? m - n : n - m;
    return apart <= 1 + m / 6 && mly__name_distance(name, other) <= 1 + m / 6;
}

static enum mly_status unknown_name(const struct mly_graph *graph, const char *name,
                                    struct mly_error *err)
{
    char near[NEAR_MAX * (NEAR_NAME_BYTES + 4)] = "";
    size_t used = 0;
    unsigned count = 0;
    for (uint32_t i = 0; i < graph->tensor_count && count < NEAR_MAX; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->kind == MLY_TENSOR_VALUE && strlen(tensor->name) < NEAR_NAME_BYTES &&
            is_near(name, tensor->name)) {
            used += (size_t)snprintf(near + used, sizeof near - used, "%s'%s'",
                                     count > 0 ? ", " : "", tensor->name);
            count++;
        }
    }
    if (count > 0) {
        return mly_error_set(err, MLY_E_NOT_FOUND, "no tensor is named '%.200s'; near names: %s",
                             name, near);
    }
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "no tensor is named '%.200s', nor by a name near it; 'motley inspect "
                         "--nodes --json' lists all",
                         name);
}

static enum mly_status no_place(struct mly_error *err, const char *name, const char *reason)
{
    return mly_error_set(err, MLY_E_INVALID, "tensor '%.200s' is no place to cut: %s", name,
                         reason);
}

/* What leaves the group: a tensor that another one reads. */
static const char *way_out(const struct mly__groups *groups, uint32_t group)
{
    for (uint32_t k = groups->begin[group + 1]; k-- > groups->begin[group];) {
        const struct mly_graph_node *node = &groups->graph->nodes[groups->nodes[k]];
        for (uint32_t i = 0; i < node->output_count; i++) {
            if (node->outputs[i] == MLY_NO_INDEX) {
                continue;
            }
            const struct mly_graph_tensor *tensor = &groups->graph->tensors[node->outputs[i]];
            for (uint32_t c = 0; c < tensor->consumer_count; c++) {
                if (groups->of_node[tensor->consumers[c]] != group) {
                    return tensor->name;
                }
            }
        }
    }
    return NULL;
}

static enum mly_status within_group(const struct mly__groups *groups, uint32_t index,
                                    enum mly_cut_rule rule, struct mly_error *err)
{
    const struct mly_graph_tensor *tensor = &groups->graph->tensors[index];
    const uint32_t group = groups->of_node[tensor->producer];
    const uint32_t first = groups->nodes[groups->begin[group]];
    const uint32_t last = groups->nodes[groups->begin[group + 1] - 1];
    if (rule == MLY_CUT_ANYWHERE) {
        return no_place(
            err, tensor->name,
            "a sequence, an optional or a tensor of unknown type would cross beside it");
    }
    const char *out = way_out(groups, group);
    return mly_error_set(
        err, MLY_E_INVALID,
        "tensor '%.120s' is no place to cut: it lies within what a runtime "
        "computes as one ('%.80s' to '%.80s')%s%.120s%s; --anywhere cuts all the "
        "same",
        tensor->name, groups->graph->nodes[first].label, groups->graph->nodes[last].label,
        out != NULL ? "; the next place is '" : "", out != NULL ? out : "", out != NULL ? "'" : "");
}

/* 1. */
static enum mly_status check_place(const struct mly__groups *groups, uint32_t index,
                                   enum mly_cut_rule rule, struct mly_error *err)
{
    const struct mly_graph_tensor *tensor = &groups->graph->tensors[index];
    if (tensor->kind == MLY_TENSOR_INITIALISER) {
        return no_place(err, tensor->name,
                        "it is stored in the model (an initialiser), and goes along with each "
                        "segment that reads it");
    }
    if (tensor->kind == MLY_TENSOR_INPUT) {
        return no_place(err, tensor->name, "it is an input of the model: nothing lies before it");
    }
    if (mly__is_copied(groups->graph, tensor->producer)) {
        const struct mly_graph_node *node = &groups->graph->nodes[tensor->producer];
        if (node->input_count == 0) {
            return no_place(err, tensor->name,
                            "a Constant node makes it, which goes along with each segment that "
                            "reads it");
        }
        return mly_error_set(err, MLY_E_INVALID,
                             "tensor '%.200s' is no place to cut: DequantizeLinear makes it, which "
                             "goes along with each segment that reads it; cut after '%.200s'",
                             tensor->name, groups->graph->tensors[node->inputs[0]].name);
    }
    if (tensor->is_sequence_or_optional) {
        return no_place(err, tensor->name,
                        "it is a sequence, an optional or a map; only plain tensors can cross");
    }
    if (tensor->dtype == MLY_DTYPE_UNDEFINED) {
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "tensor '%.200s' is no place to cut: its type is not known",
                             tensor->name);
    }
    bool read = false;
    const uint32_t group = groups->of_node[tensor->producer];
    for (uint32_t i = 0; i < tensor->consumer_count; i++) {
        const uint32_t reader = groups->of_node[tensor->consumers[i]];
        if (reader == group) {
            return within_group(groups, index, rule, err);
        }
        read = read || groups->placed[reader];
    }
    return read
               ? MLY_OK
               : no_place(err, tensor->name,
                          "nothing that the model's outputs need reads it: nothing lies behind it");
}

static enum mly_status mark_names(const struct mly__groups *groups, enum mly_cut_rule rule,
                                  const char *const *names, size_t count, bool *named,
                                  struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (size_t i = 0; i < count && status == MLY_OK; i++) {
        const uint32_t tensor = mly_graph_find_tensor(groups->graph, names[i]);
        if (tensor == MLY_NO_INDEX) {
            return unknown_name(groups->graph, names[i], err);
        }
        status = check_place(groups, tensor, rule, err);
        named[tensor] = true;
    }
    return status;
}

/* 2. */
static void push_later(uint32_t tensor, uint32_t from, uint32_t to, void *user)
{
    struct placing *placing = user;
    const uint32_t part = placing->earliest[from] + (placing->named[tensor] ? 1 : 0);
    if (placing->earliest[to] < part) {
        placing->earliest[to] = part;
    }
}

/* 3. */
static void pull_earlier(uint32_t tensor, uint32_t from, uint32_t to, void *user)
{
    struct placing *placing = user;
    if (!placing->groups->placed[to]) {
        return;
    }
    const uint32_t part = placing->latest[to] - (placing->named[tensor] ? 1 : 0);
    if (placing->latest[from] > part) {
        placing->latest[from] = part;
    }
}

static void place(struct placing *placing, uint32_t *part_count)
{
    const uint32_t count = placing->groups->count;
    for (uint32_t g = 0; g < count; g++) {
        placing->latest[g] = MLY_NO_INDEX;
        mly__groups_visit_inputs(placing->groups, g, push_later, placing);
    }
    *part_count = 1;
    for (uint32_t g = count; g-- > 0;) {
        if (!placing->groups->placed[g]) {
            continue;
        }
        if (placing->latest[g] == MLY_NO_INDEX) {
            placing->latest[g] = placing->earliest[g];
        }
        if (placing->latest[g] >= *part_count) {
            *part_count = placing->latest[g] + 1;
        }
        mly__groups_visit_inputs(placing->groups, g, pull_earlier, placing);
    }
}

enum mly_status mly_cut_at(const struct mly_graph *graph, enum mly_cut_rule rule,
                           const char *const *names, size_t name_count, uint32_t *part_of_node,
                           uint32_t *part_count, struct mly_error *err)
{
    if (name_count == 0) {
        return mly_error_set(err, MLY_E_INVALID, "no tensor to cut after is named");
    }
    struct mly__groups groups = {0};
    enum mly_status status = mly__groups_init(&groups, graph, rule, err);
    if (status != MLY_OK) {
        return status;
    }
    bool *named = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *named);
    struct placing placing = {
        .groups = &groups,
        .named = named,
        .earliest = mly_alloc_array((size_t)groups.count + 1, sizeof(uint32_t)),
        .latest = mly_alloc_array((size_t)groups.count + 1, sizeof(uint32_t))};
    if (named == NULL || placing.earliest == NULL || placing.latest == NULL) {
        status = mly__no_memory(err);
    }
    if (status == MLY_OK) {
        status = mark_names(&groups, rule, names, name_count, named, err);
    }
    if (status == MLY_OK) {
        place(&placing, part_count);
        mly__groups_finish(&groups, placing.latest, part_of_node);
    }
    mly_free(named);
    mly_free(placing.earliest);
    mly_free(placing.latest);
    mly__groups_fini(&groups);
    return status;
}

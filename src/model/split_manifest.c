/* manifest.json: which segments there are, and what goes from which to which. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "split_private.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

struct writing {
    const struct mly_split *split;
    const struct mly_split_part *parts;
    const struct mly_graph *graph;
    uint32_t *maker; /* by tensor: the part that it goes out of, or MLY_NO_INDEX */
    struct mly_json_writer json;
};

static void put_dims(struct mly_json_writer *json, const struct mly_graph_tensor *tensor)
{
    if (tensor->shape.rank < 0) {
        mly_json_put_null(json, "dims");
        return;
    }
    mly_json_begin_array(json, "dims");
    for (int32_t i = 0; i < tensor->shape.rank; i++) {
        if (tensor->shape.dims[i] >= 0) {
            mly_json_put_int(json, NULL, tensor->shape.dims[i]);
        } else {
            mly_json_put_string(json, NULL,
                                tensor->dim_names[i][0] != '\0' ? tensor->dim_names[i] : NULL);
        }
    }
    mly_json_end_array(json);
}

static void begin_tensor(struct writing *writing, uint32_t tensor)
{
    const struct mly_graph_tensor *at = &writing->graph->tensors[tensor];
    mly_json_begin_object(&writing->json, NULL);
    mly_json_put_string(&writing->json, "name", at->name);
    mly_json_put_string(&writing->json, "type", mly_dtype_name(at->dtype));
    put_dims(&writing->json, at);
}

/* Counts are whole numbers, and written so up to where doubles are exact. */
static void put_count(struct mly_json_writer *json, const char *key, double count)
{
    if (count < EXACT_MAX) {
        mly_json_put_int(json, key, (int64_t)count);
    } else {
        mly_json_put_number(json, key, count);
    }
}

static void put_bytes(struct writing *writing, uint32_t tensor)
{
    const double bytes = mly_cut_tensor_bytes(writing->graph, writing->split->shapes, tensor);
    if (bytes < 0) {
        mly_json_put_null(&writing->json, "bytes");
    } else {
        put_count(&writing->json, "bytes", bytes);
    }
}

static void put_from(struct writing *writing, uint32_t tensor)
{
    const uint32_t maker = writing->maker[tensor];
    const bool made = writing->graph->tensors[tensor].kind == MLY_TENSOR_VALUE;
    mly_json_put_string(&writing->json, "from",
                        made && maker != MLY_NO_INDEX ? writing->parts[maker].name : "model");
}

static bool reads(const struct mly_segment *segment, uint32_t tensor)
{
    for (uint32_t i = 0; i < segment->input_count; i++) {
        if (segment->inputs[i] == tensor) {
            return true;
        }
    }
    return false;
}

static void put_output(struct writing *writing, uint32_t tensor)
{
    begin_tensor(writing, tensor);
    put_bytes(writing, tensor);
    mly_json_begin_array(&writing->json, "to");
    for (uint32_t p = 0; p < writing->split->part_count; p++) {
        if (writing->graph->tensors[tensor].kind == MLY_TENSOR_VALUE &&
            reads(&writing->parts[p].segment, tensor)) {
            mly_json_put_string(&writing->json, NULL, writing->parts[p].name);
        }
    }
    mly_json_end_array(&writing->json);
    mly_json_put_bool(&writing->json, "model_output", writing->graph->tensors[tensor].is_output);
    mly_json_end_object(&writing->json);
}

/* Files that the segment's weights lie in, if not in its own. */
static void put_data(struct writing *writing, const struct mly_split_part *part, const char *folder)
{
    mly_json_begin_array(&writing->json, "data");
    if (writing->split->link_weights) {
        for (size_t i = 0; i < part->segment.region_count; i++) {
            mly_json_put_string(&writing->json, NULL, part->segment.regions[i].name);
        }
    } else {
        char *path = mly_strfmt("%s/%s.onnx.data", folder, part->name);
        if (path != NULL && access(path, F_OK) == 0) {
            mly_json_put_string(&writing->json, NULL, strrchr(path, '/') + 1);
        }
        mly_free(path);
    }
    mly_json_end_array(&writing->json);
}

static void put_part(struct writing *writing, const struct mly_split_part *part, const char *folder)
{
    struct mly_json_writer *json = &writing->json;
    char file[32];
    snprintf(file, sizeof file, "%s.onnx", part->name);
    mly_json_begin_object(json, NULL);
    mly_json_put_string(json, "name", part->name);
    mly_json_put_string(json, "file", file);
    put_data(writing, part, folder);
    mly_json_put_int(json, "nodes", part->segment.node_count);
    put_count(json, "macs", part->macs);
    put_count(json, "parameters", part->parameters);
    put_count(json, "weight_bytes", part->weight_bytes);
    mly_json_begin_array(json, "inputs");
    for (uint32_t i = 0; i < part->segment.input_count; i++) {
        begin_tensor(writing, part->segment.inputs[i]);
        put_bytes(writing, part->segment.inputs[i]);
        put_from(writing, part->segment.inputs[i]);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
    mly_json_begin_array(json, "outputs");
    for (uint32_t i = 0; i < part->segment.output_count; i++) {
        put_output(writing, part->segment.outputs[i]);
    }
    mly_json_end_array(json);
    mly_json_end_object(json);
}

static void put_model(struct writing *writing, const char *hash)
{
    struct mly_json_writer *json = &writing->json;
    const struct mly_graph *graph = writing->graph;
    const char *path = mly_model_path(writing->split->model);
    const char *slash = strrchr(path, '/');
    mly_json_begin_object(json, "model");
    mly_json_put_string(json, "path", path);
    mly_json_put_string(json, "name", slash != NULL ? slash + 1 : path);
    mly_json_put_string(json, "hash", hash);
    mly_json_put_int(json, "nodes", graph->node_count);
    mly_json_end_object(json);
    mly_json_put_int(json, "batch", writing->split->batch);
    mly_json_begin_array(json, "inputs");
    for (uint32_t i = 0; i < graph->input_count; i++) {
        begin_tensor(writing, graph->inputs[i]);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
    mly_json_begin_array(json, "outputs");
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const uint32_t maker = writing->maker[graph->outputs[i]];
        begin_tensor(writing, graph->outputs[i]);
        mly_json_put_string(json, "from",
                            maker != MLY_NO_INDEX ? writing->parts[maker].name : "model");
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

enum mly_status mly__split_manifest(const struct mly_split *split,
                                    const struct mly_split_part *parts, const char *folder,
                                    char **text, size_t *length, struct mly_error *err)
{
    const char *hash;
    enum mly_status status = mly_model_hash(split->model, &hash, err);
    if (status != MLY_OK) {
        return status;
    }
    struct writing writing = {
        .split = split, .parts = parts, .graph = mly_model_graph(split->model)};
    writing.maker = mly_alloc_array((size_t)writing.graph->tensor_count + 1, sizeof(uint32_t));
    if (writing.maker == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < writing.graph->tensor_count; i++) {
        writing.maker[i] = MLY_NO_INDEX;
    }
    for (uint32_t p = split->part_count; p-- > 0;) {
        for (uint32_t i = 0; i < parts[p].segment.output_count; i++) {
            writing.maker[parts[p].segment.outputs[i]] = p;
        }
    }
    mly_json_writer_init(&writing.json, true);
    mly_json_begin_object(&writing.json, NULL);
    mly_json_put_int(&writing.json, "motley_split", 1);
    put_model(&writing, hash);
    mly_json_begin_array(&writing.json, "segments");
    for (uint32_t p = 0; p < split->part_count; p++) {
        put_part(&writing, &parts[p], folder);
    }
    mly_json_end_array(&writing.json);
    mly_json_end_object(&writing.json);
    mly_free(writing.maker);
    return mly_json_finish(&writing.json, text, length, err);
}

/*
 * Giving a segment to the runtime without copying its weights.
 *
 * 1. The segment refers to its weights by file names relative to the model's folder, so the runtime
 *    maps the very files of the model.
 * 2. Where it refuses them (a file that lies elsewhere by a symbolic link, or was replaced since the
 *    model was loaded), it is given our own mappings instead, from which it copies each weight.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ort_session.h"

static enum mly_status create(const struct mly__ort *ort, const struct mly_segment *segment,
                              const OrtSessionOptions *options, OrtSession **out,
                              struct mly_error *err)
{
    return mly__ort_check(ort,
                          ort->api->CreateSessionFromArray(ort->env, segment->onnx,
                                                           segment->onnx_bytes, options, out),
                          err);
}

/* 2. */
static enum mly_status load_from_memory(const struct mly__ort *ort,
                                        const struct mly_segment *segment,
                                        const OrtSessionOptions *base, OrtSession **out,
                                        struct mly_error *err)
{
    OrtSessionOptions *options = NULL;
    const size_t count = segment->region_count;
    const char **names = mly_alloc_array(count + 1, sizeof *names);
    char **bytes = mly_alloc_array(count + 1, sizeof *bytes);
    size_t *lengths = mly_alloc_array(count + 1, sizeof *lengths);
    enum mly_status status =
        names && bytes && lengths
            ? mly__ort_check(ort, ort->api->CloneSessionOptions(base, &options), err)
            : mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (size_t i = 0; status == MLY_OK && i < count; i++) {
        names[i] = segment->regions[i].name;
        bytes[i] = (char *)(uintptr_t)segment->regions[i].data; /* only read */
        lengths[i] = segment->regions[i].length;
    }
    if (status == MLY_OK && count > 0)
        status = mly__ort_check(ort,
                                ort->api->AddExternalInitializersFromFilesInMemory(
                                    options, names, bytes, lengths, count),
                                err);
    if (status == MLY_OK)
        status = create(ort, segment, options, out, err);
    if (options)
        ort->api->ReleaseSessionOptions(options);
    mly_free(names);
    mly_free(bytes);
    mly_free(lengths);
    return status;
}

/* Does the runtime's message speak of this node? */
static bool speaks_of(const char *message, const struct mly_graph_node *node)
{
    char text[3][512], name[256];
    snprintf(text[0], sizeof text[0], "(\"%s\", %s, \"%s\"", node->name, node->op_type,
             node->domain);
    snprintf(text[1], sizeof text[1], "implementation for %s(", node->op_type);
    snprintf(text[2], sizeof text[2], "error: %s:%s(", node->domain, node->op_type);
    snprintf(name, sizeof name, "node with name '%s'", node->name);
    return strstr(message, text[0]) || strstr(message, text[2]) ||
           (strstr(message, text[1]) && strstr(message, name));
}

/* Nodes without name, and those of which the runtime tells the operator only, get their label. */
static void name_the_node(const mly_model *model, const struct mly_segment *segment,
                          enum mly_status status, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    if (status == MLY_OK || !err)
        return;
    for (uint32_t i = 0; i < segment->node_count; i++) {
        const struct mly_graph_node *node = &graph->nodes[segment->nodes[i]];
        if (speaks_of(err->message, node)) {
            mly_error_prefix(err, status, "node '%.200s' (%.100s)", node->label, node->op_type);
            return;
        }
    }
}

enum mly_status mly__ort_load(const struct mly__ort *ort, const mly_model *model,
                              const struct mly_segment *segment, OrtSessionOptions *options,
                              OrtSession **out, struct mly_error *err)
{
    const char *folder = NULL;
    enum mly_status status = mly_model_folder(model, &folder, err);
    if (status != MLY_OK)
        return status;
    bool from_memory = !folder && segment->region_count > 0;
    if (!from_memory && folder)
        status = mly__ort_option(
            ort, options, "session.model_external_initializers_file_folder_path", folder, err);
    if (status == MLY_OK && !from_memory) {
        struct mly_error why = {0};
        status = create(ort, segment, options, out, &why);
        from_memory =
            status != MLY_OK && segment->region_count > 0 && strstr(why.message, "xternal");
        if (from_memory)
            mly_log(MLY_LOG_DEBUG, "weights are copied: %s", why.message);
        else if (status != MLY_OK && err)
            *err = why;
    }
    if (from_memory)
        status = load_from_memory(ort, segment, options, out, err);
    name_the_node(model, segment, status, err);
    return status;
}

/*
 * A model file from anywhere, all the way: read, checked, counted, cut in two, and the pieces read
 * again. What loads must be consistent; what was cut must load.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "model/cut.h"
#include "model/segment.h"
#include "model/tensor_pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory with a path; -1 if there is none to be had. */
static int memory_file(const void *data, size_t size, char path[32])
{
    int fd = memfd_create("model", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    for (size_t at = 0; at < size;) {
        ssize_t written = write(fd, (const char *)data + at, size - at);
        if (written <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)written;
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static void check_graph(const struct mly_graph *graph)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        for (uint32_t k = 0; k < tensor->consumer_count; k++)
            if (tensor->producer != MLY_NO_INDEX && tensor->consumers[k] <= tensor->producer)
                abort();
        if (mly_graph_find_tensor(graph, tensor->name) != i)
            abort();
    }
}

static void inspect(const mly_model *model)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const int64_t batch = mly_model_fixed_batch(model);
    struct mly_shape *shapes = calloc((size_t)graph->tensor_count + 1, sizeof *shapes);
    struct mly_graph_totals totals;
    if (shapes && mly_graph_bind(model, batch > 0 ? batch : 3, NULL, 0, shapes, NULL) == MLY_OK &&
        mly_graph_totals(graph, shapes, &totals, NULL) == MLY_OK && !(totals.parameters >= 0))
        abort();
    free(shapes);
}

/* The first half of the nodes, then the rest; each piece refers to the model's file by regions. */
static void cut(const mly_model *model)
{
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t *nodes = malloc(graph->node_count * sizeof *nodes);
    if (!nodes)
        return;
    for (uint32_t i = 0; i < graph->node_count; i++)
        nodes[i] = i;
    const uint32_t half = graph->node_count / 2;
    for (unsigned part = 0; part < 3; part++) {
        const uint32_t begin = part == 1 ? half : 0, end = part == 0 ? half : graph->node_count;
        struct mly_segment segment = {0};
        if (end > begin && !mly_graph_is_convex(graph, nodes + begin, end - begin, NULL, NULL))
            abort();
        if (mly_segment_extract(model, nodes + begin, end - begin, &segment, NULL) == MLY_OK) {
            char path[32];
            struct mly_error err;
            mly_model *again = NULL;
            int fd = segment.region_count == 0 ? memory_file(segment.onnx, segment.onnx_bytes, path)
                                               : -1;
            if (fd >= 0) {
                if (mly_model_load(path, NULL, &again, &err) != MLY_OK) {
                    fprintf(stderr, "a piece does not load: %s\n", err.message);
                    abort();
                }
                mly_model_destroy(again);
                close(fd);
            }
            mly_segment_fini(&segment);
        } else if (part == 2) {
            abort(); /* the whole model can always be had */
        }
    }
    free(nodes);
}

/* Balanced parts are convex, and are extracted one by one. */
static void cut_by_rule(const mly_model *model, enum mly_cut_rule rule)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const int64_t fixed = mly_model_fixed_batch(model);
    uint32_t groups = 0, parts = 2;
    uint32_t *of_node = malloc(((size_t)graph->node_count + 1) * sizeof *of_node);
    uint32_t *nodes = malloc(((size_t)graph->node_count + 1) * sizeof *nodes);
    struct mly_shape *shapes = calloc((size_t)graph->tensor_count + 1, sizeof *shapes);
    if (of_node && nodes && shapes &&
        mly_graph_fusion_groups(graph, rule, of_node, &groups, NULL) == MLY_OK &&
        mly_graph_bind(model, fixed > 0 ? fixed : 2, NULL, 0, shapes, NULL) == MLY_OK &&
        mly_cut_balanced(graph, rule, shapes, parts, of_node, NULL) == MLY_OK) {
        for (uint32_t part = 0; part < parts; part++) {
            struct mly_segment segment = {0};
            uint32_t count = 0;
            for (uint32_t i = 0; i < graph->node_count; i++)
                if (of_node[i] == part)
                    nodes[count++] = i;
            if (!mly_graph_is_convex(graph, nodes, count, NULL, NULL))
                abort();
            if (mly_segment_extract(model, nodes, count, &segment, NULL) == MLY_OK)
                mly_segment_fini(&segment);
        }
    }
    free(of_node);
    free(nodes);
    free(shapes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    mly_model *model = NULL;
    struct mly_tensor tensor = {0};
    const struct mly_model_options options = {.keep_overridable = size & 1};
    if (mly_tensor_parse_pb(data, size, &tensor, NULL, NULL) == MLY_OK)
        mly_tensor_fini(&tensor);
    int fd = memory_file(data, size, path);
    if (fd < 0)
        return 0;
    if (mly_model_load(path, &options, &model, NULL) == MLY_OK) {
        check_graph(mly_model_graph(model));
        cut_by_rule(model, size & 2 ? MLY_CUT_ANYWHERE : MLY_CUT_BETWEEN_PATTERNS);
        inspect(model);
        cut(model);
        if (mly_model_add_shapes(model, data, size, NULL) != MLY_OK)
            abort();
        mly_model_destroy(model);
    }
    close(fd);
    return 0;
}

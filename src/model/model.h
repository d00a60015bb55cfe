/* What a loaded model is made of; for src/model only. */
#ifndef MLY_MODEL_PRIVATE_H
#define MLY_MODEL_PRIVATE_H

#include <pthread.h>
#include <stddef.h>

#include "arena.h"
#include "base/file.h"
#include "model/graph.h"
#include "model/segment.h"
#include "names.h"
#include "proto.h"

/* Tensors of one graph: bounds the memory of the graph, some 400 bytes each. */
#define MLY__TENSOR_MAX 2000000
/* Files that external data may lie in. */
#define MLY__REGION_MAX 16384

/* A mapped file that holds weights; number 0 is the model file itself. */
struct mly__region {
    char *name;      /* as segments refer to it: relative to the model's folder if it lies there */
    char *location;  /* as the file refers to it; NULL for the model file */
    char *real_path; /* links resolved; "" if it does not lie in the folder */
    struct mly_file_map map;
    struct mly_file_stamp stamp; /* taken before it was mapped */
};

struct mly_model {
    struct mly_graph graph;
    char *path;
    char *folder; /* real path of the folder that the model file lies in; "" if it cannot be had */
    struct mly_model_options options;

    struct mly__region *regions;
    size_t region_count;
    size_t region_capacity;

    struct mly__pb_memory pb_memory;
    Onnx__ModelProto *proto;
    /* Tensors whose raw_data points into a region: taken back before the messages are freed. */
    Onnx__TensorProto **adopted;
    size_t adopted_count;
    size_t adopted_capacity;

    struct mly__arena arena;
    struct mly__name *tensor_names; /* sorted */
    uint32_t tensor_name_count;
    /* Parallel to graph.nodes and graph.tensors. */
    const Onnx__NodeProto **node_protos;
    const Onnx__TensorProto **initialisers;   /* NULL for others; overridable inputs have one too */
    const Onnx__SparseTensorProto **sparse;   /* NULL for others */
    const Onnx__ValueInfoProto **value_infos; /* as the file has it, or NULL */

    struct mly_port *inputs; /* parallel to graph.inputs */
    struct mly_port *outputs;
    int64_t fixed_batch;
    const char **batch_symbols; /* names that stand for the batch */
    size_t batch_symbol_count;

    pthread_mutex_t hash_lock; /* protects hash */
    bool hash_lock_made;
    char hash[65]; /* "" until asked for */
};

/* The model that a graph is part of. */
static inline const mly_model *mly__model_of(const struct mly_graph *graph)
{
    return (const mly_model *)((const char *)graph - offsetof(struct mly_model, graph));
}

/* folder.c: the model's folder, and the names of the regions: 0, and one that is being added. */
enum mly_status mly__folder_set(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__folder_add(mly_model *model, const char *real_path, struct mly__region *region,
                                struct mly_error *err) MLY_MUST_CHECK;
/* realpath of the folder that holds path; NULL if it cannot be had. Free with free(). */
char *mly__folder_of(const char *path);

/* external.c: maps the file at `location` beside the model, once; *region is its number. Only
 * inside the model's own folder. */
enum mly_status mly__external_open(mly_model *model, const char *location, size_t *region,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* Points every tensor's raw_data at its bytes in a region, whether they lie in the model file or
 * outside. */
enum mly_status mly__external_adopt(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;

/* graph_build.c: fills graph and everything parallel to it from proto. */
enum mly_status mly__graph_build(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;
/* graph_types.c: types and shapes of all tensors, from the file; then the batch symbols. */
enum mly_status mly__graph_set_types(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;
/* Output ports take over types and shapes that their tensors got after loading. */
void mly__graph_refresh_outputs(mly_model *model);
enum mly_status mly__graph_set_batch(mly_model *model, struct mly_error *err) MLY_MUST_CHECK;
/*
 * graph_order.c: a topological order of `count` nodes, node order[k] k-th, smallest index first, so
 * that a list that is in order stays as it is. inputs[begin[i]…begin[i+1]) are the nodes that i
 * needs. MLY_E_FORMAT with *on_cycle a node on a cycle.
 */
enum mly_status mly__graph_order(uint32_t count, const uint32_t *begin, const uint32_t *inputs,
                                 uint32_t *order, uint32_t *on_cycle,
                                 struct mly_error *err) MLY_MUST_CHECK;

/* subgraph.c: outer tensors that a node's sub-graphs use, unsorted, with repetitions; *list grows
 * (mly_free). */
struct mly__index_list {
    uint32_t *items;
    size_t count;
    size_t capacity;
};
enum mly_status mly__index_list_add(struct mly__index_list *list, uint32_t index,
                                    struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__subgraph_captures(const struct mly__name *outer, size_t outer_count,
                                       const Onnx__NodeProto *node, struct mly__index_list *list,
                                       struct mly_error *err) MLY_MUST_CHECK;

static inline enum mly_status mly__no_memory(struct mly_error *err)
{
    (void)mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    return MLY_E_NO_MEMORY;
}

#endif

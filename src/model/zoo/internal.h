/* What the builder collects: shared by the builder, the layers and the writer, and by nobody else.
 */
#ifndef MLY_MODEL_ZOO_INTERNAL_H
#define MLY_MODEL_ZOO_INTERNAL_H

#include "model/zoo.h"

#include "arena.h"
#include "builder.h"

/*
 * The same weights on every box: no product and sum in one rounding. GCC has that by -std=c17 and does
 * not know the pragma.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Mean and variance of a tensor's elements on standard normal input, taken as independent. */
struct mly__moments {
    double mean, variance;
};

enum mly__zoo_kind { MLY__ZOO_INPUT, MLY__ZOO_RESULT, MLY__ZOO_WEIGHT };

struct mly__zoo_value {
    const char *name;
    enum mly__zoo_kind kind;
    enum mly_dtype dtype;
    struct mly_shape shape; /* dims[0] is -1 for the batch */
    struct mly__moments moments;
    bool is_output;
    /* Weights: element = centre + n * step, n odd and uniform in (-2^16, 2^16). */
    float centre, step;
    uint64_t bytes;
};

enum mly__zoo_attribute_kind {
    MLY__ZOO_INT,
    MLY__ZOO_INTS,
    MLY__ZOO_FLOAT,
    MLY__ZOO_STRING,
    MLY__ZOO_F32_SCALAR, /* a tensor of rank 0: `real` */
    MLY__ZOO_F32_LIST,   /* a tensor of rank 1: `reals` */
    MLY__ZOO_I64_SCALAR, /* `number` */
    MLY__ZOO_I64_LIST    /* `list` */
};

/* mly__zoo_node copies `list`; the other pointers must last. */
struct mly__zoo_attribute {
    const char *name;
    enum mly__zoo_attribute_kind kind;
    int64_t number;
    float real;
    const char *text;
    const int64_t *list;
    const float *reals;
    uint32_t count; /* of list or reals */
};

struct mly__zoo_node {
    const char *op, *name;
    const uint32_t *inputs; /* MLY__ZOO_OMITTED for an optional input that is left out */
    uint32_t input_count;
    uint32_t output;
    const struct mly__zoo_attribute *attributes;
    uint32_t attribute_count;
};

#define MLY__ZOO_OMITTED UINT32_MAX

struct mly__zoo {
    struct mly__arena arena;
    const char *network;
    enum mly_status status;
    struct mly_error *err;
    double parameters, macs;
    uint64_t weight_bytes;
    struct mly__zoo_value *values;
    size_t value_count, value_capacity;
    struct mly__zoo_node *nodes;
    size_t node_count, node_capacity;
};

/* Borrowed until the next value is added; a blank value after an error. */
const struct mly__zoo_value *mly__zoo_value(const mly__zoo *zoo, uint32_t index);

/*
 * Adds a node named from path and op, with the given inputs and attributes (copied), and its result
 * with that shape and moments; returns the result.
 */
uint32_t mly__zoo_node(mly__zoo *zoo, const char *op, const char *path, const uint32_t *inputs,
                       uint32_t input_count, const struct mly__zoo_attribute *attributes,
                       uint32_t attribute_count, const struct mly_shape *shape,
                       struct mly__moments moments);
/* The same for a result that is not f32. */
uint32_t mly__zoo_node_typed(mly__zoo *zoo, const char *op, const char *path,
                             const uint32_t *inputs, uint32_t input_count,
                             const struct mly__zoo_attribute *attributes, uint32_t attribute_count,
                             enum mly_dtype dtype, const struct mly_shape *shape,
                             struct mly__moments moments);
/* A weight tensor of that shape around `centre`, named path.suffix; counted as parameters. */
uint32_t mly__zoo_weight(mly__zoo *zoo, const char *path, const char *suffix,
                         const struct mly_shape *shape, double centre, double deviation);
/* Constant nodes. */
uint32_t mly__zoo_constant_f32(mly__zoo *zoo, const char *path, float value);
uint32_t mly__zoo_constant_i64(mly__zoo *zoo, const char *path, const int64_t *list, uint32_t count,
                               bool scalar);
/* Reports a network that is wrongly defined: MLY_E_INTERNAL. Returns 0. */
uint32_t mly__zoo_fault(mly__zoo *zoo, const char *path, const char *rule);

/* Fills elements [first, first + count) of a weight into out. first is a multiple of 4. */
struct mly_random;
void mly__zoo_fill(struct mly_random *random, const struct mly__zoo_value *weight, float *out,
                   size_t count);
uint64_t mly__zoo_seed(const mly__zoo *zoo, const char *name);

#endif

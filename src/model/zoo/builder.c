/* Collecting a network: tensors, nodes, their names as PyTorch's exporter gives them, and what they
 * add up to. */
#include "internal.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"

static void no_memory(struct mly__zoo *zoo)
{
    if (zoo->status == MLY_OK)
        zoo->status =
            mly_error_set(zoo->err, MLY_E_NO_MEMORY, "zoo: no memory to build '%s'", zoo->network);
}

enum mly_status mly__zoo_create(const char *network, mly__zoo **out, struct mly_error *err)
{
    struct mly__zoo *zoo = mly_alloc(sizeof(*zoo));
    if (!zoo)
        return mly_error_set(err, MLY_E_NO_MEMORY, "zoo: no memory to build '%s'", network);
    zoo->network = network;
    zoo->err = err;
    *out = zoo;
    return MLY_OK;
}

void mly__zoo_destroy(mly__zoo *zoo)
{
    if (!zoo)
        return;
    mly_free(zoo->values);
    mly_free(zoo->nodes);
    mly__arena_fini(&zoo->arena);
    mly_free(zoo);
}

enum mly_status mly__zoo_status(const mly__zoo *zoo)
{
    return zoo->status;
}

double mly__zoo_parameters(const mly__zoo *zoo)
{
    return zoo->parameters;
}

double mly__zoo_macs(const mly__zoo *zoo)
{
    return zoo->macs;
}

uint64_t mly__zoo_weight_bytes(const mly__zoo *zoo)
{
    return zoo->weight_bytes;
}

uint32_t mly__zoo_fault(mly__zoo *zoo, const char *path, const char *rule)
{
    if (zoo->status == MLY_OK)
        zoo->status =
            mly_error_set(zoo->err, MLY_E_INTERNAL, "zoo: %s: '%s': %s", zoo->network, path, rule);
    return 0;
}

const struct mly__zoo_value *mly__zoo_value(const mly__zoo *zoo, uint32_t index)
{
    static const struct mly__zoo_value blank;
    return index < zoo->value_count ? &zoo->values[index] : &blank;
}

int64_t mly__zoo_dim(const mly__zoo *zoo, uint32_t x, uint32_t axis)
{
    const struct mly_shape *shape = &mly__zoo_value(zoo, x)->shape;
    return (int32_t)axis < shape->rank ? shape->dims[axis] : 0;
}

const char *mly__zoo_path(mly__zoo *zoo, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *copy = mly__arena_strdup(&zoo->arena, text);
    if (!copy)
        no_memory(zoo);
    return copy ? copy : "";
}

static uint32_t add_value(struct mly__zoo *zoo, const struct mly__zoo_value *value)
{
    if (zoo->status != MLY_OK)
        return 0;
    if (!value->name || mly_array_reserve(&zoo->values, &zoo->value_capacity, zoo->value_count + 1,
                                          sizeof(*value))) {
        no_memory(zoo);
        return 0;
    }
    zoo->values[zoo->value_count] = *value;
    return (uint32_t)zoo->value_count++;
}

/* --- names --- */

/*
 * The exporter's scope of a module path: the names of the modules on the way, where a numbered child of a Sequential
 * repeats its parent's, "layer1.0.conv1" is "/layer1/layer1.0/conv1", and a ModuleList, which is no step of its own, is
 * one with its child: "layer:0.output" is "/layer.0/output".
 */
static void scope_of(const char *path, char *scope, size_t size)
{
    char component[128] = "";
    size_t length = 0;
    scope[0] = '\0';
    while (*path) {
        size_t n = strcspn(path, "."), kept = isdigit((unsigned char)*path) ? strlen(component) : 0;
        snprintf(component + kept, sizeof(component) - kept, "%s%.*s", kept ? "." : "", (int)n,
                 path);
        for (char *colon; (colon = strchr(component, ':'));)
            *colon = '.';
        int written = snprintf(scope + length, size - length, "/%s", component);
        assert(written > 0 && (size_t)written < size - length);
        length += (size_t)written;
        path += n + (path[n] == '.');
    }
}

/* "layer.0.weight" of "layer:0" and "weight". */
static const char *weight_name(struct mly__zoo *zoo, const char *path, const char *suffix)
{
    char name[256];
    snprintf(name, sizeof(name), "%s%s%s", path, *suffix ? "." : "", suffix);
    for (char *colon; (colon = strchr(name, ':'));)
        *colon = '.';
    return mly__zoo_path(zoo, "%s", name);
}

static bool name_taken(const struct mly__zoo *zoo, const char *name)
{
    for (size_t i = 0; i < zoo->node_count; i++)
        if (strcmp(zoo->nodes[i].name, name) == 0)
            return true;
    return false;
}

/* "/conv1/Conv"; a further node of that operator in the same scope is "/conv1/Conv_1". */
static const char *node_name(struct mly__zoo *zoo, const char *op, const char *path)
{
    char scope[400], name[480];
    scope_of(path, scope, sizeof(scope));
    snprintf(name, sizeof(name), "%s/%s", scope, op);
    for (unsigned i = 1; name_taken(zoo, name); i++)
        snprintf(name, sizeof(name), "%s/%s_%u", scope, op, i);
    return mly__arena_strdup(&zoo->arena, name);
}

/* --- tensors --- */

uint32_t mly__zoo_input(mly__zoo *zoo, const char *name, const int64_t *dims, uint32_t rank)
{
    struct mly__zoo_value value = {
        .kind = MLY__ZOO_INPUT, .dtype = MLY_DTYPE_F32, .moments = {0, 1}};
    assert(rank < MLY_RANK_MAX);
    value.name = mly__arena_strdup(&zoo->arena, name);
    value.shape.rank = (int32_t)rank + 1;
    value.shape.dims[0] = MLY_DIM_UNKNOWN;
    memcpy(value.shape.dims + 1, dims, rank * sizeof(*dims));
    return add_value(zoo, &value);
}

uint32_t mly__zoo_image(mly__zoo *zoo, const char *name, int64_t channels, int64_t height,
                        int64_t width)
{
    return mly__zoo_input(zoo, name, (int64_t[]){channels, height, width}, 3);
}

void mly__zoo_output(mly__zoo *zoo, uint32_t x, const char *name)
{
    if (zoo->status != MLY_OK)
        return;
    if (x >= zoo->value_count || zoo->values[x].kind != MLY__ZOO_RESULT) {
        mly__zoo_fault(zoo, name, "only a node's result can be an output");
        return;
    }
    zoo->values[x].is_output = true;
    zoo->values[x].name = mly__zoo_path(zoo, "%s", name);
}

/*
 * Rounds to 7 significant bits, so that a weight, an odd number of 17 bits times this, is an exact
 * float, and so that the last bits of the square roots and quotients that led here do not matter.
 */
static float coarse(double x)
{
    int exponent;
    double mantissa = frexp(x, &exponent);
    return (float)ldexp(floor(mantissa * 128 + 0.5), exponent - 7);
}

uint32_t mly__zoo_weight(mly__zoo *zoo, const char *path, const char *suffix,
                         const struct mly_shape *shape, double centre, double deviation)
{
    struct mly__zoo_value value = {
        .kind = MLY__ZOO_WEIGHT,
        .dtype = MLY_DTYPE_F32,
        .shape = *shape,
        .moments = {centre, deviation * deviation},
        .name = weight_name(zoo, path, suffix),
        .centre = (float)centre,
        /* n is uniform over (-2^16, 2^16), whose standard deviation is 2^16 / sqrt(3) */
        .step = coarse(deviation * 1.7320508075688772 / 65536),
    };
    int64_t count = 1;
    for (int32_t i = 0; i < shape->rank; i++)
        count *= shape->dims[i];
    value.bytes = (uint64_t)count * sizeof(float);
    zoo->parameters += (double)count;
    zoo->weight_bytes += value.bytes;
    return add_value(zoo, &value);
}

uint32_t mly__zoo_parameter(mly__zoo *zoo, const char *name, const int64_t *dims, uint32_t rank,
                            double centre, double deviation)
{
    struct mly_shape shape = {.rank = (int32_t)rank};
    for (uint32_t i = 0; i < rank; i++)
        shape.dims[i] = dims[i];
    return mly__zoo_weight(zoo, name, "", &shape, centre, deviation);
}

uint64_t mly__zoo_seed(const mly__zoo *zoo, const char *name)
{
    /* FNV-1a, 64 bits (Fowler, Noll, Vo), over "network/name". */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const char *const parts[] = {zoo->network, "/", name};
    for (size_t i = 0; i < 3; i++)
        for (const char *c = parts[i]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return hash;
}

void mly__zoo_fill(struct mly_random *random, const struct mly__zoo_value *weight, float *out,
                   size_t count)
{
    const float centre = weight->centre, step = weight->step;
    size_t i = 0;
    /* One 64-bit number makes four weights. */
    for (; i + 4 <= count; i += 4) {
        uint64_t bits = mly_random_next(random);
        for (unsigned k = 0; k < 4; k++)
            out[i + k] = centre + (float)((int32_t)(bits >> (16 * k) & 0xffff) * 2 - 65535) * step;
    }
    for (uint64_t bits = i < count ? mly_random_next(random) : 0; i < count; i++, bits >>= 16)
        out[i] = centre + (float)((int32_t)(bits & 0xffff) * 2 - 65535) * step;
}

/* --- nodes --- */

static const struct mly__zoo_attribute *
copy_attributes(struct mly__zoo *zoo, const struct mly__zoo_attribute *attributes, uint32_t count)
{
    struct mly__zoo_attribute *copy = mly__arena_alloc(&zoo->arena, count, sizeof(*copy));
    for (uint32_t i = 0; copy && i < count; i++) {
        copy[i] = attributes[i];
        if (attributes[i].list) {
            int64_t *list = mly__arena_alloc(&zoo->arena, attributes[i].count, sizeof(*list));
            if (!list)
                return NULL;
            copy[i].list = memcpy(list, attributes[i].list, attributes[i].count * sizeof(*list));
        }
    }
    return copy;
}

uint32_t mly__zoo_node_typed(mly__zoo *zoo, const char *op, const char *path,
                             const uint32_t *inputs, uint32_t input_count,
                             const struct mly__zoo_attribute *attributes, uint32_t attribute_count,
                             enum mly_dtype dtype, const struct mly_shape *shape,
                             struct mly__moments moments)
{
    if (zoo->status != MLY_OK)
        return 0;
    const char *name = node_name(zoo, op, path);
    struct mly__zoo_value value = {
        .kind = MLY__ZOO_RESULT,
        .dtype = dtype,
        .shape = *shape,
        .moments = moments,
        .name = name ? mly__zoo_path(zoo, "%s_output_0", name) : NULL,
    };
    struct mly__zoo_node node = {
        .op = op,
        .name = name,
        .input_count = input_count,
        .output = add_value(zoo, &value),
        .attributes = copy_attributes(zoo, attributes, attribute_count),
        .attribute_count = attribute_count,
    };
    uint32_t *ids = mly__arena_alloc(&zoo->arena, input_count, sizeof(*ids));
    if (zoo->status == MLY_OK &&
        (!ids || !node.attributes ||
         mly_array_reserve(&zoo->nodes, &zoo->node_capacity, zoo->node_count + 1, sizeof(node))))
        no_memory(zoo);
    if (zoo->status != MLY_OK)
        return 0;
    if (input_count)
        memcpy(ids, inputs, input_count * sizeof(*ids));
    node.inputs = ids;
    zoo->nodes[zoo->node_count++] = node;
    return node.output;
}

uint32_t mly__zoo_node(mly__zoo *zoo, const char *op, const char *path, const uint32_t *inputs,
                       uint32_t input_count, const struct mly__zoo_attribute *attributes,
                       uint32_t attribute_count, const struct mly_shape *shape,
                       struct mly__moments moments)
{
    return mly__zoo_node_typed(zoo, op, path, inputs, input_count, attributes, attribute_count,
                               MLY_DTYPE_F32, shape, moments);
}

uint32_t mly__zoo_constant_f32(mly__zoo *zoo, const char *path, float value)
{
    struct mly__zoo_attribute attribute = {
        .name = "value", .kind = MLY__ZOO_F32_SCALAR, .real = value};
    struct mly_shape scalar = {.rank = 0};
    return mly__zoo_node(zoo, "Constant", path, NULL, 0, &attribute, 1, &scalar,
                         (struct mly__moments){(double)value, 0});
}

uint32_t mly__zoo_constant_i64(mly__zoo *zoo, const char *path, const int64_t *list, uint32_t count,
                               bool scalar)
{
    struct mly__zoo_attribute attribute = {
        .name = "value",
        .kind = scalar ? MLY__ZOO_I64_SCALAR : MLY__ZOO_I64_LIST,
        .number = list[0],
        .list = list,
        .count = count,
    };
    struct mly_shape shape = {.rank = scalar ? 0 : 1, .dims = {count}};
    return mly__zoo_node_typed(zoo, "Constant", path, NULL, 0, &attribute, 1, MLY_DTYPE_I64, &shape,
                               (struct mly__moments){0, 0});
}

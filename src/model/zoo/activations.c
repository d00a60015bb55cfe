/* Element-wise layers, and what each does to the mean and variance of a normally distributed
 * tensor. */
#include "internal.h"

#include <math.h>

/* A layer of one node with one input and a result of the same shape. */
static uint32_t unary(mly__zoo *zoo, const char *op, const char *path, uint32_t x,
                      const struct mly__zoo_attribute *attributes, uint32_t attribute_count,
                      struct mly__moments moments)
{
    struct mly_shape shape = mly__zoo_value(zoo, x)->shape;
    return mly__zoo_node(zoo, op, path, &x, 1, attributes, attribute_count, &shape, moments);
}

/* --- rectifiers --- */

/* E[max(0, z)] and E[max(0, z)²] for z normal with variance 1 and mean -3, -2.5, … 3. */
#define RELU_MEAN_MAX 3.0
#define RELU_STEP 0.5
static const struct {
    double first, second;
} relu_moments[] = {
    {0.000382, 0.000203}, {0.002004, 0.001199}, {0.008491, 0.005769}, {0.029307, 0.022847},
    {0.083315, 0.075340}, {0.197797, 0.209639}, {0.398942, 0.500000}, {0.697797, 1.040361},
    {1.083315, 1.924660}, {1.529307, 3.227153}, {2.008491, 4.994231}, {2.502004, 7.248801},
    {3.000382, 9.999797},
};

/* Mean (first) and second moment of the positive part, by linear interpolation: exact enough to
 * scale weights. */
static void positive_part(struct mly__moments m, double *first, double *second)
{
    double deviation = sqrt(m.variance);
    double t = deviation > 0 ? m.mean / deviation : RELU_MEAN_MAX;
    if (t >= RELU_MEAN_MAX) {
        *first = m.mean;
        *second = m.mean * m.mean + m.variance;
        return;
    }
    double at = t <= -RELU_MEAN_MAX ? 0 : (t + RELU_MEAN_MAX) / RELU_STEP;
    size_t i = (size_t)at;
    double f = at - (double)i;
    *first = deviation * (relu_moments[i].first * (1 - f) + relu_moments[i + 1].first * f);
    *second = m.variance * (relu_moments[i].second * (1 - f) + relu_moments[i + 1].second * f);
}

/* x where positive, slope * x where negative. */
static struct mly__moments rectified(struct mly__moments m, double slope)
{
    double above, above2, below, below2;
    positive_part(m, &above, &above2);
    positive_part((struct mly__moments){-m.mean, m.variance}, &below, &below2);
    double mean = above - slope * below;
    return (struct mly__moments){mean, above2 + slope * slope * below2 - mean * mean};
}

uint32_t mly__zoo_relu(mly__zoo *zoo, const char *path, uint32_t x)
{
    return unary(zoo, "Relu", path, x, NULL, 0, rectified(mly__zoo_value(zoo, x)->moments, 0));
}

uint32_t mly__zoo_leaky_relu(mly__zoo *zoo, const char *path, uint32_t x, float slope)
{
    const struct mly__zoo_attribute alpha = {
        .name = "alpha", .kind = MLY__ZOO_FLOAT, .real = slope};
    return unary(zoo, "LeakyRelu", path, x, &alpha, 1,
                 rectified(mly__zoo_value(zoo, x)->moments, (double)slope));
}

/* Values above 6 are too rare, at a variance of 1, to change the moments. */
uint32_t mly__zoo_relu6(mly__zoo *zoo, const char *path, uint32_t x)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    struct mly_shape shape = input->shape;
    struct mly__moments moments = rectified(input->moments, 0);
    const uint32_t inputs[3] = {x, mly__zoo_constant_f32(zoo, path, 0),
                                mly__zoo_constant_f32(zoo, path, 6)};
    return mly__zoo_node(zoo, "Clip", path, inputs, 3, NULL, 0, &shape, moments);
}

/* --- smooth functions: constants by numerical integration for a standard normal argument --- */

uint32_t mly__zoo_tanh(mly__zoo *zoo, const char *path, uint32_t x)
{
    return unary(zoo, "Tanh", path, x, NULL, 0, (struct mly__moments){0, 0.3943});
}

uint32_t mly__zoo_sigmoid(mly__zoo *zoo, const char *path, uint32_t x)
{
    return unary(zoo, "Sigmoid", path, x, NULL, 0, (struct mly__moments){0.5, 0.0434});
}

uint32_t mly__zoo_gelu(mly__zoo *zoo, const char *path, uint32_t x)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    double deviation = sqrt(input->moments.variance);
    uint32_t part = mly__zoo_divide(zoo, path, x, 1.41421356F);
    part = unary(zoo, "Erf", path, part, NULL, 0, (struct mly__moments){0, 0.3333});
    struct mly_shape shape = mly__zoo_value(zoo, x)->shape;
    uint32_t one = mly__zoo_constant_f32(zoo, path, 1);
    part = mly__zoo_node(zoo, "Add", path, (uint32_t[]){part, one}, 2, NULL, 0, &shape,
                         (struct mly__moments){1, 0.3333});
    part = mly__zoo_mul(zoo, path, x, part);
    uint32_t half = mly__zoo_constant_f32(zoo, path, 0.5F);
    /* GELU of a standard normal number: E = 0.2821, E² = 0.4253; near enough for other scales. */
    return mly__zoo_node(zoo, "Mul", path, (uint32_t[]){part, half}, 2, NULL, 0, &shape,
                         (struct mly__moments){0.2821 * deviation, 0.3457 * deviation * deviation});
}

uint32_t mly__zoo_softmax(mly__zoo *zoo, const char *path, uint32_t x)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    double classes = input->shape.rank > 0 ? (double)input->shape.dims[input->shape.rank - 1] : 1;
    const struct mly__zoo_attribute axis = {.name = "axis", .kind = MLY__ZOO_INT, .number = -1};
    return unary(zoo, "Softmax", path, x, &axis, 1,
                 (struct mly__moments){1 / classes, 1 / (classes * classes)});
}

uint32_t mly__zoo_lrn(mly__zoo *zoo, const char *path, uint32_t x, int64_t size, float alpha,
                      float beta, float bias)
{
    const struct mly__zoo_attribute attributes[] = {
        {.name = "alpha", .kind = MLY__ZOO_FLOAT, .real = alpha},
        {.name = "beta", .kind = MLY__ZOO_FLOAT, .real = beta},
        {.name = "bias", .kind = MLY__ZOO_FLOAT, .real = bias},
        {.name = "size", .kind = MLY__ZOO_INT, .number = size},
    };
    /* With the usual small alpha the divisor is about 1. */
    return unary(zoo, "LRN", path, x, attributes, 4, mly__zoo_value(zoo, x)->moments);
}

/* --- arithmetic --- */

static uint32_t with_constant(mly__zoo *zoo, const char *op, const char *path, uint32_t x,
                              float constant, double factor)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    struct mly_shape shape = input->shape;
    struct mly__moments moments = {input->moments.mean * factor,
                                   input->moments.variance * factor * factor};
    const uint32_t inputs[2] = {x, mly__zoo_constant_f32(zoo, path, constant)};
    return mly__zoo_node(zoo, op, path, inputs, 2, NULL, 0, &shape, moments);
}

uint32_t mly__zoo_scale(mly__zoo *zoo, const char *path, uint32_t x, float factor)
{
    return with_constant(zoo, "Mul", path, x, factor, (double)factor);
}

uint32_t mly__zoo_divide(mly__zoo *zoo, const char *path, uint32_t x, float divisor)
{
    return with_constant(zoo, "Div", path, x, divisor, 1 / (double)divisor);
}

/* The shape of a with its axes of size 1 stretched to b's. */
static struct mly_shape broadcast(const struct mly__zoo_value *a, const struct mly__zoo_value *b)
{
    struct mly_shape shape = a->shape.rank >= b->shape.rank ? a->shape : b->shape;
    const struct mly_shape *other = a->shape.rank >= b->shape.rank ? &b->shape : &a->shape;
    for (int32_t i = 0; i < other->rank; i++) {
        int64_t *dim = &shape.dims[shape.rank - other->rank + i];
        if (*dim == 1)
            *dim = other->dims[i];
    }
    return shape;
}

uint32_t mly__zoo_add(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b)
{
    const struct mly__zoo_value *p = mly__zoo_value(zoo, a), *q = mly__zoo_value(zoo, b);
    struct mly_shape shape = broadcast(p, q);
    struct mly__moments moments = {p->moments.mean + q->moments.mean,
                                   p->moments.variance + q->moments.variance};
    return mly__zoo_node(zoo, "Add", path, (uint32_t[]){a, b}, 2, NULL, 0, &shape, moments);
}

uint32_t mly__zoo_mul(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b)
{
    const struct mly__zoo_value *p = mly__zoo_value(zoo, a), *q = mly__zoo_value(zoo, b);
    struct mly_shape shape = broadcast(p, q);
    double mean = p->moments.mean * q->moments.mean;
    double second = (p->moments.variance + p->moments.mean * p->moments.mean) *
                    (q->moments.variance + q->moments.mean * q->moments.mean);
    return mly__zoo_node(zoo, "Mul", path, (uint32_t[]){a, b}, 2, NULL, 0, &shape,
                         (struct mly__moments){mean, second - mean * mean});
}

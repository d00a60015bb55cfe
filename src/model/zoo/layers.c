/*
 * Layers with a window or with weights: shapes, arithmetic, and weights whose scale keeps the
 * variance.
 *
 * A layer's weights have mean 0 and variance gain / (taps * E[x²]), taps being the inputs that an
 * output sums on average (padding excepted), so that its output has mean 0 and variance gain
 * whatever came before: He's initialisation (He et al., ICCV 2015) with the input's second moment
 * followed exactly instead of assumed.
 */
#include "internal.h"

#include <math.h>
#include <string.h>

/* Standard deviation of biases, against outputs of about 1. */
#define BIAS_DEVIATION 0.1

static double second_moment(struct mly__moments m)
{
    return m.variance + m.mean * m.mean;
}

/* --- windows --- */

#define WINDOW_RANK_MAX 3

struct window {
    uint32_t rank;
    int64_t kernel[WINDOW_RANK_MAX], stride[WINDOW_RANK_MAX];
    int64_t pads[2 * WINDOW_RANK_MAX]; /* begins, then ends, as ONNX has them */
    int64_t out[WINDOW_RANK_MAX];
    double taps;      /* inside the tensor, on average */
    double positions; /* product of out */
};

/* Taps inside [0, in), summed over all output positions. */
static double taps_inside(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t begin)
{
    double sum = 0;
    for (int64_t i = 0; i < out; i++) {
        int64_t first = i * stride - begin, last = first + kernel;
        sum += (double)((last < in ? last : in) - (first > 0 ? first : 0));
    }
    return sum;
}

/* Fills out, pads and counts; false where the kernel does not fit. kernel, stride and pads' first
 * half are set. */
static bool place_window(struct window *w, const int64_t *in, bool same, bool ceil_mode)
{
    w->taps = w->positions = 1;
    for (uint32_t i = 0; i < w->rank; i++) {
        int64_t k = w->kernel[i], s = w->stride[i], begin = w->pads[i], end = begin;
        if (same) { /* TensorFlow's rule: the odd padding goes to the end */
            w->out[i] = (in[i] + s - 1) / s;
            int64_t total = (w->out[i] - 1) * s + k - in[i];
            begin = total > 0 ? total / 2 : 0;
            end = total > 0 ? total - begin : 0;
        } else {
            int64_t room = in[i] + begin + end - k;
            if (room < 0)
                return false;
            w->out[i] = (room + (ceil_mode ? s - 1 : 0)) / s + 1;
            if (ceil_mode && (w->out[i] - 1) * s >= in[i] + begin)
                w->out[i]--; /* no window starts in the padding at the end */
        }
        w->pads[i] = begin;
        w->pads[w->rank + i] = end;
        w->positions *= (double)w->out[i];
        w->taps *= taps_inside(in[i], w->out[i], k, s, begin) / (double)w->out[i];
    }
    return true;
}

static int64_t or_one(uint32_t number)
{
    return number ? number : 1;
}

/* Height and width, and the depth before them for a tensor of rank 5. */
static struct window make_window(const struct mly__zoo_value *x, const uint32_t depth[3],
                                 const uint32_t height[3], const uint32_t width[3])
{
    struct window w = {.rank = (uint32_t)x->shape.rank - 2};
    const uint32_t *axes[3] = {depth, height, width};
    for (uint32_t i = 0; i < w.rank; i++) {
        const uint32_t *axis = axes[i + 3 - w.rank];
        w.kernel[i] = or_one(axis[0]);
        w.stride[i] = or_one(axis[1]);
        w.pads[i] = axis[2];
    }
    return w;
}

static struct mly_shape window_shape(const struct window *w, const struct mly__zoo_value *x,
                                     int64_t channels)
{
    struct mly_shape shape = {.rank = x->shape.rank, .dims = {x->shape.dims[0], channels}};
    memcpy(shape.dims + 2, w->out, w->rank * sizeof(w->out[0]));
    return shape;
}

static bool is_image(const struct mly__zoo_value *x)
{
    return x->shape.rank == 4 || x->shape.rank == 5;
}

/* --- layers with weights --- */

uint32_t mly__zoo_conv(mly__zoo *zoo, const char *path, uint32_t x, struct mly__conv c)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    int64_t groups = or_one(c.groups), channels = input->shape.dims[1];
    int64_t in_group = channels / groups; /* input channels that an output channel sums */
    if (!is_image(input) || channels % groups != 0 || c.out % groups != 0)
        return mly__zoo_fault(zoo, path,
                              "a convolution needs an image and channels that its groups divide");
    struct window w =
        make_window(input, (uint32_t[]){c.dk, c.ds, c.dp}, (uint32_t[]){c.k, c.s, c.p},
                    (uint32_t[]){c.kw ? c.kw : c.k, c.s, c.kw ? c.pw : c.p});
    if (!place_window(&w, input->shape.dims + 2, c.same, false))
        return mly__zoo_fault(zoo, path, "the kernel is larger than its input");

    struct mly_shape weight = {.rank = input->shape.rank, .dims = {c.out, in_group}};
    memcpy(weight.dims + 2, w.kernel, w.rank * sizeof(w.kernel[0]));
    double gain = c.gain > 0 ? c.gain : 1;
    double taps = w.taps * (double)in_group;
    double bias = c.no_bias ? 0 : BIAS_DEVIATION;
    double deviation = sqrt(gain / (taps * second_moment(input->moments)));
    struct mly_shape shape = window_shape(&w, input, c.out);
    struct mly__moments moments = {0, gain + bias * bias};
    double kernel_size = 1;
    for (uint32_t i = 0; i < w.rank; i++)
        kernel_size *= (double)w.kernel[i];
    zoo->macs += w.positions * kernel_size * (double)in_group * c.out;

    uint32_t inputs[3] = {x, mly__zoo_weight(zoo, path, "weight", &weight, 0, deviation)};
    if (!c.no_bias)
        inputs[2] = mly__zoo_weight(zoo, path, "bias",
                                    &(struct mly_shape){.rank = 1, .dims = {c.out}}, 0, bias);
    const struct mly__zoo_attribute attributes[] = {
        {.name = "dilations", .kind = MLY__ZOO_INTS, .list = (int64_t[]){1, 1, 1}, .count = w.rank},
        {.name = "group", .kind = MLY__ZOO_INT, .number = groups},
        {.name = "kernel_shape", .kind = MLY__ZOO_INTS, .list = w.kernel, .count = w.rank},
        {.name = "pads", .kind = MLY__ZOO_INTS, .list = w.pads, .count = 2 * w.rank},
        {.name = "strides", .kind = MLY__ZOO_INTS, .list = w.stride, .count = w.rank},
    };
    return mly__zoo_node(zoo, "Conv", path, inputs, c.no_bias ? 2 : 3, attributes, 5, &shape,
                         moments);
}

uint32_t mly__zoo_linear(mly__zoo *zoo, const char *path, uint32_t x, int64_t out, double gain)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    int64_t in = input->shape.dims[1];
    if (input->shape.rank != 2)
        return mly__zoo_fault(zoo, path, "a linear layer needs a tensor of rank 2");
    gain = gain > 0 ? gain : 1;
    double deviation = sqrt(gain / ((double)in * second_moment(input->moments)));
    struct mly_shape shape = {.rank = 2, .dims = {input->shape.dims[0], out}};
    zoo->macs += (double)in * (double)out;
    const uint32_t inputs[3] = {
        x,
        mly__zoo_weight(zoo, path, "weight", &(struct mly_shape){.rank = 2, .dims = {out, in}}, 0,
                        deviation),
        mly__zoo_weight(zoo, path, "bias", &(struct mly_shape){.rank = 1, .dims = {out}}, 0,
                        BIAS_DEVIATION),
    };
    const struct mly__zoo_attribute attributes[] = {
        {.name = "alpha", .kind = MLY__ZOO_FLOAT, .real = 1},
        {.name = "beta", .kind = MLY__ZOO_FLOAT, .real = 1},
        {.name = "transB", .kind = MLY__ZOO_INT, .number = 1},
    };
    return mly__zoo_node(zoo, "Gemm", path, inputs, 3, attributes, 3, &shape,
                         (struct mly__moments){0, gain + BIAS_DEVIATION * BIAS_DEVIATION});
}

uint32_t mly__zoo_matmul_weight(mly__zoo *zoo, const char *path, uint32_t x, int64_t out,
                                double gain)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    if (input->shape.rank < 2)
        return mly__zoo_fault(zoo, path, "a matrix product needs a tensor of rank 2 or more");
    struct mly_shape shape = input->shape;
    int64_t in = shape.dims[shape.rank - 1];
    double rows = 1;
    for (int32_t i = 1; i < shape.rank - 1; i++)
        rows *= (double)shape.dims[i];
    shape.dims[shape.rank - 1] = out;
    gain = gain > 0 ? gain : 1;
    double deviation = sqrt(gain / ((double)in * second_moment(input->moments)));
    zoo->macs += rows * (double)in * (double)out;
    const uint32_t inputs[2] = {
        x, mly__zoo_weight(zoo, path, "weight", &(struct mly_shape){.rank = 2, .dims = {in, out}},
                           0, deviation)};
    return mly__zoo_node(zoo, "MatMul", path, inputs, 2, NULL, 0, &shape,
                         (struct mly__moments){0, gain});
}

uint32_t mly__zoo_linear_tokens(mly__zoo *zoo, const char *path, uint32_t x, int64_t out,
                                double gain)
{
    uint32_t product = mly__zoo_matmul_weight(zoo, path, x, out, gain);
    const struct mly__zoo_value *value = mly__zoo_value(zoo, product);
    struct mly_shape shape = value->shape;
    struct mly__moments moments = value->moments;
    moments.variance += BIAS_DEVIATION * BIAS_DEVIATION;
    /* The exporter puts the bias first. */
    const uint32_t inputs[2] = {mly__zoo_weight(zoo, path, "bias",
                                                &(struct mly_shape){.rank = 1, .dims = {out}}, 0,
                                                BIAS_DEVIATION),
                                product};
    return mly__zoo_node(zoo, "Add", path, inputs, 2, NULL, 0, &shape, moments);
}

uint32_t mly__zoo_layer_norm(mly__zoo *zoo, const char *path, uint32_t x, float epsilon)
{
    struct mly_shape shape = mly__zoo_value(zoo, x)->shape;
    if (shape.rank < 1)
        return mly__zoo_fault(zoo, path, "a layer normalisation needs a tensor");
    struct mly_shape last = {.rank = 1, .dims = {shape.dims[shape.rank - 1]}};
    const uint32_t inputs[3] = {x, mly__zoo_weight(zoo, path, "weight", &last, 1, BIAS_DEVIATION),
                                mly__zoo_weight(zoo, path, "bias", &last, 0, BIAS_DEVIATION)};
    const struct mly__zoo_attribute attributes[] = {
        {.name = "axis", .kind = MLY__ZOO_INT, .number = -1},
        {.name = "epsilon", .kind = MLY__ZOO_FLOAT, .real = epsilon},
    };
    return mly__zoo_node(zoo, "LayerNormalization", path, inputs, 3, attributes, 2, &shape,
                         (struct mly__moments){0, 1});
}

/* --- pooling --- */

/* Correlation assumed between neighbouring elements of one channel. */
#define NEIGHBOURS 0.5

/* Mean and variance of the largest of n independent standard normal numbers. */
static struct mly__moments largest_of(double n)
{
    static const struct {
        double n;
        struct mly__moments moments;
    } table[] = {
        {1.5, {0, 1}},      {3.5, {0.85, 0.56}}, {6, {1.03, 0.49}},   {8.5, {1.42, 0.37}},
        {16, {1.49, 0.36}}, {26, {1.97, 0.26}},  {1e30, {2.0, 0.25}},
    };
    size_t i = 0;
    while (n > table[i].n)
        i++;
    return table[i].moments;
}

static uint32_t pool(mly__zoo *zoo, const char *path, uint32_t x, struct mly__pool p, bool max)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    if (!is_image(input))
        return mly__zoo_fault(zoo, path, "pooling needs an image");
    const uint32_t axis[3] = {p.k, p.s, p.p};
    struct window w = make_window(input, (uint32_t[]){p.dk, p.ds, p.dp}, axis, axis);
    if (!place_window(&w, input->shape.dims + 2, p.same, p.ceil))
        return mly__zoo_fault(zoo, path, "the window is larger than its input");

    struct mly__moments moments = input->moments;
    if (max) {
        struct mly__moments largest = largest_of(w.taps);
        moments.mean += largest.mean * sqrt((1 - NEIGHBOURS) * moments.variance);
        moments.variance *= NEIGHBOURS + (1 - NEIGHBOURS) * largest.variance;
    } else {
        moments.variance *= NEIGHBOURS + (1 - NEIGHBOURS) / w.taps;
    }
    struct mly_shape shape = window_shape(&w, input, input->shape.dims[1]);
    const struct mly__zoo_attribute ceil_mode = {
        .name = "ceil_mode", .kind = MLY__ZOO_INT, .number = p.ceil};
    const struct mly__zoo_attribute kernel = {
        .name = "kernel_shape", .kind = MLY__ZOO_INTS, .list = w.kernel, .count = w.rank};
    const struct mly__zoo_attribute pads = {
        .name = "pads", .kind = MLY__ZOO_INTS, .list = w.pads, .count = 2 * w.rank};
    const struct mly__zoo_attribute strides = {
        .name = "strides", .kind = MLY__ZOO_INTS, .list = w.stride, .count = w.rank};
    const struct mly__zoo_attribute dilations = {
        .name = "dilations", .kind = MLY__ZOO_INTS, .list = (int64_t[]){1, 1, 1}, .count = w.rank};
    const struct mly__zoo_attribute padding = {
        .name = "count_include_pad", .kind = MLY__ZOO_INT, .number = p.count_padding};
    if (max)
        return mly__zoo_node(
            zoo, "MaxPool", path, &x, 1,
            (struct mly__zoo_attribute[]){ceil_mode, dilations, kernel, pads, strides}, 5, &shape,
            moments);
    return mly__zoo_node(zoo, "AveragePool", path, &x, 1,
                         (struct mly__zoo_attribute[]){ceil_mode, padding, kernel, pads, strides},
                         5, &shape, moments);
}

uint32_t mly__zoo_max_pool(mly__zoo *zoo, const char *path, uint32_t x, struct mly__pool p)
{
    return pool(zoo, path, x, p, true);
}

uint32_t mly__zoo_avg_pool(mly__zoo *zoo, const char *path, uint32_t x, struct mly__pool p)
{
    return pool(zoo, path, x, p, false);
}

/* The mean over all positions, by an operator of that name. */
static uint32_t mean(mly__zoo *zoo, const char *path, uint32_t x, const char *op,
                     const struct mly__zoo_attribute *attributes, uint32_t attribute_count)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    if (!is_image(input))
        return mly__zoo_fault(zoo, path, "pooling needs an image");
    struct mly_shape shape = input->shape;
    struct mly__moments moments = input->moments;
    moments.variance *= NEIGHBOURS;
    for (int32_t i = 2; i < shape.rank; i++)
        shape.dims[i] = 1;
    return mly__zoo_node(zoo, op, path, &x, 1, attributes, attribute_count, &shape, moments);
}

uint32_t mly__zoo_global_avg_pool(mly__zoo *zoo, const char *path, uint32_t x)
{
    return mean(zoo, path, x, "GlobalAveragePool", NULL, 0);
}

uint32_t mly__zoo_spatial_mean(mly__zoo *zoo, const char *path, uint32_t x)
{
    const struct mly__zoo_attribute attributes[] = {
        {.name = "axes", .kind = MLY__ZOO_INTS, .list = (int64_t[]){2, 3}, .count = 2},
        {.name = "keepdims", .kind = MLY__ZOO_INT, .number = 1},
    };
    return mean(zoo, path, x, "ReduceMean", attributes, 2);
}

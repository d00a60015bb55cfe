/*
 * The zoo's builder: a network is described layer by layer, and comes out as an ONNX file as
 * PyTorch's exporter would have written it (opset 17, evaluation mode, batch normalisation folded
 * into convolutions).
 *
 *   uint32_t x = mly__zoo_image(zoo, "input", 3, 224, 224);
 *   x = mly__zoo_conv(zoo, "features.0", x, (struct mly__conv){.out = 64, .k = 3, .p = 1});
 *   x = mly__zoo_relu(zoo, "features.1", x);
 *   mly__zoo_output(zoo, x, "output");
 *
 * A layer's path is that of its PyTorch module ("layer1.0.conv1"; with a colon before the number where the parent is a
 * ModuleList, "encoder.layer:0.output"): its node is named
 * "/layer1/layer1.0/conv1/Conv" and its weights "layer1.0.conv1.weight". The builder follows
 * shapes, multiply-accumulates and parameters, and the mean and variance that each tensor has on
 * standard normal input, from which every layer gets weights that bring its output back to a
 * variance of `gain`. Errors are remembered: calls after one do nothing, and mly__zoo_status tells.
 * Not thread-safe.
 */
#ifndef MLY_MODEL_ZOO_BUILDER_H
#define MLY_MODEL_ZOO_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/tensor.h>

typedef struct mly__zoo mly__zoo;

/* Free dimension 0 of inputs and outputs, as it is called in the file. */
#define MLY__ZOO_BATCH "batch"

/* network names the graph and seeds the weights (borrowed). Errors go to *err (borrowed, may be
 * NULL). */
enum mly_status mly__zoo_create(const char *network, mly__zoo **out,
                                struct mly_error *err) MLY_MUST_CHECK;
void mly__zoo_destroy(mly__zoo *zoo);
enum mly_status mly__zoo_status(const mly__zoo *zoo) MLY_MUST_CHECK;
/* Weights so far (elements of floating-point initialisers), and multiply-accumulates for batch 1.
 */
double mly__zoo_parameters(const mly__zoo *zoo);
double mly__zoo_macs(const mly__zoo *zoo);
/* Bytes of the weights. */
uint64_t mly__zoo_weight_bytes(const mly__zoo *zoo);
/* Writes the network to path, atomically. Weights are made while they are written, never held as a
 * whole; hollow: they are zero, a hole in the file. */
enum mly_status mly__zoo_save(mly__zoo *zoo, const char *path, bool hollow,
                              struct mly_error *err) MLY_MUST_CHECK;

/* --- inputs and outputs; tensors are indices --- */

/* An f32 input [batch, dims[0], …, dims[rank - 1]]. */
uint32_t mly__zoo_input(mly__zoo *zoo, const char *name, const int64_t *dims, uint32_t rank);
uint32_t mly__zoo_image(mly__zoo *zoo, const char *name, int64_t channels, int64_t height,
                        int64_t width);
/* Makes tensor x (made by a node) an output of the network, under that name. */
void mly__zoo_output(mly__zoo *zoo, uint32_t x, const char *name);
/* Size of a tensor's axis; -1 for the batch. */
int64_t mly__zoo_dim(const mly__zoo *zoo, uint32_t x, uint32_t axis);
/* printf for module paths; valid as long as the builder. */
const char *mly__zoo_path(mly__zoo *zoo, const char *format, ...) MLY_PRINTF(2, 3);

/* --- layers with weights --- */

/* A convolution over [N, C, H, W] or, with dk set, [N, C, D, H, W]. */
struct mly__conv {
    uint32_t out;        /* output channels */
    uint32_t k, s, p;    /* kernel, stride (0 means 1), padding of height and width */
    uint32_t kw, pw;     /* kernel and padding of the width where the kernel is not square */
    uint32_t dk, ds, dp; /* kernel, stride, padding of the depth */
    uint32_t groups;     /* 0 means 1 */
    bool same;           /* TensorFlow's SAME padding instead of p */
    bool no_bias;
    double gain; /* variance of the output; 0 means 1 */
};
uint32_t mly__zoo_conv(mly__zoo *zoo, const char *path, uint32_t x, struct mly__conv conv);
/* torch.nn.Linear on [N, in]: Gemm with transposed weights. */
uint32_t mly__zoo_linear(mly__zoo *zoo, const char *path, uint32_t x, int64_t out, double gain);
/* torch.nn.Linear on [N, L, in], as it is exported: MatMul, then Add of the bias. */
uint32_t mly__zoo_linear_tokens(mly__zoo *zoo, const char *path, uint32_t x, int64_t out,
                                double gain);
/* x times a weight matrix, without bias. */
uint32_t mly__zoo_matmul_weight(mly__zoo *zoo, const char *path, uint32_t x, int64_t out,
                                double gain);
uint32_t mly__zoo_layer_norm(mly__zoo *zoo, const char *path, uint32_t x, float epsilon);
/* A learned tensor of these dimensions (no batch) around `centre`: class token, positions, a gain. */
uint32_t mly__zoo_parameter(mly__zoo *zoo, const char *name, const int64_t *dims, uint32_t rank,
                            double centre, double deviation);

/* --- layers without weights --- */

uint32_t mly__zoo_relu(mly__zoo *zoo, const char *path, uint32_t x);
uint32_t mly__zoo_relu6(mly__zoo *zoo, const char *path, uint32_t x);
uint32_t mly__zoo_leaky_relu(mly__zoo *zoo, const char *path, uint32_t x, float slope);
uint32_t mly__zoo_tanh(mly__zoo *zoo, const char *path, uint32_t x);
uint32_t mly__zoo_sigmoid(mly__zoo *zoo, const char *path, uint32_t x);
/* Exact GELU as exported below opset 20: Div, Erf, Add, Mul, Mul. */
uint32_t mly__zoo_gelu(mly__zoo *zoo, const char *path, uint32_t x);
uint32_t mly__zoo_softmax(mly__zoo *zoo, const char *path, uint32_t x);
uint32_t mly__zoo_lrn(mly__zoo *zoo, const char *path, uint32_t x, int64_t size, float alpha,
                      float beta, float bias);

struct mly__pool {
    uint32_t k, s, p;    /* kernel, stride (0 means 1), padding */
    uint32_t dk, ds, dp; /* of the depth */
    bool ceil;           /* round the output's size up */
    bool same;           /* TensorFlow's SAME padding instead of p */
    bool count_padding;  /* average only: padding counts as zeros */
};
uint32_t mly__zoo_max_pool(mly__zoo *zoo, const char *path, uint32_t x, struct mly__pool pool);
uint32_t mly__zoo_avg_pool(mly__zoo *zoo, const char *path, uint32_t x, struct mly__pool pool);
uint32_t mly__zoo_global_avg_pool(mly__zoo *zoo, const char *path, uint32_t x);

/* x.mean((2, 3), keepdim=True): ReduceMean. */
uint32_t mly__zoo_spatial_mean(mly__zoo *zoo, const char *path, uint32_t x);

uint32_t mly__zoo_flatten(mly__zoo *zoo, const char *path, uint32_t x);
uint32_t mly__zoo_add(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b);
/* Product of tensors of independent values; b may be broadcast. */
uint32_t mly__zoo_mul(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b);
/* x * factor or x / divisor, as a node with a Constant. */
uint32_t mly__zoo_scale(mly__zoo *zoo, const char *path, uint32_t x, float factor);
uint32_t mly__zoo_divide(mly__zoo *zoo, const char *path, uint32_t x, float divisor);
uint32_t mly__zoo_concat(mly__zoo *zoo, const char *path, int64_t axis, const uint32_t *values,
                         uint32_t count);
/* dims as in ONNX: 0 keeps a dimension (the batch), -1 is inferred. */
uint32_t mly__zoo_reshape(mly__zoo *zoo, const char *path, uint32_t x, const int64_t *dims,
                          uint32_t rank);
uint32_t mly__zoo_transpose(mly__zoo *zoo, const char *path, uint32_t x, const int64_t *order);
/* Nearest-neighbour enlargement of height and width by two. */
uint32_t mly__zoo_upsample2(mly__zoo *zoo, const char *path, uint32_t x);
/* Product of two activations [.., m, k] x [.., k, n] with the same leading dimensions. */
uint32_t mly__zoo_matmul(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b);
/* Mean of value rows weighted by softmax rows: a matmul whose variance is averaged over `effective`
 * rows. */
uint32_t mly__zoo_attend(mly__zoo *zoo, const char *path, uint32_t weights, uint32_t values,
                         double effective);
/* x[:, index] of a [N, L, C] tensor: Gather. */
uint32_t mly__zoo_gather(mly__zoo *zoo, const char *path, uint32_t x, int64_t axis, int64_t index);
/* A parameter [1, …] repeated to the batch of `like`: Shape, Gather, Unsqueeze, Concat, Expand. */
uint32_t mly__zoo_expand_batch(mly__zoo *zoo, const char *path, uint32_t parameter, uint32_t like);

#endif

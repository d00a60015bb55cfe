/* Chains of a few convolutions and fully connected layers: AlexNet in two forms, CifarNet, C3D. */
#include "networks.h"

/* --- AlexNet --- */

struct alexnet {
    uint32_t size, pad; /* of the image; of the first convolution */
    uint32_t channels[5];
};

/* Features of Krizhevsky's "One weird trick for parallelizing convolutional neural networks", 2014. */
static uint32_t alexnet(mly__zoo *zoo, const struct alexnet *net)
{
    const struct mly__conv shapes[5] = {
        {.k = 11, .s = 4, .p = net->pad},
        {.k = 5, .p = 2},
        {.k = 3, .p = 1},
        {.k = 3, .p = 1},
        {.k = 3, .p = 1},
    };
    static const bool pooled[5] = {true, true, false, false, true};
    static const int64_t dense[3] = {4096, 4096, 1000};
    uint32_t x = mly__zoo_image(zoo, "input", 3, net->size, net->size), module = 0;
    for (uint32_t i = 0; i < 5; i++) {
        struct mly__conv conv = shapes[i];
        conv.out = net->channels[i];
        x = mly__zoo_conv(zoo, AT("features.%u", module++), x, conv);
        x = mly__zoo_relu(zoo, AT("features.%u", module++), x);
        if (pooled[i])
            x = mly__zoo_max_pool(zoo, AT("features.%u", module++), x,
                                  (struct mly__pool){.k = 3, .s = 2});
    }
    /* adaptive pooling to 6x6, exported for an input of 6x6 */
    x = mly__zoo_avg_pool(zoo, "avgpool", x, (struct mly__pool){.k = 1});
    x = mly__zoo_flatten(zoo, "", x);
    for (uint32_t i = 0; i < 3; i++) { /* dropout is classifier.0 and .3 */
        x = mly__zoo_linear(zoo, AT("classifier.%u", i < 2 ? 3 * i + 1 : 6), x, dense[i], 1);
        if (i < 2)
            x = mly__zoo_relu(zoo, AT("classifier.%u", 3 * i + 2), x);
    }
    return x;
}

/* torchvision's: one column of the network of 2014. */
void mly__zoo_alexnet(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = alexnet(zoo, &(struct alexnet){224, 2, {64, 192, 384, 256, 256}});
    mly__zoo_output(zoo, x, "output");
}

/* Damle and Jayakumar's, figure 6. */
void mly__zoo_alexnet_227(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = alexnet(zoo, &(struct alexnet){227, 0, {64, 192, 384, 384, 256}});
    mly__zoo_output(zoo, x, "output");
}

/* --- CifarNet, as TensorFlow-Slim defines it --- */

static uint32_t lrn(mly__zoo *zoo, uint32_t x)
{
    /* TensorFlow's depth radius 4 is a size of 9; its alpha is per element, ONNX's for all of them. */
    return mly__zoo_lrn(zoo, "", x, 9, 0.001F, 0.75F, 1);
}

void mly__zoo_cifarnet(mly__zoo *zoo, int64_t number)
{
    (void)number;
    const struct mly__conv conv = {.out = 64, .k = 5, .p = 2};
    const struct mly__pool pool = {.k = 2, .s = 2};
    uint32_t x = mly__zoo_image(zoo, "input", 3, 32, 32);
    x = mly__zoo_relu(zoo, "", mly__zoo_conv(zoo, "conv1", x, conv));
    x = lrn(zoo, mly__zoo_max_pool(zoo, "pool1", x, pool));
    x = mly__zoo_relu(zoo, "", mly__zoo_conv(zoo, "conv2", x, conv));
    x = mly__zoo_max_pool(zoo, "pool2", lrn(zoo, x), pool);
    x = mly__zoo_flatten(zoo, "", x);
    x = mly__zoo_relu(zoo, "", mly__zoo_linear(zoo, "fc3", x, 384, 1));
    x = mly__zoo_relu(zoo, "", mly__zoo_linear(zoo, "fc4", x, 192, 1));
    x = mly__zoo_linear(zoo, "logits", x, 10, 1);
    mly__zoo_output(zoo, x, "output");
}

/*
 * --- C3D: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015, section 3.3 ---
 * with edgeBench's clips of 12 frames (the paper has 16). Pooling rounds up, as in the authors' Caffe, so that both
 * lengths end in 512 x 1 x 4 x 4.
 */
static const struct {
    const char *name; /* NULL: pooling */
    uint32_t channels_or_depth;
} c3d_layers[] = {
    {"conv1", 64},   {NULL, 1},       {"conv2", 128},  {NULL, 2},       {"conv3a", 256},
    {"conv3b", 256}, {NULL, 2},       {"conv4a", 512}, {"conv4b", 512}, {NULL, 2},
    {"conv5a", 512}, {"conv5b", 512}, {NULL, 2},
};

void mly__zoo_c3d(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = mly__zoo_input(zoo, "input", (int64_t[]){3, 12, 112, 112}, 4), pools = 0;
    for (size_t i = 0; i < COUNT(c3d_layers); i++) {
        uint32_t size = c3d_layers[i].channels_or_depth;
        if (c3d_layers[i].name) {
            x = mly__zoo_conv(zoo, c3d_layers[i].name, x,
                              (struct mly__conv){.out = size, .k = 3, .p = 1, .dk = 3, .dp = 1});
            x = mly__zoo_relu(zoo, "relu", x);
        } else {
            x = mly__zoo_max_pool(
                zoo, AT("pool%u", ++pools), x,
                (struct mly__pool){.k = 2, .s = 2, .dk = size, .ds = size, .ceil = true});
        }
    }
    x = mly__zoo_flatten(zoo, "", x);
    x = mly__zoo_relu(zoo, "relu", mly__zoo_linear(zoo, "fc6", x, 4096, 1));
    x = mly__zoo_relu(zoo, "relu", mly__zoo_linear(zoo, "fc7", x, 4096, 1));
    x = mly__zoo_linear(zoo, "fc8", x, 101, 1);
    mly__zoo_output(zoo, x, "output");
}

/*
 * GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table 1, without the
 * auxiliary classifiers that only training uses; with batch normalisation (folded) and 3x3 in place
 * of the 5x5 convolutions, as torchvision's googlenet has them, whose export this is.
 */
#include "networks.h"

static const struct inception {
    const char *name;
    uint32_t conv1, reduce3, conv3, reduce5, conv5, pool_proj;
    uint32_t pool_after; /* kernel of a max pooling with stride 2 that follows */
} inceptions[] = {
    {"inception3a", 64, 96, 128, 16, 32, 32, 0},
    {"inception3b", 128, 128, 192, 32, 96, 64, 3},
    {"inception4a", 192, 96, 208, 16, 48, 64, 0},
    {"inception4b", 160, 112, 224, 24, 64, 64, 0},
    {"inception4c", 128, 128, 256, 24, 64, 64, 0},
    {"inception4d", 112, 144, 288, 32, 64, 64, 0},
    {"inception4e", 256, 160, 320, 32, 128, 128, 2},
    {"inception5a", 256, 160, 320, 32, 128, 128, 0},
    {"inception5b", 384, 192, 384, 48, 128, 128, 0},
};

static uint32_t basic(mly__zoo *zoo, const char *path, uint32_t x, uint32_t out, uint32_t kernel,
                      uint32_t stride)
{
    x = mly__zoo_conv(zoo, AT("%s.conv", path), x,
                      (struct mly__conv){.out = out, .k = kernel, .s = stride, .p = kernel / 2});
    return mly__zoo_relu(zoo, path, x);
}

static uint32_t inception(mly__zoo *zoo, const struct inception *in, uint32_t x)
{
    const char *name = in->name;
    uint32_t b[4];
    b[0] = basic(zoo, AT("%s.branch1", name), x, in->conv1, 1, 1);
    b[1] = basic(zoo, AT("%s.branch2.0", name), x, in->reduce3, 1, 1);
    b[1] = basic(zoo, AT("%s.branch2.1", name), b[1], in->conv3, 3, 1);
    b[2] = basic(zoo, AT("%s.branch3.0", name), x, in->reduce5, 1, 1);
    b[2] = basic(zoo, AT("%s.branch3.1", name), b[2], in->conv5, 3, 1);
    b[3] = mly__zoo_max_pool(zoo, AT("%s.branch4.0", name), x,
                             (struct mly__pool){.k = 3, .s = 1, .p = 1, .ceil = true});
    b[3] = basic(zoo, AT("%s.branch4.1", name), b[3], in->pool_proj, 1, 1);
    return mly__zoo_concat(zoo, name, 1, b, 4);
}

void mly__zoo_googlenet(mly__zoo *zoo, int64_t number)
{
    (void)number;
    const struct mly__pool pool3 = {.k = 3, .s = 2, .ceil = true};
    uint32_t pools = 2;
    uint32_t x = mly__zoo_image(zoo, "input", 3, 224, 224);
    x = basic(zoo, "conv1", x, 64, 7, 2);
    x = mly__zoo_max_pool(zoo, "maxpool1", x, pool3);
    x = basic(zoo, "conv2", x, 64, 1, 1);
    x = basic(zoo, "conv3", x, 192, 3, 1);
    x = mly__zoo_max_pool(zoo, "maxpool2", x, pool3);
    for (size_t i = 0; i < COUNT(inceptions); i++) {
        x = inception(zoo, &inceptions[i], x);
        if (inceptions[i].pool_after)
            x = mly__zoo_max_pool(
                zoo, AT("maxpool%u", ++pools), x,
                (struct mly__pool){.k = inceptions[i].pool_after, .s = 2, .ceil = true});
    }
    x = mly__zoo_global_avg_pool(zoo, "avgpool", x);
    x = mly__zoo_flatten(zoo, "", x);
    x = mly__zoo_linear(zoo, "fc", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

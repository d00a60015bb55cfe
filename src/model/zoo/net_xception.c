/*
 * Xception: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017, figure 5; module
 * paths are those of the PyTorch port that timm has.
 */
#include "networks.h"

static const struct block {
    uint32_t out, convolutions, stride, repeats;
    bool grow_last; /* the last convolution changes the channels, else the first */
} blocks[] = {
    {128, 2, 2, 1, false}, {256, 2, 2, 1, false}, {728, 2, 2, 1, false}, /* entry flow */
    {728, 3, 1, 8, false},                                               /* middle flow */
    {1024, 2, 2, 1, true},                                               /* exit flow */
};

/* Nothing lies between the two parts, so the depthwise one has no bias that a normalisation would have left. */
static uint32_t separable(mly__zoo *zoo, const char *path, uint32_t x, uint32_t out)
{
    uint32_t in = (uint32_t)mly__zoo_dim(zoo, x, 1);
    x = mly__zoo_conv(zoo, AT("%s.conv1", path), x,
                      (struct mly__conv){.out = in, .k = 3, .p = 1, .groups = in, .no_bias = true});
    return mly__zoo_conv(zoo, AT("%s.pointwise", path), x, (struct mly__conv){.out = out, .k = 1});
}

static uint32_t block(mly__zoo *zoo, uint32_t number, uint32_t x, const struct block *b)
{
    const char *path = AT("block%u", number);
    uint32_t in = (uint32_t)mly__zoo_dim(zoo, x, 1), y = x, module = 0;
    for (uint32_t i = 0; i < b->convolutions; i++) {
        bool grown = !b->grow_last || i + 1 == b->convolutions;
        if (number > 1 || i > 0)
            y = mly__zoo_relu(zoo, AT("%s.rep.%u", path, module++), y);
        y = separable(zoo, AT("%s.rep.%u", path, module++), y, grown ? b->out : in);
        module++; /* the normalisation */
    }
    if (b->stride != 1) {
        y = mly__zoo_max_pool(zoo, AT("%s.rep.%u", path, module), y,
                              (struct mly__pool){.k = 3, .s = 2, .p = 1});
        x = mly__zoo_conv(zoo, AT("%s.skip", path), x,
                          (struct mly__conv){.out = b->out, .k = 1, .s = b->stride});
    }
    return mly__zoo_add(zoo, path, y, x);
}

void mly__zoo_xception(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = mly__zoo_image(zoo, "input", 3, 299, 299), count = 0;
    x = mly__zoo_relu(
        zoo, "act1", mly__zoo_conv(zoo, "conv1", x, (struct mly__conv){.out = 32, .k = 3, .s = 2}));
    x = mly__zoo_relu(zoo, "act2",
                      mly__zoo_conv(zoo, "conv2", x, (struct mly__conv){.out = 64, .k = 3}));
    for (size_t i = 0; i < COUNT(blocks); i++)
        for (uint32_t n = 0; n < blocks[i].repeats; n++)
            x = block(zoo, ++count, x, &blocks[i]);
    x = mly__zoo_relu(zoo, "act3", separable(zoo, "conv3", x, 1536));
    x = mly__zoo_relu(zoo, "act4", separable(zoo, "conv4", x, 2048));
    x = mly__zoo_global_avg_pool(zoo, "global_pool.pool", x);
    x = mly__zoo_flatten(zoo, "global_pool.flatten", x);
    x = mly__zoo_linear(zoo, "fc", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

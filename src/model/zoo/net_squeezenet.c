/*
 * SqueezeNet 1.0 (Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
 * < 0.5 MB model size", 2016, table 1) and its cheaper revision 1.1, as torchvision has them.
 */
#include "networks.h"

static const struct squeezenet {
    int64_t version; /* 10 times */
    uint32_t out, kernel;
    struct fire {
        uint32_t squeeze, expand1, expand3; /* all 0: max pooling */
    } modules[10];
} squeezenets[] = {
    {10,
     96,
     7,
     {{16, 64, 64},
      {16, 64, 64},
      {32, 128, 128},
      {0},
      {32, 128, 128},
      {48, 192, 192},
      {48, 192, 192},
      {64, 256, 256},
      {0},
      {64, 256, 256}}},
    {11,
     64,
     3,
     {{16, 64, 64},
      {16, 64, 64},
      {0},
      {32, 128, 128},
      {32, 128, 128},
      {0},
      {48, 192, 192},
      {48, 192, 192},
      {64, 256, 256},
      {64, 256, 256}}},
};

static uint32_t conv_relu(mly__zoo *zoo, const char *path, const char *relu, uint32_t x,
                          uint32_t out, uint32_t kernel)
{
    x = mly__zoo_conv(zoo, path, x, (struct mly__conv){.out = out, .k = kernel, .p = kernel / 2});
    return mly__zoo_relu(zoo, relu, x);
}

static uint32_t fire(mly__zoo *zoo, const char *path, uint32_t x, const struct fire *f)
{
    uint32_t expanded[2];
    x = conv_relu(zoo, AT("%s.squeeze", path), AT("%s.squeeze_activation", path), x, f->squeeze, 1);
    expanded[0] = conv_relu(zoo, AT("%s.expand1x1", path), AT("%s.expand1x1_activation", path), x,
                            f->expand1, 1);
    expanded[1] = conv_relu(zoo, AT("%s.expand3x3", path), AT("%s.expand3x3_activation", path), x,
                            f->expand3, 3);
    return mly__zoo_concat(zoo, path, 1, expanded, 2);
}

void mly__zoo_squeezenet(mly__zoo *zoo, int64_t number)
{
    const struct squeezenet *net = squeezenets;
    while (net->version != number)
        net++;
    const struct mly__pool pool = {.k = 3, .s = 2, .ceil = true};
    uint32_t x = mly__zoo_image(zoo, "input", 3, 224, 224);
    x = mly__zoo_conv(zoo, "features.0", x,
                      (struct mly__conv){.out = net->out, .k = net->kernel, .s = 2});
    x = mly__zoo_relu(zoo, "features.1", x);
    x = mly__zoo_max_pool(zoo, "features.2", x, pool);
    for (uint32_t i = 0; i < COUNT(net->modules); i++) {
        const char *path = AT("features.%u", i + 3);
        x = net->modules[i].squeeze ? fire(zoo, path, x, &net->modules[i])
                                    : mly__zoo_max_pool(zoo, path, x, pool);
    }
    x = conv_relu(zoo, "classifier.1", "classifier.2", x, 1000, 1);
    x = mly__zoo_global_avg_pool(zoo, "classifier.3", x);
    x = mly__zoo_flatten(zoo, "", x);
    mly__zoo_output(zoo, x, "output");
}

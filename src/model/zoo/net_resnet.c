/*
 * ResNet-18, -50, -101 and -152: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
 * CVPR 2016, table 1; the stride of a bottleneck is in its 3x3 convolution, as torchvision has it
 * ("v1.5").
 */
#include "networks.h"

static const struct resnet {
    int64_t layers;
    bool bottleneck;
    uint32_t blocks[4];
} resnets[] = {
    {18, false, {2, 2, 2, 2}},
    {50, true, {3, 4, 6, 3}},
    {101, true, {3, 4, 23, 3}},
    {152, true, {3, 8, 36, 3}},
};
static const uint32_t widths[4] = {64, 128, 256, 512};

static uint32_t conv_relu(mly__zoo *zoo, const char *conv_path, const char *relu_path, uint32_t x,
                          struct mly__conv c)
{
    return mly__zoo_relu(zoo, relu_path, mly__zoo_conv(zoo, conv_path, x, c));
}

static uint32_t block(mly__zoo *zoo, const char *path, uint32_t x, bool bottleneck, uint32_t width,
                      uint32_t stride)
{
    uint32_t out = bottleneck ? 4 * width : width, y;
    if (bottleneck) {
        y = conv_relu(zoo, AT("%s.conv1", path), AT("%s.relu", path), x,
                      (struct mly__conv){.out = width, .k = 1});
        y = conv_relu(zoo, AT("%s.conv2", path), AT("%s.relu_1", path), y,
                      (struct mly__conv){.out = width, .k = 3, .s = stride, .p = 1});
        y = mly__zoo_conv(zoo, AT("%s.conv3", path), y, (struct mly__conv){.out = out, .k = 1});
    } else {
        y = conv_relu(zoo, AT("%s.conv1", path), AT("%s.relu", path), x,
                      (struct mly__conv){.out = width, .k = 3, .s = stride, .p = 1});
        y = mly__zoo_conv(zoo, AT("%s.conv2", path), y,
                          (struct mly__conv){.out = out, .k = 3, .p = 1});
    }
    if (stride != 1 || mly__zoo_dim(zoo, x, 1) != out)
        x = mly__zoo_conv(zoo, AT("%s.downsample.0", path), x,
                          (struct mly__conv){.out = out, .k = 1, .s = stride});
    y = mly__zoo_add(zoo, path, y, x);
    return mly__zoo_relu(zoo, AT("%s.relu_%d", path, bottleneck ? 2 : 1), y);
}

/* number: layers, or layers and the image's side: 50299. */
void mly__zoo_resnet(mly__zoo *zoo, int64_t number)
{
    const struct resnet *net = resnets;
    int64_t layers = number > 1000 ? number / 1000 : number;
    uint32_t side = number > 1000 ? (uint32_t)(number % 1000) : 224;
    while (net->layers != layers)
        net++;
    uint32_t x = mly__zoo_image(zoo, "input", 3, side, side);
    x = conv_relu(zoo, "conv1", "relu", x, (struct mly__conv){.out = 64, .k = 7, .s = 2, .p = 3});
    x = mly__zoo_max_pool(zoo, "maxpool", x, (struct mly__pool){.k = 3, .s = 2, .p = 1});
    for (uint32_t stage = 0; stage < 4; stage++)
        for (uint32_t i = 0; i < net->blocks[stage]; i++)
            x = block(zoo, AT("layer%u.%u", stage + 1, i), x, net->bottleneck, widths[stage],
                      stage > 0 && i == 0 ? 2 : 1);
    x = mly__zoo_global_avg_pool(zoo, "avgpool", x);
    x = mly__zoo_flatten(zoo, "", x);
    x = mly__zoo_linear(zoo, "fc", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

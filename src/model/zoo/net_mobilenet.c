/* Networks of depthwise-separable convolutions: MobileNet-v1 and -v2, and SSD on MobileNet-v1. */
#include "networks.h"

/* --- MobileNet-v2: Sandler et al., CVPR 2018, table 2; module paths are torchvision's --- */

static const struct bottleneck {
    uint32_t expansion, channels, repeats, stride;
} bottlenecks[] = {
    {1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2},  {6, 64, 4, 2},
    {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
};

/* Convolution at PATH.0 and ReLU6 at PATH.2; what lies between them is folded. */
static uint32_t conv_relu6(mly__zoo *zoo, const char *path, uint32_t x, struct mly__conv c)
{
    return mly__zoo_relu6(zoo, AT("%s.2", path), mly__zoo_conv(zoo, AT("%s.0", path), x, c));
}

static uint32_t inverted_residual(mly__zoo *zoo, const char *path, uint32_t x,
                                  const struct bottleneck *b, uint32_t stride)
{
    int64_t in = mly__zoo_dim(zoo, x, 1);
    uint32_t hidden = (uint32_t)in * b->expansion, y = x, step = 0;
    if (b->expansion != 1)
        y = conv_relu6(zoo, AT("%s.conv.%u", path, step++), y,
                       (struct mly__conv){.out = hidden, .k = 1});
    y = conv_relu6(
        zoo, AT("%s.conv.%u", path, step++), y,
        (struct mly__conv){.out = hidden, .k = 3, .s = stride, .p = 1, .groups = hidden});
    y = mly__zoo_conv(zoo, AT("%s.conv.%u", path, step), y,
                      (struct mly__conv){.out = b->channels, .k = 1});
    return stride == 1 && in == b->channels ? mly__zoo_add(zoo, path, x, y) : y;
}

void mly__zoo_mobilenet_v2(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = mly__zoo_image(zoo, "input", 3, 224, 224), module = 0;
    x = conv_relu6(zoo, AT("features.%u", module++), x,
                   (struct mly__conv){.out = 32, .k = 3, .s = 2, .p = 1});
    for (size_t i = 0; i < COUNT(bottlenecks); i++)
        for (uint32_t n = 0; n < bottlenecks[i].repeats; n++)
            x = inverted_residual(zoo, AT("features.%u", module++), x, &bottlenecks[i],
                                  n == 0 ? bottlenecks[i].stride : 1);
    x = conv_relu6(zoo, AT("features.%u", module), x, (struct mly__conv){.out = 1280, .k = 1});
    x = mly__zoo_global_avg_pool(zoo, "", x);
    x = mly__zoo_flatten(zoo, "", x);
    x = mly__zoo_linear(zoo, "classifier.1", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

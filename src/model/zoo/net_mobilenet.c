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

/* --- MobileNet-v1: Howard et al., 2017, table 1 --- */

static const struct {
    uint32_t channels, stride;
} separables[] = {
    {64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2},  {512, 1},
    {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
};

/* Padding is the framework's: PyTorch's 1 on all sides, or TensorFlow's SAME. */
static uint32_t conv_act(mly__zoo *zoo, const char *path, uint32_t index, uint32_t x,
                         struct mly__conv c, bool tensorflow)
{
    if (tensorflow)
        c.same = true;
    else
        c.p = c.k / 2;
    x = mly__zoo_conv(zoo, AT("%s.%u", path, index), x, c);
    path = AT("%s.%u", path, index + 2);
    return tensorflow ? mly__zoo_relu6(zoo, path, x) : mly__zoo_relu(zoo, path, x);
}

static uint32_t separable(mly__zoo *zoo, const char *path, uint32_t x, uint32_t out,
                          uint32_t stride, bool tensorflow)
{
    uint32_t in = (uint32_t)mly__zoo_dim(zoo, x, 1);
    x = conv_act(zoo, path, 0, x, (struct mly__conv){.out = in, .k = 3, .s = stride, .groups = in},
                 tensorflow);
    return conv_act(zoo, path, 3, x, (struct mly__conv){.out = out, .k = 1}, tensorflow);
}

void mly__zoo_mobilenet_v1(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = mly__zoo_image(zoo, "input", 3, 224, 224);
    x = conv_act(zoo, "model.0", 0, x, (struct mly__conv){.out = 32, .k = 3, .s = 2}, false);
    for (uint32_t i = 0; i < COUNT(separables); i++)
        x = separable(zoo, AT("model.%u", i + 1), x, separables[i].channels, separables[i].stride,
                      false);
    x = mly__zoo_global_avg_pool(zoo, "model.14", x);
    x = mly__zoo_flatten(zoo, "", x);
    x = mly__zoo_linear(zoo, "fc", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

/*
 * --- SSD on MobileNet-v1, 300x300: Liu et al., ECCV 2016, as TensorFlow's ssd_mobilenet_v1_coco configures it ---
 * Outputs are raw: 1917 anchors with 91 class scores and 4 box offsets each.
 */
#define CLASSES 91 /* 90 of COCO, and background */

/* Feature maps added after the two of MobileNet: a 1x1 convolution, then a 3x3 one with stride 2. */
static const struct {
    uint32_t squeeze, out;
} extras[] = {{256, 512}, {128, 256}, {128, 256}, {64, 128}};

struct predictions {
    uint32_t scores[6], boxes[6], count;
};

static uint32_t predict(mly__zoo *zoo, const char *path, uint32_t x, uint32_t anchors,
                        uint32_t numbers)
{
    x = mly__zoo_conv(zoo, path, x, (struct mly__conv){.out = anchors * numbers, .k = 1});
    x = mly__zoo_transpose(zoo, "", x, (int64_t[]){0, 2, 3, 1});
    return mly__zoo_reshape(zoo, "", x, (int64_t[]){0, -1, numbers}, 3);
}

static void add_map(mly__zoo *zoo, struct predictions *p, uint32_t x)
{
    uint32_t anchors = p->count == 0 ? 3 : 6;
    p->scores[p->count] =
        predict(zoo, AT("classification_headers:%u", p->count), x, anchors, CLASSES);
    p->boxes[p->count] = predict(zoo, AT("regression_headers:%u", p->count), x, anchors, 4);
    p->count++;
}

void mly__zoo_ssd_mobilenet_v1(mly__zoo *zoo, int64_t number)
{
    (void)number;
    struct predictions predictions = {.count = 0};
    uint32_t x = mly__zoo_image(zoo, "input", 3, 300, 300);
    x = conv_act(zoo, "base_net.0", 0, x, (struct mly__conv){.out = 32, .k = 3, .s = 2}, true);
    for (uint32_t i = 0; i < COUNT(separables); i++) {
        x = separable(zoo, AT("base_net.%u", i + 1), x, separables[i].channels,
                      separables[i].stride, true);
        if (i == 10 || i + 1 == COUNT(separables)) /* the last of 19x19, and the last */
            add_map(zoo, &predictions, x);
    }
    for (uint32_t i = 0; i < COUNT(extras); i++) {
        const char *path = AT("extras:%u", i);
        x = conv_act(zoo, path, 0, x, (struct mly__conv){.out = extras[i].squeeze, .k = 1}, true);
        x = conv_act(zoo, path, 3, x, (struct mly__conv){.out = extras[i].out, .k = 3, .s = 2},
                     true);
        add_map(zoo, &predictions, x);
    }
    mly__zoo_output(zoo, mly__zoo_concat(zoo, "", 1, predictions.scores, predictions.count),
                    "scores");
    mly__zoo_output(zoo, mly__zoo_concat(zoo, "", 1, predictions.boxes, predictions.count),
                    "boxes");
}

/*
 * YOLOv3 (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", 2018, table 1 and yolov3.cfg) and Tiny YOLO, the
 * small network of YOLOv2 (Redmon and Farhadi, "YOLO9000", CVPR 2017; yolov2-tiny-voc.cfg), 416x416. Outputs are the
 * raw detection maps. Layers are numbered as in darknet's cfg, as the PyTorch ports do.
 */
#include "networks.h"

#define SLOPE 0.1F

/* The tensor that is carried along, and the number of the next layer. */
struct chain {
    mly__zoo *zoo;
    uint32_t x, layer;
};

static void conv(struct chain *c, uint32_t out, uint32_t kernel, uint32_t stride)
{
    mly__zoo *zoo = c->zoo;
    uint32_t n = c->layer++;
    c->x = mly__zoo_conv(zoo, AT("module_list:%u.conv_%u", n, n), c->x,
                         (struct mly__conv){.out = out, .k = kernel, .s = stride, .p = kernel / 2});
    c->x = mly__zoo_leaky_relu(zoo, AT("module_list:%u.leaky_%u", n, n), c->x, SLOPE);
}

/* The linear convolution that detects; darknet's detection layer after it has no node here. */
static void detect(struct chain *c, uint32_t out, const char *output, uint32_t layers_after)
{
    mly__zoo *zoo = c->zoo;
    uint32_t n = c->layer;
    uint32_t y = mly__zoo_conv(zoo, AT("module_list:%u.conv_%u", n, n), c->x,
                               (struct mly__conv){.out = out, .k = 1});
    mly__zoo_output(zoo, y, output);
    c->layer += 1 + layers_after;
}

static void residuals(struct chain *c, uint32_t channels, uint32_t count)
{
    conv(c, channels, 3, 2);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t shortcut = c->x;
        conv(c, channels / 2, 1, 1);
        conv(c, channels, 3, 1);
        c->x = mly__zoo_add(c->zoo, "", c->x, shortcut);
        c->layer++;
    }
}

/* Five convolutions that alternate between 1x1 and 3x3, then a 3x3 and the detection. */
static void head(struct chain *c, uint32_t channels, const char *output)
{
    for (uint32_t i = 0; i < 5; i++)
        conv(c, i % 2 ? 2 * channels : channels, i % 2 ? 3 : 1, 1);
    uint32_t neck = c->x;
    conv(c, 2 * channels, 3, 1);
    detect(c, 255, output, 2); /* detection, then the route back to the neck */
    c->x = neck;
}

static void upsample(struct chain *c, uint32_t channels, uint32_t route)
{
    mly__zoo *zoo = c->zoo;
    conv(c, channels, 1, 1);
    uint32_t large =
        mly__zoo_upsample2(zoo, AT("module_list:%u.upsample_%u", c->layer, c->layer), c->x);
    c->x = mly__zoo_concat(zoo, "", 1, (uint32_t[]){large, route}, 2);
    c->layer += 2;
}

void mly__zoo_yolov3(mly__zoo *zoo, int64_t number)
{
    (void)number;
    struct chain c = {.zoo = zoo, .x = mly__zoo_image(zoo, "input", 3, 416, 416)};
    conv(&c, 32, 3, 1);
    residuals(&c, 64, 1);
    residuals(&c, 128, 2);
    residuals(&c, 256, 8);
    uint32_t fine = c.x;
    residuals(&c, 512, 8);
    uint32_t middle = c.x;
    residuals(&c, 1024, 4);
    head(&c, 512, "output_13");
    upsample(&c, 256, middle);
    head(&c, 256, "output_26");
    upsample(&c, 128, fine);
    head(&c, 128, "output_52");
}

void mly__zoo_tiny_yolo(mly__zoo *zoo, int64_t number)
{
    (void)number;
    struct chain c = {.zoo = zoo, .x = mly__zoo_image(zoo, "input", 3, 416, 416)};
    for (uint32_t i = 0; i < 6; i++) {
        conv(&c, 16U << i, 3, 1);
        c.x = mly__zoo_max_pool(zoo, AT("module_list:%u.maxpool_%u", c.layer, c.layer), c.x,
                                (struct mly__pool){.k = 2, .s = i < 5 ? 2 : 1, .same = i == 5});
        c.layer++;
    }
    conv(&c, 1024, 3, 1);
    conv(&c, 1024, 3, 1);
    detect(&c, 125, "output", 1);
}

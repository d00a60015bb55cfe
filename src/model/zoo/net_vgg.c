/*
 * Chains of convolutions and fully connected layers: VGG-11, -16 and -19 (Simonyan and Zisserman,
 * "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, table 1, columns
 * A, D and E), AlexNet in two forms, CifarNet and C3D.
 */
#include "networks.h"

/* Linear layers with ReLU between them, at paths PREFIX.FIRST, PREFIX.FIRST+3, … (dropout lies
 * between). */
static uint32_t classifier(mly__zoo *zoo, uint32_t x, const char *const paths[3],
                           const char *const relus[2], const int64_t sizes[3])
{
    x = mly__zoo_flatten(zoo, "", x);
    for (uint32_t i = 0; i < 3; i++) {
        x = mly__zoo_linear(zoo, paths[i], x, sizes[i], 1);
        if (i < 2)
            x = mly__zoo_relu(zoo, relus[i], x);
    }
    return x;
}

/* --- VGG --- */

#define POOL 0
static const struct vgg {
    int64_t layers;
    uint32_t channels[22]; /* a convolution with ReLU each, or POOL; ends after the fifth POOL */
} vggs[] = {
    {11, {64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL}},
    {16,
     {64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512, POOL}},
    {19, {64,  64,  POOL, 128, 128,  POOL, 256, 256, 256, 256, POOL,
          512, 512, 512,  512, POOL, 512,  512, 512, 512, POOL}},
};

void mly__zoo_vgg(mly__zoo *zoo, int64_t number)
{
    const struct vgg *net = vggs;
    while (net->layers != number)
        net++;
    uint32_t x = mly__zoo_image(zoo, "input", 3, 224, 224), module = 0;
    for (uint32_t i = 0, pools = 0; pools < 5; i++) {
        if (net->channels[i] == POOL) {
            x = mly__zoo_max_pool(zoo, AT("features.%u", module++), x,
                                  (struct mly__pool){.k = 2, .s = 2});
            pools++;
            continue;
        }
        x = mly__zoo_conv(zoo, AT("features.%u", module++), x,
                          (struct mly__conv){.out = net->channels[i], .k = 3, .p = 1});
        x = mly__zoo_relu(zoo, AT("features.%u", module++), x);
    }
    /* torchvision's adaptive pooling to 7x7, exported for an input of 7x7 */
    x = mly__zoo_avg_pool(zoo, "avgpool", x, (struct mly__pool){.k = 1});
    x = classifier(zoo, x, (const char *const[]){"classifier.0", "classifier.3", "classifier.6"},
                   (const char *const[]){"classifier.1", "classifier.4"},
                   (int64_t[]){4096, 4096, 1000});
    mly__zoo_output(zoo, x, "output");
}

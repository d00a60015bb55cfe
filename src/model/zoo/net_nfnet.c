/*
 * NFNet-F0: Brock, De, Smith and Simonyan, "High-Performance Large-Scale Image Recognition Without Normalization",
 * ICML 2021, table 1 and section 4, at its test size of 256x256; module paths are timm's nfnet_f0. The exporter folds
 * weight standardisation into the weights.
 */
#include "networks.h"

#include <math.h>

#define ALPHA 0.2F   /* scale of a residual branch */
#define GROUP 128    /* channels of a group */
#define SE_GAIN 2.0F /* squeeze-and-excitation's output is doubled */

static const struct {
    uint32_t width, depth, stride;
} stages[] = {{256, 1, 1}, {512, 2, 2}, {1536, 6, 2}, {1536, 3, 2}};

static uint32_t squeeze_excite(mly__zoo *zoo, const char *path, uint32_t x)
{
    uint32_t channels = (uint32_t)mly__zoo_dim(zoo, x, 1);
    uint32_t s = mly__zoo_spatial_mean(zoo, path, x);
    s = mly__zoo_conv(zoo, AT("%s.fc1", path), s, (struct mly__conv){.out = channels / 2, .k = 1});
    s = mly__zoo_relu(zoo, AT("%s.act", path), s);
    s = mly__zoo_conv(zoo, AT("%s.fc2", path), s, (struct mly__conv){.out = channels, .k = 1});
    s = mly__zoo_sigmoid(zoo, AT("%s.gate", path), s);
    return mly__zoo_mul(zoo, path, x, s);
}

/* beta divides by the deviation that a block's input has at the start of training. */
static uint32_t block(mly__zoo *zoo, const char *path, uint32_t x, uint32_t width, uint32_t stride,
                      float beta)
{
    uint32_t mid = width / 2, shortcut = x;
    uint32_t y = mly__zoo_gelu(zoo, AT("%s.act1", path), x);
    y = mly__zoo_scale(zoo, path, y, beta);
    if (stride != 1 || mly__zoo_dim(zoo, x, 1) != width) {
        shortcut = y;
        if (stride != 1)
            shortcut = mly__zoo_avg_pool(zoo, AT("%s.downsample.pool", path), shortcut,
                                         (struct mly__pool){.k = 2, .s = stride, .ceil = true});
        shortcut = mly__zoo_conv(zoo, AT("%s.downsample.conv", path), shortcut,
                                 (struct mly__conv){.out = width, .k = 1});
    }
    y = mly__zoo_conv(zoo, AT("%s.conv1", path), y, (struct mly__conv){.out = mid, .k = 1});
    y = mly__zoo_gelu(zoo, AT("%s.act2", path), y);
    y = mly__zoo_conv(
        zoo, AT("%s.conv2", path), y,
        (struct mly__conv){.out = mid, .k = 3, .s = stride, .p = 1, .groups = mid / GROUP});
    y = mly__zoo_gelu(zoo, AT("%s.act2b", path), y);
    y = mly__zoo_conv(zoo, AT("%s.conv2b", path), y,
                      (struct mly__conv){.out = mid, .k = 3, .p = 1, .groups = mid / GROUP});
    y = mly__zoo_gelu(zoo, AT("%s.act3", path), y);
    y = mly__zoo_conv(zoo, AT("%s.conv3", path), y, (struct mly__conv){.out = width, .k = 1});
    y = mly__zoo_scale(zoo, path, squeeze_excite(zoo, AT("%s.attn_last", path), y), SE_GAIN);
    y = mly__zoo_mul(zoo, path, y,
                     mly__zoo_parameter(zoo, AT("%s.skipinit_gain", path), NULL, 0, 1, 0.1));
    return mly__zoo_add(zoo, path, mly__zoo_scale(zoo, path, y, ALPHA), shortcut);
}

void mly__zoo_nfnet_f0(mly__zoo *zoo, int64_t number)
{
    (void)number;
    static const struct mly__conv stem[4] = {{.out = 16, .k = 3, .s = 2, .p = 1},
                                             {.out = 32, .k = 3, .p = 1},
                                             {.out = 64, .k = 3, .p = 1},
                                             {.out = 128, .k = 3, .s = 2, .p = 1}};
    uint32_t x = mly__zoo_image(zoo, "input", 3, 256, 256);
    for (uint32_t i = 0; i < COUNT(stem); i++) {
        x = mly__zoo_conv(zoo, AT("stem.conv%u", i + 1), x, stem[i]);
        if (i + 1 < COUNT(stem))
            x = mly__zoo_gelu(zoo, AT("stem.act%u", i + 2), x);
    }
    double variance = 1;
    for (uint32_t s = 0; s < COUNT(stages); s++)
        for (uint32_t i = 0; i < stages[s].depth; i++) {
            x = block(zoo, AT("stages.%u.%u", s, i), x, stages[s].width,
                      i == 0 ? stages[s].stride : 1, (float)(1 / sqrt(variance)));
            variance = (i == 0 ? 1 : variance) +
                       0.04; /* alpha squared; a new shortcut starts again at 1 */
        }
    x = mly__zoo_conv(zoo, "final_conv", x, (struct mly__conv){.out = 3072, .k = 1});
    x = mly__zoo_gelu(zoo, "final_act", x);
    x = mly__zoo_global_avg_pool(zoo, "head.global_pool.pool", x);
    x = mly__zoo_flatten(zoo, "head.global_pool.flatten", x);
    x = mly__zoo_linear(zoo, "head.fc", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

/*
 * The networks of Damle and Jayakumar 2024: a matrix product, dense networks that grow, and two small CNNs that are
 * split between a GPU and an Edge TPU. Where text and code of the paper differ, as in the file that lists its
 * experiments: experiments.md.
 */
#include "networks.h"

/* Table 1: one bias-less linear layer N x N. */
void mly__zoo_matmul_n(mly__zoo *zoo, int64_t number)
{
    uint32_t x = mly__zoo_input(zoo, "input", &number, 1);
    x = mly__zoo_matmul_weight(zoo, "linear", x, number, 1);
    mly__zoo_output(zoo, x, "output");
}

/*
 * Figure 3: an input of int(2^L) x int(2^L), dense layers of int(2^(vL)) for v = 1.5, 1.3, 1.1, 1 with ReLU, and
 * int(2L) classes with softmax. Tabulated, so that no library's pow decides about a width. Names seed weights, and with
 * these no layer of two or three units is dead.
 */
static const struct {
    int64_t input, widths[5];
} fc_networks[] = {
    {4, {2, 2, 2, 2, 2}},               /* L = 1 */
    {4, {4, 3, 3, 2, 3}},               /* L = 1.5 */
    {16, {8, 6, 4, 4, 4}},              /* L = 2 */
    {25, {13, 9, 6, 5, 5}},             /* L = 2.5 */
    {64, {22, 14, 9, 8, 6}},            /* L = 3 */
    {121, {38, 23, 14, 11, 7}},         /* L = 3.5 */
    {256, {64, 36, 21, 16, 8}},         /* L = 4 */
    {484, {107, 57, 30, 22, 9}},        /* L = 4.5 */
    {1024, {181, 90, 45, 32, 10}},      /* L = 5 */
    {2025, {304, 142, 66, 45, 11}},     /* L = 5.5 */
    {4096, {512, 222, 97, 64, 12}},     /* L = 6 */
    {8100, {861, 349, 142, 90, 13}},    /* L = 6.5 */
    {16384, {1448, 548, 207, 128, 14}}, /* L = 7 */
};

void mly__zoo_fc_l(mly__zoo *zoo, int64_t number)
{
    const int64_t *widths = fc_networks[number - 2].widths; /* number is 2L */
    uint32_t x = mly__zoo_input(zoo, "input", &fc_networks[number - 2].input, 1);
    for (uint32_t i = 0; i < 5; i++) {
        x = mly__zoo_linear(zoo, AT("linear%u", i + 1), x, widths[i], 1);
        x = i < 4 ? mly__zoo_relu(zoo, "", x) : mly__zoo_softmax(zoo, "", x);
    }
    mly__zoo_output(zoo, x, "output");
}

/* Figure 2: blocks of convolutions (a, b), the last of which ends in global pooling, then dense blocks. */
static const struct cnn {
    int64_t number, size;
    struct {
        uint32_t a, b;
    } convolutions[4];
    int64_t dense[4];
} cnns[] = {
    {1, 224, {{32, 64}, {64, 128}, {128, 256}}, {128, 10}},
    {2, 128, {{32, 64}, {64, 128}}, {512, 128, 10}},
};

void mly__zoo_cnn(mly__zoo *zoo, int64_t number)
{
    const struct cnn *net = &cnns[number - 1];
    uint32_t x = mly__zoo_image(zoo, "input", 3, net->size, net->size), block = 1;
    for (uint32_t i = 0; net->convolutions[i].a; i++, block++) {
        uint32_t a = net->convolutions[i].a, b = net->convolutions[i].b;
        const char *path = AT("block%u", block);
        x = mly__zoo_conv(zoo, AT("%s.conv1", path), x, (struct mly__conv){.out = a, .k = 3});
        x = mly__zoo_relu(zoo, path, x);
        x = mly__zoo_conv(zoo, AT("%s.depthwise", path), x,
                          (struct mly__conv){.out = a, .k = 3, .groups = a});
        x = mly__zoo_relu(zoo, path, x);
        x = mly__zoo_conv(zoo, AT("%s.conv2", path), x, (struct mly__conv){.out = b, .k = 3});
        x = mly__zoo_relu(zoo, path, x);
        if (net->convolutions[i + 1].a)
            x = mly__zoo_max_pool(zoo, AT("%s.pool", path), x, (struct mly__pool){.k = 2, .s = 2});
        else /* the paper says maximum, its code takes the average */
            x = mly__zoo_flatten(zoo, path, mly__zoo_global_avg_pool(zoo, AT("%s.pool", path), x));
    }
    for (uint32_t i = 0; net->dense[i]; i++) {
        /* The last two dense layers are one block, the ones before a block each. */
        const char *path = AT("block%u", block);
        x = mly__zoo_linear(zoo, AT("%s.fc%u", path, i + 1), x, net->dense[i], 1);
        if (net->dense[i + 1])
            x = mly__zoo_relu(zoo, path, x);
        if (net->dense[i + 1] && net->dense[i + 2])
            block++;
    }
    mly__zoo_output(zoo, x, "output");
}

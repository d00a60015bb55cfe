/*
 * Inception-v4: Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual
 * Connections on Learning", AAAI 2017, figures 3 to 9; module paths are timm's.
 */
#include "networks.h"

/* One step of a branch. A convolution with out channels and kernel kh x kw, or a pooling 3x3. */
struct step {
    enum { END, CONV, MAX, AVG, FORK } kind;
    uint32_t out, kh, kw, s;
};
#define C(out, kh, kw) {CONV, out, kh, kw, 1} /* 'same' */
#define V(out, k, s) {CONV, out, k, 0, s}     /* square, 'valid' */
#define POOL(kind) {kind, 0, 0, 0, 0}         /* MAX: stride 2, 'valid'; AVG: stride 1, 'same' */
#define SPLIT(out) {FORK, out, 0, 0, 0}       /* 1x3 and 3x1 side by side */

struct module {
    uint32_t repeats;
    struct step branches[4][6]; /* the first is empty: a single convolution in the second */
};

static const struct module modules[] = {
    /* figure 3: the stem */
    {1, {{V(32, 3, 2)}}},
    {1, {{V(32, 3, 1)}}},
    {1, {{C(64, 3, 3)}}},
    {1, {{POOL(MAX)}, {V(96, 3, 2)}}},
    {1, {{C(64, 1, 1), V(96, 3, 1)}, {C(64, 1, 1), C(64, 1, 7), C(64, 7, 1), V(96, 3, 1)}}},
    {1, {{V(192, 3, 2)}, {POOL(MAX)}}},
    /* figure 4: Inception-A */
    {4,
     {{C(96, 1, 1)},
      {C(64, 1, 1), C(96, 3, 3)},
      {C(64, 1, 1), C(96, 3, 3), C(96, 3, 3)},
      {POOL(AVG), C(96, 1, 1)}}},
    /* figure 7: Reduction-A */
    {1, {{V(384, 3, 2)}, {C(192, 1, 1), C(224, 3, 3), V(256, 3, 2)}, {POOL(MAX)}}},
    /* figure 5: Inception-B */
    {7,
     {{C(384, 1, 1)},
      {C(192, 1, 1), C(224, 1, 7), C(256, 7, 1)},
      {C(192, 1, 1), C(192, 7, 1), C(224, 1, 7), C(224, 7, 1), C(256, 1, 7)},
      {POOL(AVG), C(128, 1, 1)}}},
    /* figure 8: Reduction-B */
    {1,
     {{C(192, 1, 1), V(192, 3, 2)},
      {C(256, 1, 1), C(256, 1, 7), C(320, 7, 1), V(320, 3, 2)},
      {POOL(MAX)}}},
    /* figure 6: Inception-C */
    {3,
     {{C(256, 1, 1)},
      {C(384, 1, 1), SPLIT(256)},
      {C(384, 1, 1), C(448, 3, 1), C(512, 1, 3), SPLIT(256)},
      {POOL(AVG), C(256, 1, 1)}}},
};

static uint32_t conv_relu(mly__zoo *zoo, const char *path, uint32_t x, struct mly__conv conv)
{
    x = mly__zoo_conv(zoo, AT("%s.conv", path), x, conv);
    return mly__zoo_relu(zoo, AT("%s.act", path), x);
}

static struct mly__conv same(uint32_t out, uint32_t kh, uint32_t kw)
{
    return (struct mly__conv){.out = out, .k = kh, .p = kh / 2, .kw = kw, .pw = kw / 2};
}

static uint32_t step(mly__zoo *zoo, const char *path, uint32_t x, const struct step *s)
{
    switch (s->kind) {
    case MAX:
        return mly__zoo_max_pool(zoo, path, x, (struct mly__pool){.k = 3, .s = 2});
    case AVG:
        return mly__zoo_avg_pool(zoo, path, x, (struct mly__pool){.k = 3, .s = 1, .p = 1});
    case FORK: {
        const uint32_t halves[2] = {conv_relu(zoo, AT("%sa", path), x, same(s->out, 1, 3)),
                                    conv_relu(zoo, AT("%sb", path), x, same(s->out, 3, 1))};
        return mly__zoo_concat(zoo, path, 1, halves, 2);
    }
    default:
        return conv_relu(zoo, path, x,
                         s->kw ? same(s->out, s->kh, s->kw)
                               : (struct mly__conv){.out = s->out, .k = s->kh, .s = s->s});
    }
}

static uint32_t module(mly__zoo *zoo, const char *path, uint32_t x, const struct module *m)
{
    uint32_t parts[4], count = 0;
    for (; count < 4 && m->branches[count][0].kind != END; count++) {
        const struct step *steps = m->branches[count];
        parts[count] = x;
        for (uint32_t i = 0; i < 6 && steps[i].kind != END; i++) {
            bool single = steps[1].kind == END;
            const char *at =
                single ? AT("%s.branch%u", path, count) : AT("%s.branch%u.%u", path, count, i);
            parts[count] =
                step(zoo, m->branches[1][0].kind == END ? path : at, parts[count], &steps[i]);
        }
    }
    return count == 1 ? parts[0] : mly__zoo_concat(zoo, path, 1, parts, count);
}

void mly__zoo_inception_v4(mly__zoo *zoo, int64_t number)
{
    (void)number;
    uint32_t x = mly__zoo_image(zoo, "input", 3, 299, 299), index = 0;
    for (size_t i = 0; i < COUNT(modules); i++)
        for (uint32_t n = 0; n < modules[i].repeats; n++)
            x = module(zoo, AT("features.%u", index++), x, &modules[i]);
    x = mly__zoo_global_avg_pool(zoo, "global_pool.pool", x);
    x = mly__zoo_flatten(zoo, "global_pool.flatten", x);
    x = mly__zoo_linear(zoo, "last_linear", x, 1000, 1);
    mly__zoo_output(zoo, x, "output");
}

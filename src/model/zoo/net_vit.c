/*
 * ViT-Base/16: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, table 1, with the seven classes of facial
 * expressions that the paper on StarONNX uses; names as Hugging Face's ViTForImageClassification has them. Reshapes
 * keep the batch by a 0 where the exporter would compute it.
 */
#include "networks.h"

#define WIDTH 768
#define HEADS 12
#define HEAD (WIDTH / HEADS)
#define LAYERS 12
#define PATCHES (14 * 14)
#define TOKENS (PATCHES + 1)
#define CLASSES 7
#define EPSILON 1e-12F

/*
 * Queries and keys of this variance give scores of a deviation near 1.6, so that a token attends to about
 * TOKENS / exp(1.6²) others and the mean over them does not vanish.
 */
#define SCORE_GAIN 1.4
#define ATTENDED 15.0
#define BRANCH_GAIN 0.5

static uint32_t heads(mly__zoo *zoo, const char *path, uint32_t x, const char *projection,
                      double gain, const int64_t order[4])
{
    x = mly__zoo_linear_tokens(zoo, AT("%s.%s", path, projection), x, WIDTH, gain);
    x = mly__zoo_reshape(zoo, path, x, (int64_t[]){0, TOKENS, HEADS, HEAD}, 4);
    return mly__zoo_transpose(zoo, path, x, order);
}

static uint32_t attention(mly__zoo *zoo, const char *path, uint32_t x)
{
    static const int64_t rows[4] = {0, 2, 1, 3}, columns[4] = {0, 2, 3, 1};
    const char *at = AT("%s.attention", path);
    uint32_t query = heads(zoo, at, x, "query", SCORE_GAIN, rows);
    uint32_t key = heads(zoo, at, x, "key", SCORE_GAIN, columns);
    uint32_t value = heads(zoo, at, x, "value", 1, rows);
    uint32_t scores =
        mly__zoo_divide(zoo, at, mly__zoo_matmul(zoo, at, query, key), 8); /* sqrt(HEAD) */
    x = mly__zoo_attend(zoo, at, mly__zoo_softmax(zoo, at, scores), value, ATTENDED);
    x = mly__zoo_transpose(zoo, at, x, rows);
    x = mly__zoo_reshape(zoo, at, x, (int64_t[]){0, TOKENS, WIDTH}, 3);
    return mly__zoo_linear_tokens(zoo, AT("%s.output.dense", path), x, WIDTH, BRANCH_GAIN);
}

static uint32_t layer(mly__zoo *zoo, const char *path, uint32_t x)
{
    uint32_t y = mly__zoo_layer_norm(zoo, AT("%s.layernorm_before", path), x, EPSILON);
    x = mly__zoo_add(zoo, path, attention(zoo, AT("%s.attention", path), y), x);
    y = mly__zoo_layer_norm(zoo, AT("%s.layernorm_after", path), x, EPSILON);
    y = mly__zoo_linear_tokens(zoo, AT("%s.intermediate.dense", path), y, 4 * WIDTH, 1);
    y = mly__zoo_gelu(zoo, AT("%s.intermediate.intermediate_act_fn", path), y);
    y = mly__zoo_linear_tokens(zoo, AT("%s.output.dense", path), y, WIDTH, BRANCH_GAIN);
    return mly__zoo_add(zoo, AT("%s.output", path), y, x);
}

void mly__zoo_vit_base_16(mly__zoo *zoo, int64_t number)
{
    (void)number;
    const char *at = "vit.embeddings";
    uint32_t image = mly__zoo_image(zoo, "pixel_values", 3, 224, 224);
    uint32_t x = mly__zoo_conv(zoo, "vit.embeddings.patch_embeddings.projection", image,
                               (struct mly__conv){.out = WIDTH, .k = 16, .s = 16});
    x = mly__zoo_reshape(zoo, "vit.embeddings.patch_embeddings", x, (int64_t[]){0, WIDTH, PATCHES},
                         3);
    x = mly__zoo_transpose(zoo, "vit.embeddings.patch_embeddings", x, (int64_t[]){0, 2, 1});
    uint32_t token =
        mly__zoo_parameter(zoo, "vit.embeddings.cls_token", (int64_t[]){1, 1, WIDTH}, 3, 0, 1);
    token = mly__zoo_expand_batch(zoo, at, token, image);
    x = mly__zoo_concat(zoo, at, 1, (uint32_t[]){token, x}, 2);
    x = mly__zoo_add(zoo, at, x,
                     mly__zoo_parameter(zoo, "vit.embeddings.position_embeddings",
                                        (int64_t[]){1, TOKENS, WIDTH}, 3, 0, 0.5));
    for (uint32_t i = 0; i < LAYERS; i++)
        x = layer(zoo, AT("vit.encoder.layer:%u", i), x);
    x = mly__zoo_layer_norm(zoo, "vit.layernorm", x, EPSILON);
    x = mly__zoo_gather(zoo, "", x, 1, 0);
    x = mly__zoo_linear(zoo, "classifier", x, CLASSES, 1);
    mly__zoo_output(zoo, x, "logits");
}

/* Images: decoding, and turning them into the tensor that a network wants. */
#ifndef MLY_TENSORIO_IMAGE_H
#define MLY_TENSORIO_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/tensor.h>

/* 8 bits per channel, [height, width, channels]; channels is 1 (grey) or 3 (R, G, B). */
struct mly_image {
    uint8_t *pixels;
    uint32_t width, height, channels;
};

#define MLY_IMAGE_MAX_SIDE 16384
#define MLY_IMAGE_MAX_PIXELS (UINT32_C(1) << 26)
/* Largest width and height of a tensor made from an image. */
#define MLY_PREPROCESS_MAX_SIDE 8192

/*
 * Decodes a JPEG, PNG, BMP, GIF (its first frame) or PNM from length bytes (borrowed during the
 * call) into *out, owned by the caller (mly_image_fini). 16 bits per channel become 8; alpha is
 * dropped, not blended; the orientation that a camera noted is not applied. name is used in
 * messages. Errors: MLY_E_FORMAT for no or a broken image; MLY_E_LIMIT over 16384 pixels a side or
 * 64 Mi in all; MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_image_decode(const char *name, const void *bytes, size_t length,
                                 struct mly_image *out, struct mly_error *err) MLY_MUST_CHECK;
void mly_image_fini(struct mly_image *image);

enum mly_fit {
    MLY_FIT_STRETCH, /* to exactly width x height, whatever that does to the proportions */
    MLY_FIT_CROP, /* the short side to `short_side`, then the centre of width x height is cut out */
    MLY_FIT_LETTERBOX /* as large as fits into width x height, the rest filled with `pad` */
};
enum mly_channels { MLY_CHANNELS_RGB, MLY_CHANNELS_BGR, MLY_CHANNELS_GRAY };
enum mly_layout { MLY_LAYOUT_NCHW, MLY_LAYOUT_NHWC };

/*
 * How an image becomes a tensor. Each element is (pixel * scale - mean) / std with pixel from 0 to
 * 255; mean and std are in the order of the tensor's channels. Integer types are rounded to the
 * nearest and saturate.
 */
struct mly_preprocess {
    enum mly_fit fit;
    uint32_t width, height; /* of the tensor */
    uint32_t short_side;    /* for MLY_FIT_CROP; 0: the smallest that covers width x height */
    uint32_t pad;           /* for MLY_FIT_LETTERBOX, 0 to 255 */
    enum mly_channels channels;
    enum mly_layout layout;
    enum mly_dtype dtype; /* f32, f16, u8 or i8 */
    bool invert;          /* pixel becomes 255 - pixel: black on white to white on black */
    double scale, mean[3], std[3];
};

/*
 * What fits an input of that type and shape (borrowed), into *out: size, channels and layout from
 * the shape ([N, C, H, W], [N, H, W, C], [C, H, W], [H, W, C] or [H, W], C being 1 or 3),
 * stretched; f32 and f16 from 0 to 1, u8 from 0 to 255, i8 from -128 to 127. Width and height are 0
 * where the shape leaves them open: the text then has to give them. MLY_E_MISMATCH if the shape is
 * no image's, MLY_E_UNSUPPORTED for another type.
 */
enum mly_status mly_preprocess_for_shape(enum mly_dtype dtype, const struct mly_shape *shape,
                                         struct mly_preprocess *out,
                                         struct mly_error *err) MLY_MUST_CHECK;

/*
 * Changes *preprocess as the text of `--preprocess` says:
 *
 *   text    = word *("," word)                     no word twice; a preset only as the first
 *   word    = preset
 *           | "stretch="   size                    to exactly that size
 *           | "resize="    N                       short side to N pixels; alone: then crop to the
 * model's size, else N | "crop="      size                    then cut out the centre; alone: of
 * the smallest resize that covers it | "letterbox=" size                    keep proportions, fill
 * the rest with pad | "pad="       0…255 | "rgb" | "bgr" | "gray"               order of channels
 *           | "nchw" | "nhwc"                      layout of the tensor
 *           | "f32" | "f16" | "u8" | "i8"          type of the tensor
 *           | "scale="     number ["/" number]
 *           | "mean="      number ["/" number "/" number]    one for all channels, or one each, in
 * the tensor's order | "std="       number ["/" number "/" number]    not 0 | "invert" 255 - pixel,
 * before scale size    = N | W "x" H                          1…8192 pixels preset  = "imagenet"
 * resize=256, crop=224, rgb, scale=1/255, mean=0.485/0.456/0.406, std=0.229/0.224/0.225
 *                            (torchvision's; a size that the model fixes stays, the short side is
 * then 256/224 of it) | "zero-one"     scale=1/255, mean=0, std=1 | "minus-one-one" scale=1/127.5,
 * mean=1, std=1 | "bgr255"       bgr, scale=1, mean=0, std=1 | "mnist"        stretch=28, gray,
 * scale=1, mean=0, std=1 (the ONNX zoo's mnist-8 wants 0 to 255, white on black: add invert for
 * black on white)
 *
 * Errors: MLY_E_INVALID "--preprocess: column 8: 'rezise' …"; *preprocess is then untouched.
 */
enum mly_status mly_preprocess_parse(const char *text, struct mly_preprocess *preprocess,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* MLY_E_INVALID naming the field that breaks its rule. */
enum mly_status mly_preprocess_check(const struct mly_preprocess *preprocess,
                                     struct mly_error *err) MLY_MUST_CHECK;

/*
 * Makes the tensor ([1, C, H, W] or [1, H, W, C]) of an image (borrowed) into *out, owned by the
 * caller. Sizes are changed by a triangle filter as wide as the reduction (Pillow's and
 * torchvision's antialiased "bilinear"), and rounded to 8 bits as they do; grey is 0.299 R + 0.587
 * G + 0.114 B (ITU-R BT.601). Errors: those of mly_preprocess_check, MLY_E_INVALID for an empty
 * image, MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_image_preprocess(const struct mly_image *image,
                                     const struct mly_preprocess *preprocess,
                                     struct mly_tensor *out, struct mly_error *err) MLY_MUST_CHECK;
/* Reads (at most 256 MiB), decodes and preprocesses a file. */
enum mly_status mly_image_load(const char *path, const struct mly_preprocess *preprocess,
                               struct mly_tensor *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

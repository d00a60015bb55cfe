/* Images: decoding every format, agreement with Pillow, every option, hostile input. */
#include "support/expect.h"

#include "base/alloc.h"
#include "base/half.h"
#include "tensorio/image.h"
#include "tensorio/npy.h"
#include "tensorio/raw.h"

static const char *data(const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/tests/data/image/%s", test_env("MOTLEY_SOURCE_ROOT"), name);
    return path;
}

/* A file of the shared test data; skips if it is not there. */
static const char *shared(const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_env("MOTLEY_SHARED_DATA"), name);
    if (access(path, R_OK) != 0)
        TEST_SKIP("%s is not there", path);
    return path;
}

static struct mly_image decode(const char *path)
{
    struct mly_error err = {0};
    struct mly_image image = {0};
    char *bytes = NULL;
    size_t length = 0;
    expect_ok(mly_file_read(path, 1 << 24, &bytes, &length, &err), err);
    expect_ok(mly_image_decode(path, bytes, length, &image, &err), err);
    mly_free(bytes);
    return image;
}

/* Preprocessing that gives the pixels themselves. */
static struct mly_preprocess plain(uint32_t width, uint32_t height)
{
    return (struct mly_preprocess){.width = width,
                                   .height = height,
                                   .layout = MLY_LAYOUT_NHWC,
                                   .dtype = MLY_DTYPE_U8,
                                   .scale = 1,
                                   .std = {1, 1, 1}};
}

static void the_pattern_is_decoded_from_every_format(void **state)
{
    (void)state;
    static const char *const names[] = {"pattern.png", "pattern.bmp", "pattern.ppm", "alpha.png"};
    for (size_t i = 0; i < 4; i++) {
        struct mly_image image = decode(data(names[i]));
        assert_int_equal(image.width, 53);
        assert_int_equal(image.height, 37);
        assert_int_equal(image.channels, 3);
        for (uint32_t y = 0; y < 37; y++) {
            for (uint32_t x = 0; x < 53; x++) {
                const uint8_t *p = image.pixels + 3 * (y * 53 + x);
                assert_int_equal(p[0], x * 5 % 256);
                assert_int_equal(p[1], y * 7 % 256);
                assert_int_equal(p[2], x * y / 3 % 256);
            }
        }
        mly_image_fini(&image);
    }
    mly_image_fini(NULL);
}

static void lossy_grey_deep_and_animated_images_are_decoded(void **state)
{
    (void)state;
    struct mly_image jpeg = decode(data("pattern.jpg")), gif = decode(data("animated.gif"));
    struct mly_image gray = decode(data("gray.png")), deep = decode(data("gray16.png"));
    assert_true(jpeg.width == 53 && jpeg.height == 37 && jpeg.channels == 3);
    assert_true(gif.width == 53 && gif.height == 37 && gif.channels == 3);
    assert_true(gif.pixels[0] < 40); /* the first frame, not the mirrored second */
    assert_true(gray.channels == 1 && deep.channels == 1);
    assert_int_equal(deep.pixels[10], 50);
    mly_image_fini(&jpeg);
    mly_image_fini(&gif);
    mly_image_fini(&gray);
    mly_image_fini(&deep);
}

static void what_is_no_image_is_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_image image = {0};
    static const char bmp[] =
        "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\xff\x7f\1\0\0\0\1\0\x18"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    static const char pnm[] = "P6 16000 16000 255\n";
    expect_error(mly_image_decode("f", "", 0, &image, &err), MLY_E_FORMAT, err, "f: empty");
    expect_error(mly_image_decode("f", "hello", 5, &image, &err), MLY_E_FORMAT, err,
                 "no JPEG, PNG");
    expect_error(mly_image_decode("f", bmp, sizeof bmp, &image, &err), MLY_E_LIMIT, err, "limit");
    expect_error(mly_image_decode("f", pnm, sizeof pnm - 1, &image, &err), MLY_E_LIMIT, err,
                 "16000 x 16000");
    assert_null(image.pixels);
}

static void every_cut_of_an_image_is_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"pattern.png", "pattern.jpg", "animated.gif",
                                        "pattern.ppm"};
    struct mly_error err = {0};
    for (size_t i = 0; i < 4; i++) {
        char *bytes = NULL;
        size_t length = 0;
        expect_ok(mly_file_read(data(names[i]), 1 << 20, &bytes, &length, &err), err);
        for (size_t cut = 0; cut < length; cut += 1 + cut / 40) {
            struct mly_image image = {0};
            char *part = malloc(cut ? cut : 1);
            memcpy(part, bytes, cut);
            if (mly_image_decode("f", part, cut, &image, &err) == MLY_OK)
                mly_image_fini(&image); /* some formats fill up what is missing */
            free(part);
        }
        mly_free(bytes);
    }
}

static void assert_close(const struct mly_tensor *t, const char *reference, int tolerance)
{
    struct mly_error err = {0};
    struct mly_tensor wanted = {0};
    expect_ok(mly_npy_load(data(reference), 0, &wanted, &err), err);
    assert_int_equal(t->size_bytes, wanted.size_bytes);
    for (size_t i = 0; i < t->size_bytes; i++)
        assert_in_range(((uint8_t *)t->data)[i] + tolerance - ((uint8_t *)wanted.data)[i], 0,
                        2 * tolerance);
    mly_tensor_fini(&wanted);
}

static void sizes_change_as_pillow_changes_them(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_image image = decode(data("pattern.png"));
    struct mly_tensor t = {0};
    struct mly_preprocess p = plain(20, 31);
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    assert_close(&t, "pillow_stretch_20x31.npy", 1);
    mly_tensor_fini(&t);
    p = plain(80, 60);
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    assert_close(&t, "pillow_stretch_80x60.npy", 1);
    mly_tensor_fini(&t);
    p = plain(16, 16);
    p.fit = MLY_FIT_CROP;
    p.short_side = 24;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    assert_close(&t, "pillow_resize24_crop16.npy", 1);
    mly_tensor_fini(&t);
    p = plain(53, 37);
    p.channels = MLY_CHANNELS_GRAY;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    assert_close(&t, "pillow_gray.npy", 1);
    mly_tensor_fini(&t);
    p.channels = MLY_CHANNELS_RGB;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    assert_memory_equal(t.data, image.pixels, t.size_bytes); /* the same size: nothing changes */
    mly_tensor_fini(&t);
    mly_image_fini(&image);
}

static void layout_order_and_values_follow_the_options(void **state)
{
    (void)state;
    struct mly_error err = {0};
    uint8_t pixels[] = {255, 0, 10, 0, 20, 30};
    struct mly_image image = {pixels, 2, 1, 3};
    struct mly_tensor t = {0};
    struct mly_preprocess p = plain(2, 1);
    p.dtype = MLY_DTYPE_F32;
    p.layout = MLY_LAYOUT_NCHW;
    p.channels = MLY_CHANNELS_BGR;
    p.scale = 0.5;
    p.mean[0] = 1;
    p.std[2] = 2;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    const float *f = t.data;
    assert_true(f[0] == 4 && f[1] == 14 && f[2] == 0 && f[3] == 10 && f[4] == 63.75F && f[5] == 0);
    struct mly_shape shape = {4, {1, 3, 1, 2}};
    assert_true(mly_shape_equal(&t.shape, &shape));
    mly_tensor_fini(&t);
    p = plain(2, 1);
    p.dtype = MLY_DTYPE_I8;
    p.mean[0] = p.mean[1] = p.mean[2] = 128;
    p.invert = true;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    const int8_t *s = t.data;
    assert_true(s[0] == -128 && s[1] == 127 && s[2] == 117 && s[3] == 127 && s[4] == 107);
    mly_tensor_fini(&t);
    p.scale = 10;
    p.invert = false;
    p.dtype = MLY_DTYPE_U8;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    const uint8_t *u = t.data;
    assert_true(u[0] == 255 && u[1] == 0 && u[5] == 172);
    mly_tensor_fini(&t);
    p = plain(2, 1);
    p.dtype = MLY_DTYPE_F16;
    p.channels = MLY_CHANNELS_GRAY;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    assert_true(mly_f16_to_f32(((uint16_t *)t.data)[0]) == 77); /* 0.299 * 255 + 1.14 = 77.4 */
    mly_tensor_fini(&t);
    struct mly_image gray = {pixels, 2, 1, 1};
    p = plain(2, 1);
    expect_ok(mly_image_preprocess(&gray, &p, &t, &err), err);
    assert_memory_equal(t.data, "\xff\xff\xff\0\0\0", 6);
    mly_tensor_fini(&t);
}

static void a_letterbox_keeps_proportions_and_fills_the_rest(void **state)
{
    (void)state;
    struct mly_error err = {0};
    uint8_t pixels[8 * 4];
    memset(pixels, 200, sizeof pixels);
    struct mly_image image = {pixels, 8, 4, 1};
    struct mly_tensor t = {0};
    struct mly_preprocess p = plain(16, 16);
    p.fit = MLY_FIT_LETTERBOX;
    p.channels = MLY_CHANNELS_GRAY;
    p.pad = 9;
    expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 16; x++)
            assert_int_equal(((uint8_t *)t.data)[y * 16 + x], y >= 4 && y < 12 ? 200 : 9);
    }
    mly_tensor_fini(&t);
}

/* Whatever the sizes: the result is full, and of one colour if the image is. */
static void every_size_of_every_fit_is_covered(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 64, 333};
    struct mly_error err = {0};
    uint8_t *pixels = malloc(333 * 333);
    memset(pixels, 77, 333 * 333);
    for (int n = 0; n < 6 * 6 * 6 * 6; n++) {
        struct mly_image image = {pixels, sizes[n % 6], sizes[n / 6 % 6], 1};
        struct mly_preprocess p = plain(sizes[n / 36 % 6], sizes[n / 216]);
        p.channels = MLY_CHANNELS_GRAY;
        p.pad = 77;
        for (int fit = 0; fit <= MLY_FIT_LETTERBOX; fit++) {
            struct mly_tensor t = {0};
            p.fit = (enum mly_fit)fit;
            expect_ok(mly_image_preprocess(&image, &p, &t, &err), err);
            for (size_t i = 0; i < t.size_bytes; i++)
                assert_int_equal(((uint8_t *)t.data)[i], 77);
            mly_tensor_fini(&t);
        }
    }
    free(pixels);
}

static void defaults_follow_the_models_input(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_preprocess p = {0};
    struct mly_shape nchw = {4, {-1, 3, 224, 192}}, nhwc = {4, {1, 224, 192, 3}};
    struct mly_shape chw = {3, {1, 28, 28}}, hw = {2, {28, 30}}, open = {4, {1, 3, -1, -1}};
    struct mly_shape text = {2, {1, 0}}, many = {4, {1, 4, 8, 8}}, flat = {1, {5}};
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_F32, &nchw, &p, &err), err);
    assert_true(p.width == 192 && p.height == 224 && p.layout == MLY_LAYOUT_NCHW);
    assert_true(p.channels == MLY_CHANNELS_RGB && p.scale == 1.0 / 255 && p.std[2] == 1);
    expect_ok(mly_preprocess_check(&p, &err), err);
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_I8, &nhwc, &p, &err), err);
    assert_true(p.width == 192 && p.height == 224 && p.layout == MLY_LAYOUT_NHWC);
    assert_true(p.scale == 1 && p.mean[1] == 128 && p.dtype == MLY_DTYPE_I8);
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_U8, &chw, &p, &err), err);
    assert_true(p.channels == MLY_CHANNELS_GRAY && p.width == 28 && p.scale == 1);
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_F16, &hw, &p, &err), err);
    assert_true(p.channels == MLY_CHANNELS_GRAY && p.width == 30 && p.height == 28);
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_F32, &open, &p, &err), err);
    assert_true(p.width == 0 && p.height == 0);
    expect_error(mly_preprocess_check(&p, &err), MLY_E_INVALID, err, "0 x 0");
    expect_error(mly_preprocess_for_shape(MLY_DTYPE_I64, &nchw, &p, &err), MLY_E_UNSUPPORTED, err,
                 "i64");
    expect_error(mly_preprocess_for_shape(MLY_DTYPE_F32, &text, &p, &err), MLY_E_MISMATCH, err,
                 "1x0");
    expect_error(mly_preprocess_for_shape(MLY_DTYPE_F32, &many, &p, &err), MLY_E_MISMATCH, err,
                 "1x4x8x8");
    expect_error(mly_preprocess_for_shape(MLY_DTYPE_F32, &flat, &p, &err), MLY_E_MISMATCH, err,
                 "5 is no");
}

static void the_text_says_what_is_done(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_shape open = {4, {1, 3, -1, -1}}, fixed = {4, {1, 3, 299, 299}};
    struct mly_preprocess p = {0}, q = {0}, base = {0};
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_F32, &open, &base, &err), err);
    p = q = base;
    expect_ok(mly_preprocess_parse("imagenet", &p, &err), err);
    expect_ok(mly_preprocess_parse("resize=256,crop=224,rgb,mean=0.485/0.456/0.406,"
                                   "std=0.229/0.224/0.225,scale=1/255",
                                   &q, &err),
              err);
    assert_memory_equal(&p, &q, sizeof p);
    assert_true(p.short_side == 256 && p.width == 224 && p.fit == MLY_FIT_CROP);
    expect_ok(mly_preprocess_for_shape(MLY_DTYPE_F32, &fixed, &p, &err), err);
    expect_ok(mly_preprocess_parse("imagenet", &p, &err), err);
    assert_true(p.width == 299 && p.short_side == 341);
    p = base;
    expect_ok(mly_preprocess_parse("resize=100", &p, &err), err);
    assert_true(p.fit == MLY_FIT_CROP && p.width == 100 && p.height == 100);
    p = base;
    expect_ok(mly_preprocess_parse("crop=30x20", &p, &err), err);
    assert_true(p.fit == MLY_FIT_CROP && p.width == 30 && p.height == 20 && p.short_side == 0);
    p = base;
    expect_ok(mly_preprocess_parse(
                  "letterbox=64x32,pad=0,bgr,nhwc,u8,scale=2,mean=-1e1,std=4,invert", &p, &err),
              err);
    assert_true(p.fit == MLY_FIT_LETTERBOX && p.width == 64 && p.height == 32 && p.pad == 0);
    assert_true(p.channels == MLY_CHANNELS_BGR && p.layout == MLY_LAYOUT_NHWC && p.invert);
    assert_true(p.dtype == MLY_DTYPE_U8 && p.scale == 2 && p.mean[2] == -10 && p.std[1] == 4);
    expect_ok(mly_preprocess_parse("mnist,nchw", &p, &err), err);
    assert_true(p.width == 28 && p.channels == MLY_CHANNELS_GRAY && p.scale == 1);
    expect_ok(mly_preprocess_parse("minus-one-one,stretch=8", &p, &err), err);
    assert_true(p.scale == 1 / 127.5 && p.mean[0] == 1 && p.fit == MLY_FIT_STRETCH);
    expect_ok(mly_preprocess_parse("zero-one", &p, &err), err);
    assert_true(p.scale == 1.0 / 255 && p.mean[0] == 0);
    expect_ok(mly_preprocess_parse("bgr255", &p, &err), err);
    assert_true(p.scale == 1 && p.channels == MLY_CHANNELS_BGR);
    expect_ok(mly_preprocess_parse("gray,mean=5,std=2/2/2", &p, &err), err); /* as good as one */
    assert_true(p.channels == MLY_CHANNELS_GRAY && p.mean[0] == 5 && p.std[0] == 2);
}

static void wrong_texts_name_word_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fragment;
    } cases[] = {
        {"", "column 1: '' is empty"},
        {"rgb,,bgr", "column 5: '' is empty"},
        {"rgb,rezise=2", "column 5: 'rezise=2' is unknown; known are imagenet"},
        {"rgb,bgr", "column 5: 'bgr' says again"},
        {"rgb=1", "column 1: 'rgb=1' takes no value"},
        {"scale", "column 1: 'scale' needs '='"},
        {"rgb,imagenet", "column 5: 'imagenet' is a preset"},
        {"crop=", "column 6: 'crop=' wants N or WxH"},
        {"crop=0", "wants N or WxH with 1 to 8192"},
        {"crop=10x", "column 9:"},
        {"crop=10y10", "column 8:"},
        {"crop=99999999999999", "wants N or WxH"},
        {"resize=8193", "wants an integer in 1…8192"},
        {"pad=256", "wants an integer in 0…255"},
        {"mean=1/2", "one per channel"},
        {"mean=1/2/3/4", "column 11: 'mean=1/2/3/4' wants up to 3"},
        {"mean=1/x/3", "column 8: 'mean=1/x/3' wants a number here"},
        {"std=1/0/1", "is 0"},
        {"scale=1/0", "divides by 0"},
        {"scale=nan", "wants a number"},
        {"scale=0x10", "column 8: 'scale=0x10' wants up to 2"},
        {"scale=1e999", "wants a number"},
        {"resize=10,crop=20", "cannot cut 20 x 20"},
        {"stretch=9,crop=9", "only one"},
        {"gray,mean=1/2/3",
         "mean 1/2/3 and std 1/1/1 are of three channels, but the tensor has one"},
        {"std=1/2/3,gray", "of three channels"},
        {"imagenet,gray", "of three channels"},
    };
    struct mly_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mly_preprocess p = plain(0, 0), before = p;
        expect_error(mly_preprocess_parse(cases[i].text, &p, &err), MLY_E_INVALID, err,
                     cases[i].fragment);
        assert_memory_equal(&p, &before, sizeof p);
    }
}

static void impossible_preprocessing_is_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_tensor t = {0};
    uint8_t pixel = 0;
    struct mly_image image = {&pixel, 1, 1, 1}, empty = {0};
    struct mly_preprocess p = plain(1, 1);
    expect_error(mly_image_preprocess(&empty, &p, &t, &err), MLY_E_INVALID, err, "0 x 0");
    p.std[1] = 0;
    expect_error(mly_image_preprocess(&image, &p, &t, &err), MLY_E_INVALID, err, "channel 1");
    p = plain(9000, 1);
    expect_error(mly_image_preprocess(&image, &p, &t, &err), MLY_E_INVALID, err, "9000 x 1");
    p = plain(1, 1);
    p.dtype = MLY_DTYPE_F64;
    expect_error(mly_image_preprocess(&image, &p, &t, &err), MLY_E_INVALID, err, "f64");
    p = plain(1, 1);
    p.pad = 300;
    expect_error(mly_image_preprocess(&image, &p, &t, &err), MLY_E_INVALID, err, "pad 300");
    p = plain(8, 8);
    p.fit = MLY_FIT_CROP;
    p.short_side = 4;
    expect_error(mly_image_preprocess(&image, &p, &t, &err), MLY_E_INVALID, err, "short side of 4");
    p = plain(1, 1);
    p.layout = (enum mly_layout)7;
    expect_error(mly_image_preprocess(&image, &p, &t, &err), MLY_E_INVALID, err, "unknown");
    assert_null(t.data);
}

static void loading_survives_every_failed_allocation(void **state)
{
    (void)state;
    static const char *const names[] = {"pattern.png", "pattern.jpg", "animated.gif"};
    struct mly_error err = {0};
    struct mly_preprocess p = plain(20, 20);
    for (size_t i = 0; i < 3; i++) {
        struct mly_tensor t = {0};
        const char *path = data(names[i]);
        uint64_t before = mly_alloc_count();
        expect_ok(mly_image_load(path, &p, &t, &err), err);
        uint64_t count = mly_alloc_count() - before;
        mly_tensor_fini(&t);
        assert_true(count > 8);
        for (uint64_t n = 1; n <= count; n++) {
            mly_alloc_fail_once(n);
            enum mly_status status = mly_image_load(path, &p, &t, &err);
            mly_alloc_fail_after(0);
            mly_tensor_fini(&t);
            /* The decoder tries formats in turn: without memory for one it may find the right next one. */
            assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY || status == MLY_E_FORMAT);
        }
    }
    struct mly_tensor t = {0};
    expect_error(mly_image_load(data("none.png"), &p, &t, &err), MLY_E_NOT_FOUND, err, "none.png");
    expect_error(mly_image_load(data("pillow_gray.npy"), &p, &t, &err), MLY_E_FORMAT, err,
                 "no JPEG");
    p.width = 0;
    expect_error(mly_image_load(data("gray.png"), &p, &t, &err), MLY_E_INVALID, err, "gray.png: ");
}

/* Others wrote both files: the raw one holds the picture's pixels. */
static void a_real_picture_agrees_with_its_raw_pixels(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_tensor t = {0}, raw = {0};
    struct mly_shape shape = {4, {1, 224, 224, 3}};
    struct mly_preprocess p = plain(224, 224);
    const char *png = shared("nnstreamer+nnstreamer/tests/test_models/data/orange.png");
    const char *pixels = shared("nnstreamer+nnstreamer/tests/test_models/data/orange.raw");
    expect_ok(mly_image_load(png, &p, &t, &err), err);
    expect_ok(mly_raw_load(pixels, MLY_DTYPE_U8, &shape, &raw, &err), err);
    assert_memory_equal(t.data, raw.data, raw.size_bytes);
    mly_tensor_fini(&t);
    mly_tensor_fini(&raw);
}

static void real_pictures_are_decoded(void **state)
{
    (void)state;
    static const char *const names[] = {
        "google-coral+test_data/bird.bmp",
        "google-coral+test_data/resized_cat.bmp",
        "triton-inference-server+server/qa/images/mug.jpg",
        "triton-inference-server+server/qa/images/vulture.jpeg",
        "microsoft+Windows-Machine-Learning/SharedContent/media/fish.png",
        "intel+onnxruntime/winml/test/image/images/1080.jpg",
    };
    struct mly_error err = {0};
    struct mly_shape shape = {4, {1, 3, 224, 224}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct mly_tensor t = {0};
        struct mly_preprocess p;
        const char *path = shared(names[i]);
        expect_ok(mly_preprocess_for_shape(MLY_DTYPE_F32, &shape, &p, &err), err);
        expect_ok(mly_preprocess_parse("imagenet", &p, &err), err);
        expect_ok(mly_image_load(path, &p, &t, &err), err);
        assert_true(mly_shape_equal(&t.shape, &shape));
        mly_tensor_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pattern_is_decoded_from_every_format),
        cmocka_unit_test(lossy_grey_deep_and_animated_images_are_decoded),
        cmocka_unit_test(what_is_no_image_is_refused),
        cmocka_unit_test(every_cut_of_an_image_is_survived),
        cmocka_unit_test(sizes_change_as_pillow_changes_them),
        cmocka_unit_test(layout_order_and_values_follow_the_options),
        cmocka_unit_test(a_letterbox_keeps_proportions_and_fills_the_rest),
        cmocka_unit_test(every_size_of_every_fit_is_covered),
        cmocka_unit_test(defaults_follow_the_models_input),
        cmocka_unit_test(the_text_says_what_is_done),
        cmocka_unit_test(wrong_texts_name_word_and_column),
        cmocka_unit_test(impossible_preprocessing_is_refused),
        cmocka_unit_test(loading_survives_every_failed_allocation),
        cmocka_unit_test(a_real_picture_agrees_with_its_raw_pixels),
        cmocka_unit_test(real_pictures_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

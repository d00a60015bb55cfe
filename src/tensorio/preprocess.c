/* What is to be done to an image: from the model's input, and from the text of --preprocess. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorio/image.h"

#define WORD_BYTES 64

static void set_values(double values[3], double value)
{
    values[0] = values[1] = values[2] = value;
}

static void set_range(struct mly_preprocess *p, double scale, double mean)
{
    p->scale = scale;
    set_values(p->mean, mean);
    set_values(p->std, 1);
}

static bool is_per_channel(const double values[3])
{
    return values[0] != values[1] || values[1] != values[2];
}

static bool is_channel_count(int64_t dimension)
{
    return dimension == 1 || dimension == 3;
}

static uint32_t side(int64_t dimension)
{
    return dimension > 0 ? (uint32_t)dimension : 0;
}

enum mly_status mly_preprocess_for_shape(enum mly_dtype dtype, const struct mly_shape *shape,
                                         struct mly_preprocess *out, struct mly_error *err)
{
    char text[MLY_SHAPE_TEXT_BYTES];
    struct mly_preprocess p = {.dtype = dtype, .pad = 114};
    if (dtype == MLY_DTYPE_F32 || dtype == MLY_DTYPE_F16)
        set_range(&p, 1.0 / 255, 0);
    else if (dtype == MLY_DTYPE_U8)
        set_range(&p, 1, 0);
    else if (dtype == MLY_DTYPE_I8)
        set_range(&p, 1, 128);
    else
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "an image cannot become a tensor of type %s (f32, f16, u8, i8)",
                             mly_dtype_name(dtype));
    int64_t one = 1, channels = 0, height = 0, width = 0;
    const int64_t *d = shape->dims;
    if (shape->rank == 4) {
        one = d[0];
        d++;
    }
    if (shape->rank == 3 || shape->rank == 4) {
        bool first = is_channel_count(d[0]);
        p.layout = first ? MLY_LAYOUT_NCHW : MLY_LAYOUT_NHWC;
        channels = first ? d[0] : d[2];
        height = first ? d[1] : d[0];
        width = first ? d[2] : d[1];
    } else if (shape->rank == 2) {
        channels = 1;
        height = d[0];
        width = d[1];
    }
    if (!is_channel_count(channels) || one == 0 || height == 0 || width == 0 ||
        height > MLY_PREPROCESS_MAX_SIDE || width > MLY_PREPROCESS_MAX_SIDE)
        return mly_error_set(err, MLY_E_MISMATCH,
                             "%s is no image's shape ([N, C, H, W] or [N, H, W, C], C 1 or 3, "
                             "H and W up to %d)",
                             mly_shape_format(shape, text), MLY_PREPROCESS_MAX_SIDE);
    p.channels = channels == 1 ? MLY_CHANNELS_GRAY : MLY_CHANNELS_RGB;
    p.height = side(height);
    p.width = side(width);
    *out = p;
    return MLY_OK;
}

enum mly_status mly_preprocess_check(const struct mly_preprocess *p, struct mly_error *err)
{
    if (p->width < 1 || p->width > MLY_PREPROCESS_MAX_SIDE || p->height < 1 ||
        p->height > MLY_PREPROCESS_MAX_SIDE)
        return mly_error_set(err, MLY_E_INVALID,
                             "an image's tensor of %u x %u (1 to %d; give stretch=WxH, crop=WxH or "
                             "letterbox=WxH where the model leaves its size open)",
                             p->width, p->height, MLY_PREPROCESS_MAX_SIDE);
    if ((unsigned)p->fit > MLY_FIT_LETTERBOX || (unsigned)p->channels > MLY_CHANNELS_GRAY ||
        (unsigned)p->layout > MLY_LAYOUT_NHWC)
        return mly_error_set(err, MLY_E_INVALID, "an unknown fit, channel order or layout");
    if (p->dtype != MLY_DTYPE_F32 && p->dtype != MLY_DTYPE_F16 && p->dtype != MLY_DTYPE_U8 &&
        p->dtype != MLY_DTYPE_I8)
        return mly_error_set(err, MLY_E_INVALID,
                             "an image cannot become a tensor of type %s (f32, f16, u8, i8)",
                             mly_dtype_name(p->dtype));
    if (p->fit == MLY_FIT_CROP && p->short_side &&
        (p->short_side < p->width || p->short_side < p->height ||
         p->short_side > MLY_PREPROCESS_MAX_SIDE))
        return mly_error_set(err, MLY_E_INVALID,
                             "cannot cut %u x %u out of an image resized to a short side of %u",
                             p->width, p->height, p->short_side);
    if (p->pad > 255)
        return mly_error_set(err, MLY_E_INVALID, "pad %u is not in 0…255", p->pad);
    for (int c = 0; c < 3; c++) {
        if (!isfinite(p->scale) || !isfinite(p->mean[c]) || !isfinite(p->std[c]) || p->std[c] == 0)
            return mly_error_set(err, MLY_E_INVALID,
                                 "scale %g, mean %g or std %g of channel %d is not finite, or std "
                                 "is 0",
                                 p->scale, p->mean[c], p->std[c], c);
    }
    return MLY_OK;
}

/* --- the text --- */

enum key {
    KEY_PRESET,
    KEY_STRETCH,
    KEY_RESIZE,
    KEY_CROP,
    KEY_LETTERBOX,
    KEY_PAD,
    KEY_CHANNELS,
    KEY_LAYOUT,
    KEY_TYPE,
    KEY_SCALE,
    KEY_MEAN,
    KEY_STD,
    KEY_INVERT,
};

static const struct {
    const char *word;
    enum key key;
    int value;
    bool has_value; /* an "=" and more follow */
} words[] = {
    {"imagenet", KEY_PRESET, 0, false},
    {"zero-one", KEY_PRESET, 1, false},
    {"minus-one-one", KEY_PRESET, 2, false},
    {"bgr255", KEY_PRESET, 3, false},
    {"mnist", KEY_PRESET, 4, false},
    {"stretch", KEY_STRETCH, 0, true},
    {"resize", KEY_RESIZE, 0, true},
    {"crop", KEY_CROP, 0, true},
    {"letterbox", KEY_LETTERBOX, 0, true},
    {"pad", KEY_PAD, 0, true},
    {"rgb", KEY_CHANNELS, MLY_CHANNELS_RGB, false},
    {"bgr", KEY_CHANNELS, MLY_CHANNELS_BGR, false},
    {"gray", KEY_CHANNELS, MLY_CHANNELS_GRAY, false},
    {"nchw", KEY_LAYOUT, MLY_LAYOUT_NCHW, false},
    {"nhwc", KEY_LAYOUT, MLY_LAYOUT_NHWC, false},
    {"f32", KEY_TYPE, MLY_DTYPE_F32, false},
    {"f16", KEY_TYPE, MLY_DTYPE_F16, false},
    {"u8", KEY_TYPE, MLY_DTYPE_U8, false},
    {"i8", KEY_TYPE, MLY_DTYPE_I8, false},
    {"scale", KEY_SCALE, 0, true},
    {"mean", KEY_MEAN, 0, true},
    {"std", KEY_STD, 0, true},
    {"invert", KEY_INVERT, 0, false},
};

struct parser {
    const char *text, *word; /* the word at hand begins here, */
    size_t length;           /* and is this long */
    const char *value;       /* after its "=", or NULL */
    size_t value_length;
    unsigned seen; /* bit per key */
    struct mly_preprocess p;
    struct mly_error *err;
};

static MLY_PRINTF(3, 4) enum mly_status
    fail(const struct parser *parser, const char *at, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    int shown = parser->length < WORD_BYTES ? (int)parser->length : WORD_BYTES;
    return mly_error_set(parser->err, MLY_E_INVALID, "--preprocess: column %zu: '%.*s' %s",
                         (size_t)(at - parser->text) + 1, shown, parser->word, message);
}

/* A decimal number at *at, ended by `end` of the value; whatever the locale says. */
static bool read_number(const char **at, const char *end, double *value)
{
    char digits[WORD_BYTES];
    size_t length = 0;
    while (*at + length < end && length < sizeof digits - 1 &&
           strchr("+-.0123456789eE", (*at)[length]) && (*at)[length])
        length++;
    memcpy(digits, *at, length);
    digits[length] = '\0';
    char *stop = NULL;
    locale_t numeric = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    *value = numeric ? strtod_l(digits, &stop, numeric) : strtod(digits, &stop);
    if (numeric)
        freelocale(numeric);
    *at += length;
    return length && stop == digits + length && isfinite(*value);
}

static bool read_integer(const char **at, const char *end, uint32_t min, uint32_t max,
                         uint32_t *value)
{
    uint64_t number = 0;
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9' && number <= max)
        number = number * 10 + (uint64_t)(*(*at)++ - '0');
    *value = (uint32_t)number;
    return *at > start && number >= min && number <= max;
}

static enum mly_status read_size(struct parser *parser, uint32_t *width, uint32_t *height)
{
    const char *at = parser->value, *end = at + parser->value_length;
    bool good = read_integer(&at, end, 1, MLY_PREPROCESS_MAX_SIDE, width);
    *height = *width;
    if (good && at < end && *at == 'x') {
        at++;
        good = read_integer(&at, end, 1, MLY_PREPROCESS_MAX_SIDE, height);
    }
    if (!good || at != end)
        return fail(parser, at, "wants N or WxH with 1 to %d pixels", MLY_PREPROCESS_MAX_SIDE);
    return MLY_OK;
}

static enum mly_status read_whole(struct parser *parser, uint32_t min, uint32_t max,
                                  uint32_t *value)
{
    const char *at = parser->value, *end = at + parser->value_length;
    if (!read_integer(&at, end, min, max, value) || at != end)
        return fail(parser, at, "wants an integer in %u…%u", min, max);
    return MLY_OK;
}

/* One to three numbers with "/" between; how many into *count. */
static enum mly_status read_numbers(struct parser *parser, double values[3], int most, int *count)
{
    const char *at = parser->value, *end = at + parser->value_length;
    *count = 0;
    for (;;) {
        const char *start = at;
        if (!read_number(&at, end, &values[*count]))
            return fail(parser, start, "wants a number here");
        ++*count;
        if (at == end)
            return MLY_OK;
        if (*at != '/' || *count == most)
            return fail(parser, at, "wants up to %d numbers with '/' between", most);
        at++;
    }
}

static enum mly_status read_scale(struct parser *parser)
{
    double values[3] = {0};
    int count;
    enum mly_status status = read_numbers(parser, values, 2, &count);
    if (status != MLY_OK)
        return status;
    double scale = count == 2 ? values[0] / values[1] : values[0];
    if (!isfinite(scale))
        return fail(parser, parser->value, "divides by 0");
    parser->p.scale = scale;
    return MLY_OK;
}

static enum mly_status read_per_channel(struct parser *parser, double out[3], bool is_std)
{
    double values[3] = {0};
    int count;
    enum mly_status status = read_numbers(parser, values, 3, &count);
    if (status != MLY_OK)
        return status;
    if (count == 2)
        return fail(parser, parser->value, "wants one number, or one per channel (three)");
    if (count == 1)
        set_values(values, values[0]);
    if (is_std && (values[0] == 0 || values[1] == 0 || values[2] == 0))
        return fail(parser, parser->value, "is 0, by which nothing can be divided");
    memcpy(out, values, sizeof values);
    return MLY_OK;
}

static void apply_preset(struct mly_preprocess *p, int preset)
{
    /* torchvision.models' documentation: statistics of ImageNet, R, G, B. */
    static const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
    set_range(p, preset == 2 ? 1 / 127.5 : preset >= 3 ? 1 : 1.0 / 255, preset == 2 ? 1 : 0);
    if (preset == 0) {
        memcpy(p->mean, mean, sizeof mean);
        memcpy(p->std, std, sizeof std);
        p->channels = MLY_CHANNELS_RGB;
        p->fit = MLY_FIT_CROP;
        p->width = p->width ? p->width : 224;
        p->height = p->height ? p->height : 224;
        uint32_t longest = p->width > p->height ? p->width : p->height;
        p->short_side = (uint32_t)((uint64_t)longest * 256 / 224);
        if (p->short_side > MLY_PREPROCESS_MAX_SIDE)
            p->short_side = MLY_PREPROCESS_MAX_SIDE;
    } else if (preset == 3) {
        p->channels = MLY_CHANNELS_BGR;
    } else if (preset == 4) {
        p->channels = MLY_CHANNELS_GRAY;
        p->fit = MLY_FIT_STRETCH;
        p->width = p->height = 28;
    }
}

static enum mly_status apply_word(struct parser *parser, enum key key, int value)
{
    struct mly_preprocess *p = &parser->p;
    switch (key) {
    case KEY_PRESET:
        if (parser->word != parser->text)
            return fail(parser, parser->word, "is a preset, which has to come first");
        apply_preset(p, value);
        return MLY_OK;
    case KEY_STRETCH:
        p->fit = MLY_FIT_STRETCH;
        return read_size(parser, &p->width, &p->height);
    case KEY_LETTERBOX:
        p->fit = MLY_FIT_LETTERBOX;
        return read_size(parser, &p->width, &p->height);
    case KEY_CROP:
        if (!(parser->seen & 1U << KEY_RESIZE))
            p->short_side = 0;
        p->fit = MLY_FIT_CROP;
        return read_size(parser, &p->width, &p->height);
    case KEY_RESIZE:
        p->fit = MLY_FIT_CROP;
        return read_whole(parser, 1, MLY_PREPROCESS_MAX_SIDE, &p->short_side);
    case KEY_PAD:
        return read_whole(parser, 0, 255, &p->pad);
    case KEY_CHANNELS:
        p->channels = (enum mly_channels)value;
        return MLY_OK;
    case KEY_LAYOUT:
        p->layout = (enum mly_layout)value;
        return MLY_OK;
    case KEY_TYPE:
        p->dtype = (enum mly_dtype)value;
        return MLY_OK;
    case KEY_SCALE:
        return read_scale(parser);
    case KEY_MEAN:
        return read_per_channel(parser, p->mean, false);
    case KEY_STD:
        return read_per_channel(parser, p->std, true);
    case KEY_INVERT:
        p->invert = true;
        return MLY_OK;
    }
    return MLY_OK;
}

static enum mly_status read_word(struct parser *parser)
{
    const char *equals = memchr(parser->word, '=', parser->length);
    size_t name_length = equals ? (size_t)(equals - parser->word) : parser->length;
    parser->value = equals ? equals + 1 : NULL;
    parser->value_length = equals ? parser->length - name_length - 1 : 0;
    if (!parser->length)
        return fail(parser, parser->word, "is empty where a word belongs");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].word) != name_length ||
            memcmp(words[i].word, parser->word, name_length) != 0)
            continue;
        if (words[i].has_value != (equals != NULL))
            return fail(parser, parser->word, equals ? "takes no value" : "needs '=' and a value");
        if (parser->seen & 1U << words[i].key)
            return fail(parser, parser->word, "says again, or otherwise, what was said before");
        enum mly_status status = apply_word(parser, words[i].key, words[i].value);
        parser->seen |= 1U << words[i].key;
        return status;
    }
    return fail(parser, parser->word,
                "is unknown; known are imagenet zero-one minus-one-one bgr255 mnist stretch= "
                "resize= crop= letterbox= pad= rgb bgr gray nchw nhwc f32 f16 u8 i8 scale= mean= "
                "std= invert");
}

/* What only all words together show. */
static enum mly_status finish(struct parser *parser)
{
    const unsigned crop = 1U << KEY_RESIZE | 1U << KEY_CROP;
    unsigned seen = parser->seen;
    int ways = !!(seen & crop) + !!(seen & 1U << KEY_STRETCH) + !!(seen & 1U << KEY_LETTERBOX);
    if (ways > 1)
        return mly_error_set(parser->err, MLY_E_INVALID,
                             "--preprocess: of stretch=, letterbox= and resize= with crop= only "
                             "one can be done");
    struct mly_preprocess *p = &parser->p;
    if ((seen & crop) == 1U << KEY_RESIZE && (!p->width || !p->height))
        p->width = p->height = p->short_side;
    if (p->fit == MLY_FIT_CROP && p->short_side && p->width && p->height &&
        (p->short_side < p->width || p->short_side < p->height))
        return mly_error_set(parser->err, MLY_E_INVALID,
                             "--preprocess: cannot cut %u x %u out of an image resized to a short "
                             "side of %u",
                             p->width, p->height, p->short_side);
    if (p->channels == MLY_CHANNELS_GRAY && (is_per_channel(p->mean) || is_per_channel(p->std)))
        return mly_error_set(parser->err, MLY_E_INVALID,
                             "--preprocess: mean %g/%g/%g and std %g/%g/%g are of three channels, "
                             "but the tensor has one: give mean= and std= one number",
                             p->mean[0], p->mean[1], p->mean[2], p->std[0], p->std[1], p->std[2]);
    return MLY_OK;
}

enum mly_status mly_preprocess_parse(const char *text, struct mly_preprocess *preprocess,
                                     struct mly_error *err)
{
    struct parser parser = {.text = text, .word = text, .p = *preprocess, .err = err};
    for (;;) {
        parser.length = strcspn(parser.word, ",");
        enum mly_status status = read_word(&parser);
        if (status != MLY_OK)
            return status;
        if (!parser.word[parser.length])
            break;
        parser.word += parser.length + 1;
    }
    enum mly_status status = finish(&parser);
    if (status == MLY_OK)
        *preprocess = parser.p;
    return status;
}

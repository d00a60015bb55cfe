/*
 * From an image to a tensor.
 *
 * 1. The part of the resized image that the tensor shows, and where in the tensor it lies.
 * 2. For each of its columns and rows, the source pixels that it mixes, and their weights.
 * 3. Row by row: source rows are mixed into one, its columns are mixed, and rounded to 8 bits.
 * 4. Channels are ordered; scale, mean and std applied; the type converted.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/half.h"
#include "tensorio/image.h"

/* (1) One axis: `size` tensor pixels from `start` show the resized image (`resized` pixels) from
 * `offset` on. */
struct span {
    uint32_t source, resized, offset, start, size;
};

/* (2) Source pixels first … first + count - 1 make one pixel, by `weights`. */
struct tap {
    uint32_t first, count;
    const float *weights;
};

struct taps {
    struct tap *items;
    float *weights;
};

static uint32_t scaled(uint32_t length, double factor)
{
    double value = floor((double)length * factor + 0.5);
    return value < 1 ? 1 : (uint32_t)value;
}

/* Shows the centre of an axis that is resized to `resized` in `size` tensor pixels. */
static struct span centred(uint32_t source, uint32_t resized, uint32_t size)
{
    struct span s = {.source = source, .resized = resized, .size = size};
    if (resized >= size) {
        uint32_t spare = resized - size, half = spare / 2;
        s.offset = half + (spare & half &
                           1); /* half of an odd number goes to the even, as torchvision has it */
    } else {
        s.start = (size - resized) / 2;
        s.size = resized;
    }
    return s;
}

static void plan_spans(const struct mly_image *image, const struct mly_preprocess *p,
                       struct span *x, struct span *y)
{
    double wide = (double)p->width / image->width, high = (double)p->height / image->height;
    uint32_t width = p->width, height = p->height;
    if (p->fit == MLY_FIT_LETTERBOX) {
        double factor = fmin(wide, high);
        width = wide <= high ? width : scaled(image->width, factor);
        height = high <= wide ? height : scaled(image->height, factor);
    } else if (p->fit == MLY_FIT_CROP && !p->short_side) {
        double factor = fmax(wide, high);
        width = wide >= high ? width : scaled(image->width, factor);
        height = high >= wide ? height : scaled(image->height, factor);
    } else if (p->fit == MLY_FIT_CROP) {
        /* torchvision: the long side is rounded down. */
        uint64_t side = p->short_side, w = image->width, h = image->height;
        width = (uint32_t)(w <= h ? side : side * w / h);
        height = (uint32_t)(h <= w ? side : side * h / w);
    }
    *x = centred(image->width, width, p->width);
    *y = centred(image->height, height, p->height);
}

/* (2) */
static enum mly_status make_taps(const struct span *s, struct taps *out)
{
    double step = (double)s->source / s->resized, reach = step > 1 ? step : 1;
    size_t most = (size_t)ceil(reach) * 2 + 2;
    struct taps taps = {
        .items = mly_alloc_array(s->size, sizeof *taps.items),
        .weights = mly_alloc_array(s->size * most, sizeof *taps.weights),
    };
    *out = taps;
    if (!taps.items || !taps.weights)
        return MLY_E_NO_MEMORY;
    float *weights = taps.weights;
    for (uint32_t i = 0; i < s->size; i++) {
        double centre = (s->offset + i + 0.5) * step, sum = 0;
        double low = floor(centre - reach + 0.5), high = floor(centre + reach + 0.5);
        uint32_t first = low < 0 ? 0 : (uint32_t)low;
        uint32_t end = high > s->source ? s->source : (uint32_t)high;
        if (first >= s->source)
            first = s->source - 1;
        if (end <= first)
            end = first + 1;
        for (uint32_t k = first; k < end; k++)
            sum += fmax(0, 1 - fabs((k + 0.5 - centre) / reach));
        for (uint32_t k = first; k < end; k++) {
            double weight = fmax(0, 1 - fabs((k + 0.5 - centre) / reach));
            weights[k - first] = (float)(sum > 0 ? weight / sum : 1.0 / (end - first));
        }
        taps.items[i] = (struct tap){first, end - first, weights};
        weights += most;
    }
    return MLY_OK;
}

static void free_taps(struct taps *taps)
{
    mly_free(taps->items);
    mly_free(taps->weights);
}

/* (3) Source rows into one row of floats. */
static void mix_rows(const struct mly_image *image, const struct tap *tap, float *row)
{
    size_t length = (size_t)image->width * image->channels;
    memset(row, 0, length * sizeof *row);
    for (uint32_t k = 0; k < tap->count; k++) {
        float weight = tap->weights[k];
        const uint8_t *from = image->pixels + (tap->first + k) * length;
        if (weight == 0)
            continue;
        for (size_t i = 0; i < length; i++)
            row[i] += weight * (float)from[i];
    }
}

static uint8_t to_byte(float value)
{
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)lrintf(value);
}

/* (3) Columns of that row into 8-bit pixels. */
static void mix_columns(const float *row, uint32_t channels, const struct taps *taps, uint32_t size,
                        uint8_t *pixels)
{
    for (uint32_t i = 0; i < size; i++) {
        const struct tap *tap = &taps->items[i];
        for (uint32_t c = 0; c < channels; c++) {
            float sum = 0;
            for (uint32_t k = 0; k < tap->count; k++)
                sum += tap->weights[k] * row[(size_t)(tap->first + k) * channels + c];
            *pixels++ = to_byte(sum);
        }
    }
}

/* (4) What a pixel value becomes, for each channel: 256 values at most, so they are computed once.
 */
union element {
    float f32;
    uint16_t f16;
    uint8_t u8;
    int8_t i8;
};

static double saturate(double value, double low, double high)
{
    value = nearbyint(value);
    return value < low ? low : value > high ? high : value;
}

static size_t fill_table(const struct mly_preprocess *p, uint32_t channel, union element table[256])
{
    for (int pixel = 0; pixel < 256; pixel++) {
        double value = p->invert ? 255 - pixel : pixel;
        value = (value * p->scale - p->mean[channel]) / p->std[channel];
        if (p->dtype == MLY_DTYPE_F32)
            table[pixel].f32 = (float)value;
        else if (p->dtype == MLY_DTYPE_F16)
            table[pixel].f16 = mly_f16_from_f32((float)value);
        else if (p->dtype == MLY_DTYPE_U8)
            table[pixel].u8 = (uint8_t)saturate(value, 0, 255);
        else
            table[pixel].i8 = (int8_t)saturate(value, -128, 127);
    }
    return mly_dtype_bits(p->dtype) / 8;
}

static uint8_t channel_value(const uint8_t *pixel, uint32_t image_channels,
                             enum mly_channels channels, uint32_t c)
{
    if (image_channels == 1)
        return pixel[0];
    if (channels == MLY_CHANNELS_GRAY)
        return (uint8_t)((pixel[0] * 299 + pixel[1] * 587 + pixel[2] * 114 + 500) / 1000);
    return pixel[channels == MLY_CHANNELS_BGR ? 2 - c : c];
}

struct job {
    const struct mly_image *image;
    const struct mly_preprocess *p;
    struct span x, y;
    struct taps columns, rows;
    float *mixed;    /* one row of the source's width */
    uint8_t *pixels; /* one row of the tensor's width */
    uint32_t channel_count;
    struct mly_tensor tensor;
};

/* (4) One row of pixels into the tensor. */
static void store_row(struct job *job, uint32_t row, union element (*tables)[256],
                      size_t element_bytes)
{
    const struct mly_preprocess *p = job->p;
    unsigned char *data = job->tensor.data;
    bool planar = p->layout == MLY_LAYOUT_NCHW;
    size_t plane = (size_t)p->width * p->height;
    for (uint32_t c = 0; c < job->channel_count; c++) {
        size_t first = (size_t)row * p->width,
               at = planar ? c * plane + first : first * job->channel_count + c;
        size_t step = planar ? 1 : job->channel_count;
        for (uint32_t i = 0; i < p->width; i++, at += step) {
            uint8_t value = channel_value(job->pixels + (size_t)i * job->image->channels,
                                          job->image->channels, p->channels, c);
            memcpy(data + at * element_bytes, &tables[c][value], element_bytes);
        }
    }
}

static void fill_tensor(struct job *job)
{
    union element tables[3][256];
    size_t element_bytes = 0, pixel_bytes = job->image->channels;
    for (uint32_t c = 0; c < job->channel_count; c++)
        element_bytes = fill_table(job->p, c, tables[c]);
    for (uint32_t row = 0; row < job->p->height; row++) {
        memset(job->pixels, (int)job->p->pad, job->p->width * pixel_bytes);
        if (row >= job->y.start && row - job->y.start < job->y.size) {
            mix_rows(job->image, &job->rows.items[row - job->y.start], job->mixed);
            mix_columns(job->mixed, job->image->channels, &job->columns, job->x.size,
                        job->pixels + job->x.start * pixel_bytes);
        }
        store_row(job, row, tables, element_bytes);
    }
}

enum mly_status mly_image_preprocess(const struct mly_image *image,
                                     const struct mly_preprocess *preprocess,
                                     struct mly_tensor *out, struct mly_error *err)
{
    enum mly_status status = mly_preprocess_check(preprocess, err);
    if (status != MLY_OK)
        return status;
    if (!image->pixels || !image->width || !image->height || image->width > MLY_IMAGE_MAX_SIDE ||
        image->height > MLY_IMAGE_MAX_SIDE || (image->channels != 1 && image->channels != 3))
        return mly_error_set(err, MLY_E_INVALID, "an image of %u x %u pixels and %u channels",
                             image->width, image->height, image->channels);
    struct job job = {.image = image, .p = preprocess};
    int64_t width = preprocess->width, height = preprocess->height;
    job.channel_count = preprocess->channels == MLY_CHANNELS_GRAY ? 1 : 3;
    struct mly_shape shape = {4, {1, job.channel_count, height, width}};
    if (preprocess->layout == MLY_LAYOUT_NHWC)
        shape = (struct mly_shape){4, {1, height, width, job.channel_count}};
    plan_spans(image, preprocess, &job.x, &job.y);
    if (make_taps(&job.x, &job.columns) != MLY_OK || make_taps(&job.y, &job.rows) != MLY_OK)
        goto no_memory;
    job.mixed = mly_alloc_array((size_t)image->width * image->channels, sizeof *job.mixed);
    job.pixels = mly_alloc_array(preprocess->width, image->channels);
    if (!job.mixed || !job.pixels)
        goto no_memory;
    status = mly_tensor_init(preprocess->dtype, &shape, &job.tensor, err);
    if (status == MLY_OK) {
        fill_tensor(&job);
        *out = job.tensor;
    }
    goto done;
no_memory:
    status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory to resize an image");
done:
    free_taps(&job.columns);
    free_taps(&job.rows);
    mly_free(job.mixed);
    mly_free(job.pixels);
    return status;
}

/* Decoding images by stb_image, which stb_image.c compiles. */
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "tensorio/image.h"

#define FILE_MAX_BYTES ((size_t)256 << 20)

#define STBI_NO_STDIO
#include <stb_image.h>

static enum mly_status fail(const char *name, struct mly_error *err)
{
    const char *reason = stbi_failure_reason();
    if (!reason)
        reason = "no reason given";
    if (strcmp(reason, "outofmem") == 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory to decode the image", name);
    if (strcmp(reason, "too large") == 0)
        return mly_error_set(err, MLY_E_LIMIT, "%s: the image is over %d pixels a side", name,
                             MLY_IMAGE_MAX_SIDE);
    if (strcmp(reason, "unknown image type") == 0)
        return mly_error_set(err, MLY_E_FORMAT, "%s: no JPEG, PNG, BMP, GIF or PNM image", name);
    return mly_error_set(err, MLY_E_FORMAT, "%s: broken image (%s)", name, reason);
}

enum mly_status mly_image_decode(const char *name, const void *bytes, size_t length,
                                 struct mly_image *out, struct mly_error *err)
{
    int width = 0, height = 0, channels = 0;
    if (length == 0)
        return mly_error_set(err, MLY_E_FORMAT, "%s: empty, no image", name);
    if (length > INT_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: an image of %zu bytes", name, length);
    if (!stbi_info_from_memory(bytes, (int)length, &width, &height, &channels))
        return fail(name, err);
    if (width < 1 || height < 1)
        return mly_error_set(err, MLY_E_FORMAT, "%s: an image of %d x %d pixels", name, width,
                             height);
    if (width > MLY_IMAGE_MAX_SIDE || height > MLY_IMAGE_MAX_SIDE ||
        (uint32_t)width * (uint32_t)height > MLY_IMAGE_MAX_PIXELS)
        return mly_error_set(err, MLY_E_LIMIT,
                             "%s: %d x %d pixels are over the limit of %d a side and %u in all",
                             name, width, height, MLY_IMAGE_MAX_SIDE, MLY_IMAGE_MAX_PIXELS);
    int wanted = channels <= 2 ? 1 : 3;
    uint8_t *pixels = stbi_load_from_memory(bytes, (int)length, &width, &height, &channels, wanted);
    if (!pixels)
        return fail(name, err);
    *out = (struct mly_image){pixels, (uint32_t)width, (uint32_t)height, (uint32_t)wanted};
    return MLY_OK;
}

void mly_image_fini(struct mly_image *image)
{
    if (!image)
        return;
    mly_free(image->pixels);
    *image = (struct mly_image){0};
}

enum mly_status mly_image_load(const char *path, const struct mly_preprocess *preprocess,
                               struct mly_tensor *out, struct mly_error *err)
{
    char *bytes = NULL;
    size_t length = 0;
    struct mly_image image = {0};
    enum mly_status status = mly_file_read(path, FILE_MAX_BYTES, &bytes, &length, err);
    if (status != MLY_OK)
        return status;
    status = mly_image_decode(path, bytes, length, &image, err);
    mly_free(bytes);
    if (status != MLY_OK)
        return status;
    status = mly_image_preprocess(&image, preprocess, out, err);
    if (status != MLY_OK)
        mly_error_prefix(err, status, "%s", path);
    mly_image_fini(&image);
    return status;
}

/* Images from anywhere, preprocessed as the first bytes say; and the text of --preprocess. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tensorio/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input up to its first NUL is the text, what follows is the image; an image's own magic has none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mly_error err;
    struct mly_image image = {0};
    struct mly_tensor tensor = {0};
    struct mly_shape shape = {4, {1, 3, 24, 24}};
    struct mly_preprocess p;
    if (mly_preprocess_for_shape(MLY_DTYPE_F32, &shape, &p, &err) != MLY_OK)
        abort();
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    if (end && end > data && mly_preprocess_parse((const char *)data, &p, &err) == MLY_OK) {
        size -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    /* Large sizes are valid and slow: they are not what is looked for. */
    if (mly_image_decode("fuzz", data, size, &image, &err) != MLY_OK)
        return 0;
    bool is_small =
        (uint64_t)p.width * p.height < 1 << 16 && image.width < 2048 && image.height < 2048;
    if (is_small && mly_image_preprocess(&image, &p, &tensor, &err) == MLY_OK)
        mly_tensor_fini(&tensor);
    mly_image_fini(&image);
    return 0;
}

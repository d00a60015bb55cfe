/* .npy files from anywhere. */
#include <stdint.h>

#include "tensorio/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mly_error err;
    struct mly_tensor tensor = {0};
    if (mly_npy_parse("fuzz", data, size, (size_t)1 << 24, &tensor, &err) == MLY_OK)
        mly_tensor_fini(&tensor);
    return 0;
}

/* .npz archives from anywhere. */
#include <stdint.h>

#include "tensorio/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mly_npz_limits limits = {.max_bytes = (size_t)1 << 24, .max_entries = 32};
    struct mly_error err;
    struct mly_tensor_set set = {0};
    if (mly_npz_parse("fuzz", data, size, &limits, &set, &err) == MLY_OK)
        mly_tensor_set_fini(&set);
    return 0;
}

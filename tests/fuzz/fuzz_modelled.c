/* Device files from anywhere: no bytes may do harm, and what is accepted is written and read back
 * the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/modelled.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct mly_device_model model, again;
    struct mly_error err = {0};
    char *text;
    size_t length;
    enum mly_status status =
        mly_device_model_parse("fuzz", (const char *)data, size_bytes, &model, &err);
    if (status) {
        if (status != err.status || !err.message[0])
            abort(); /* refused without a word */
        return 0;
    }
    if (mly_device_model_format(&model, &text, &length, &err) ||
        mly_device_model_parse("fuzz", text, length, &again, &err) ||
        memcmp(&model, &again, sizeof model) != 0)
        abort();
    mly_free(text);
    return 0;
}

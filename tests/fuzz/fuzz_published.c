/* Tables of published measurements from anywhere: no bytes may do harm, and what is read keeps the rules. */
#include <stdlib.h>

#include "bench/published.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct mly_published published = {0};
    struct mly_error err = {0};
    enum mly_status status =
        mly_published_parse("fuzz", (const char *)data, size_bytes, &published, &err);
    if (status && (status != err.status || !err.message[0]))
        abort(); /* refused without a word */
    for (size_t i = 0; i < published.count; i++) {
        const struct mly_published_row *row = &published.rows[i];
        if (row->segment_count > MLY_PUBLISHED_SEGMENTS_MAX || !(row->time_ms >= 0) ||
            row->size > 1000000)
            abort();
        for (uint32_t k = 0; k < row->segment_count; k++)
            if (!(row->on_chip_mib[k] >= 0) || !(row->off_chip_mib[k] >= 0))
                abort();
    }
    mly_published_fini(&published);
    return 0;
}

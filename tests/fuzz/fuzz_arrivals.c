/* Traces of arrivals from anywhere: no bytes may do harm, and what is accepted is in order. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/arrivals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct mly_arrivals arrivals = {0};
    struct mly_error err = {0};
    enum mly_status status =
        mly_arrivals_parse_trace("fuzz", (const char *)data, size_bytes, &arrivals, &err);
    if (status) {
        if (status != err.status || !err.message[0] || arrivals.times_ns)
            abort(); /* refused without a word */
        return 0;
    }
    struct mly_arrival_stream stream;
    mly_arrival_stream_init(&stream, &arrivals, 1);
    int64_t last = 0, at;
    while ((at = mly_arrival_stream_next(&stream)) != INT64_MAX) {
        if (at < last)
            abort();
        last = at;
    }
    mly_arrivals_fini(&arrivals);
    return 0;
}

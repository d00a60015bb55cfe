/* Files of measurements from anywhere: no bytes may do harm, and what is read keeps the rules. */
#include <stdint.h>
#include <stdlib.h>

#include "cost/calibrate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct mly_measurement_list list = {0};
    struct mly_error err = {0};
    enum mly_status status =
        mly_measurements_parse("fuzz", (const char *)data, size_bytes, &list, &err);
    if (status) {
        if (status != err.status || !err.message[0] || list.items)
            abort(); /* refused without a word */
        return 0;
    }
    if (list.count == 0)
        abort();
    for (size_t i = 0; i < list.count; i++) {
        const struct mly_measurement *row = &list.items[i];
        if (!row->model || !row->model[0] || row->batch < 1 || row->batch > 65536 ||
            !(row->time_ns > 0) || row->line < 2 || row->on_chip_bytes < -1 ||
            row->off_chip_bytes < -1)
            abort();
    }
    mly_measurement_list_fini(&list);
    return 0;
}

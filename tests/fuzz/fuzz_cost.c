/* Cost files from anywhere: no bytes may do harm, and what is accepted can be written and read
 * again. */
#include <stdint.h>
#include <stdlib.h>

#include "cost/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    mly_cost_table *table;
    struct mly_error err = {0};
    enum mly_status status =
        mly_cost_table_parse("fuzz", (const char *)data, size_bytes, &table, &err);
    if (status) {
        if (status != err.status || !err.message[0])
            abort(); /* refused without a word */
        return 0;
    }
    for (size_t i = 0; i < mly_cost_table_count(table); i++) {
        const struct mly_cost_entry *entry = mly_cost_table_at(table, i);
        double ns;
        if (mly_cost_table_find(table, entry->scope, entry->scope_id, &entry->config) != entry ||
            mly_cost_estimate_ns(table, entry->scope, entry->scope_id, &entry->config, &ns, NULL,
                                 NULL) ||
            ns != entry->median_ns)
            abort();
    }
    mly_cost_table_destroy(table);
    return 0;
}

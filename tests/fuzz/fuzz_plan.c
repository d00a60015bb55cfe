/*
 * Plan files from anywhere: no bytes may do harm, and what is accepted is written and read back as
 * the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* Whatever a small file says, its plan must not be so big that formatting it takes long. */
enum { NODES_MAX = 100000 };

static uint32_t node_count(const mly_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        count += plan->segments[i].node_count;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    mly_plan *plan, *back;
    struct mly_error err = {0};
    char *text, *again, *line;
    size_t length, again_length;
    enum mly_status status = mly_plan_parse("fuzz", (const char *)data, size_bytes, &plan, &err);
    if (status) {
        if (status != err.status || !err.message[0])
            abort(); /* refused without a word */
        return 0;
    }
    if (node_count(plan) <= NODES_MAX) {
        if (mly_plan_format(plan, &text, &length, NULL) ||
            mly_plan_parse("again", text, length, &back, NULL) ||
            mly_plan_format(back, &again, &again_length, NULL) || length != again_length ||
            memcmp(text, again, length) != 0)
            abort();
        line = mly_plan_describe(back);
        mly_free(line);
        mly_free(text);
        mly_free(again);
        mly_plan_destroy(back);
    }
    mly_plan_destroy(plan);
    return 0;
}

/* The experiments by name, in the order in which they are listed: by paper. */
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "experiment.h"

static const struct mly_experiment *const experiments[] = {
    &mly__experiment_tpu_capacity,
    &mly__experiment_tpu_pipeline,
    &mly__experiment_tpu_profiled,
    &mly__experiment_tpu_realtime,
};

const struct mly_experiment *mly_experiment_at(size_t index)
{
    return index < MLY__COUNT(experiments) ? experiments[index] : NULL;
}

const struct mly_experiment *mly_experiment_find(const char *name)
{
    for (size_t i = 0; i < MLY__COUNT(experiments); i++)
        if (strcmp(experiments[i]->name, name) == 0)
            return experiments[i];
    return NULL;
}

char *mly_experiment_names(void)
{
    struct mly_buffer names = {0};
    for (size_t i = 0; i < MLY__COUNT(experiments); i++)
        if (mly_buffer_printf(&names, "%s%s", i ? ", " : "", experiments[i]->name) != MLY_OK) {
            mly_buffer_fini(&names);
            return NULL;
        }
    return names.data;
}

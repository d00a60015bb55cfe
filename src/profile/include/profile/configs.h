/* The configurations that are worth measuring on a box. */
#ifndef MLY_PROFILE_CONFIGS_H
#define MLY_PROFILE_CONFIGS_H

#include <motley/device.h>

#include "cost/table.h"

struct profile_configs {
    struct mly_cost_config *items; /* batch is 0 */
    uint32_t count;
};

/*
 * The baseline, then for every number of groups blocking and, where a group has several threads,
 * spinning. group_counts NULL: powers of two, the counts of packages, NUMA nodes and caches, and
 * the cores, as far as they divide the cores. MLY_E_INVALID for a number of groups that the cores
 * cannot be made into, MLY_E_LIMIT for too many. Free with profile_configs_fini.
 */
enum mly_status profile_configs_init(const mly_machine *machine, const char *backend,
                                     const uint32_t *group_counts, uint32_t group_count_count,
                                     struct profile_configs *out,
                                     struct mly_error *err) MLY_MUST_CHECK;
void profile_configs_fini(struct profile_configs *configs);

/* "2 groups x 1 thread, batch 8"; without the batch where it is 0. Returns text. */
#define PROFILE_CONFIG_TEXT_BYTES 96
char *profile_config_text(const struct mly_cost_config *config, uint32_t batch,
                          char text[PROFILE_CONFIG_TEXT_BYTES]);

#endif

/* Lists the configurations of a box: numbers of groups, threads of each, spinning or blocking. */
#include "profile/configs.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { GROUPINGS_MAX = 64 };

/* Threads that every group can have: groups of cores of several kinds differ in size. */
static enum mly_status smallest_group(const mly_machine *machine, uint32_t groups, uint32_t *out,
                                      struct mly_error *err)
{
    struct mly_processor_list list = {0};
    enum mly_status status = mly_machine_group(
        machine, groups == 1 ? MLY_GROUP_WHOLE : MLY_GROUP_COUNT, groups, false, &list, err);
    if (status != MLY_OK)
        return status;
    uint32_t smallest = list.count ? list.items[0].cpu_count : 0;
    for (size_t i = 1; i < list.count; i++)
        if (list.items[i].cpu_count < smallest)
            smallest = list.items[i].cpu_count;
    mly_processor_list_fini(&list);
    *out = smallest;
    return MLY_OK;
}

static uint32_t default_groupings(const mly_machine *machine, uint32_t counts[GROUPINGS_MAX])
{
    const struct mly_machine_info *info = mly_machine_info(machine);
    uint32_t used = 0;
    for (uint32_t n = 1; n <= info->cores && used < GROUPINGS_MAX; n++) {
        bool natural = (n & (n - 1)) == 0 || n == info->packages || n == info->numa_nodes ||
                       n == info->last_level_caches || n == info->cores;
        if (natural && info->cores % n == 0)
            counts[used++] = n;
    }
    return used;
}

static bool is_listed(const struct profile_configs *configs, uint32_t groups)
{
    for (uint32_t i = 0; i < configs->count; i++)
        if (!configs->items[i].runtime_defaults && configs->items[i].groups == groups)
            return true;
    return false;
}

static enum mly_status add_grouping(const mly_machine *machine, const char *backend,
                                    uint32_t groups, struct profile_configs *configs,
                                    struct mly_error *err)
{
    uint32_t cores = mly_machine_info(machine)->cores;
    struct mly_cost_config config = {.processor_kind = "cpu", .groups = groups};
    if (groups < 1 || groups > cores)
        return mly_error_set(err, MLY_E_INVALID, "%u groups cannot be made of %u core%s", groups,
                             cores, cores == 1 ? "" : "s");
    if (is_listed(configs, groups))
        return MLY_OK;
    snprintf(config.backend, sizeof config.backend, "%s", backend);
    enum mly_status status = smallest_group(machine, groups, &config.threads, err);
    for (int spin = 0; status == MLY_OK && spin <= (config.threads > 1); spin++) {
        config.spin = spin != 0;
        configs->items[configs->count++] = config;
    }
    return status;
}

enum mly_status profile_configs_init(const mly_machine *machine, const char *backend,
                                     const uint32_t *group_counts, uint32_t group_count_count,
                                     struct profile_configs *out, struct mly_error *err)
{
    uint32_t counts[GROUPINGS_MAX];
    struct profile_configs configs = {0};
    if (!group_counts || group_count_count == 0) {
        group_count_count = default_groupings(machine, counts);
        group_counts = counts;
    }
    if (group_count_count > GROUPINGS_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%u ways of grouping: at most %d can be measured",
                             group_count_count, GROUPINGS_MAX);
    configs.items = mly_alloc_array(1 + 2 * (size_t)group_count_count, sizeof *configs.items);
    if (!configs.items)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for configurations");
    struct mly_cost_config *baseline = &configs.items[configs.count++];
    *baseline =
        (struct mly_cost_config){.processor_kind = "cpu", .groups = 1, .runtime_defaults = true};
    snprintf(baseline->backend, sizeof baseline->backend, "%s", backend);
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; status == MLY_OK && i < group_count_count; i++)
        status = add_grouping(machine, backend, group_counts[i], &configs, err);
    if (status != MLY_OK) {
        profile_configs_fini(&configs);
        return status;
    }
    *out = configs;
    return MLY_OK;
}

void profile_configs_fini(struct profile_configs *configs)
{
    mly_free(configs->items);
    *configs = (struct profile_configs){0};
}

char *profile_config_text(const struct mly_cost_config *config, uint32_t batch,
                          char text[PROFILE_CONFIG_TEXT_BYTES])
{
    char suffix[24] = "";
    if (batch)
        snprintf(suffix, sizeof suffix, ", batch %u", batch);
    if (config->runtime_defaults)
        snprintf(text, PROFILE_CONFIG_TEXT_BYTES, "the runtime's defaults%s", suffix);
    else
        snprintf(text, PROFILE_CONFIG_TEXT_BYTES, "%u group%s x %u thread%s%s%s", config->groups,
                 config->groups == 1 ? "" : "s", config->threads, config->threads == 1 ? "" : "s",
                 config->threads == 1 ? ""
                 : config->spin       ? ", spinning"
                                      : ", blocking",
                 suffix);
    return text;
}

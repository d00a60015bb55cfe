/* What several commands do first: open the box, load a model, read lists of numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/thread.h"
#include "internal.h"
#include "profile/profile.h"

/* All CPUs of the selected processors, into a new array. */
static enum mly_status collect_cpus(const struct mly_processor_list *list, uint32_t **out,
                                    uint32_t *count, struct mly_error *err)
{
    uint32_t total = 0;
    for (size_t i = 0; i < list->count; i++)
        total += list->items[i].cpu_count;
    uint32_t *cpus = mly_alloc_array(total ? total : 1, sizeof *cpus);
    if (!cpus)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    *count = 0;
    for (size_t i = 0; i < list->count; i++)
        for (uint32_t j = 0; j < list->items[i].cpu_count; j++)
            cpus[(*count)++] = list->items[i].cpus[j];
    *out = cpus;
    return MLY_OK;
}

static bool is_core_group(const struct mly_processor *processor)
{
    return strcmp(processor->kind, "cpu") == 0 && !processor->modelled;
}

/* Core groups of one size are told by their number; everything else by name. */
static bool are_equal_groups(const struct mly_processor_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!is_core_group(&list->items[i]) || list->items[i].cpu_count != list->items[0].cpu_count)
            return false;
    return true;
}

static uint32_t count_groups(const struct mly_processor_list *list)
{
    uint32_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += is_core_group(&list->items[i]);
    return count;
}

/* Restricts the process to the selected CPUs and looks at the box again, as it is then. */
static enum mly_status restrict_box(const char *devices, struct cli_box *box, struct mly_error *err)
{
    struct mly_processor_list list = {0};
    uint32_t *cpus = NULL;
    uint32_t count = 0;
    mly_machine *restricted = NULL;
    enum mly_status status = mly_machine_select(box->machine, devices, &list, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "-d %s", devices);
    if (list.count > 1 || strstr(devices, "groups="))
        box->groups = count_groups(&list);
    if (mly_machine_info(box->machine)->synthetic || count_groups(&list) == 0)
        goto done;
    status = collect_cpus(&list, &cpus, &count, err);
    if (status == MLY_OK && count > 0)
        status = mly_thread_pin_set(cpus, count, err);
    if (status == MLY_OK)
        status = mly_machine_create(NULL, &restricted, err);
    if (status == MLY_OK) {
        mly_machine_destroy(box->machine);
        box->machine = restricted;
    }
done:
    mly_free(cpus);
    if (status == MLY_OK && !are_equal_groups(&list))
        box->processors = list;
    else
        mly_processor_list_fini(&list);
    return status;
}

enum mly_status cli_box_open(const char *devices, const char *topology, struct cli_box *out,
                             struct mly_error *err)
{
    struct cli_box box = {0};
    enum mly_status status = mly_machine_create(topology, &box.machine, err);
    if (status == MLY_OK && devices)
        status = restrict_box(devices, &box, err);
    if (status != MLY_OK) {
        cli_box_close(&box);
        return status;
    }
    *out = box;
    return MLY_OK;
}

void cli_box_close(struct cli_box *box)
{
    mly_machine_destroy(box->machine);
    mly_processor_list_fini(&box->processors);
    *box = (struct cli_box){0};
}

enum mly_status cli_model_open(const char *path, bool keep_overridable, mly_model **out,
                               struct mly_error *err)
{
    struct mly_model_options options = {.keep_overridable = keep_overridable};
    mly_model *model = NULL;
    enum mly_status status = mly_model_load(path, &options, &model, err);
    if (status == MLY_OK)
        status = mly_profile_infer_shapes(model, err);
    if (status != MLY_OK) {
        mly_model_destroy(model);
        return status;
    }
    *out = model;
    return MLY_OK;
}

static int compare_counts(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum mly_status cli_parse_counts(const char *option, const char *text, uint32_t **out,
                                 uint32_t *count, struct mly_error *err)
{
    enum { MOST = 64, LARGEST = 65536 };
    uint32_t *values = mly_alloc_array(MOST, sizeof *values);
    uint32_t used = 0;
    if (!values)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (const char *at = text;; at++) {
        char *end = NULL;
        unsigned long value = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (value < 1 || value > LARGEST || used == MOST || (*end != ',' && *end != '\0')) {
            mly_free(values);
            return mly_error_set(err, MLY_E_INVALID,
                                 "--%s %s: column %zu: up to %d numbers from 1 to %d with commas "
                                 "are needed, such as 1,2,4",
                                 option, text, (size_t)(at - text) + 1, MOST, LARGEST);
        }
        values[used++] = (uint32_t)value;
        at = end;
        if (*at == '\0')
            break;
    }
    qsort(values, used, sizeof *values, compare_counts);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < used; i++)
        if (i == 0 || values[i] != values[i - 1])
            values[distinct++] = values[i];
    *out = values;
    *count = distinct;
    return MLY_OK;
}

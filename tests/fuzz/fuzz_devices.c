/*
 * A synthetic machine and a list of processors from anywhere: the first line describes the machine,
 * the rest is what a user would write after -d. Every id that comes out must be understood again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <motley/device.h>

#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const mly_machine *machine, const struct mly_processor *group)
{
    struct mly_error err;
    struct mly_processor_list again = {0};
    if (strchr(group->id, '~')) /* too scattered to be named */
        return;
    if (mly_machine_select(machine, group->id, &again, &err) != MLY_OK || again.count != 1 ||
        again.items[0].cpu_count != group->cpu_count ||
        (group->cpu_count > 0 && /* modelled ones have none */
         memcmp(again.items[0].cpus, group->cpus, group->cpu_count * sizeof *group->cpus) != 0))
        abort();
    mly_processor_list_fini(&again);
}

static void check_disjoint(const mly_machine *machine, const struct mly_processor_list *list)
{
    uint32_t total = 0;
    for (size_t i = 0; i < list->count; i++)
        total += list->items[i].cpu_count;
    if (list->count == 0 || total > mly_machine_info(machine)->hardware_threads)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mly_error err;
    mly_machine *machine = NULL;
    struct mly_processor_list list = {0};
    char *text = mly_strndup((const char *)data, size), *tree = NULL;
    char *line = text ? strchr(text, '\n') : NULL;
    if (line)
        *line = '\0';
    if (!text || mly_machine_create(text, &machine, &err) != MLY_OK)
        goto done;
    if (mly_machine_topology_text(machine, &tree, &err) != MLY_OK || tree[0] == '\0')
        abort();
    if (mly_machine_select(machine, line ? line + 1 : "cpu", &list, &err) != MLY_OK)
        goto done;
    check_disjoint(machine, &list);
    for (size_t i = 0; i < list.count && i < 16; i++)
        check_again(machine, &list.items[i]);
done:
    mly_processor_list_fini(&list);
    mly_machine_destroy(machine);
    free(tree);
    mly_free(text);
    return 0;
}

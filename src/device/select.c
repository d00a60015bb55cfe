/*
 * Processors as users name them after -d. Grammar:
 *
 *   specification = item { "," item }
 *   item          = "cpu" [ ":" cpus | { ":" option } ]  |  kind [ ":" index ]
 *                 | modelled [ ":" index | "*" count ]
 *   cpus          = range { "+" range } | "0x" mask      range = number [ "-" number [ ":" step ] ]
 *   option        = "groups=" N | "threads=" T | "by=" ( numa | package | cache | core ) | "smt"
 *
 * At most one of groups, threads and by; blanks around items are skipped. modelled is the name of a
 * device file that is no kind of processor itself.
 */
#include "device/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/modelled.h"

#define MODELLED_MAX 1024 /* of one kind */

struct selection {
    const mly_machine *machine;
    const char *spec;
    struct mly__builder chosen;
    struct mly__builder
        probed[8];   /* what each kind of mly__kinds answered; asked only once and when named */
    uint32_t *owner; /* [hardware threads] 1 + index in chosen of the group that has it, or 0 */
    struct mly_error *err;
};

/* A piece of the specification. */
struct word {
    size_t at, length;
};

#define WORD(selection, word) (word).at + 1, (int)(word).length, (selection)->spec + (word).at

static bool word_is(const struct selection *selection, struct word word, const char *text)
{
    return word.length == strlen(text) &&
           strncmp(selection->spec + word.at, text, word.length) == 0;
}

static bool word_begins(const struct selection *selection, struct word word, const char *text)
{
    return word.length >= strlen(text) &&
           strncmp(selection->spec + word.at, text, strlen(text)) == 0;
}

/* --- CPU groups --- */

struct cpu_options {
    enum { BY_NONE, BY_PLACE, BY_SIZE } by;
    enum mly_grouping grouping;
    uint32_t number;
    bool smt;
};

static enum mly_status read_number(struct selection *selection, struct word word, size_t skip,
                                   uint32_t *number)
{
    uint32_t value = 0;
    for (size_t i = skip; i < word.length; i++) {
        char c = selection->spec[word.at + i];
        if (isdigit((unsigned char)c) && value <= MLY__MAX_CPU)
            value = value * 10 + (uint32_t)(c - '0');
        else
            value = UINT32_MAX / 16;
    }
    if (skip == word.length || value > MLY__MAX_CPU)
        return mly_error_set(selection->err, MLY_E_INVALID,
                             "column %zu: '%.*s': a number from 1 to %d is wanted after '='",
                             WORD(selection, word), MLY__MAX_CPU);
    *number = value;
    return MLY_OK;
}

static enum mly_status read_place(struct selection *selection, struct word word, size_t skip,
                                  enum mly_grouping *grouping)
{
    static const struct {
        const char *name;
        enum mly_grouping grouping;
    } places[] = {
        {"numa", MLY_GROUP_NUMA},
        {"package", MLY_GROUP_PACKAGE},
        {"cache", MLY_GROUP_CACHE},
        {"core", MLY_GROUP_CORE},
    };
    struct word name = {word.at + skip, word.length - skip};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (word_is(selection, name, places[i].name)) {
            *grouping = places[i].grouping;
            return MLY_OK;
        }
    return mly_error_set(selection->err, MLY_E_INVALID,
                         "column %zu: '%.*s': groups are by numa, package, cache or core",
                         WORD(selection, name));
}

static enum mly_status read_option(struct selection *selection, struct word word,
                                   struct cpu_options *options)
{
    if (word_is(selection, word, "smt")) {
        options->smt = true;
        return MLY_OK;
    }
    bool groups = word_begins(selection, word, "groups="),
         threads = word_begins(selection, word, "threads=");
    bool by = word_begins(selection, word, "by=");
    if (!groups && !threads && !by)
        return mly_error_set(
            selection->err, MLY_E_INVALID,
            "column %zu: '%.*s' is no option of cpu: write cpu, cpu:0-3+8, cpu:groups=2, "
            "cpu:threads=4, cpu:by=numa|package|cache|core, or add :smt",
            WORD(selection, word));
    if (options->by != BY_NONE)
        return mly_error_set(
            selection->err, MLY_E_INVALID,
            "column %zu: '%.*s': groups=, threads=, by= and a CPU list exclude each other",
            WORD(selection, word));
    options->by = threads ? BY_SIZE : BY_PLACE;
    if (by)
        return read_place(selection, word, strlen("by="), &options->grouping);
    options->grouping = MLY_GROUP_COUNT;
    return read_number(selection, word, groups ? strlen("groups=") : strlen("threads="),
                       &options->number);
}

/* Marks a hardware thread as taken by the group that comes next. */
static enum mly_status claim(struct selection *selection, uint32_t position, struct word word)
{
    uint32_t owner = selection->owner[position];
    if (owner == 0) {
        selection->owner[position] = (uint32_t)selection->chosen.list.count + 1;
        return MLY_OK;
    }
    if (owner == selection->chosen.list.count + 1)
        return mly_error_set(selection->err, MLY_E_INVALID,
                             "column %zu: '%.*s': CPU %" PRIu32 " is named twice",
                             WORD(selection, word), selection->machine->cpus[position].os_index);
    return mly_error_set(selection->err, MLY_E_INVALID,
                         "column %zu: '%.*s': CPU %" PRIu32
                         " is in '%s' already; groups must not overlap",
                         WORD(selection, word), selection->machine->cpus[position].os_index,
                         selection->chosen.list.items[owner - 1].id);
}

static struct mly_processor *reserve_next(struct selection *selection)
{
    struct mly__builder *chosen = &selection->chosen;
    if (mly_array_reserve(&chosen->list.items, &chosen->capacity, chosen->list.count + 1,
                          sizeof *chosen->list.items)) {
        (void)mly_error_set(selection->err, MLY_E_NO_MEMORY,
                            "no memory for the list of processors");
        return NULL;
    }
    return &chosen->list.items[chosen->list.count];
}

/* Moves the groups into the list of what was chosen; those not moved stay in list. */
static enum mly_status take_groups(struct selection *selection, struct mly_processor_list *list,
                                   struct word word)
{
    for (size_t i = 0; i < list->count; i++) {
        struct mly_processor *item = &list->items[i];
        struct mly_processor *next = reserve_next(selection);
        if (!next)
            return MLY_E_NO_MEMORY;
        for (uint32_t c = 0; c < item->cpu_count; c++) {
            uint32_t position = mly__cpu_position(selection->machine, item->cpus[c]);
            enum mly_status status = claim(selection, position, word);
            if (status)
                return status;
        }
        *next = *item;
        item->cpus = NULL;
        selection->chosen.list.count++;
    }
    return MLY_OK;
}

struct visit {
    struct selection *selection;
    struct word word;
};

static enum mly_status visit_cpu(uint32_t cpu, void *user, struct mly_error *err)
{
    const struct visit *visit = user;
    uint32_t position = mly__cpu_position(visit->selection->machine, cpu);
    if (position != UINT32_MAX)
        return claim(visit->selection, position, visit->word);
    char usable[128];
    mly__usable_text(visit->selection->machine, usable, sizeof usable);
    return mly_error_set(err, MLY_E_ABSENT,
                         "column %zu: '%.*s': CPU %" PRIu32
                         " is not there or not for this process, which "
                         "may use %s",
                         WORD(visit->selection, visit->word), cpu, usable);
}

/* All threads that claim() marked for the next group, in the machine's order. */
static enum mly_status take_claimed(struct selection *selection)
{
    const mly_machine *machine = selection->machine;
    struct mly_processor *next = reserve_next(selection);
    uint32_t *positions = mly_alloc_array(machine->info.hardware_threads, sizeof *positions),
             count = 0;
    enum mly_status status = MLY_E_NO_MEMORY;
    if (next && positions) {
        for (uint32_t i = 0; i < machine->info.hardware_threads; i++)
            if (selection->owner[i] == selection->chosen.list.count + 1)
                positions[count++] = i;
        status = mly__processor_fill(machine, positions, count, next, selection->err);
        selection->chosen.list.count += status == MLY_OK;
    } else {
        (void)mly_error_set(selection->err, status, "no memory for a core group");
    }
    mly_free(positions);
    return status;
}

static enum mly_status add_cpus(struct selection *selection, struct word item,
                                struct word arguments)
{
    const char *text = selection->spec + arguments.at;
    if (arguments.length > 0 && isdigit((unsigned char)text[0])) {
        struct visit visit = {selection, item};
        enum mly_status status = mly__cpu_list_parse(text, arguments.length, arguments.at + 1,
                                                     visit_cpu, &visit, selection->err);
        return status ? status : take_claimed(selection);
    }
    struct cpu_options options = {.grouping = MLY_GROUP_WHOLE};
    size_t end = arguments.at + arguments.length;
    for (size_t at = arguments.at; arguments.length > 0 && at <= end;) {
        const char *colon = memchr(selection->spec + at, ':', end - at);
        size_t length = colon ? (size_t)(colon - selection->spec) - at : end - at;
        enum mly_status status = read_option(selection, (struct word){at, length}, &options);
        if (status)
            return status;
        at += length + 1;
    }
    struct mly_processor_list list = {0};
    enum mly_status status =
        options.by == BY_SIZE
            ? mly__group_by_size(selection->machine, options.number, options.smt, &list,
                                 selection->err)
            : mly_machine_group(selection->machine, options.grouping, options.number, options.smt,
                                &list, selection->err);
    if (status)
        return mly_error_prefix(selection->err, status, "column %zu: '%.*s'",
                                WORD(selection, item));
    status = take_groups(selection, &list, item);
    mly_processor_list_fini(&list);
    return status;
}

/* --- other kinds --- */

/* Decimal digits; none are 0. MLY_E_INVALID, with an id as an example, for anything else. */
static enum mly_status read_index(struct selection *selection, struct word word,
                                  const char *example, uint32_t *out)
{
    uint32_t index = 0;
    for (size_t i = 0; i < word.length; i++) {
        char c = selection->spec[word.at + i];
        if (!isdigit((unsigned char)c) || index > MLY__MAX_CPU)
            return mly_error_set(selection->err, MLY_E_INVALID,
                                 "column %zu: '%.*s' is no number of a device, such as %s",
                                 WORD(selection, word), example);
        index = index * 10 + (uint32_t)(c - '0');
    }
    *out = index;
    return MLY_OK;
}

/* Appends a processor that owns no list of CPUs, unless it is there already. */
static enum mly_status append(struct selection *selection, const struct mly_processor *device,
                              struct word item)
{
    for (size_t i = 0; i < selection->chosen.list.count; i++)
        if (strcmp(selection->chosen.list.items[i].id, device->id) == 0)
            return mly_error_set(selection->err, MLY_E_INVALID,
                                 "column %zu: '%.*s': %s is named twice", WORD(selection, item),
                                 device->id);
    struct mly_processor *next = reserve_next(selection);
    if (!next)
        return MLY_E_NO_MEMORY;
    *next = *device;
    selection->chosen.list.count++;
    return MLY_OK;
}

/* One of the rows of a kind; a row without an index stands for a kind that is absent. */
static enum mly_status add_device(struct selection *selection, size_t kind, struct word item,
                                  struct word arguments)
{
    struct mly__builder *probed = &selection->probed[kind];
    enum mly_status status = MLY_OK;
    if (probed->list.count == 0 &&
        (status = mly__probe_kind(selection->machine, &mly__kinds[kind], probed, selection->err)))
        return status;
    const struct mly_processor *first = &probed->list.items[0];
    if (!strchr(first->id, ':'))
        return mly_error_set(selection->err, MLY_E_ABSENT, "column %zu: '%.*s': %s",
                             WORD(selection, item), first->reason);
    uint32_t index;
    if ((status = read_index(selection, arguments, first->id, &index)))
        return status;
    if (index >= probed->list.count)
        return mly_error_set(
            selection->err, MLY_E_ABSENT,
            "column %zu: '%.*s' is not there: this machine has %zu, counted from 0",
            WORD(selection, item), probed->list.count);
    const struct mly_processor *device = &probed->list.items[index];
    if (!device->usable)
        return mly_error_set(selection->err, MLY_E_ABSENT, "column %zu: '%.*s' (%s): %s",
                             WORD(selection, item), device->description, device->reason);
    return append(selection, device, item); /* devices have no list of CPUs that two could own */
}

/* "p100", "p100:2" or "p100*4" (numbers 0 to 3): processors that are not here. */
static enum mly_status add_modelled(struct selection *selection,
                                    const struct mly_device_model *model, struct word item,
                                    struct word kind)
{
    char example[48];
    uint32_t first = 0, count = 1, number;
    const size_t used = kind.length + (item.length > kind.length);
    const struct word rest = {item.at + used, item.length - used};
    snprintf(example, sizeof example, "%s:0", model->name);
    enum mly_status status = read_index(selection, rest, example, &number);
    if (status)
        return status;
    if (selection->spec[item.at + kind.length] == '*' && item.length > kind.length) {
        if (rest.length == 0 || number == 0 || number > MODELLED_MAX)
            return mly_error_set(selection->err, MLY_E_INVALID,
                                 "column %zu: '%.*s': a number from 1 to %d is wanted after '*'",
                                 WORD(selection, item), MODELLED_MAX);
        count = number;
    } else {
        first = number;
        if (first >= MODELLED_MAX)
            return mly_error_set(selection->err, MLY_E_INVALID,
                                 "column %zu: '%.*s': modelled processors count from 0 to %d",
                                 WORD(selection, item), MODELLED_MAX - 1);
    }
    for (uint32_t i = 0; !status && i < count; i++) {
        struct mly_processor processor = {.modelled = true, .usable = true, .numa_node = -1};
        snprintf(processor.id, sizeof processor.id, "%s:%" PRIu32, model->name, first + i);
        snprintf(processor.kind, sizeof processor.kind, "%s", model->name);
        snprintf(processor.description, sizeof processor.description, "%s", model->description);
        processor.memory_bytes =
            (uint64_t)(model->memory_bytes > 0 ? model->memory_bytes : model->on_chip_bytes);
        status = append(selection, &processor, item);
    }
    return status;
}

/* Names of what is known, and what is wrong with device files: one of those may have been meant. */
static enum mly_status unknown_kind(struct selection *selection, struct word item)
{
    char known[512] = "cpu", *word = NULL;
    const struct mly_device_model *model;
    size_t used = strlen(known);
    enum mly_status status = mly_device_models_load(&word, selection->err);
    if (status)
        return status;
    for (size_t i = 0; i < mly__kind_count && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, ", %s", mly__kinds[i].name);
    for (size_t i = 0; (model = mly_device_model_at(i)) && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
                                 i ? ", " : "; modelled: ", model->name);
    status =
        mly_error_set(selection->err, MLY_E_INVALID,
                      "column %zu: '%.*s' is no kind of processor; known are %s%s%s",
                      WORD(selection, item), known, word ? "; left out: " : "", word ? word : "");
    mly_free(word);
    return status;
}

/* The device file of that name; *out is NULL if there is none. */
static enum mly_status find_modelled(struct selection *selection, struct word kind,
                                     const struct mly_device_model **out)
{
    const struct mly_device_model *model = NULL;
    enum mly_status status = mly_device_models_load(NULL, selection->err);
    if (status)
        return status;
    for (size_t i = 0; (model = mly_device_model_at(i)); i++)
        if (word_is(selection, kind, model->name))
            break;
    *out = model;
    return MLY_OK;
}

/* --- items --- */

static enum mly_status add_item(struct selection *selection, struct word item)
{
    const char *text = selection->spec + item.at;
    if (item.length == 0)
        return mly_error_set(
            selection->err, MLY_E_INVALID,
            "column %zu: a processor is missing; write a list such as cpu or cpu:groups=2",
            item.at + 1);
    const char *star = memchr(text, '*', item.length);
    if (star && word_begins(selection, item, "cpu"))
        return mly_error_set(
            selection->err, MLY_E_INVALID,
            "column %zu: '%.*s': the cores of this machine cannot be multiplied; write "
            "cpu:groups=N to divide them into N groups",
            WORD(selection, item));
    const char *colon = memchr(text, ':', item.length);
    struct word kind = {item.at, colon ? (size_t)(colon - text) : item.length};
    struct word arguments = {item.at + item.length, 0};
    if (colon) {
        arguments = (struct word){item.at + kind.length + 1, item.length - kind.length - 1};
        if (arguments.length == 0)
            return mly_error_set(selection->err, MLY_E_INVALID,
                                 "column %zu: '%.*s': nothing follows ':'", WORD(selection, item));
    }
    if (word_is(selection, kind, "cpu"))
        return add_cpus(selection, item, arguments);
    if (word_is(selection, kind, "remote"))
        return mly_error_set(selection->err, MLY_E_UNSUPPORTED,
                             "column %zu: '%.*s': motley has no back end for remote servers yet",
                             WORD(selection, item));
    if (star && !colon)
        kind.length = (size_t)(star - text);
    for (size_t i = 0; i < mly__kind_count; i++)
        if (word_is(selection, kind, mly__kinds[i].name))
            return star ? mly_error_set(selection->err, MLY_E_INVALID,
                                        "column %zu: '%.*s': only modelled processors can be "
                                        "multiplied; write %s:0,%s:1",
                                        WORD(selection, item), mly__kinds[i].name,
                                        mly__kinds[i].name)
                        : add_device(selection, i, item, arguments);
    const struct mly_device_model *model;
    enum mly_status status = find_modelled(selection, kind, &model);
    if (status)
        return status;
    return model ? add_modelled(selection, model, item, kind) : unknown_kind(selection, item);
}

enum mly_status mly_machine_select(const mly_machine *machine, const char *spec,
                                   struct mly_processor_list *out, struct mly_error *err)
{
    struct selection selection = {.machine = machine, .spec = spec, .err = err};
    if (strnlen(spec, MLY__MAX_TEXT_BYTES + 1) > MLY__MAX_TEXT_BYTES)
        return mly_error_set(err, MLY_E_LIMIT, "the list of processors is over %d bytes",
                             MLY__MAX_TEXT_BYTES);
    enum mly_status status = MLY_OK;
    selection.owner = mly_alloc_array(machine->info.hardware_threads, sizeof *selection.owner);
    if (!selection.owner)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the list of processors");
    for (size_t at = 0; status == MLY_OK;) {
        at += strspn(spec + at, " ");
        struct word item = {at, strcspn(spec + at, ",")};
        at += item.length;
        while (item.length > 0 && spec[item.at + item.length - 1] == ' ')
            item.length--;
        status = add_item(&selection, item);
        if (spec[at++] == '\0')
            break;
    }
    for (size_t i = 0; i < mly__kind_count; i++)
        mly_processor_list_fini(&selection.probed[i].list);
    mly_free(selection.owner);
    if (status)
        mly_processor_list_fini(&selection.chosen.list);
    else
        *out = selection.chosen.list;
    return status;
}

/*
 * The cost table: entries in the order they came, and two hash indices over them.
 *
 *   1. `exact` finds the entry of one scope, id and configuration.
 *   2. `family` finds the last entry of all that differ in batch size only; they are chained from
 * there, so that an estimate looks at a handful of batch sizes and not at the table. Entries are
 * never removed, so an index slot holds an entry's number plus one and 0 means empty.
 */
#include "cost/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "internal.h"

struct record {
    struct mly_cost_entry entry;
    char *id; /* what entry.scope_id points to */
    uint64_t exact_hash, family_hash;
    uint32_t next_in_family; /* number plus one; 0 ends the chain */
};

struct mly_cost_table {
    struct mly_cost_identity identity;
    struct mly_cost_noise noise;
    struct record *records;
    size_t count, capacity;
    uint32_t *exact, *family; /* slot_count each */
    size_t slot_count;        /* a power of two, or 0 before the first entry */
};

/* --- names --- */

static const char *const scope_names[] = {
    [MLY_COST_MODEL] = "model",
    [MLY_COST_SEGMENT] = "segment",
    [MLY_COST_NODE] = "node",
};

const char *mly__cost_scope_name(enum mly_cost_scope scope)
{
    return (unsigned)scope < sizeof scope_names / sizeof *scope_names ? scope_names[scope] : NULL;
}

char *mly__cost_config_text(const struct mly_cost_config *config,
                            char text[MLY__COST_CONFIG_TEXT_BYTES])
{
    if (config->runtime_defaults)
        snprintf(text, MLY__COST_CONFIG_TEXT_BYTES,
                 "the runtime's defaults, batch %u (%.15s, %.31s)", config->batch, config->backend,
                 config->processor_kind);
    else
        snprintf(text, MLY__COST_CONFIG_TEXT_BYTES,
                 "%u group%s x %u thread%s, batch %u, %s (%.15s, %.31s)", config->groups,
                 config->groups == 1 ? "" : "s", config->threads, config->threads == 1 ? "" : "s",
                 config->batch, config->spin ? "spin" : "block", config->backend,
                 config->processor_kind);
    return text;
}

/* --- keys --- */

/* The same configuration always gets the same bytes: what the runtime chooses by itself is not part
 * of the key. */
static struct mly_cost_config canonical(const struct mly_cost_config *config)
{
    struct mly_cost_config c;
    memset(&c, 0, sizeof c);
    snprintf(c.backend, sizeof c.backend, "%.*s", (int)sizeof c.backend - 1, config->backend);
    snprintf(c.processor_kind, sizeof c.processor_kind, "%.*s", (int)sizeof c.processor_kind - 1,
             config->processor_kind);
    c.batch = config->batch;
    c.runtime_defaults = config->runtime_defaults;
    c.groups = config->runtime_defaults ? 1 : config->groups;
    c.threads = config->runtime_defaults ? 0 : config->threads;
    c.spin = !config->runtime_defaults && config->spin;
    return c;
}

/*
 * FNV-1a (Fowler, Noll, Vo; 64 bit) over words and characters, then a finishing mix so that the low
 * bits serve as slot numbers.
 */
static uint64_t hash_word(uint64_t hash, uint32_t word)
{
    return (hash ^ word) * UINT64_C(0x100000001b3);
}

/* The end counts too: "ab", "c" and "a", "bc" differ. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    do
        hash = hash_word(hash, (unsigned char)*text);
    while (*text++);
    return hash;
}

static uint64_t hash_key(enum mly_cost_scope scope, const char *id, const struct mly_cost_config *c,
                         bool with_batch)
{
    const uint32_t flags = (uint32_t)scope << 2 | (uint32_t)c->spin << 1 | c->runtime_defaults;
    uint64_t hash = hash_word(UINT64_C(0xcbf29ce484222325), flags);
    hash = hash_word(hash, c->groups);
    hash = hash_word(hash, c->threads);
    hash = hash_word(hash, with_batch ? c->batch : 0);
    hash = hash_text(hash, c->backend);
    hash = hash_text(hash, c->processor_kind);
    hash = hash_text(hash, id);
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static bool same_family(const struct mly_cost_entry *entry, enum mly_cost_scope scope,
                        const char *id, const struct mly_cost_config *c)
{
    const struct mly_cost_config *e = &entry->config;
    return entry->scope == scope && e->groups == c->groups && e->threads == c->threads &&
           e->spin == c->spin && e->runtime_defaults == c->runtime_defaults &&
           !strcmp(e->backend, c->backend) && !strcmp(e->processor_kind, c->processor_kind) &&
           !strcmp(entry->scope_id, id);
}

/* The slot of the entry with this key, or the empty slot where it belongs. The table has slots. */
static size_t exact_slot(const mly_cost_table *table, uint64_t hash, enum mly_cost_scope scope,
                         const char *id, const struct mly_cost_config *c)
{
    const size_t mask = table->slot_count - 1;
    size_t slot = (size_t)hash & mask;
    for (; table->exact[slot]; slot = (slot + 1) & mask) {
        const struct record *record = &table->records[table->exact[slot] - 1];
        if (record->exact_hash == hash && record->entry.config.batch == c->batch &&
            same_family(&record->entry, scope, id, c))
            break;
    }
    return slot;
}

static size_t family_slot(const mly_cost_table *table, uint64_t hash, enum mly_cost_scope scope,
                          const char *id, const struct mly_cost_config *c)
{
    const size_t mask = table->slot_count - 1;
    size_t slot = (size_t)hash & mask;
    for (; table->family[slot]; slot = (slot + 1) & mask) {
        const struct record *record = &table->records[table->family[slot] - 1];
        if (record->family_hash == hash && same_family(&record->entry, scope, id, c))
            break;
    }
    return slot;
}

/* Makes room in both indices for one entry more, at most three quarters full. Nothing changes on
 * failure. */
static int reserve_slots(mly_cost_table *table)
{
    if ((table->count + 1) * 4 <= table->slot_count * 3)
        return 0;
    const size_t slot_count = table->slot_count ? table->slot_count * 2 : 64;
    uint32_t *exact = mly_alloc_array(slot_count, sizeof *exact);
    uint32_t *family = mly_alloc_array(slot_count, sizeof *family);
    if (!exact || !family) {
        mly_free(exact);
        mly_free(family);
        return -1;
    }
    mly_free(table->exact);
    mly_free(table->family);
    table->exact = exact;
    table->family = family;
    table->slot_count = slot_count;
    for (size_t i = 0; i < table->count; i++) {
        const struct record *record = &table->records[i];
        const struct mly_cost_entry *entry = &record->entry;
        table->exact[exact_slot(table, record->exact_hash, entry->scope, entry->scope_id,
                                &entry->config)] = (uint32_t)i + 1;
        /* Chains run from later to earlier entries, so the last one to come here heads its family
         * again. */
        table->family[family_slot(table, record->family_hash, entry->scope, entry->scope_id,
                                  &entry->config)] = (uint32_t)i + 1;
    }
    return 0;
}

/* --- create, destroy, look --- */

/* shown: a text for people, repaired later where it is no UTF-8; others are keys and must be right.
 */
static enum mly_status check_text(const char *what, const char *text, size_t size, bool shown,
                                  struct mly_error *err)
{
    if (!memchr(text, 0, size))
        return mly_error_set(err, MLY_E_INVALID, "cost table: %s has no end within %zu bytes", what,
                             size);
    if (shown)
        return MLY_OK;
    if (!*text)
        return mly_error_set(err, MLY_E_INVALID, "cost table: %s is empty", what);
    if (!mly__cost_is_utf8(text))
        return mly_error_set(err, MLY_E_INVALID, "cost table: %s is not UTF-8", what);
    return MLY_OK;
}

enum mly_status mly_cost_table_create(const struct mly_cost_identity *identity,
                                      mly_cost_table **out, struct mly_error *err)
{
    const struct {
        const char *what, *text;
        size_t size;
        bool shown;
    } texts[] = {
        {"identity.model_hash", identity->model_hash, sizeof identity->model_hash, false},
        {"identity.model_name", identity->model_name, sizeof identity->model_name, true},
        {"identity.host_id", identity->host_id, sizeof identity->host_id, false},
        {"identity.host_description", identity->host_description, sizeof identity->host_description,
         true},
        {"identity.runtime", identity->runtime, sizeof identity->runtime, false},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        enum mly_status status =
            check_text(texts[i].what, texts[i].text, texts[i].size, texts[i].shown, err);
        if (status)
            return status;
    }
    if (!memchr(identity->shapes, 0, sizeof identity->shapes) ||
        !mly__cost_is_utf8(identity->shapes))
        return mly_error_set(err, MLY_E_INVALID,
                             "cost table: identity.shapes is not UTF-8 or has no end");
    mly_cost_table *table = mly_alloc(sizeof *table);
    if (!table)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a cost table");
    table->identity = *identity;
    table->noise.steal_fraction = -1;
    mly__cost_make_utf8(table->identity.model_name);
    mly__cost_make_utf8(table->identity.host_description);
    *out = table;
    return MLY_OK;
}

static void free_records(mly_cost_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        mly_free(table->records[i].id);
    mly_free(table->records);
    mly_free(table->exact);
    mly_free(table->family);
}

void mly_cost_table_destroy(mly_cost_table *table)
{
    if (!table)
        return;
    free_records(table);
    mly_free(table);
}

void mly_cost_table_replace(mly_cost_table *table, mly_cost_table *from)
{
    const struct mly_cost_identity identity = table->identity;
    free_records(table);
    *table = *from;
    table->identity = identity;
    mly_free(from);
}

const struct mly_cost_identity *mly_cost_table_identity(const mly_cost_table *table)
{
    return &table->identity;
}

struct mly_cost_noise *mly_cost_table_noise(mly_cost_table *table)
{
    return &table->noise;
}

const struct mly_cost_noise *mly__cost_noise(const mly_cost_table *table)
{
    return &table->noise;
}

size_t mly_cost_table_count(const mly_cost_table *table)
{
    return table->count;
}

const struct mly_cost_entry *mly_cost_table_at(const mly_cost_table *table, size_t index)
{
    return index < table->count ? &table->records[index].entry : NULL;
}

const struct mly_cost_entry *mly_cost_table_find(const mly_cost_table *table,
                                                 enum mly_cost_scope scope, const char *scope_id,
                                                 const struct mly_cost_config *config)
{
    if (!table->count)
        return NULL;
    const struct mly_cost_config c = canonical(config);
    const uint64_t hash = hash_key(scope, scope_id, &c, true);
    const uint32_t number = table->exact[exact_slot(table, hash, scope, scope_id, &c)];
    return number ? &table->records[number - 1].entry : NULL;
}

/* --- put --- */

static enum mly_status check_range(const char *what, uint64_t value, uint64_t min, uint64_t max,
                                   struct mly_error *err)
{
    if (value >= min && value <= max)
        return MLY_OK;
    return mly_error_set(err, MLY_E_INVALID,
                         "cost entry: %s is %" PRIu64 "; it must be %" PRIu64 " to %" PRIu64, what,
                         value, min, max);
}

static enum mly_status check_entry(const struct mly_cost_entry *entry, struct mly_error *err)
{
    const char *scope = mly__cost_scope_name(entry->scope);
    if (!scope)
        return mly_error_set(err, MLY_E_INVALID, "cost entry: %d is no scope", (int)entry->scope);
    if (!entry->scope_id || (entry->scope == MLY_COST_MODEL) != !*entry->scope_id)
        return mly_error_set(err, MLY_E_INVALID, "cost entry: the id of a %s must %sbe empty",
                             scope, entry->scope == MLY_COST_MODEL ? "" : "not ");
    if (!mly__cost_is_utf8(entry->scope_id))
        return mly_error_set(err, MLY_E_INVALID, "cost entry: the id of a %s is not UTF-8", scope);
    if (strlen(entry->scope_id) > MLY__COST_ID_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "cost entry: an id of more than %u bytes",
                             MLY__COST_ID_BYTES_MAX);

    const struct mly_cost_config *c = &entry->config;
    enum mly_status status = check_text("backend", c->backend, sizeof c->backend, false, err);
    if (!status)
        status =
            check_text("processor_kind", c->processor_kind, sizeof c->processor_kind, false, err);
    if (!status)
        status = check_range("batch", c->batch, 1, MLY__COST_BATCH_MAX, err);
    if (!status && !c->runtime_defaults) {
        status = check_range("groups", c->groups, 1, MLY__COST_GROUPS_MAX, err);
        if (!status)
            status = check_range("threads", c->threads, 0, MLY__COST_THREADS_MAX, err);
    }
    if (!status)
        status = check_range("samples", entry->samples, 0, INT64_MAX, err);
    if (!status && !(entry->measured_s >= 0 && entry->measured_s <= MLY__COST_TIME_MAX_S))
        status = mly_error_set(err, MLY_E_INVALID, "cost entry: measured_s is %" PRId64,
                               entry->measured_s);
    if (status)
        return status;

    const struct {
        const char *what;
        double value;
    } numbers[] = {
        {"p10_ns", entry->p10_ns},
        {"median_ns", entry->median_ns},
        {"p90_ns", entry->p90_ns},
        {"rested_ns", entry->rested_ns},
        {"rested_p90_ns", entry->rested_p90_ns},
        {"throughput_per_s", entry->throughput_per_s},
        {"throughput_spread", entry->throughput_spread},
        {"memory_bytes", entry->memory_bytes},
        {"energy_j", entry->energy_j},
        {"noise_spread", entry->noise_spread},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(numbers[i].value >= 0 && numbers[i].value <= MLY__COST_NUMBER_MAX))
            return mly_error_set(err, MLY_E_INVALID, "cost entry: %s is %g; it must be 0 to %g",
                                 numbers[i].what, numbers[i].value, MLY__COST_NUMBER_MAX);
    return MLY_OK;
}

enum mly_status mly_cost_table_put(mly_cost_table *table, const struct mly_cost_entry *entry,
                                   struct mly_error *err)
{
    enum mly_status status = check_entry(entry, err);
    if (status)
        return status;
    const struct mly_cost_config c = canonical(&entry->config);
    const uint64_t exact_hash = hash_key(entry->scope, entry->scope_id, &c, true);
    const uint64_t family_hash = hash_key(entry->scope, entry->scope_id, &c, false);

    if (table->count) {
        const size_t slot = exact_slot(table, exact_hash, entry->scope, entry->scope_id, &c);
        if (table->exact[slot]) {
            struct record *old = &table->records[table->exact[slot] - 1];
            old->entry = *entry;
            old->entry.scope_id = old->id;
            old->entry.config = c;
            return MLY_OK;
        }
    }
    if (table->count >= MLY__COST_ENTRIES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "a cost table holds at most %u entries",
                             MLY__COST_ENTRIES_MAX);
    if (mly_array_reserve(&table->records, &table->capacity, table->count + 1,
                          sizeof *table->records) ||
        reserve_slots(table))
        goto no_memory;
    char *id = mly_strdup(entry->scope_id);
    if (!id)
        goto no_memory;

    const uint32_t number = (uint32_t)table->count + 1;
    struct record *record = &table->records[table->count];
    const size_t family = family_slot(table, family_hash, entry->scope, id, &c);
    *record = (struct record){.entry = *entry,
                              .id = id,
                              .exact_hash = exact_hash,
                              .family_hash = family_hash,
                              .next_in_family = table->family[family]};
    record->entry.scope_id = id;
    record->entry.config = c;
    table->exact[exact_slot(table, exact_hash, entry->scope, id, &c)] = number;
    table->family[family] = number;
    table->count++;
    return MLY_OK;

no_memory:
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for entry %zu of a cost table",
                         table->count + 1);
}

/* --- when --- */

struct mly_cost_times mly_cost_table_times(const mly_cost_table *table, enum mly_cost_scope scope)
{
    struct mly_cost_times times = {0};
    for (size_t i = 0; i < table->count; i++) {
        const struct mly_cost_entry *entry = &table->records[i].entry;
        if (entry->scope != scope)
            continue;
        if (entry->noise_spread > times.noise_spread)
            times.noise_spread = entry->noise_spread;
        if (!entry->measured_s)
            times.unknown = true;
        if (entry->measured_s && (!times.first_s || entry->measured_s < times.first_s))
            times.first_s = entry->measured_s;
        if (entry->measured_s > times.last_s)
            times.last_s = entry->measured_s;
    }
    return times;
}

int64_t mly_cost_table_next_s(const mly_cost_table *table)
{
    int64_t next = (int64_t)time(NULL);
    for (size_t i = 0; i < table->count; i++)
        if (table->records[i].entry.measured_s >= next)
            next = table->records[i].entry.measured_s + 1;
    return next < 1 ? 1 : next < MLY__COST_TIME_MAX_S ? next : MLY__COST_TIME_MAX_S;
}

/* --- estimate --- */

enum mly_status mly_cost_estimate_ns(const mly_cost_table *table, enum mly_cost_scope scope,
                                     const char *scope_id, const struct mly_cost_config *config,
                                     double *median_ns, bool *interpolated, struct mly_error *err)
{
    const struct mly_cost_config c = canonical(config);
    const struct mly_cost_entry *below = NULL,
                                *above = NULL; /* nearest measured batches on either side */
    uint32_t number = 0;
    if (table->count) {
        const uint64_t hash = hash_key(scope, scope_id, &c, false);
        number = table->family[family_slot(table, hash, scope, scope_id, &c)];
    }
    for (; number; number = table->records[number - 1].next_in_family) {
        const struct mly_cost_entry *entry = &table->records[number - 1].entry;
        const uint32_t batch = entry->config.batch;
        if (batch <= c.batch && (!below || batch > below->config.batch))
            below = entry;
        if (batch >= c.batch && (!above || batch < above->config.batch))
            above = entry;
    }
    if (!below && !above) {
        char text[MLY__COST_CONFIG_TEXT_BYTES];
        const char *name = mly__cost_scope_name(scope);
        return mly_error_set(
            err, MLY_E_NOT_FOUND, "no cost of %s%s%.200s is known for %s",
            scope == MLY_COST_MODEL ? "the whole " : "", name ? name : "an unknown scope ",
            scope == MLY_COST_MODEL ? "" : scope_id, mly__cost_config_text(&c, text));
    }
    const bool exact = below && below == above;
    double ns;
    if (exact) {
        ns = below->median_ns;
    } else if (below && above) {
        const double part = ((double)c.batch - below->config.batch) /
                            ((double)above->config.batch - below->config.batch);
        ns = below->median_ns + part * (above->median_ns - below->median_ns);
    } else {
        const struct mly_cost_entry *nearest = below ? below : above;
        ns = nearest->median_ns * ((double)c.batch / nearest->config.batch);
    }
    *median_ns = ns;
    if (interpolated)
        *interpolated = !exact;
    return MLY_OK;
}

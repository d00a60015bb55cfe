/* Cost tables as JSON text: docs/reference/formats.md describes the format. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "internal.h"

/* --- writing --- */

/* One entry as one line, so that the file can be searched and compared line by line. */
static enum mly_status format_entry(const struct mly_cost_entry *entry, struct mly_buffer *buffer,
                                    struct mly_error *err)
{
    struct mly_json_writer writer;
    mly_json_writer_init(&writer, false);
    mly_json_begin_object(&writer, NULL);
    mly_json_put_string(&writer, "scope", mly__cost_scope_name(entry->scope));
    mly_json_put_string(&writer, "id", entry->scope_id);
    mly_json_put_string(&writer, "backend", entry->config.backend);
    mly_json_put_string(&writer, "kind", entry->config.processor_kind);
    mly_json_put_int(&writer, "groups", entry->config.groups);
    mly_json_put_int(&writer, "threads", entry->config.threads);
    mly_json_put_int(&writer, "batch", entry->config.batch);
    mly_json_put_bool(&writer, "spin", entry->config.spin);
    mly_json_put_bool(&writer, "runtime_defaults", entry->config.runtime_defaults);
    mly_json_put_bool(&writer, "modelled", entry->modelled);
    mly_json_put_number(&writer, "p10_ns", entry->p10_ns);
    mly_json_put_number(&writer, "median_ns", entry->median_ns);
    mly_json_put_number(&writer, "p90_ns", entry->p90_ns);
    mly_json_put_number(&writer, "throughput_per_s", entry->throughput_per_s);
    mly_json_put_number(&writer, "throughput_spread", entry->throughput_spread);
    mly_json_put_number(&writer, "memory_bytes", entry->memory_bytes);
    if (entry->rested_ns > 0)
        mly_json_put_number(&writer, "rested_ns", entry->rested_ns);
    if (entry->rested_p90_ns > 0)
        mly_json_put_number(&writer, "rested_p90_ns", entry->rested_p90_ns);
    if (entry->energy_j > 0)
        mly_json_put_number(&writer, "energy_j", entry->energy_j);
    mly_json_put_int(&writer, "samples", (int64_t)entry->samples);
    if (entry->measured_s > 0)
        mly_json_put_int(&writer, "measured_s", entry->measured_s);
    if (entry->noise_spread > 0)
        mly_json_put_number(&writer, "noise_spread", entry->noise_spread);
    mly_json_end_object(&writer);

    char *line;
    size_t length;
    enum mly_status status = mly_json_finish(&writer, &line, &length, err);
    if (status)
        return status;
    status = mly_buffer_append(buffer, line, length);
    mly_free(line);
    return status;
}

/* Everything but the entries, as a whole document. */
static enum mly_status format_head(const mly_cost_table *table, char **text, size_t *length,
                                   struct mly_error *err)
{
    const struct mly_cost_identity *identity = mly_cost_table_identity(table);
    const struct mly_cost_noise *noise = mly__cost_noise(table);
    struct mly_json_writer writer;
    mly_json_writer_init(&writer, true);
    mly_json_begin_object(&writer, NULL);
    mly_json_put_int(&writer, "motley_costs", MLY__COST_VERSION);
    mly_json_begin_object(&writer, "identity");
    mly_json_put_string(&writer, "model_hash", identity->model_hash);
    mly_json_put_string(&writer, "model_name", identity->model_name);
    mly_json_put_string(&writer, "host_id", identity->host_id);
    mly_json_put_string(&writer, "host_description", identity->host_description);
    mly_json_put_string(&writer, "runtime", identity->runtime);
    if (*identity->shapes)
        mly_json_put_string(&writer, "shapes", identity->shapes);
    mly_json_end_object(&writer);
    mly_json_begin_object(&writer, "noise");
    mly_json_put_number(&writer, "relative_spread", noise->relative_spread);
    mly_json_put_number(&writer, "slowdown", noise->slowdown);
    if (noise->steal_fraction < 0)
        mly_json_put_null(&writer, "steal_fraction");
    else
        mly_json_put_number(&writer, "steal_fraction", noise->steal_fraction);
    mly_json_end_object(&writer);
    mly_json_end_object(&writer);
    return mly_json_finish(&writer, text, length, err);
}

static enum mly_status check_noise(const struct mly_cost_noise *noise, struct mly_error *err)
{
    if (noise->relative_spread >= 0 && noise->relative_spread <= MLY__COST_NUMBER_MAX &&
        noise->slowdown >= 0 && noise->slowdown <= MLY__COST_NUMBER_MAX &&
        noise->steal_fraction <= 1 && (noise->steal_fraction >= 0 || noise->steal_fraction == -1))
        return MLY_OK;
    return mly_error_set(
        err, MLY_E_INVALID,
        "cost table: the noise is %g, %g, %g; spread and slowdown must be finite and not "
        "negative, the stolen share 0 to 1 or -1 for unknown",
        noise->relative_spread, noise->slowdown, noise->steal_fraction);
}

enum mly_status mly_cost_table_format(const mly_cost_table *table, char **text, size_t *length,
                                      struct mly_error *err)
{
    static const char end_of_head[] = "\n}\n";
    struct mly_buffer buffer = {.max_bytes = MLY__COST_TEXT_BYTES_MAX};
    char *head = NULL;
    size_t head_length = 0;
    enum mly_status status = check_noise(mly__cost_noise(table), err);
    if (status)
        return status;
    status = format_head(table, &head, &head_length, err);
    if (status)
        return status;
    status = mly_buffer_append(&buffer, head, head_length - (sizeof end_of_head - 1));
    mly_free(head);
    if (!status)
        status = mly_buffer_printf(&buffer, ",\n  \"entries\": [");
    for (size_t i = 0; !status && i < mly_cost_table_count(table); i++) {
        status = mly_buffer_printf(&buffer, "%s\n    ", i ? "," : "");
        if (!status)
            status = format_entry(mly_cost_table_at(table, i), &buffer, err);
    }
    if (!status)
        status = mly_buffer_printf(&buffer, "%s]\n}\n", mly_cost_table_count(table) ? "\n  " : "");
    if (status) {
        mly_buffer_fini(&buffer);
        return mly_error_set(err, status, "cost table: cannot write %zu entries: %s",
                             mly_cost_table_count(table), mly_status_meaning(status));
    }
    *text = buffer.data;
    *length = buffer.length;
    return MLY_OK;
}

enum mly_status mly_cost_table_save(const mly_cost_table *table, const char *path,
                                    struct mly_error *err)
{
    char *text;
    size_t length;
    enum mly_status status = mly_cost_table_format(table, &text, &length, err);
    if (status)
        return mly_error_prefix(err, status, "%s", path);
    status = mly_file_write(path, text, length, err);
    mly_free(text);
    return status;
}

/* --- reading --- */

/* A string member of at most size - 1 bytes, into text. */
static enum mly_status read_text(const char *name, struct mly_json object, const char *key,
                                 bool may_be_empty, char *text, size_t size, struct mly_error *err)
{
    const char *value;
    enum mly_status status = mly_json_string(object, key, &value, err);
    if (status)
        return status;
    const char *dot = object.where[0] ? "." : "";
    if (!may_be_empty && !*value)
        return mly_error_set(err, MLY_E_FORMAT, "%s: %s%s%s: is empty", name, object.where, dot,
                             key);
    if (strlen(value) >= size)
        return mly_error_set(err, MLY_E_FORMAT, "%s: %s%s%s: more than %zu bytes", name,
                             object.where, dot, key, size - 1);
    memcpy(text, value, strlen(value) + 1);
    return MLY_OK;
}

static enum mly_status read_u32(struct mly_json object, const char *key, uint32_t min, uint32_t max,
                                uint32_t *out, struct mly_error *err)
{
    int64_t value;
    enum mly_status status = mly_json_int(object, key, min, max, &value, err);
    if (!status)
        *out = (uint32_t)value;
    return status;
}

static enum mly_status read_identity(const char *name, struct mly_json root,
                                     struct mly_cost_identity *out, struct mly_error *err)
{
    static const char *const known[] = {"model_hash", "model_name", "host_id", "host_description",
                                        "runtime",    "shapes",     NULL};
    struct mly_json object;
    enum mly_status status = mly_json_member(root, "identity", &object, err);
    if (!status)
        status = mly_json_only(object, known, err);
    if (!status)
        status = read_text(name, object, "model_hash", false, out->model_hash,
                           sizeof out->model_hash, err);
    if (!status)
        status = read_text(name, object, "model_name", true, out->model_name,
                           sizeof out->model_name, err);
    if (!status)
        status = read_text(name, object, "host_id", false, out->host_id, sizeof out->host_id, err);
    if (!status)
        status = read_text(name, object, "host_description", true, out->host_description,
                           sizeof out->host_description, err);
    if (!status)
        status = read_text(name, object, "runtime", false, out->runtime, sizeof out->runtime, err);
    if (!status && mly_json_member_opt(object, "shapes").impl)
        status = read_text(name, object, "shapes", false, out->shapes, sizeof out->shapes, err);
    return status;
}

static enum mly_status read_noise(struct mly_json root, struct mly_cost_noise *out,
                                  struct mly_error *err)
{
    static const char *const known[] = {"relative_spread", "slowdown", "steal_fraction", NULL};
    struct mly_json object, steal;
    enum mly_status status = mly_json_member(root, "noise", &object, err);
    if (!status)
        status = mly_json_only(object, known, err);
    if (!status)
        status = mly_json_number(object, "relative_spread", 0, MLY__COST_NUMBER_MAX,
                                 &out->relative_spread, err);
    if (!status)
        status = mly_json_number(object, "slowdown", 0, MLY__COST_NUMBER_MAX, &out->slowdown, err);
    if (!status)
        status = mly_json_member(object, "steal_fraction", &steal, err);
    if (status)
        return status;
    out->steal_fraction = -1;
    return mly_json_is_null(steal) ? MLY_OK
                                   : mly_json_as_number(steal, 0, 1, &out->steal_fraction, err);
}

static bool find_scope(const char *word, enum mly_cost_scope *out)
{
    static const enum mly_cost_scope scopes[] = {MLY_COST_MODEL, MLY_COST_SEGMENT, MLY_COST_NODE};
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        if (strcmp(word, mly__cost_scope_name(scopes[i])) == 0) {
            *out = scopes[i];
            return true;
        }
    }
    return false;
}

static enum mly_status read_scope(const char *name, struct mly_json object,
                                  struct mly_cost_entry *entry, struct mly_error *err)
{
    const char *word;
    enum mly_status status = mly_json_string(object, "scope", &word, err);
    if (!status)
        status = mly_json_string(object, "id", &entry->scope_id, err);
    if (status)
        return status;
    if (!find_scope(word, &entry->scope))
        return mly_error_set(err, MLY_E_FORMAT,
                             "%s: %s.scope: '%.40s' is none of model, segment, node", name,
                             object.where, word);
    if ((entry->scope == MLY_COST_MODEL) != !*entry->scope_id)
        return mly_error_set(err, MLY_E_FORMAT, "%s: %s.id: must %sbe empty where scope is '%s'",
                             name, object.where, entry->scope == MLY_COST_MODEL ? "" : "not ",
                             word);
    if (strlen(entry->scope_id) > MLY__COST_ID_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: %s.id: more than %u bytes", name, object.where,
                             MLY__COST_ID_BYTES_MAX);
    return MLY_OK;
}

static enum mly_status read_config(const char *name, struct mly_json object,
                                   struct mly_cost_config *config, struct mly_error *err)
{
    enum mly_status status =
        read_text(name, object, "backend", false, config->backend, sizeof config->backend, err);
    if (!status)
        status = read_text(name, object, "kind", false, config->processor_kind,
                           sizeof config->processor_kind, err);
    if (!status)
        status = mly_json_bool(object, "runtime_defaults", &config->runtime_defaults, err);
    if (status)
        return status;
    /* What the runtime chooses by itself is not ours to state: groups 1, threads 0, spin false. */
    const bool fixed = config->runtime_defaults;
    status = read_u32(object, "groups", 1, fixed ? 1 : MLY__COST_GROUPS_MAX, &config->groups, err);
    if (!status)
        status = read_u32(object, "threads", 0, fixed ? 0 : MLY__COST_THREADS_MAX, &config->threads,
                          err);
    if (!status)
        status = read_u32(object, "batch", 1, MLY__COST_BATCH_MAX, &config->batch, err);
    if (!status)
        status = mly_json_bool(object, "spin", &config->spin, err);
    if (!status && fixed && config->spin)
        status = mly_error_set(err, MLY_E_FORMAT,
                               "%s: %s.spin: must be false where runtime_defaults is true", name,
                               object.where);
    return status;
}

static enum mly_status read_entry(const char *name, struct mly_json object, mly_cost_table *table,
                                  struct mly_error *err)
{
    static const char *const known[] = {
        "scope",
        "id",
        "backend",
        "kind",
        "groups",
        "threads",
        "batch",
        "spin",
        "modelled",
        "p10_ns",
        "runtime_defaults",
        "throughput_per_s",
        "median_ns",
        "p90_ns",
        "memory_bytes",
        "rested_ns",
        "energy_j",
        "throughput_spread",
        "samples",
        "rested_p90_ns",
        "measured_s",
        "noise_spread",
        NULL,
    };
    struct mly_cost_entry entry = {0};
    const struct {
        const char *key;
        double *out;
    } numbers[] = {
        {"p10_ns", &entry.p10_ns},
        {"median_ns", &entry.median_ns},
        {"p90_ns", &entry.p90_ns},
        {"throughput_per_s", &entry.throughput_per_s},
        {"throughput_spread", &entry.throughput_spread},
        {"memory_bytes", &entry.memory_bytes},
    };
    const struct {
        const char *key;
        double *out;
    } optional[] = {{"rested_ns", &entry.rested_ns},
                    {"rested_p90_ns", &entry.rested_p90_ns},
                    {"energy_j", &entry.energy_j},
                    {"noise_spread", &entry.noise_spread}};
    int64_t samples = 0;
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = read_scope(name, object, &entry, err);
    if (!status)
        status = read_config(name, object, &entry.config, err);
    if (!status)
        status = mly_json_bool(object, "modelled", &entry.modelled, err);
    for (size_t i = 0; !status && i < sizeof numbers / sizeof *numbers; i++)
        status =
            mly_json_number(object, numbers[i].key, 0, MLY__COST_NUMBER_MAX, numbers[i].out, err);
    for (size_t i = 0; !status && i < sizeof optional / sizeof *optional; i++)
        if (mly_json_member_opt(object, optional[i].key).impl)
            status = mly_json_number(object, optional[i].key, 0, MLY__COST_NUMBER_MAX,
                                     optional[i].out, err);
    if (!status)
        status = mly_json_int(object, "samples", 0, INT64_MAX, &samples, err);
    if (!status && mly_json_member_opt(object, "measured_s").impl)
        status =
            mly_json_int(object, "measured_s", 1, MLY__COST_TIME_MAX_S, &entry.measured_s, err);
    if (status)
        return status;
    entry.samples = (uint64_t)samples;
    if (mly_cost_table_find(table, entry.scope, entry.scope_id, &entry.config)) {
        char text[MLY__COST_CONFIG_TEXT_BYTES];
        return mly_error_set(err, MLY_E_FORMAT, "%s: %s: a second entry for %s%s%.200s, %s", name,
                             object.where, entry.scope == MLY_COST_MODEL ? "the whole " : "",
                             mly__cost_scope_name(entry.scope), entry.scope_id,
                             mly__cost_config_text(&entry.config, text));
    }
    status = mly_cost_table_put(table, &entry, err);
    return status ? mly_error_prefix(err, status, "%s: %s", name, object.where) : MLY_OK;
}

/* The marker comes first: of another version nothing else can be judged. */
static enum mly_status check_version(const char *name, struct mly_json root, struct mly_error *err)
{
    int64_t version;
    if (!mly_json_is_object(root) || !mly_json_member_opt(root, "motley_costs").impl)
        return mly_error_set(err, MLY_E_FORMAT,
                             "%s: motley_costs: missing; this is no cost table of motley", name);
    enum mly_status status = mly_json_int(root, "motley_costs", 1, INT64_MAX, &version, err);
    if (!status && version > MLY__COST_VERSION)
        status = mly_error_set(err, MLY_E_UNSUPPORTED,
                               "%s: motley_costs: written by a newer motley in format %lld; this "
                               "one reads format %d",
                               name, (long long)version, MLY__COST_VERSION);
    return status;
}

static enum mly_status read_table(const char *name, struct mly_json root, mly_cost_table **out,
                                  struct mly_error *err)
{
    static const char *const known[] = {"motley_costs", "identity", "noise", "entries", NULL};
    struct mly_cost_identity identity = {0};
    struct mly_cost_noise noise;
    struct mly_json entries;
    mly_cost_table *table = NULL;
    enum mly_status status = check_version(name, root, err);
    if (!status)
        status = mly_json_only(root, known, err);
    if (!status)
        status = read_identity(name, root, &identity, err);
    if (!status)
        status = read_noise(root, &noise, err);
    if (!status)
        status = mly_json_member(root, "entries", &entries, err);
    if (status)
        return status;
    if (!mly_json_is_array(entries))
        return mly_error_set(err, MLY_E_FORMAT, "%s: entries: expected an array", name);
    if (mly_json_length(entries) > MLY__COST_ENTRIES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: entries: %zu of them; at most %u are read",
                             name, mly_json_length(entries), MLY__COST_ENTRIES_MAX);
    status = mly_cost_table_create(&identity, &table, err);
    if (status)
        return mly_error_prefix(err, status, "%s", name);
    *mly_cost_table_noise(table) = noise;
    const size_t count = mly_json_length(entries);
    for (size_t i = 0; !status && i < count; i++)
        status = read_entry(name, mly_json_element(entries, i), table, err);
    if (status) {
        mly_cost_table_destroy(table);
        return status;
    }
    *out = table;
    return MLY_OK;
}

enum mly_status mly_cost_table_parse(const char *name, const char *text, size_t length,
                                     mly_cost_table **out, struct mly_error *err)
{
    mly_json_doc *doc;
    if (length > MLY__COST_TEXT_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: %zu bytes; at most %zu are read", name, length,
                             MLY__COST_TEXT_BYTES_MAX);
    enum mly_status status = mly_json_parse(name, text, length, &doc, err);
    if (status)
        return status;
    status = read_table(name, mly_json_root(doc), out, err);
    mly_json_destroy(doc);
    return status;
}

enum mly_status mly_cost_table_load(const char *path, mly_cost_table **out, struct mly_error *err)
{
    mly_json_doc *doc;
    enum mly_status status = mly_json_load(path, MLY__COST_TEXT_BYTES_MAX, &doc, err);
    if (status)
        return status;
    status = read_table(path, mly_json_root(doc), out, err);
    mly_json_destroy(doc);
    return status;
}

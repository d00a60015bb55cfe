/* motley cache: lists or clears the prepared copies of models. */
#include <string.h>
#include <time.h>

#include "backend/prepared.h"
#include "base/alloc.h"
#include "base/file.h"
#include "internal.h"

struct cache_values {
    bool clear;
    const char *key;
    bool costs;
};

static const struct cli_option cache_options[] = {
    {"clear", 0, CLI_FLAG, NULL, "Remove all prepared copies.", NULL,
     offsetof(struct cache_values, clear), 0, 0},
    {"remove", 0, CLI_TEXT, "KEY", "Remove one prepared copy; the first digits of its key will do.",
     NULL, offsetof(struct cache_values, key), 0, 0},
    {"costs", 0, CLI_FLAG, NULL, "With --clear: remove stored measurements as well.", NULL,
     offsetof(struct cache_values, costs), 0, 0},
};

static int list_json(const struct mly_prepared_entry *items, size_t count, const char *directory)
{
    struct mly_json_writer json;
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_put_string(&json, "directory", directory);
    mly_json_put_int(&json, "limit_bytes", (int64_t)mly_prepared_limit_bytes());
    mly_json_begin_array(&json, "prepared");
    for (size_t i = 0; i < count; i++) {
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "key", items[i].key);
        mly_json_put_string(&json, "model", items[i].model_name);
        mly_json_put_string(&json, "runtime", items[i].runtime);
        mly_json_put_int(&json, "bytes", (int64_t)items[i].bytes);
        mly_json_put_int(&json, "created_unix_s", items[i].created_s);
        mly_json_put_int(&json, "used_unix_s", items[i].used_s);
        mly_json_end_object(&json);
    }
    mly_json_end_array(&json);
    mly_json_end_object(&json);
    return cli_print_json(&json);
}

static int list_text(const struct mly_prepared_entry *items, size_t count, const char *directory)
{
    char number[CLI_NUMBER_BYTES];
    double total = 0;
    struct cli_table table;
    cli_table_init(&table, "key|model|runtime|>size|last used");
    for (size_t i = 0; i < count; i++) {
        char used[32];
        time_t when = (time_t)items[i].used_s;
        struct tm utc;
        gmtime_r(&when, &utc);
        strftime(used, sizeof used, "%Y-%m-%d %H:%M UTC", &utc);
        cli_table_cell(&table, "%.12s", items[i].key);
        cli_table_cell(&table, "%s", items[i].model_name);
        cli_table_cell(&table, "%s", items[i].runtime);
        cli_table_cell(&table, "%s", cli_bytes((double)items[i].bytes, number));
        cli_table_cell(&table, "%s", used);
        total += (double)items[i].bytes;
    }
    if (count > 0)
        cli_table_print(&table, stdout);
    cli_table_fini(&table);
    char limit[CLI_NUMBER_BYTES];
    printf("%zu prepared cop%s, %s of at most %s, in %s\n", count, count == 1 ? "y" : "ies",
           cli_bytes(total, number), cli_bytes((double)mly_prepared_limit_bytes(), limit),
           directory);
    return cli_finish_output();
}

static enum mly_status ambiguous(const struct mly_prepared_entry *items, size_t count,
                                 const char *digits, struct mly_error *err)
{
    enum { SHOWN = 8 };
    char names[SHOWN * 160] = "";
    size_t length = 0, found = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(items[i].key, digits, strlen(digits)) != 0 || found++ >= SHOWN)
            continue;
        /* One digit more than the user gave tells them apart sooner or later; so do the names. */
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%.*s (%.80s)",
                                   length ? ", " : "", (int)strlen(digits) + 12, items[i].key,
                                   items[i].model_name);
    }
    return mly_error_set(err, MLY_E_INVALID, "--remove %.64s: %zu keys begin so: %s%s", digits,
                         found, names, found > SHOWN ? ", …" : "");
}

/* The only key that begins with these digits, into key. */
static enum mly_status find_key(const char *digits, char key[65], struct mly_error *err)
{
    struct mly_prepared_entry *items = NULL;
    size_t count = 0, found = 0;
    enum mly_status status = mly_prepared_list(&items, &count, err);
    for (size_t i = 0; status == MLY_OK && i < count; i++) {
        if (strncmp(items[i].key, digits, strlen(digits)) != 0)
            continue;
        found++;
        memcpy(key, items[i].key, sizeof items[i].key);
    }
    if (status == MLY_OK && found == 0)
        status = mly_error_set(err, MLY_E_NOT_FOUND,
                               "--remove %.64s: no prepared copy's key begins so (motley cache "
                               "lists them)",
                               digits);
    else if (status == MLY_OK && found > 1)
        status = ambiguous(items, count, digits, err);
    mly_free(items);
    return status;
}

static enum mly_status remove_costs(struct mly_error *err)
{
    char *costs = NULL;
    enum mly_status status = mly_cache_dir("costs", &costs, err);
    if (status == MLY_OK)
        status = mly_dir_remove(costs, err);
    mly_free(costs);
    return status;
}

static int clear(const struct cli_common *common, const struct cache_values *given)
{
    struct mly_error err = {0};
    uint64_t freed = 0;
    char number[CLI_NUMBER_BYTES], key[65];
    enum mly_status status = given->key ? find_key(given->key, key, &err) : MLY_OK;
    if (status == MLY_OK)
        status = mly_prepared_clear(given->key ? key : NULL, &freed, &err);
    if (status == MLY_OK && given->costs)
        status = remove_costs(&err);
    if (status != MLY_OK)
        return cli_fail(&err);
    if (common->json) {
        struct mly_json_writer json;
        mly_json_writer_init(&json, true);
        mly_json_begin_object(&json, NULL);
        mly_json_put_int(&json, "freed_bytes", (int64_t)freed);
        mly_json_end_object(&json);
        return cli_print_json(&json);
    }
    if (!common->quiet)
        printf("freed %s\n", cli_bytes((double)freed, number));
    return cli_finish_output();
}

static enum mly_status check_usage(const struct cache_values *given, struct mly_error *err)
{
    if (given->costs && !given->clear)
        return mly_error_set(err, MLY_E_INVALID,
                             "--costs goes with --clear: both remove everything");
    if (given->clear && given->key)
        return mly_error_set(err, MLY_E_INVALID,
                             "--clear removes all copies, --remove one: only one of them");
    if (given->key && (!*given->key || given->key[strspn(given->key, "0123456789abcdef")]))
        return mly_error_set(
            err, MLY_E_INVALID,
            "--remove %.80s: a key's first digits are needed, such as 0a1b2c3d4e5f", given->key);
    return MLY_OK;
}

static int run_cache(const struct cli_common *common, const void *values, char **operands,
                     size_t operand_count)
{
    (void)operands;
    (void)operand_count;
    const struct cache_values *given = values;
    struct mly_error err = {0};
    struct mly_prepared_entry *items = NULL;
    size_t count = 0;
    char *directory = NULL;
    enum mly_status status = check_usage(given, &err);
    if (status != MLY_OK)
        return cli_usage(&err);
    if (given->clear || given->key)
        return clear(common, given);
    status = mly_cache_dir("", &directory, &err);
    if (status == MLY_OK)
        status = mly_prepared_list(&items, &count, &err);
    int exit_status = CLI_EXIT_FAILED;
    if (status != MLY_OK)
        exit_status = cli_fail(&err);
    else
        exit_status =
            common->json ? list_json(items, count, directory) : list_text(items, count, directory);
    mly_free(items);
    mly_free(directory);
    return exit_status;
}

const struct cli_command cli_command_cache = {
    .name = "cache",
    .operands = "",
    .summary = "prepared models kept on this box: list, clear",
    .description = "Every model that runs here is optimised and packed once; that prepared copy is "
                   "kept in the cache directory and mapped by all sessions "
                   "of all processes. The least recently used go when the limit is reached "
                   "($MOTLEY_CACHE_LIMIT). Clearing is always safe.",
    .examples = "  motley cache\n  motley cache --clear\n",
    .options = cache_options,
    .option_count = sizeof cache_options / sizeof cache_options[0],
    .values_bytes = sizeof(struct cache_values),
    .run = run_cache,
};

/*
 * Cost tables: what was measured of one model on one host, by scope (whole model, segment, node),
 * configuration and batch size. One file per model and host in the cache directory (`costs/<model
 * hash>-<host>.costs.json`; of other runtimes than ONNX Runtime, and of sizes of dimensions, files
 * of their own, with a hash of them after the host), or where the user says. Nothing here touches hardware. Reading a table
 * from several threads is safe while none changes it.
 */
#ifndef MLY_COST_TABLE_H
#define MLY_COST_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

/* After so long without work a group counts as rested, given the median of its runs. */
#define MLY_REST_MAX_NS 20e6
static inline double mly_rest_ns(double median_ns)
{
    return 2 * median_ns < MLY_REST_MAX_NS ? 2 * median_ns : MLY_REST_MAX_NS;
}

enum mly_cost_scope {
    MLY_COST_MODEL,   /* scope_id "" */
    MLY_COST_SEGMENT, /* scope_id is the segment hash */
    MLY_COST_NODE     /* scope_id is the node's label (mly_graph_node.label) */
};

/* How something was run: `groups` equal groups of `threads` threads each, all running at once. */
struct mly_cost_config {
    char backend[16];        /* "ort" */
    char processor_kind[32]; /* "cpu" */
    uint32_t groups;
    uint32_t threads;
    uint32_t batch;
    bool spin;
    /*
     * The baseline: one session with all of the runtime's defaults. groups, threads and spin are
     * then no part of the key and are kept as 1, 0 and false.
     */
    bool runtime_defaults;
};

struct mly_cost_entry {
    enum mly_cost_scope scope;
    const char *scope_id; /* owned by the table */
    struct mly_cost_config config;
    bool modelled;                    /* not measured: from a device model */
    double p10_ns, median_ns, p90_ns; /* one run of one batch on one group while all groups run */
    double rested_ns;                 /* median run while all groups rest before each run, for
                                         mly_rest_ns in the mean; 0 unknown */
    double rested_p90_ns;             /* ninetieth percentile of the same; 0 unknown */
    double throughput_per_s;          /* samples per second, all groups together; 0 for nodes */
    double
        throughput_spread; /* relative: (p90 - p10) / median over measuring rounds, drift taken out */
    double memory_bytes;   /* private memory added by all sessions of this; 0 unknown */
    double energy_j;       /* all that the box took, by run of one group; 0 unknown */
    uint64_t samples;      /* runs timed */
    /*
     * Which measuring it comes from: when that began, in seconds since 1970, no two of a table alike; 0
     * unknown. Times of two measurings are compared with care.
     */
    int64_t measured_s;
    double noise_spread; /* relative_spread of the box's noise then; 0 unknown */
};

/* What the measurements belong to. A table is used only where all of these agree. */
struct mly_cost_identity {
    char model_hash[65];
    char model_name[128];
    char host_id[65];
    char host_description[128];
    char runtime[64]; /* "ort 1.31.1" */
    /* "height=480,width=640": sizes of symbolic dimensions, by name; "" where all are 1 */
    char shapes[512];
};

/*
 * As mly_noise_measure says, before the newest measuring of a table; steal_fraction is -1 (as in a new
 * table) when unknown.
 */
struct mly_cost_noise {
    double relative_spread, slowdown, steal_fraction;
};

typedef struct mly_cost_table mly_cost_table;

enum mly_status mly_cost_table_create(const struct mly_cost_identity *identity,
                                      mly_cost_table **out, struct mly_error *err) MLY_MUST_CHECK;
void mly_cost_table_destroy(mly_cost_table *table);
const struct mly_cost_identity *mly_cost_table_identity(const mly_cost_table *table);
struct mly_cost_noise *mly_cost_table_noise(mly_cost_table *table);

/*
 * Copies the entry in, replacing one of equal scope, id and configuration. Values must be finite,
 * >= 0 and at most 1e18, batch 1…1e6, the id UTF-8 (MLY_E_INVALID names what is not).
 */
enum mly_status mly_cost_table_put(mly_cost_table *table, const struct mly_cost_entry *entry,
                                   struct mly_error *err) MLY_MUST_CHECK;
/* Noise and entries of `from` in place of the table's own; `from` is destroyed. */
void mly_cost_table_replace(mly_cost_table *table, mly_cost_table *from);
size_t mly_cost_table_count(const mly_cost_table *table);
/* Borrowed until the table changes. NULL past the end. */
const struct mly_cost_entry *mly_cost_table_at(const mly_cost_table *table, size_t index);
/* NULL if there is none. Hashed: O(1). */
const struct mly_cost_entry *mly_cost_table_find(const mly_cost_table *table,
                                                 enum mly_cost_scope scope, const char *scope_id,
                                                 const struct mly_cost_config *config);

/* When entries of a scope were measured, by measured_s of those that know it. All 0: none does. */
struct mly_cost_times {
    int64_t first_s, last_s;
    double noise_spread; /* the largest */
    bool unknown;        /* some do not know it */
};
struct mly_cost_times mly_cost_table_times(const mly_cost_table *table, enum mly_cost_scope scope);
/* measured_s for what is measured from now on: the time, but later than all that the table holds. */
int64_t mly_cost_table_next_s(const mly_cost_table *table);

/*
 * Time of one run for any batch: measured, else linear between the neighbouring measured batches,
 * else from the nearest by its per-sample time. interpolated (may be NULL) tells. MLY_E_NOT_FOUND
 * when nothing of this configuration was measured.
 */
enum mly_status mly_cost_estimate_ns(const mly_cost_table *table, enum mly_cost_scope scope,
                                     const char *scope_id, const struct mly_cost_config *config,
                                     double *median_ns, bool *interpolated,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* File form: JSON, format version 1; limits 64 MiB, 1e6 entries; every field checked; written
 * atomically. */
enum mly_status mly_cost_table_load(const char *path, mly_cost_table **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_cost_table_parse(const char *name, const char *text, size_t length,
                                     mly_cost_table **out, struct mly_error *err) MLY_MUST_CHECK;
/* JSON text of a table; owned by the caller (mly_free). */
enum mly_status mly_cost_table_format(const mly_cost_table *table, char **text, size_t *length,
                                      struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_cost_table_save(const mly_cost_table *table, const char *path,
                                    struct mly_error *err) MLY_MUST_CHECK;

/*
 * The store. open: the stored table for this identity, or a new empty one; a stored table that is
 * unreadable or belongs to another host, runtime version or model is ignored, as is a cache
 * directory that cannot be made, and *word (owned by the caller, mly_free; NULL when there is
 * nothing to say) says so in a sentence. save: writes it back (merging is the caller's business).
 */
enum mly_status mly_cost_store_open(const struct mly_cost_identity *identity, mly_cost_table **out,
                                    char **word, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly_cost_store_save(const mly_cost_table *table,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* Path of the stored file; owned by the caller (mly_free). */
enum mly_status mly_cost_store_path(const struct mly_cost_identity *identity, char **out,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif

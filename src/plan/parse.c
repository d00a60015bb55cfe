/*
 * Reading plans. What a person may leave out when writing one by hand has a default; everything
 * that is there is checked, and nothing unknown is let pass. Whether a plan fits a model and a
 * machine is for mly_plan_check.
 */
#include "parse.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

/* --- processors --- */

static enum mly_status read_processor(const struct mly__plan_reader *r, struct mly_json object,
                                      struct mly_plan_processor *p, struct mly_error *err)
{
    static const char *const known[] = {"id",   "kind", "backend",          "cpus", "threads",
                                        "spin", "pin",  "runtime_defaults", NULL};
    struct mly_json cpus;
    memcpy(p->backend, "ort", sizeof "ort");
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = mly__plan_read_text(r, object, "id", true, p->id, sizeof p->id, err);
    if (!status)
        status = mly__plan_read_text(r, object, "kind", true, p->kind, sizeof p->kind, err);
    if (!status && mly_json_member_opt(object, "backend").impl)
        status =
            mly__plan_read_text(r, object, "backend", true, p->backend, sizeof p->backend, err);
    if (!status)
        status = mly__plan_read_array(r, object, "cpus", 0, MLY__PLAN_CPUS_MAX, &cpus, err);
    if (!status)
        status = mly__plan_read_numbers(r, cpus, 0, INT32_MAX, false, &p->cpus, &p->cpu_count, err);
    if (status)
        return status;
    p->threads = p->cpu_count ? p->cpu_count : 1;
    p->pin = p->cpu_count > 0;
    status = mly__plan_read_u32(object, "threads", 0, MLY__PLAN_CPUS_MAX, &p->threads, err);
    if (!status)
        status = mly__plan_read_bool(object, "spin", &p->spin, err);
    if (!status)
        status = mly__plan_read_bool(object, "pin", &p->pin, err);
    if (!status)
        status = mly__plan_read_bool(object, "runtime_defaults", &p->runtime_defaults, err);
    return status;
}

static enum mly_status read_processors(struct mly__plan_reader *r, struct mly_json root,
                                       struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        mly__plan_read_array(r, root, "processors", 1, MLY__PLAN_PROCESSORS_MAX, &array, err);
    if (status)
        return status;
    const size_t count = mly_json_length(array);
    r->plan->processors = mly_alloc_array(count, sizeof *r->plan->processors);
    if (!r->plan->processors)
        return mly__plan_no_memory(r, err);
    while (!status && r->plan->processor_count < count) {
        const uint32_t i = r->plan->processor_count++;
        status = read_processor(r, mly_json_element(array, i), &r->plan->processors[i], err);
    }
    return status;
}

/* --- the rest --- */

static enum mly_status read_candidates(struct mly__plan_reader *r, struct mly_json root,
                                       struct mly_error *err)
{
    static const char *const known[] = {"description", "planner",    "chosen",
                                        "baseline",    "prediction", NULL};
    struct mly_json array;
    enum mly_status status =
        mly__plan_read_array(r, root, "candidates", 0, MLY__PLAN_CANDIDATES_MAX, &array, err);
    const size_t count = status ? 0 : mly_json_length(array);
    if (!count)
        return status;
    r->plan->candidates = mly_alloc_array(count, sizeof *r->plan->candidates);
    if (!r->plan->candidates)
        return mly__plan_no_memory(r, err);
    while (!status && r->plan->candidate_count < count) {
        struct mly_json object = mly_json_element(array, r->plan->candidate_count);
        struct mly_plan_candidate *c = &r->plan->candidates[r->plan->candidate_count++];
        status = mly_json_only(object, known, err);
        if (!status && !mly_json_member_opt(object, "description").impl)
            status =
                mly__plan_refuse(r, err, mly_json_member_opt(object, "description"), "missing");
        if (!status)
            status = mly__plan_read_copy(r, object, "description", &c->description, err);
        if (!status)
            status = mly__plan_read_text(r, object, "planner", false, c->planner, sizeof c->planner,
                                         err);
        if (!status)
            status = mly__plan_read_bool(object, "chosen", &c->chosen, err);
        if (!status)
            status = mly__plan_read_bool(object, "baseline", &c->baseline, err);
        if (!status)
            status = mly__plan_read_prediction(object, &c->prediction, err);
    }
    return status;
}

/* As after -d: "cpu:0-3+8". */
static enum mly_status read_host_cpus(struct mly__plan_reader *r, struct mly_json root,
                                      struct mly_error *err)
{
    char *to = r->plan->host_cpus;
    enum mly_status status =
        mly__plan_read_text(r, root, "host_cpus", false, to, sizeof r->plan->host_cpus, err);
    if (!status && *to &&
        (strncmp(to, "cpu:", 4) != 0 || !to[4] ||
         to[4 + strspn(to + 4, "0123456789abcdefx+:-")] != '\0'))
        status = mly__plan_refuse(r, err, mly_json_member_opt(root, "host_cpus"),
                                  "expected CPUs as in \"cpu:0-3+8\"");
    return status;
}

static enum mly_status read_model(struct mly__plan_reader *r, struct mly_json root,
                                  struct mly_error *err)
{
    static const char *const known[] = {"path", "name", "hash", "keep_overridable", NULL};
    mly_plan *plan = r->plan;
    struct mly_json object, path;
    enum mly_status status = mly_json_member(root, "model", &object, err);
    if (!status)
        status = mly_json_only(object, known, err);
    if (!status)
        status = mly_json_member(object, "path", &path, err);
    if (!status)
        status = mly__plan_read_copy(r, object, "path", &plan->model_path, err);
    if (!status && !*plan->model_path)
        status = mly__plan_refuse(r, err, path, "is empty");
    if (!status)
        status = mly__plan_read_text(r, object, "name", false, plan->model_name,
                                     sizeof plan->model_name, err);
    if (!status)
        status = mly__plan_read_text(r, object, "hash", true, plan->model_hash,
                                     sizeof plan->model_hash, err);
    if (!status &&
        (strlen(plan->model_hash) != 64 || strspn(plan->model_hash, "0123456789abcdef") != 64))
        status = mly__plan_refuse(r, err, mly_json_member_opt(object, "hash"),
                                  "expected 64 lower-case hexadecimal digits");
    if (!status && mly_json_member_opt(object, "keep_overridable").impl)
        status = mly_json_bool(object, "keep_overridable", &plan->keep_overridable, err);
    return status;
}

/*
 * Batch, ladder and how many batches are in flight, into a member: the plan itself is read as one.
 * Segments are there already.
 */
static enum mly_status read_batches(struct mly__plan_reader *r, struct mly_json object,
                                    struct mly_plan_member *m, struct mly_error *err)
{
    struct mly_json ladder;
    int64_t batch;
    enum mly_status status = mly_json_int(object, "batch", 1, MLY__PLAN_BATCH_MAX, &batch, err);
    if (!status)
        status = mly__plan_read_array(r, object, "ladder", 0, MLY__PLAN_LADDER_MAX, &ladder, err);
    if (status)
        return status;
    m->batch = (uint32_t)batch;
    status = mly__plan_read_numbers(r, ladder, 1, MLY__PLAN_BATCH_MAX, true, &m->ladder,
                                    &m->ladder_count, err);
    if (status)
        return status;
    if (!ladder.impl) {
        m->ladder = mly_alloc_array(1, sizeof *m->ladder);
        if (!m->ladder)
            return mly__plan_no_memory(r, err);
        m->ladder[m->ladder_count++] = m->batch;
    }
    bool found = false;
    for (uint32_t i = 0; i < m->ladder_count; i++)
        found = found || m->ladder[i] == m->batch;
    if (!found)
        return mly__plan_refuse(r, err, ladder, "does not have the batch size %u", m->batch);
    m->in_flight =
        2 * (m->segment_count > 1 ? r->plan->processor_count : m->segments[0].processor_count);
    return mly__plan_read_u32(object, "in_flight", 1, MLY__PLAN_IN_FLIGHT_MAX, &m->in_flight, err);
}

/* The plan's own way of running. What was read is the plan's, whether or not all was well. */
static enum mly_status read_way(struct mly__plan_reader *r, struct mly_json root,
                                struct mly_error *err)
{
    mly_plan *plan = r->plan;
    struct mly_plan_member way = mly__plan_way(plan);
    enum mly_status status =
        mly__plan_read_segments(r, root, &way.segments, &way.segment_count, err);
    if (!status)
        status = read_batches(r, root, &way, err);
    mly__plan_set_way(plan, &way);
    return status;
}

static enum mly_status read_member(struct mly__plan_reader *r, struct mly_json object, double above,
                                   struct mly_plan_member *m, struct mly_error *err)
{
    static const char *const known[] = {"max_rate_per_s", "batch",      "ladder", "in_flight",
                                        "segments",       "prediction", NULL};
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = mly_json_number(object, "max_rate_per_s", 0, MLY__PLAN_NUMBER_MAX,
                                 &m->max_rate_per_s, err);
    if (!status && m->max_rate_per_s <= above)
        status = mly__plan_refuse(r, err, mly_json_member_opt(object, "max_rate_per_s"),
                                  "%g follows %g; the rates must ascend from above 0",
                                  m->max_rate_per_s, above);
    if (!status)
        status = mly__plan_read_segments(r, object, &m->segments, &m->segment_count, err);
    if (!status)
        status = read_batches(r, object, m, err);
    return status ? status : mly__plan_read_prediction(object, &m->prediction, err);
}

static enum mly_status read_family(struct mly__plan_reader *r, struct mly_json root,
                                   struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        mly__plan_read_array(r, root, "family", 0, MLY__PLAN_FAMILY_MAX, &array, err);
    const size_t count = status ? 0 : mly_json_length(array);
    if (!count)
        return status;
    r->plan->family = mly_alloc_array(count, sizeof *r->plan->family);
    if (!r->plan->family)
        return mly__plan_no_memory(r, err);
    while (!status && r->plan->family_count < count) {
        const uint32_t i = r->plan->family_count++;
        status =
            read_member(r, mly_json_element(array, i),
                        i ? r->plan->family[i - 1].max_rate_per_s : 0, &r->plan->family[i], err);
    }
    return status;
}

static enum mly_status read_objective(struct mly__plan_reader *r, struct mly_json root,
                                      struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(root, "objective");
    const char *word;
    struct mly_error reason;
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_as_string(value, &word, err);
    if (!status && mly_objective_parse(word, &r->plan->objective, &reason))
        status = mly__plan_refuse(r, err, value, "%s", reason.message);
    return status;
}

/* The marker comes first: of another version nothing else can be judged. */
static enum mly_status check_version(const char *name, struct mly_json root, struct mly_error *err)
{
    int64_t version;
    if (!mly_json_is_object(root) || !mly_json_member_opt(root, "motley_plan").impl)
        return mly_error_set(err, MLY_E_FORMAT,
                             "%s: motley_plan: missing; this is no plan of motley", name);
    enum mly_status status = mly_json_int(root, "motley_plan", 1, INT64_MAX, &version, err);
    if (!status && version > MLY__PLAN_VERSION)
        status = mly_error_set(err, MLY_E_UNSUPPORTED,
                               "%s: motley_plan: written by a newer motley in format %lld; this "
                               "one reads format %d",
                               name, (long long)version, MLY__PLAN_VERSION);
    return status;
}

static enum mly_status read_shapes(struct mly__plan_reader *r, struct mly_json root,
                                   struct mly_error *err)
{
    char *text = r->plan->shapes;
    struct mly_sizes sizes = {0};
    struct mly_error why;
    enum mly_status status =
        mly__plan_read_text(r, root, "shapes", false, text, sizeof r->plan->shapes, err);
    if (status)
        return status;
    status = mly_sizes_parse(text, &sizes, &why);
    mly_sizes_fini(&sizes);
    if (status == MLY_E_NO_MEMORY)
        return mly__plan_no_memory(r, err);
    return status ? mly__plan_refuse(r, err, mly_json_member_opt(root, "shapes"), "%s", why.message)
                  : MLY_OK;
}

static enum mly_status read_plan(const char *name, struct mly_json root, mly_plan **out,
                                 struct mly_error *err)
{
    static const char *const known[] = {"motley_plan", "model",      "host",       "host_cpus",
                                        "runtime",     "planner",    "objective",  "why",
                                        "prediction",  "batch",      "ladder",     "in_flight",
                                        "segments",    "processors", "candidates", "family",
                                        "rate_per_s",  "note",       "shapes",     NULL};
    struct mly__plan_reader r = {.name = name};
    enum mly_status status = check_version(name, root, err);
    if (!status)
        status = mly_json_only(root, known, err);
    if (status)
        return status;
    mly_plan *plan = r.plan = mly_alloc(sizeof *plan);
    if (!plan)
        return mly__plan_no_memory(&r, err);
    status = read_model(&r, root, err);
    if (!status)
        status =
            mly__plan_read_text(&r, root, "host", true, plan->host_id, sizeof plan->host_id, err);
    if (!status)
        status = read_host_cpus(&r, root, err);
    if (!status)
        status = mly__plan_read_text(&r, root, "runtime", false, plan->runtime,
                                     sizeof plan->runtime, err);
    if (!status)
        status = read_shapes(&r, root, err);
    if (!status)
        status = mly__plan_read_text(&r, root, "planner", false, plan->planner,
                                     sizeof plan->planner, err);
    if (!status)
        status = read_objective(&r, root, err);
    if (!status)
        status = mly__plan_read_copy(&r, root, "why", &plan->why, err);
    if (!status)
        status = mly__plan_read_copy(&r, root, "note", &plan->note, err);
    if (!status && mly_json_member_opt(root, "rate_per_s").impl)
        status =
            mly_json_number(root, "rate_per_s", 0, MLY__PLAN_NUMBER_MAX, &plan->rate_per_s, err);
    if (!status)
        status = mly__plan_read_prediction(root, &plan->prediction, err);
    if (!status)
        status = read_processors(&r, root, err);
    if (!status)
        status = read_way(&r, root, err);
    if (!status)
        status = read_family(&r, root, err);
    if (!status)
        status = read_candidates(&r, root, err);
    if (status) {
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}

enum mly_status mly_plan_parse(const char *name, const char *text, size_t length, mly_plan **out,
                               struct mly_error *err)
{
    mly_json_doc *doc;
    if (length > MLY__PLAN_TEXT_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: %zu bytes; at most %zu are read", name, length,
                             MLY__PLAN_TEXT_BYTES_MAX);
    enum mly_status status = mly_json_parse(name, text, length, &doc, err);
    if (status)
        return status;
    status = read_plan(name, mly_json_root(doc), out, err);
    mly_json_destroy(doc);
    return status;
}

enum mly_status mly_plan_load(const char *path, mly_plan **out, struct mly_error *err)
{
    mly_json_doc *doc;
    enum mly_status status = mly_json_load(path, MLY__PLAN_TEXT_BYTES_MAX, &doc, err);
    if (status)
        return status;
    status = read_plan(path, mly_json_root(doc), out, err);
    mly_json_destroy(doc);
    return status;
}

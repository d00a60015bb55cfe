/* What the processors of a run did, and whose times those are. */
#include "run_processors.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "device/modelled.h"

/* NULL: it is here. */
static const struct mly_device_model *device_of(const mly_plan *plan, const char *id)
{
    for (uint32_t i = 0; i < plan->processor_count; i++) {
        if (strcmp(plan->processors[i].id, id) == 0)
            return mly_device_model_find(plan->processors[i].kind);
    }
    return NULL;
}

bool run_is_modelled(const mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->processor_count; i++) {
        if (mly_device_model_find(plan->processors[i].kind))
            return true;
    }
    return false;
}

/* --- results --- */

static bool has_kind(const mly_plan *plan, const struct mly_plan_segment *segment, bool modelled)
{
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        const char *kind = plan->processors[segment->processors[i]].kind;
        if ((mly_device_model_find(kind) != NULL) == modelled)
            return true;
    }
    return false;
}

/* May a processor that is here come after one that is not? Segments are in topological order. */
static bool reads_modelled(const mly_plan *plan, const struct mly_plan_segment *segments,
                           uint32_t count)
{
    bool before = false;
    for (uint32_t s = 0; s < count; s++) {
        if (before && has_kind(plan, &segments[s], false))
            return true;
        before = before || has_kind(plan, &segments[s], true);
    }
    return false;
}

enum mly_results run_results_mode(const mly_plan *plan, bool wanted)
{
    bool needed = wanted || reads_modelled(plan, plan->segments, plan->segment_count);
    for (uint32_t i = 0; i < plan->family_count; i++)
        needed =
            needed || reads_modelled(plan, plan->family[i].segments, plan->family[i].segment_count);
    return needed ? MLY_RESULTS_ALWAYS : MLY_RESULTS_NEVER;
}

/* --- what they did --- */

enum mly_status run_processors_get(mly_engine *engine, const mly_plan *plan,
                                   enum mly_results results, int64_t elapsed_ns,
                                   struct run_processors *out, struct mly_error *err)
{
    struct mly_engine_stats stats;
    struct run_processors p = {
        .plan = plan, .elapsed_ns = elapsed_ns, .computed = results == MLY_RESULTS_ALWAYS};
    p.count = mly_engine_get_processors(engine, NULL, 0);
    p.list = mly_alloc_array(p.count, sizeof *p.list);
    if (!p.list)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    (void)mly_engine_get_processors(engine, p.list, p.count);
    mly_engine_get_stats(engine, &stats);
    p.retried = stats.retried;
    for (uint32_t i = 0; i < p.count; i++) {
        const bool modelled = device_of(plan, p.list[i].id) != NULL;
        *(modelled ? &p.modelled : &p.real) += 1;
        p.tasks += modelled ? p.list[i].tasks : 0;
        p.slowed += p.list[i].slowed;
    }
    *out = p;
    return MLY_OK;
}

void run_processors_fini(struct run_processors *processors)
{
    mly_free(processors->list);
    *processors = (struct run_processors){0};
}

/* --- times --- */

bool run_times_are_modelled(const struct run_processors *p)
{
    return p->modelled > 0 && p->slowed == 0;
}

const char *run_times_name(const struct run_processors *p)
{
    if (p->modelled == 0)
        return "measured";
    if (p->slowed > 0)
        return "of computing results";
    return p->real > 0 ? "measured and modelled" : "modelled";
}

void run_times_print(const struct run_processors *p, FILE *to)
{
    if (p->modelled == 0)
        return;
    if (p->slowed > 0)
        fprintf(to,
                "(not modelled: %" PRIu64 " of %" PRIu64
                " tasks on processors that are not here took longer than their models say, as this "
                "box's CPU computed their results)\n",
                p->slowed, p->tasks);
    else
        fprintf(to, "(%s: %s%s)\n", run_times_name(p),
                p->real > 0
                    ? "on processors that are not here tasks took as long as their models say"
                    : "tasks took as long as models of processors that are not here say",
                p->computed ? "; this box's CPU computed their results meanwhile" : "");
}

void run_times_put(const struct run_processors *p, struct mly_json_writer *json)
{
    mly_json_put_bool(json, "measured", p->modelled == 0);
    mly_json_put_bool(json, "modelled", run_times_are_modelled(p));
    mly_json_put_string(json, "times", run_times_name(p));
    if (p->modelled == 0)
        return;
    mly_json_put_bool(json, "results_computed", p->computed);
    mly_json_put_int(json, "slowed_tasks", (int64_t)p->slowed);
}

/* --- by processor --- */

static double utilisation(const struct run_processors *p, const struct mly_processor_stats *s)
{
    return p->elapsed_ns > 0 ? (double)s->busy_ns / (double)p->elapsed_ns : 0;
}

static void print_one(const struct run_processors *p, const struct mly_processor_stats *s,
                      bool busy, FILE *to)
{
    fprintf(to, "%s%s: %" PRIu64 " task%s", s->id, device_of(p->plan, s->id) ? " (modelled)" : "",
            s->tasks, s->tasks == 1 ? "" : "s");
    if (s->failures > 0)
        fprintf(to, ", %" PRIu64 " failed", s->failures);
    if (s->slowed > 0)
        fprintf(to, ", %" PRIu64 " slowed by computing results", s->slowed);
    if (busy)
        fprintf(to, ", busy %.0f %%", utilisation(p, s) * 100);
    if (s->set_aside)
        fprintf(to, "; set aside: it failed too often, and gets no work for another %.2g s",
                (double)s->retry_ns / 1e9);
    fputc('\n', to);
}

void run_processors_print(const struct run_processors *p, bool busy, FILE *to)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (busy || p->list[i].failures > 0 || p->list[i].set_aside)
            print_one(p, &p->list[i], busy, to);
    }
    if (p->retried > 0)
        fprintf(to, "%" PRIu64 " task%s that a processor failed %s given to another one\n",
                p->retried, p->retried == 1 ? "" : "s", p->retried == 1 ? "was" : "were");
}

void run_processors_put(const struct run_processors *p, struct mly_json_writer *json)
{
    mly_json_put_int(json, "retried_tasks", (int64_t)p->retried);
    mly_json_begin_array(json, "processors");
    for (uint32_t i = 0; i < p->count; i++) {
        const struct mly_processor_stats *s = &p->list[i];
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "id", s->id);
        mly_json_put_bool(json, "modelled", device_of(p->plan, s->id) != NULL);
        mly_json_put_int(json, "tasks", (int64_t)s->tasks);
        mly_json_put_int(json, "failures", (int64_t)s->failures);
        mly_json_put_int(json, "slowed", (int64_t)s->slowed);
        mly_json_put_number(json, "utilisation", utilisation(p, s));
        mly_json_put_bool(json, "set_aside", s->set_aside);
        if (s->set_aside)
            mly_json_put_number(json, "retry_s", (double)s->retry_ns / 1e9);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

/* --- energy --- */

struct run_modelled_energy run_processors_energy(const struct run_processors *p)
{
    struct run_modelled_energy sum = {.processors = p->modelled,
                                      .known = p->modelled > 0,
                                      .idle_included = p->slowed == 0,
                                      .all = p->real == 0,
                                      .computed = p->computed};
    for (uint32_t i = 0; i < p->count; i++) {
        const struct mly_device_model *device = device_of(p->plan, p->list[i].id);
        if (!device)
            continue;
        sum.known = sum.known && device->active_w > 0;
        sum.energy_j += p->list[i].modelled_energy_j;
        if (sum.idle_included)
            sum.energy_j += device->idle_w * (double)p->elapsed_ns / 1e9;
    }
    return sum;
}

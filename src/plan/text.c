/* Plans in words: one line of what a plan is, and one sentence of why it won. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/stats.h"
#include "internal.h"

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

char *mly__plan_config_text(const struct mly_cost_config *config,
                            char text[MLY__PLAN_CONFIG_TEXT_BYTES])
{
    /* One back end is the usual one; the others are told apart by name. */
    const bool usual = !strcmp(config->backend, "ort");
    const char *comma = usual ? "" : ", ", *backend = usual ? "" : config->backend;
    if (config->runtime_defaults)
        snprintf(text, MLY__PLAN_CONFIG_TEXT_BYTES, "the runtime's defaults, batch %u%s%s",
                 config->batch, comma, backend);
    else
        snprintf(text, MLY__PLAN_CONFIG_TEXT_BYTES, "%u group%s x %u thread%s, batch %u, %s%s%s",
                 config->groups, plural(config->groups), config->threads, plural(config->threads),
                 config->batch, config->spin ? "spin" : "block", comma, backend);
    return text;
}

void mly__plan_cpu_id(const uint32_t *cpus, uint32_t count, char id[64])
{
    char text[64] = "cpu:";
    for (uint32_t first = 0, last; first < count; first = last + 1) {
        last = first;
        while (last + 1 < count && cpus[last + 1] == cpus[last] + 1)
            last++;
        char range[32];
        if (last > first)
            snprintf(range, sizeof range, "%s%u-%u", first ? "+" : "", cpus[first], cpus[last]);
        else
            snprintf(range, sizeof range, "%s%u", first ? "+" : "", cpus[first]);
        /* Room is kept for the longest ending, "+…(65536)". */
        if (strlen(text) + strlen(range) + 16 > sizeof text) {
            snprintf(range, sizeof range, "+…(%u)", count);
            last = count;
        }
        memcpy(text + strlen(text), range, strlen(range) + 1);
    }
    memcpy(id, text, sizeof text);
}

/* --- describe --- */

/*
 * True if every processor of the plan's one segment is run alike: then a configuration says it all.
 */
static bool is_uniform(const mly_plan *plan)
{
    if (plan->segment_count != 1 || !plan->segments[0].processor_count ||
        mly__plan_is_modelled(&plan->processors[0]))
        return false;
    const struct mly_plan_segment *segment = &plan->segments[0];
    for (uint32_t i = 0; i < segment->processor_count; i++)
        if (segment->processors[i] >= plan->processor_count)
            return false;
    const struct mly_plan_processor *first = &plan->processors[segment->processors[0]];
    for (uint32_t i = 1; i < segment->processor_count; i++) {
        const struct mly_plan_processor *p = &plan->processors[segment->processors[i]];
        if (strcmp(p->kind, first->kind) || strcmp(p->backend, first->backend) ||
            p->threads != first->threads || p->spin != first->spin ||
            p->runtime_defaults != first->runtime_defaults)
            return false;
    }
    return true;
}

/* "(cpu:0, cpu:1)", at most eight of them. */
static enum mly_status append_ids(const mly_plan *plan, struct mly_buffer *buffer)
{
    enum { SHOWN = 8 };
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < plan->processor_count && i < SHOWN; i++)
        status = mly_buffer_printf(buffer, "%s%s", i ? ", " : " (", plan->processors[i].id);
    if (!status && plan->processor_count > SHOWN)
        status = mly_buffer_printf(buffer, ", … %u in all", plan->processor_count);
    if (!status && plan->processor_count)
        status = mly_buffer_printf(buffer, ")");
    return status;
}

/* "batch 20 split 12 + 8 on 2 processors (a, b)" */
static enum mly_status append_split(const mly_plan *plan, struct mly_buffer *buffer)
{
    const struct mly_plan_segment *segment = &plan->segments[0];
    enum mly_status status = mly_buffer_printf(buffer, "batch %u split ", plan->batch);
    for (uint32_t i = 0; !status && i < segment->processor_count; i++)
        status = mly_buffer_printf(buffer, "%s%u", i ? " + " : "", segment->shares[i]);
    if (!status)
        status = mly_buffer_printf(buffer, " on %u processor%s", segment->processor_count,
                                   plural(segment->processor_count));
    return status ? status : append_ids(plan, buffer);
}

char *mly_plan_describe(const mly_plan *plan)
{
    struct mly_buffer buffer = {.max_bytes = 4096};
    enum mly_status status;
    const bool split = plan->segment_count == 1 && plan->segments[0].shares;
    const bool uniform = !split && is_uniform(plan);
    const struct mly_plan_processor *first =
        uniform ? &plan->processors[plan->segments[0].processors[0]] : NULL;
    if (split) {
        status = append_split(plan, &buffer);
    } else if (uniform && first->runtime_defaults) {
        status = mly_buffer_printf(&buffer, "the runtime's defaults, batch %u", plan->batch);
    } else if (uniform) {
        const uint32_t groups = plan->segments[0].processor_count;
        status = mly_buffer_printf(&buffer, "%u group%s x %u thread%s", groups, plural(groups),
                                   first->threads, plural(first->threads));
        if (!status)
            status = append_ids(plan, &buffer);
        if (!status)
            status = mly_buffer_printf(&buffer, ", batch %u, %s", plan->batch,
                                       first->spin ? "spinning" : "blocking");
    } else {
        status = mly_buffer_printf(&buffer, "%u segment%s on %u processor%s", plan->segment_count,
                                   plural(plan->segment_count), plan->processor_count,
                                   plural(plan->processor_count));
        if (!status)
            status = append_ids(plan, &buffer);
        if (!status)
            status = mly_buffer_printf(&buffer, ", batch %u", plan->batch);
    }
    if (!status && plan->family_count)
        status = mly_buffer_printf(&buffer, "; %u way%s by rate, up to %.4g samples/s",
                                   plan->family_count, plural(plan->family_count),
                                   plan->family[plan->family_count - 1].max_rate_per_s);
    if (!status)
        return buffer.data;
    mly_buffer_fini(&buffer);
    return NULL;
}

/* --- explain --- */

/* A prediction's figure for the objective: "61.2 samples/s" or "12.3 ms". */
static enum mly_status append_figure(const mly_plan *plan, const struct mly_prediction *prediction,
                                     struct mly_buffer *buffer)
{
    char rate[MLY_RATE_TEXT_BYTES];
    switch (plan->objective) {
    case MLY_OBJECTIVE_LATENCY:
        return mly_buffer_printf(buffer, "%.4g ms", prediction->latency_ns / 1e6);
    case MLY_OBJECTIVE_LATENCY_AT_RATE:
        return isinf(prediction->loaded_latency_ns)
                   ? mly_buffer_printf(buffer, "%s samples/s, too few for %.6g",
                                       mly_rate_text(prediction->throughput_per_s, rate),
                                       plan->rate_per_s)
                   : mly_buffer_printf(buffer, "%.4g ms at %.6g samples/s",
                                       prediction->loaded_latency_ns / 1e6, plan->rate_per_s);
    case MLY_OBJECTIVE_ENERGY:
        return prediction->energy_j > 0
                   ? mly_buffer_printf(buffer, "%.4g mJ a sample", prediction->energy_j * 1e3)
                   : mly_buffer_printf(buffer, "unknown energy");
    case MLY_OBJECTIVE_THROUGHPUT:
        break;
    }
    return mly_buffer_printf(buffer, "%s samples/s",
                             mly_rate_text(prediction->throughput_per_s, rate));
}

/* How much more (+) or less (-) the objective's figure of `a` is than that of `b`, in per cent. */
static double percent(const mly_plan *plan, const struct mly_prediction *a,
                      const struct mly_prediction *b)
{
    const double x = mly__plan_score(a, plan->objective), y = mly__plan_score(b, plan->objective);
    if (plan->objective == MLY_OBJECTIVE_THROUGHPUT)
        return (x / y - 1) * 100;
    return (y / x - 1) * 100; /* scores of what is to be small are its inverse */
}

/* What cannot keep up has no latency to compare; what is modelled is no gain over what is measured. */
static bool is_comparable(const mly_plan *plan, const struct mly_prediction *a,
                          const struct mly_prediction *b)
{
    if (a->modelled != b->modelled)
        return false;
    return plan->objective != MLY_OBJECTIVE_LATENCY_AT_RATE ||
           (isfinite(a->loaded_latency_ns) && isfinite(b->loaded_latency_ns));
}

static bool is_tie(const mly_plan *plan, const struct mly_prediction *a,
                   const struct mly_prediction *b)
{
    const double x = mly__plan_score(a, plan->objective), y = mly__plan_score(b, plan->objective);
    const double better = x > y ? x : y, worse = x > y ? y : x;
    return worse >= better * (1 - mly__plan_noise(a, b));
}

/* Where modelled and measured figures stand side by side, each says which it is. */
static enum mly_status append_basis(const struct mly_prediction *of,
                                    const struct mly_prediction *beside, struct mly_buffer *buffer)
{
    if (of->modelled == beside->modelled)
        return MLY_OK;
    return mly_buffer_printf(buffer, of->modelled ? " modelled" : " measured");
}

/* Why something did not win although its figure is better. */
static enum mly_status append_error(const mly_plan *plan, const struct mly_prediction *rival,
                                    const struct mly_prediction *chosen, struct mly_buffer *buffer)
{
    const double error = mly__plan_error(rival);
    if (error <= mly__plan_error(chosen) ||
        mly__plan_score(rival, plan->objective) <= mly__plan_score(chosen, plan->objective))
        return MLY_OK;
    return mly_buffer_printf(buffer, ", but %s and may be off by %.0f %%",
                             rival->measured ? "measured apart from the others" : "only estimated",
                             error * 100);
}

/* "; next is NAME with 58.1 samples/s (-5.1 %)", and what a tie means. */
static enum mly_status append_rival(const mly_plan *plan, const char *words,
                                    const struct mly_plan_candidate *chosen,
                                    const struct mly_plan_candidate *rival, bool named,
                                    struct mly_buffer *buffer)
{
    enum mly_status status =
        mly_buffer_printf(buffer, "; %s%s ", words, named ? rival->description : "");
    if (!status)
        status = mly_buffer_printf(buffer, "%s", named ? "gives " : "");
    if (!status)
        status = append_figure(plan, &rival->prediction, buffer);
    if (!status)
        status = append_basis(&rival->prediction, &chosen->prediction, buffer);
    if (!status && !is_comparable(plan, &rival->prediction, &chosen->prediction))
        return MLY_OK;
    if (!status)
        status = mly_buffer_printf(buffer, " (%+.1f %%",
                                   percent(plan, &rival->prediction, &chosen->prediction));
    if (!status && is_tie(plan, &rival->prediction, &chosen->prediction))
        status = mly_buffer_printf(buffer, ", within the noise of %.1f %%",
                                   mly__plan_noise(&rival->prediction, &chosen->prediction) * 100);
    else if (!status)
        status = append_error(plan, &rival->prediction, &chosen->prediction, buffer);
    return status ? status : mly_buffer_printf(buffer, ")");
}

/* The description that the plan would have if its threads spun, or did not. */
static bool flipped_text(const mly_plan *plan, char text[MLY__PLAN_CONFIG_TEXT_BYTES])
{
    if (!is_uniform(plan))
        return false;
    const struct mly_plan_segment *segment = &plan->segments[0];
    struct mly_cost_config config =
        mly__plan_config(plan, segment->processors[0], segment->processor_count);
    if (config.runtime_defaults)
        return false;
    config.spin = !config.spin;
    mly__plan_config_text(&config, text);
    return true;
}

/* Just as fast in both ways: the same plan, found by another planner under another name. */
static bool is_same(const struct mly_plan_candidate *a, const struct mly_plan_candidate *b)
{
    return a->prediction.throughput_per_s == b->prediction.throughput_per_s &&
           a->prediction.latency_ns == b->prediction.latency_ns &&
           strcmp(a->planner, b->planner) != 0;
}

char *mly__plan_explain(const mly_plan *plan)
{
    const struct mly_plan_candidate *chosen = NULL, *baseline = NULL, *rival = NULL, *flip = NULL;
    char flipped[MLY__PLAN_CONFIG_TEXT_BYTES];
    const bool has_flip = flipped_text(plan, flipped);
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        if (plan->candidates[i].chosen &&
            mly__plan_score(&plan->candidates[i].prediction, plan->objective) > 0)
            chosen = &plan->candidates[i];
    for (uint32_t i = 0; i < plan->candidate_count; i++) {
        const struct mly_plan_candidate *c = &plan->candidates[i];
        if (c == chosen || !(mly__plan_score(&c->prediction, plan->objective) > 0) ||
            (chosen && is_same(c, chosen)))
            continue;
        if (c->baseline)
            baseline = baseline ? baseline : c;
        else if (has_flip && !flip && !strcmp(c->description, flipped))
            flip = c;
        else
            rival = rival ? rival : c;
    }
    struct mly_buffer buffer = {.max_bytes = 4096};
    if (!chosen)
        return mly_strdup("nothing was compared");
    enum mly_status status = mly_buffer_printf(&buffer, "%s: ", chosen->description);
    if (!status)
        status = append_figure(plan, &chosen->prediction, &buffer);
    if (!status && baseline && !chosen->baseline) {
        status = append_basis(&chosen->prediction, &baseline->prediction, &buffer);
        if (!status)
            status = mly_buffer_printf(&buffer, " against ");
        if (!status)
            status = append_figure(plan, &baseline->prediction, &buffer);
        if (!status)
            status = append_basis(&baseline->prediction, &chosen->prediction, &buffer);
        if (!status && is_comparable(plan, &chosen->prediction, &baseline->prediction))
            status = mly_buffer_printf(&buffer, " (%+.1f %%)",
                                       percent(plan, &chosen->prediction, &baseline->prediction));
        if (!status)
            status = mly_buffer_printf(&buffer, " of %s", baseline->description);
    } else if (!status && !baseline && !chosen->baseline && !chosen->prediction.modelled) {
        status = mly_buffer_printf(&buffer, "; the runtime's defaults were not measured");
    }
    if (!status && rival)
        status = append_rival(plan, chosen->baseline ? "the best other, " : "next, ", chosen, rival,
                              true, &buffer);
    if (!status && flip)
        status = append_rival(plan,
                              plan->processors[plan->segments[0].processors[0]].spin
                                  ? "blocking would give"
                                  : "spinning would give",
                              chosen, flip, false, &buffer);
    if (!status && plan->note)
        status = mly_buffer_printf(&buffer, "; %s", plan->note);
    if (!status)
        return buffer.data;
    mly_buffer_fini(&buffer);
    return NULL;
}

/*
 * How far a plan's prediction is from what nothing can beat, in words.
 *
 *   1. Samples per second are held against the most that any pipeline gives; the time of a batch against
 *      the least that any row of segments takes, or any plan; so is the time of a sample at a rate, which
 *      is no less than that of a batch that waits for nothing. Of energy no bound is known.
 *   2. Bounds are by the times of nodes, and of pipelines: segments that were measured, and plans of other
 *      kinds, may beat them. Then, whether the plan does or something listed beside it, nothing is said.
 *   3. The distance is always that of the prediction that is printed.
 */
#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "internal.h"

/* What differs less is the same but for rounding. */
static const double rounding = 1e-9;

enum gap_kind {
    GAP_UNKNOWN,
    GAP_RATE,     /* of samples per second */
    GAP_OVERLOAD, /* the same, of a plan that cannot keep up with its rate */
    GAP_TIME
};

struct gap {
    enum gap_kind kind;
    double bound;     /* samples per second, or ns */
    double share;     /* by how much of the plan, or of the bound, they differ; 0: not at all */
    const char *what; /* "no row of segments" */
    const char *by;
};

/* --- 1, 2 --- */

static double rate_of(const struct mly_prediction *prediction)
{
    return prediction->known ? prediction->throughput_per_s : 0;
}

/* The time that the objective looks at; infinite where it is not known. */
static double time_of(const mly_plan *plan, const struct mly_prediction *prediction)
{
    const double ns = plan->objective == MLY_OBJECTIVE_LATENCY ? prediction->latency_ns
                                                               : prediction->loaded_latency_ns;
    return prediction->known && ns > 0 ? ns : INFINITY;
}

static struct gap gap_of_rate(const mly_plan *plan, enum gap_kind kind)
{
    const struct gap unknown = {.kind = GAP_UNKNOWN};
    const double most = plan->most_per_s * (1 + rounding), own = rate_of(&plan->prediction);
    if (!(plan->most_per_s > 0) || !(own > 0) || own > most)
        return unknown;
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        if (rate_of(&plan->candidates[i].prediction) > most)
            return unknown;
    const double share = plan->most_per_s / own - 1;
    return (struct gap){.kind = kind,
                        .bound = plan->most_per_s,
                        .share = share > rounding ? share : 0,
                        .what = "no pipeline",
                        .by = plan->most_by};
}

static struct gap gap_of_time(const mly_plan *plan, const struct mly_plan_least *least,
                              const char *what)
{
    const struct gap unknown = {.kind = GAP_UNKNOWN};
    const double ns = least->ns * (1 - rounding), own = time_of(plan, &plan->prediction);
    if (!(least->ns > 0) || isinf(own) || own < ns)
        return unknown;
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        if (time_of(plan, &plan->candidates[i].prediction) < ns)
            return unknown;
    const double share = own / least->ns - 1;
    return (struct gap){.kind = GAP_TIME,
                        .bound = least->ns,
                        .share = share > rounding ? share : 0,
                        .what = what,
                        .by = least->by};
}

static struct gap gap_of(const mly_plan *plan)
{
    struct gap gap = {.kind = GAP_UNKNOWN};
    switch (plan->objective) {
    case MLY_OBJECTIVE_THROUGHPUT:
        return gap_of_rate(plan, GAP_RATE);
    case MLY_OBJECTIVE_LATENCY:
        gap = gap_of_time(plan, &plan->least_row, "no row of segments");
        return gap.kind ? gap : gap_of_time(plan, &plan->least, "no plan");
    case MLY_OBJECTIVE_LATENCY_AT_RATE:
        return isinf(plan->prediction.loaded_latency_ns)
                   ? gap_of_rate(plan, GAP_OVERLOAD)
                   : gap_of_time(plan, &plan->least, "no plan");
    case MLY_OBJECTIVE_ENERGY:
        break;
    }
    return gap;
}

/* --- words --- */

/* "0.73", "21.4": per cent; what is hardly anything is no more than 0.001. */
static void percent_text(double share, char text[32])
{
    snprintf(text, 32, share < 0.1 ? "%.2g" : "%.1f", share > 0 ? fmax(share * 100, 0.001) : 0);
}

/* The clause that ends a note. */
static char *gap_clause(const mly_plan *plan, const struct gap *gap)
{
    const char *basis = plan->bounds_measured ? " by the times of nodes" : "";
    char percent[32], rate[MLY_RATE_TEXT_BYTES];
    percent_text(gap->share, percent);
    switch (gap->kind) {
    case GAP_RATE:
        return gap->share > 0
                   ? mly_strfmt("%s is more than %s %% faster%s (%s)", gap->what, percent, basis,
                                gap->by)
                   : mly_strfmt("proved%s: %s is faster (%s)", basis, gap->what, gap->by);
    case GAP_OVERLOAD:
        return mly_strfmt("%s gives more than %s samples/s%s (%s)", gap->what,
                          mly_rate_text(gap->bound, rate), basis, gap->by);
    case GAP_TIME:
        return gap->share > 0
                   ? mly_strfmt("it takes %s %% longer than a bound that %s can beat%s (%s)",
                                percent, gap->what, basis, gap->by)
                   : mly_strfmt("proved%s: %s takes less (%s)", basis, gap->what, gap->by);
    case GAP_UNKNOWN:
        break;
    }
    return mly_strdup("");
}

char *mly_plan_bound_text(const mly_plan *plan)
{
    const struct gap gap = gap_of(plan);
    char percent[32], rate[MLY_RATE_TEXT_BYTES], end[96] = ": this plan";
    percent_text(gap.share, percent);
    if (gap.kind == GAP_UNKNOWN)
        return mly_strdup("");
    if (gap.kind == GAP_TIME) {
        if (gap.share > 0)
            snprintf(end, sizeof end, "; this plan takes %s %% longer", percent);
        return mly_strfmt("by the times of its parts %s on these processors takes less than %.4g "
                          "ms (%s)%s",
                          gap.what, gap.bound / 1e6, gap.by, end);
    }
    if (gap.share > 0)
        snprintf(end, sizeof end, ", %s %% above this plan", percent);
    return mly_strfmt("by the times of its parts %s on these processors gives more than %s "
                      "samples/s (%s)%s",
                      gap.what, mly_rate_text(gap.bound, rate), gap.by, end);
}

enum mly_status mly__plan_write_words(mly_plan *plan, struct mly_error *err)
{
    const struct gap gap = gap_of(plan);
    char *clause = gap_clause(plan, &gap), *note = NULL;
    const char *account = plan->account ? plan->account : "";
    if (clause)
        note = mly_strfmt("%s%s%s", account, *account && *clause ? "; " : "", clause);
    mly_free(clause);
    mly_free(plan->note);
    mly_free(plan->why);
    plan->note = plan->why = NULL;
    if (!note)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
    if (*note)
        plan->note = note;
    else
        mly_free(note);
    plan->why = mly__plan_explain(plan);
    return plan->why ? MLY_OK : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
}

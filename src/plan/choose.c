/*
 * Which alternative wins.
 *
 *   1. The best prediction sets the mark.
 *   2. All that lie below it by no more than the noise are ties; among them the simplest wins,
 *      because a difference that may be chance is worth neither more sessions nor more latency nor
 *      a spinning core.
 *      What is only estimated (segments whose nodes were measured, not they themselves) counts a tenth
 *      less beside what was measured: so far off such sums may be. Segments that were measured count a
 *      little less beside whole models: the two were not measured in the same rounds.
 *   3. The baseline wins only when nothing else ties with it: a plan of ours is never worse than
 *      the obvious one, and where it is as good it is preferred, for it pins its threads and shares
 *      its memory.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

/*
 * Bounds of the noise: below 1 % no measurement of a busy box means anything; beyond 2 % a tie
 * would cost more than the 0.98 of the best that a chosen plan must reach.
 */
#define NOISE_MIN 0.01
#define NOISE_MAX 0.02

#define ESTIMATE_ERROR 0.1
#define DRIFT_ERROR 0.04

/* Turns samples per second into a score below that of any latency. */
static const double overload_score = 1e-40;

double mly__plan_score(const struct mly_prediction *prediction, enum mly_objective objective)
{
    if (!prediction->known)
        return 0;
    switch (objective) {
    case MLY_OBJECTIVE_LATENCY:
        return prediction->latency_ns > 0 ? 1 / prediction->latency_ns : 0;
    case MLY_OBJECTIVE_LATENCY_AT_RATE:
        /* Of plans that cannot keep up the fastest is the least bad; all that can are better. */
        if (isinf(prediction->loaded_latency_ns))
            return prediction->throughput_per_s * overload_score;
        return prediction->loaded_latency_ns > 0 ? 1 / prediction->loaded_latency_ns : 0;
    case MLY_OBJECTIVE_ENERGY:
        return prediction->energy_j > 0 ? 1 / prediction->energy_j : 0;
    case MLY_OBJECTIVE_THROUGHPUT:
        break;
    }
    return prediction->throughput_per_s;
}

double mly__plan_noise(const struct mly_prediction *a, const struct mly_prediction *b)
{
    const double combined = hypot(a->spread / 2, b->spread / 2);
    return combined < NOISE_MIN ? NOISE_MIN : combined > NOISE_MAX ? NOISE_MAX : combined;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/*
 * Simpler first: fewer cuts; then threads that do not spin (spinning ones lose most when anything
 * else needs their core); then the shorter batch; sessions come last, since they share the weights.
 */
static int compare_simplicity(const struct mly__alternative *a, const struct mly__alternative *b)
{
    int order = compare_numbers(a->segments, b->segments);
    if (!order)
        order = compare_numbers(a->spin, b->spin);
    if (!order)
        order = compare_numbers(a->batch, b->batch);
    return order ? order : compare_numbers(a->groups, b->groups);
}

double mly__plan_error(const struct mly_prediction *prediction)
{
    if (prediction->modelled)
        return 0;
    return !prediction->measured ? ESTIMATE_ERROR : prediction->cut ? DRIFT_ERROR : 0;
}

/* For choosing. */
static double standing(const struct mly__alternative *a, enum mly_objective objective)
{
    return mly__plan_score(&a->prediction, objective) * (1 - mly__plan_error(&a->prediction));
}

int mly__plan_compare(const struct mly__alternative *a, const struct mly__alternative *b,
                      enum mly_objective objective)
{
    const double x = mly__plan_score(&a->prediction, objective);
    const double y = mly__plan_score(&b->prediction, objective);
    if (x != y)
        return x > y ? -1 : 1;
    int order = compare_numbers(a->baseline, b->baseline);
    if (!order)
        order = compare_simplicity(a, b);
    return order ? order : strcmp(a->name, b->name);
}

size_t mly__plan_choose(const struct mly__alternative *alternatives, size_t count,
                        enum mly_objective objective)
{
    size_t best = count, winner = count;
    for (size_t i = 0; i < count; i++) { /* 1 */
        const struct mly__alternative *a = &alternatives[i];
        if (!a->eligible || mly__plan_score(&a->prediction, objective) <= 0)
            continue;
        const double more =
            best == count ? 1 : standing(a, objective) - standing(&alternatives[best], objective);
        if (more > 0 || (more == 0 && mly__plan_compare(a, &alternatives[best], objective) < 0))
            best = i;
    }
    if (best == count)
        return count;
    const double mark = standing(&alternatives[best], objective);
    for (size_t i = 0; i < count; i++) { /* 2 */
        const struct mly__alternative *a = &alternatives[i];
        const double noise = mly__plan_noise(&a->prediction, &alternatives[best].prediction);
        if (!a->eligible || a->baseline || standing(a, objective) < mark * (1 - noise))
            continue;
        int order = winner == count ? -1 : compare_simplicity(a, &alternatives[winner]);
        if (!order)
            order = mly__plan_compare(a, &alternatives[winner], objective);
        if (order < 0)
            winner = i;
    }
    return winner == count ? best : winner; /* 3 */
}

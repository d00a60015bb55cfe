/*
 * METIS' parts, made acyclic, against the best pipeline there is.
 *
 *   bench_cuts [--quick]
 *
 * Every network of the zoo (without weights: only its graph counts) in 2, 3 and 4 parts, on unlike
 * processors (batch 8) and on equal Edge TPUs (batch 1). Printed, modelled but for the times of planning:
 * the period of the slowest stage by `metis` in up to that many parts, the least of any division into
 * up to that many parts (dynamic programming over all downsets; by `exact` where there are too many),
 * their ratio, the best that `exact` lists of everything (whole models and replicas too), the time that
 * `metis` took, and of the division that it chose what the repair cost: how many tensors ran backwards and how
 * much of the time was moved for it; KiB between the parts, and by how much the fullest exceeds its share, by METIS,
 * repaired and refined. "-": none was found.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "device/modelled.h"
#include "model/zoo.h"
#include "plan/downsets.h"

enum { BATCH = 8, PARTS_MAX = 4 };

static const char *const processors[] = {"p100", "gtx1650", "i9-9900k", "jetson-nano"};

/* Sums for the last line. */
static uint32_t compared, within[3];
static double worst = 1, log_sum;

static void check(enum mly_status status, const struct mly_error *err)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_cuts: %s\n", err->message);
    exit(1);
}

/* The period of the best candidate of 2 to so many segments. */
static double period_ms(const mly_plan *plan, uint32_t parts)
{
    double best = INFINITY;
    for (uint32_t i = 0; plan && i < plan->candidate_count; i++) {
        const struct mly_plan_candidate *c = &plan->candidates[i];
        const unsigned long segments = strtoul(c->description, NULL, 10);
        if (segments >= 2 && segments <= parts && strstr(c->description, " segments on "))
            best = fmin(best, 1e3 * plan->batch / c->prediction.throughput_per_s);
    }
    return best;
}

/* The period of the best candidate of any kind: another may have been chosen that is as good but for noise. */
static double best_ms(const mly_plan *plan)
{
    double best = INFINITY;
    for (uint32_t i = 0; plan && i < plan->candidate_count; i++)
        best = fmin(best, 1e3 * plan->batch / plan->candidates[i].prediction.throughput_per_s);
    return best;
}

/* --- the best division, one processor for each part --- */

enum { MASKS = 1 << PARTS_MAX, DOWNSETS_MAX = 600 };

static double (*least)[MASKS]; /* by downset and processors used: of the slowest stage, in ns */

/* Extends all states of `small` by the units between it and `large`, on each class. */
static void extend(const struct mly__downsets *d, struct mly__part_builder *builder, uint32_t small,
                   uint32_t large)
{
    const struct mly__problem *problem = d->problem;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        struct mly__segment_cost cost;
        mly__part_builder_reset(builder, c);
        for (uint32_t u = 0; u < problem->unit_count; u++)
            if (mly__downset_has(mly__downset(d, large), u) &&
                !mly__downset_has(mly__downset(d, small), u))
                mly__part_builder_add(builder, u);
        mly__part_builder_cost(builder, &cost);
        const double period = mly__stage_period_ns(&problem->classes[c], &cost);
        for (uint32_t mask = 0; mask < 1u << problem->processor_count; mask++)
            for (uint32_t k = 0; k < problem->classes[c].count; k++) {
                const uint32_t bit = 1u << problem->classes[c].processors[k];
                if (!(mask & bit))
                    least[large][mask | bit] =
                        fmin(least[large][mask | bit], fmax(least[small][mask], period));
            }
    }
}

/* MLY_E_LIMIT for too many downsets. */
static enum mly_status best_division(const struct mly__problem *problem, double *out,
                                     struct mly_error *err)
{
    struct mly__downsets d;
    struct mly__part_builder builder;
    enum mly_status status = mly__downsets_all(&d, problem, DOWNSETS_MAX, err);
    if (status)
        return status;
    check(mly__part_builder_init(&builder, problem, 0, err), err);
    least = mly_alloc_array(d.count, sizeof *least);
    if (!least)
        exit(1);
    for (uint32_t i = 0; i < d.count; i++)
        for (uint32_t mask = 0; mask < MASKS; mask++)
            least[i][mask] = i || mask ? INFINITY : 0;
    for (uint32_t large = 1; large < d.count; large++)
        for (uint32_t small = 0; small < large; small++)
            if (mly__downset_within(&d, small, large) && (small || large + 1 < d.count))
                extend(&d, &builder, small, large); /* all in one part is no division */
    for (uint32_t mask = 0; mask < MASKS; mask++)
        *out = fmin(*out, least[d.count - 1][mask]);
    mly_free(least);
    mly__part_builder_fini(&builder);
    mly__downsets_fini(&d);
    return MLY_OK;
}

/* --- the table --- */

static mly_plan *make(const char *planner, const struct mly_plan_request *request, double *took_ms)
{
    struct mly_error reason;
    mly_plan *plan = NULL;
    const int64_t begin_ns = mly_now_ns();
    const enum mly_status status = mly_plan_make(planner, request, &plan, &reason);
    *took_ms = (double)(mly_now_ns() - begin_ns) / 1e6;
    return status == MLY_OK ? plan : NULL;
}

/* Where there are too many downsets for the plain search here: what `exact` proves. */
static double proved_ms(const struct mly_plan_request *request)
{
    struct mly_plan_request single = *request;
    double took_ms;
    single.no_replicas = true;
    mly_plan *plan = make("exact", &single, &took_ms);
    const double ms = plan ? period_ms(plan, request->segments_max) : INFINITY;
    mly_plan_destroy(plan);
    return ms;
}

static double division_ms(const struct mly_plan_request *request)
{
    struct mly__problem *problem = NULL;
    struct mly_error err;
    double best = INFINITY;
    if (mly__problem_create(request, request->batch, MLY__UNITS_FUSED, &problem, &err))
        return best;
    const enum mly_status status = best_division(problem, &best, &err);
    mly__problem_destroy(problem);
    return status == MLY_E_LIMIT ? proved_ms(request) : best / 1e6;
}

static const char *text_of(double ms, char text[32])
{
    snprintf(text, 32, isfinite(ms) ? "%.3f" : "-", ms);
    return text;
}

static void compare(const char *name, const mly_model *model, const mly_machine *machine,
                    bool unlike, uint32_t parts)
{
    struct mly_processor_list list = {0};
    struct mly_error err;
    char spec[128] = "", texts[3][32], ratio[32] = "-";
    double took_ms[2];
    for (uint32_t i = 0; unlike && i < parts; i++)
        snprintf(spec + strlen(spec), sizeof spec - strlen(spec), "%s%s", i ? "," : "",
                 processors[i]);
    if (!unlike)
        snprintf(spec, sizeof spec, "edgetpu-usb3*%u", parts);
    check(mly_machine_select(machine, spec, &list, &err), &err);
    const struct mly_plan_request request = {.model = model,
                                             .machine = machine,
                                             .processors = &list,
                                             .batch = unlike ? BATCH : 1,
                                             .segments_max = parts,
                                             .must_cut = true};
    struct mly_plan_request any_request = request;
    any_request.must_cut = false;
    mly_plan *metis = make("metis", &request, &took_ms[0]);
    mly_plan *exact = make("exact", &any_request, &took_ms[1]);
    const double a = period_ms(metis, parts);
    const double b = division_ms(&any_request);
    const double any = best_ms(exact);
    if (isfinite(a) && isfinite(b)) {
        const double r = a / b;
        compared++;
        log_sum += log(r);
        worst = fmax(worst, r);
        within[0] += r <= 1.01;
        within[1] += r <= 1.1;
        within[2] += r <= 1.5;
        snprintf(ratio, sizeof ratio, "%.3f", r);
    }
    printf("%-16s %-7s %5u  %9s %9s  %6s  %9s  %7.0f  %s\n", name, unlike ? "unlike" : "edgetpu",
           parts, text_of(a, texts[0]), text_of(b, texts[1]), ratio, text_of(any, texts[2]),
           took_ms[0], metis && metis->account ? metis->account : "-");
    fflush(stdout);
    mly_plan_destroy(metis);
    mly_plan_destroy(exact);
    mly_processor_list_fini(&list);
}

static void run(const char *name, const mly_machine *machine)
{
    char path[] = "/tmp/motley-bench-XXXXXX";
    struct mly_error err;
    mly_model *model = NULL;
    const int file = mkstemp(path);
    if (file < 0)
        exit(1);
    close(file);
    check(mly_zoo_write_hollow(name, path, &err), &err);
    check(mly_model_load(path, NULL, &model, &err), &err);
    unlink(path);
    const char *hash;
    check(mly_model_hash(model, &hash, &err), &err); /* the first takes as long as reading it all */
    for (int unlike = 1; unlike >= 0; unlike--)
        for (uint32_t parts = 2; parts <= PARTS_MAX; parts++)
            compare(name, model, machine, unlike, parts);
    mly_model_destroy(model);
}

int main(int argc, char **argv)
{
    const bool quick = argc > 1 && !strcmp(argv[1], "--quick");
    mly_machine *machine = NULL;
    struct mly_error err;
    char *word = NULL;
    check(mly_device_models_load(&word, &err), &err);
    mly_free(word);
    check(mly_machine_create(NULL, &machine, &err), &err);
    printf(
        "METIS' parts, acyclic and refined, against the exact search; batch %d on %s, %s, %s, %s "
        "(the first so many); modelled\n",
        BATCH, processors[0], processors[1], processors[2], processors[3]);
    printf("%-16s %-7s %5s  %9s %9s  %6s  %9s  %7s  %s\n", "network", "on", "parts", "metis ms",
           "best cut", "ratio", "any plan", "took ms", "what the repair cost");
    for (size_t i = 0; i < mly_zoo_count(); i++)
        if (!mly_zoo_entry(i)->is_family && (!quick || i < 3))
            run(mly_zoo_entry(i)->name, machine);
    if (compared)
        printf("%u compared: within 1 %% of the best cut %u, 10 %% %u, 50 %% %u; mean ratio %.3f, "
               "worst "
               "%.3f\n",
               compared, within[0], within[1], within[2], exp(log_sum / compared), worst);
    mly_machine_destroy(machine);
    return 0;
}

/*
 * What a plan's words say of how good it is, against its figures: over planners, objectives, ratios, batch
 * sizes and random boxes of modelled processors and of cores.
 *
 *   1. The distance in `note`, `why` and the sentence of the bound is that of the plan's own prediction from
 *      the bound, also where a simpler plan won within the noise.
 *   2. "proved" is said only where the prediction meets the bound, and then nothing listed is better.
 *   3. The bound is no better than bounds.c says, unless it is what the exact search proved; nothing listed beats
 *      one that is told.
 *   4. What a search did to one layout is not said of another.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/plan_world.h"
#include "support/test.h"

static const char *const planners[] = {"auto", "pipeline", "exact", "min-cut", "metis", "metis"};
static const enum mly_objective objectives[] = {MLY_OBJECTIVE_THROUGHPUT, MLY_OBJECTIVE_LATENCY,
                                                MLY_OBJECTIVE_LATENCY_AT_RATE,
                                                MLY_OBJECTIVE_ENERGY};

/* How often something was said, so that a test of words that are never there fails. */
static struct {
    uint32_t rates, times, proved, ties, silent, by_exact;
} seen;

/* --- the figures --- */

static double figure(const mly_plan *plan, const struct mly_prediction *p)
{
    switch (plan->objective) {
    case MLY_OBJECTIVE_LATENCY:
        return 1 / p->latency_ns;
    case MLY_OBJECTIVE_LATENCY_AT_RATE:
        return 1 / p->loaded_latency_ns;
    case MLY_OBJECTIVE_THROUGHPUT:
    case MLY_OBJECTIVE_ENERGY:
        break;
    }
    return p->throughput_per_s;
}

/* The figure that nothing can beat, of the kind that the words name; 0: none. */
static double bound_of(const mly_plan *plan, const char *text)
{
    if (plan->objective == MLY_OBJECTIVE_THROUGHPUT)
        return plan->most_per_s;
    const struct mly_plan_least *least =
        strstr(text, "no row of segments") ? &plan->least_row : &plan->least;
    return least->ns > 0 ? 1 / least->ns : 0;
}

/* --- the words --- */

/* The number before these words, as a share; negative: they are not there. */
static double number_before(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    if (!at)
        return -1;
    while (at > text && strchr("0123456789.e-", at[-1]))
        at--;
    return strtod(at, NULL) / 100;
}

/* As a note says it, or the sentence of the bound; negative: nothing is said. */
static double share_in(const char *text)
{
    static const char *const words[] = {" % faster", " % longer than a bound", " % above this plan",
                                        " % longer"};
    if (strstr(text, "proved: no") || strstr(text, "proved by the times of nodes: no") ||
        strstr(text, "): this plan"))
        return 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i]))
            return number_before(text, words[i]);
    return -1;
}

static bool is_about(double said, double share)
{
    return fabs(said - share) <= fmax(1e-5, fmax(0.0006, 0.051 * (share < 0.1 ? share : 0)));
}

/* 1, 2 */
static void check_words(const mly_plan *plan)
{
    const char *note = plan->note ? plan->note : "";
    char *sentence = mly_plan_bound_text(plan);
    assert_non_null(sentence);
    const double said = share_in(note), own = figure(plan, &plan->prediction);
    double best = 0;
    if (plan->objective == MLY_OBJECTIVE_ENERGY) {
        assert_true(said < 0 && !*sentence);
        mly_free(sentence);
        return;
    }
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        best = fmax(best, figure(plan, &plan->candidates[i].prediction));
    if (plan->objective == MLY_OBJECTIVE_LATENCY_AT_RATE && isinf(1 / own)) {
        /* It cannot keep up: how far the most is from what it does take. */
        const double share = plan->most_per_s / plan->prediction.throughput_per_s - 1;
        assert_true(!strstr(note, "no pipeline gives more") == !*sentence);
        assert_true(!*sentence || is_about(share_in(sentence), fmax(share, 0)));
        mly_free(sentence);
        return;
    }
    assert_true((said < 0) == !*sentence);
    assert_true(!plan->note || strstr(plan->why, plan->note));
    if (said < 0) {
        const double bound = bound_of(plan, note);
        assert_true(!(bound > 0) || fmax(own, best) > bound * (1 + 1e-10));
        seen.silent++;
        mly_free(sentence);
        return;
    }
    const double bound = bound_of(plan, sentence), share = bound / own - 1;
    if (!(bound > 0) || !is_about(said, fmax(share, 0)) || !is_about(share_in(sentence), said))
        fail_msg("%.9g from %.9g: %s / %s", own, bound, note, sentence);
    assert_true(best <= bound * (1 + 1e-9)); /* 3 */
    if (said == 0)
        assert_true(share <= 1e-9 && best <= own * (1 + 1e-8));
    else
        assert_true(share > 1e-9);
    seen.proved += said == 0;
    seen.ties += best > own * (1 + 1e-9);
    seen.rates += plan->objective == MLY_OBJECTIVE_THROUGHPUT;
    seen.times += plan->objective != MLY_OBJECTIVE_THROUGHPUT;
    seen.by_exact += strstr(sentence, "exact search proved") != NULL;
    mly_free(sentence);
}

/* 3 */
static void check_bounds(const struct mly_plan_request *request, const mly_plan *plan)
{
    uint32_t batches[MLY__BATCHES_MAX];
    const uint32_t count = mly__plan_batches(request, batches);
    double most = 0, least = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        struct mly__problem *problem;
        struct mly__bounds bounds;
        struct mly_error err;
        expect_ok(mly__problem_create(request, batches[i], MLY__UNITS_FUSED, &problem, &err), err);
        expect_ok(mly__problem_bounds(problem, &bounds, &err), err);
        most = fmax(most, 1e9 * batches[i] / bounds.bottleneck_ns);
        least = fmin(least, bounds.latency_ns);
        mly__problem_destroy(problem);
    }
    const bool by_exact = strstr(plan->most_by, "exact") != NULL;
    if (plan->most_per_s > 0)
        assert_true(by_exact ? plan->most_per_s <= most * (1 + 1e-9)
                             : fabs(plan->most_per_s / most - 1) <= 1e-9);
    if (plan->least.ns > 0)
        assert_true(fabs(plan->least.ns / least - 1) <= 1e-9);
    if (plan->least_row.ns > 0)
        assert_true(plan->least_row.ns >= least * (1 - 1e-9));
}

/* 4 */
static void check_account(const mly_plan *plan)
{
    const char *note = plan->note ? plan->note : "";
    unsigned parts;
    const char *metis = strstr(note, "METIS in ");
    if (metis && sscanf(metis, "METIS in %u parts", &parts) == 1)
        assert_true(plan->segment_count > 1 && plan->segment_count <= parts);
    if (strstr(note, "both compute"))
        assert_int_equal(plan->segment_count, 2);
    if (strstr(note, "one computes everything"))
        assert_int_equal(plan->segment_count, 1);
}

/* --- worlds --- */

/* Some of the processors there are, some of them twice. */
static void random_box(struct mly_random *random, char spec[160])
{
    static const char *const kinds[] = {"p100",           "gtx1650",      "roofline",
                                        "raspberry-pi-4", "jetson-nano",  "i9-9900k",
                                        "edgetpu-usb3",   "edgetpu-pcie", "xeon-e5-2683v4"};
    const uint32_t wanted = 2 + (uint32_t)mly_random_below(random, 3);
    bool used[sizeof kinds / sizeof *kinds] = {false};
    *spec = '\0';
    for (uint32_t i = 0; i < wanted;) {
        const size_t k = mly_random_below(random, sizeof kinds / sizeof *kinds);
        if (used[k])
            continue;
        used[k] = true;
        snprintf(spec + strlen(spec), 160 - strlen(spec), "%s%s%s", i ? "," : "", kinds[k],
                 mly_random_below(random, 4) ? "" : "*2");
        i++;
    }
}

static void check_planner(const struct mly_plan_request *request, const char *planner)
{
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_make(planner, request, &plan, &err);
    if (status == MLY_E_NOT_FOUND || status == MLY_E_UNSUPPORTED || status == MLY_E_LIMIT)
        return;
    expect_ok(status, err);
    check_words(plan);
    check_bounds(request, plan);
    check_account(plan);
    /* A copy and what was read again say the same. */
    mly_plan *copy;
    char *text;
    size_t length;
    expect_ok(mly_plan_dup(plan, &copy, &err), err);
    check_words(copy);
    mly_plan_destroy(copy);
    expect_ok(mly_plan_format(plan, &text, &length, &err), err);
    expect_ok(mly_plan_parse("again", text, length, &copy, &err), err);
    assert_string_equal(copy->why, plan->why);
    mly_plan_destroy(copy);
    mly_free(text);
    mly_plan_destroy(plan);
}

/* Every objective and batch size for one of the planners; metis a second time with a ratio. */
static void check_world(struct plan_world *w, struct mly_random *random, bool cores)
{
    for (size_t i = 0; i < sizeof planners / sizeof *planners; i++) {
        const double share = 0.5 + 0.45 * mly_random_uniform(random);
        const double ratio[] = {share, 1 - share};
        struct mly_plan_request request = w->request;
        request.objective = objectives[mly_random_below(random, cores ? 3 : 4)];
        if (request.objective == MLY_OBJECTIVE_LATENCY_AT_RATE)
            request.rate_per_s = pow(10, 5 * mly_random_uniform(random));
        if (!cores)
            request.batch = mly_random_below(random, 2) ? 1 << mly_random_below(random, 5) : 0;
        request.no_replicas = mly_random_below(random, 4) == 0;
        if (i + 1 == sizeof planners / sizeof *planners) {
            request.ratio = ratio;
            request.ratio_count = 2;
        }
        check_planner(&request, planners[i]);
    }
}

static void words_are_of_the_plan_that_is_given(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 11);
    memset(&seen, 0, sizeof seen);
    for (uint32_t round = 0; round < 60; round++) {
        struct plan_world w;
        const bool cores = round % 4 == 3;
        plan_world_random(&w, &random, 3 + (uint32_t)mly_random_below(&random, 12), cores,
                          MLY_OBJECTIVE_THROUGHPUT);
        if (!cores) {
            char spec[160];
            random_box(&random, spec);
            mly_processor_list_fini(&w.processors);
            plan_world_select(&w, spec);
        }
        check_world(&w, &random, cores);
        plan_world_end(&w);
    }
    assert_true(seen.rates > 30 && seen.times > 30 && seen.proved > 10 && seen.ties > 3 &&
                seen.by_exact > 5);
}

/* Where whole models win, ratios are bad, and simpler plans win ties. */
static void words_are_true_of_networks(void **state)
{
    (void)state;
    static const char *const boxes[] = {"p100,xeon-e5-2683v4", "p100,gtx1650,i9-9900k",
                                        "edgetpu-pcie,edgetpu-usb3,raspberry-pi-4"};
    struct mly_random random;
    mly_random_init(&random, 12);
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        struct plan_world w;
        plan_world_zoo(&w, "squeezenet", boxes[i], 8);
        for (int round = 0; round < 3; round++)
            check_world(&w, &random, false);
        plan_world_end(&w);
    }
}

/* The example that a tie decides: a whole model wins although a cut is listed that gives a little more. */
static void a_tie_is_not_proved(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly_error err;
    mly_plan *plan;
    plan_world_zoo(&w, "mobilenet-v2", "p100,gtx1650,i9-9900k", 8);
    w.request.batch = 8;
    expect_ok(mly_plan_make("exact", &w.request, &plan, &err), err);
    assert_int_equal(plan->segment_count, 1);
    assert_true(plan->candidates[0].prediction.throughput_per_s >
                plan->prediction.throughput_per_s);
    assert_null(strstr(plan->why, "proved: "));
    assert_non_null(strstr(plan->why, "no pipeline is more than 0."));
    check_words(plan);
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

static void what_cannot_keep_up_is_held_against_what_any_gives(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly_error err;
    mly_plan *plan;
    plan_world_zoo(&w, "squeezenet", "p100,xeon-e5-2683v4", 8);
    w.request.objective = MLY_OBJECTIVE_LATENCY_AT_RATE;
    w.request.rate_per_s = 1e9;
    expect_ok(mly_plan_make("auto", &w.request, &plan, &err), err);
    assert_true(isinf(plan->prediction.loaded_latency_ns));
    assert_non_null(strstr(plan->why, "samples/s, too few for 1e+09; next, "));
    assert_non_null(strstr(plan->why, "no pipeline gives more than "));
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

/* A bound that something listed beats is of another kind, or of times that were measured: it is not told. */
static void bounds_that_are_beaten_are_not_told(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly_error err;
    mly_plan *plan;
    plan_world_zoo(&w, "squeezenet", "p100,xeon-e5-2683v4", 8);
    w.request.batch = 8;
    expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
    plan->candidates[0].prediction.throughput_per_s = plan->most_per_s * 1.001;
    char *text = mly_plan_bound_text(plan);
    assert_string_equal(text, "");
    mly_free(text);
    plan->candidates[0].prediction.throughput_per_s = plan->most_per_s * 0.999;
    plan->prediction.throughput_per_s = plan->most_per_s;
    text = mly_plan_bound_text(plan);
    assert_non_null(strstr(text, "): this plan"));
    mly_free(text);
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

static void failing_allocations_are_reported(void **state)
{
    (void)state;
    struct plan_world w;
    struct mly_error err;
    mly_plan *plan;
    struct mly_random random;
    mly_random_init(&random, 13);
    plan_world_random(&w, &random, 6, false, MLY_OBJECTIVE_THROUGHPUT);
    expect_ok(mly_plan_make("pipeline", &w.request, &plan, &err), err);
    mly_alloc_fail_once(1);
    assert_null(mly_plan_bound_text(plan));
    mly_alloc_fail_once(0);
    for (uint64_t n = 1;; n++) {
        mly_alloc_fail_once(n);
        const enum mly_status status = mly__plan_write_words(plan, &err);
        mly_alloc_fail_once(0);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_null(plan->why);
    }
    check_words(plan);
    mly_plan_destroy(plan);
    plan_world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_of_the_plan_that_is_given),
        cmocka_unit_test(words_are_true_of_networks),
        cmocka_unit_test(a_tie_is_not_proved),
        cmocka_unit_test(what_cannot_keep_up_is_held_against_what_any_gives),
        cmocka_unit_test(bounds_that_are_beaten_are_not_told),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

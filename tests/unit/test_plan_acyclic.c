/*
 * METIS' parts made acyclic, on random graphs: what every division must keep after repair and
 * refinement, and the least repair against exhaustive search.
 */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/metis_cut.h"
#include "support/expect.h"
#include "support/random_dag.h"

enum { NODES_MAX = 400, PARTS_MAX = 6 };

static void random_targets(struct mly_random *random, uint32_t parts, double *target)
{
    double sum = 0;
    for (uint32_t p = 0; p < parts; p++)
        sum += target[p] = 1 + (double)mly_random_below(random, 9);
    for (uint32_t p = 0; p < parts; p++)
        target[p] /= sum;
}

/* By its definition: no reader in an earlier part. */
static bool is_ordered(const struct mly__dag *dag, const uint32_t *part)
{
    for (uint32_t i = 0; i < dag->net_count; i++)
        for (uint32_t k = 0; k < dag->nets[i].to_count; k++)
            if (dag->nets[i].from != MLY_NO_INDEX &&
                part[dag->nets[i].to[k]] < part[dag->nets[i].from])
                return false;
    return true;
}

static void repairs_leave_no_way_back(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t part[NODES_MAX], before[NODES_MAX], ordered[NODES_MAX];
    mly_random_init(&random, 7);
    for (int round = 0; round < 150; round++) {
        const uint32_t parts = 1 + (uint32_t)mly_random_below(&random, PARTS_MAX);
        struct random_dag d =
            random_dag(&random, 1 + (uint32_t)mly_random_below(&random, 60), 3, 20);
        struct mly__dag_index index;
        struct mly_error err;
        double moved[MLY__REPAIR_COUNT];
        expect_ok(mly__dag_index_init(&index, &d.dag, &err), err);
        for (uint32_t v = 0; v < d.dag.node_count; v++)
            before[v] = (uint32_t)mly_random_below(&random, parts);
        for (int repair = 0; repair < MLY__REPAIR_COUNT; repair++) {
            double sum = 0;
            memcpy(part, before, sizeof part);
            expect_ok(mly__acyclic_repair(&d.dag, &index, parts, (enum mly__acyclic_repair)repair,
                                          part, &moved[repair], &err),
                      err);
            assert_true(is_ordered(&d.dag, part));
            for (uint32_t v = 0; v < d.dag.node_count; v++) {
                assert_true(part[v] < parts);
                sum += part[v] != before[v] ? d.weight[v] : 0;
            }
            assert_true(sum == moved[repair]);
            /* What is ordered stays as it is. */
            memcpy(ordered, part, sizeof part);
            expect_ok(mly__acyclic_repair(&d.dag, &index, parts, (enum mly__acyclic_repair)repair,
                                          part, &sum, &err),
                      err);
            assert_memory_equal(part, ordered, d.dag.node_count * sizeof *part);
            assert_true(sum == 0);
        }
        mly__dag_index_fini(&index);
        random_dag_free(&d);
    }
}

/* Two parts: of all divisions without a way back none moves less. */
static void the_least_repair_moves_least(void **state)
{
    (void)state;
    enum { NODES = 10 };
    struct mly_random random;
    mly_random_init(&random, 8);
    for (int round = 0; round < 100; round++) {
        struct random_dag d = random_dag(&random, NODES, 3, NODES);
        struct mly__dag_index index;
        struct mly_error err;
        uint32_t before[NODES], part[NODES];
        double moved, least = INFINITY;
        expect_ok(mly__dag_index_init(&index, &d.dag, &err), err);
        for (uint32_t v = 0; v < NODES; v++)
            part[v] = before[v] = (uint32_t)mly_random_below(&random, 2);
        expect_ok(mly__acyclic_repair(&d.dag, &index, 2, MLY__REPAIR_LEAST, part, &moved, &err),
                  err);
        for (uint32_t set = 0; set < 1u << NODES; set++) {
            uint32_t other[NODES];
            double sum = 0;
            for (uint32_t v = 0; v < NODES; v++) {
                other[v] = set >> v & 1;
                sum += other[v] != before[v] ? d.weight[v] : 0;
            }
            if (is_ordered(&d.dag, other))
                least = fmin(least, sum);
        }
        assert_true(moved == least);
        mly__dag_index_fini(&index);
        random_dag_free(&d);
    }
}

static double excess(const struct mly__dag_quality *quality, double tolerance)
{
    return fmax(0, quality->imbalance - tolerance);
}

static void check_cut(const struct mly__dag *dag, const struct mly__metis_options *o,
                      const uint32_t *part, const uint32_t *order,
                      const struct mly__metis_report *report)
{
    double target[PARTS_MAX];
    bool seen[PARTS_MAX] = {false};
    assert_true(is_ordered(dag, part));
    for (uint32_t p = 0; p < o->part_count; p++) {
        assert_true(order[p] < o->part_count && !seen[order[p]]);
        assert_true(!o->in_order || order[p] == p);
        seen[order[p]] = true;
        target[p] = o->target[order[p]];
    }
    /* What is reported is so, and the refinement never worsens the repair. */
    const struct mly__dag_quality quality = mly__dag_measure(dag, part, o->part_count, target);
    assert_true(quality.imbalance == report->refined.imbalance &&
                quality.cut_bytes == report->refined.cut_bytes && quality.backward_nets == 0 &&
                report->repaired.backward_nets == 0);
    const double before = excess(&report->repaired, o->tolerance);
    const double after = excess(&report->refined, o->tolerance);
    assert_true(after <= before + 1e-9);
    assert_true(after < before - 1e-9 ||
                report->refined.cut_bytes <= report->repaired.cut_bytes * (1 + 1e-9));
    assert_true(report->refined.empty_parts <= report->repaired.empty_parts);
}

static void parts_are_acyclic_and_refinement_never_worsens(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t part[NODES_MAX], order[PARTS_MAX];
    mly_random_init(&random, 9);
    uint32_t cyclic = 0, balanced = 0, rounds = 0;
    for (int round = 0; round < 120; round++) {
        double target[PARTS_MAX];
        struct mly__metis_options o = {.target = target, .tolerance = 0.1, .tries = 2};
        struct mly__metis_report report;
        struct mly_error err;
        o.part_count = 2 + (uint32_t)mly_random_below(&random, PARTS_MAX - 1);
        o.in_order = mly_random_below(&random, 2);
        random_targets(&random, o.part_count, target);
        const uint32_t nodes =
            o.part_count + (uint32_t)mly_random_below(&random, NODES_MAX - o.part_count);
        struct random_dag d = random_dag(&random, nodes, 1 + (uint32_t)mly_random_below(&random, 4),
                                         2 + (uint32_t)mly_random_below(&random, 40));
        expect_ok(mly__metis_cut(&d.dag, &o, part, order, &report, &err), err);
        check_cut(&d.dag, &o, part, order, &report);
        cyclic += report.by_metis.backward_nets > 0;
        if (nodes > 100) {
            rounds++;
            balanced += report.refined.imbalance <= o.tolerance;
        }
        random_dag_free(&d);
    }
    assert_true(cyclic > 20); /* there was something to repair */
    assert_true(balanced * 10 >= rounds * 9);
}

static void the_same_graph_in_any_unit_gives_the_same_parts(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t part[3][NODES_MAX], order[3][2];
    const double target[] = {0.8, 0.2};
    const struct mly__metis_options o = {
        .part_count = 2, .target = target, .tolerance = 0.05, .in_order = true, .tries = 4};
    mly_random_init(&random, 10);
    struct random_dag d = random_dag(&random, NODES_MAX, 3, 12);
    for (int i = 0; i < 3; i++) {
        struct mly__metis_report report;
        struct mly_error err;
        for (uint32_t v = 0; i == 2 && v < NODES_MAX; v++)
            d.weight[v] *= 0x1p10;
        for (uint32_t n = 0; i == 2 && n < d.dag.net_count; n++)
            d.nets[n].bytes *= 0x1p-3;
        srand(i ? 99 : 1); /* METIS draws from the C library's generator, which it seeds itself */
        expect_ok(mly__metis_cut(&d.dag, &o, part[i], order[i], &report, &err), err);
    }
    assert_memory_equal(part[0], part[1], sizeof part[0]);
    assert_memory_equal(part[0], part[2], sizeof part[0]);
    random_dag_free(&d);
}

/* Chains of equal nodes have an evident division for each named ratio. */
static void chains_are_cut_in_the_ratio_that_was_asked_for(void **state)
{
    (void)state;
    enum { NODES = 100 };
    static const double firsts[] = {0.75, 0.8, 0.85, 0.9};
    uint32_t readers[NODES], part[NODES], order[2];
    struct mly__dag_net nets[NODES - 1];
    double weight[NODES];
    for (uint32_t v = 0; v < NODES; v++) {
        weight[v] = 5;
        readers[v] = v;
        if (v > 0)
            nets[v - 1] =
                (struct mly__dag_net){.from = v - 1, .to = &readers[v], .to_count = 1, .bytes = 10};
    }
    const struct mly__dag dag = {
        .node_count = NODES, .weight = weight, .net_count = NODES - 1, .nets = nets};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        const double target[] = {firsts[i], 1 - firsts[i]};
        const struct mly__metis_options o = {
            .part_count = 2, .target = target, .tolerance = 0.02, .in_order = true, .tries = 4};
        struct mly__metis_report report;
        struct mly_error err;
        expect_ok(mly__metis_cut(&dag, &o, part, order, &report, &err), err);
        assert_true(report.refined.imbalance <= 0.021);
        assert_true(report.refined.cut_bytes == 10);
        assert_true(part[0] == 0 && part[NODES - 1] == 1);
    }
}

/* One of several threads that ask METIS at the same time. */
struct asking {
    const struct mly__dag *dag;
    uint32_t part[NODES_MAX];
    enum mly_status status;
};

static void *ask(void *user)
{
    static const double target[] = {0.4, 0.3, 0.3};
    struct asking *a = user;
    struct mly_error err;
    for (int i = 0; i < 20 && !a->status; i++)
        a->status = mly__metis_partition(a->dag, 3, target, 0.05, 7, a->part, &err);
    return NULL;
}

static void threads_get_the_same_parts(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct mly_random random;
    static struct asking asking[THREADS];
    pthread_t threads[THREADS];
    mly_random_init(&random, 14);
    struct random_dag d = random_dag(&random, NODES_MAX, 3, 12);
    for (int i = 0; i < THREADS; i++) {
        asking[i] = (struct asking){.dag = &d.dag};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &asking[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(asking[i].status, MLY_OK);
        assert_memory_equal(asking[i].part, asking[0].part, sizeof asking[0].part);
    }
    random_dag_free(&d);
}

static void handler(int number)
{
    (void)number;
}

static void signals_are_handled_as_before(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t part[200];
    const double target[] = {0.5, 0.5};
    struct sigaction mine = {.sa_handler = handler}, found;
    struct mly_error err;
    sigset_t blocked;
    mly_random_init(&random, 12);
    struct random_dag d = random_dag(&random, 200, 3, 12);
    assert_int_equal(sigaction(SIGTERM, &mine, NULL), 0);
    expect_ok(mly__metis_partition(&d.dag, 2, target, 0.05, 1, part, &err), err);
    assert_int_equal(sigaction(SIGTERM, NULL, &found), 0);
    assert_true(found.sa_handler == handler);
    assert_int_equal(sigaction(SIGABRT, NULL, &found), 0);
    assert_true(found.sa_handler == SIG_DFL);
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
    assert_false(sigismember(&blocked, SIGTERM));
    mine.sa_handler = SIG_DFL;
    assert_int_equal(sigaction(SIGTERM, &mine, NULL), 0);
    random_dag_free(&d);
}

static void memory_that_is_short_is_said(void **state)
{
    (void)state;
    struct mly_random random;
    uint32_t part[NODES_MAX], order[3];
    const double target[] = {0.5, 0.3, 0.2};
    const struct mly__metis_options o = {
        .part_count = 3, .target = target, .tolerance = 0.05, .tries = 1};
    mly_random_init(&random, 13);
    struct random_dag d = random_dag(&random, 60, 3, 20);
    for (uint64_t n = 1;; n++) {
        struct mly__metis_report report;
        struct mly_error err = {0};
        mly_alloc_fail_once(n);
        enum mly_status status = mly__metis_cut(&d.dag, &o, part, order, &report, &err);
        mly_alloc_fail_once(0);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_true(err.message[0]);
        assert_true(n < 2000);
    }
    random_dag_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repairs_leave_no_way_back),
        cmocka_unit_test(the_least_repair_moves_least),
        cmocka_unit_test(parts_are_acyclic_and_refinement_never_worsens),
        cmocka_unit_test(the_same_graph_in_any_unit_gives_the_same_parts),
        cmocka_unit_test(chains_are_cut_in_the_ratio_that_was_asked_for),
        cmocka_unit_test(threads_get_the_same_parts),
        cmocka_unit_test(signals_are_handled_as_before),
        cmocka_unit_test(memory_that_is_short_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

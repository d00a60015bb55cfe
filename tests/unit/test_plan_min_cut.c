/*
 * The best division between two processors against exhaustive search over all divisions from which
 * nothing goes back, and the flow under it.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/max_flow.h"
#include "plan/min_cut.h"
#include "support/expect.h"
#include "support/random_dag.h"

enum { NODES_MAX = 12, NETS_MAX = 3 * NODES_MAX + 3 };

struct problem {
    struct random_dag random;
    double node_ns[2][NODES_MAX], cross_ns[NETS_MAX], in_ns[2][NETS_MAX], out_ns[2][NETS_MAX];
    struct mly__min_cut cut;
};

static double random_ns(struct mly_random *random)
{
    return (double)mly_random_below(random, 1000);
}

static void make(struct mly_random *random, struct problem *p)
{
    memset(p, 0, sizeof *p);
    p->random = random_dag(random, 1 + (uint32_t)mly_random_below(random, NODES_MAX),
                           1 + (uint32_t)mly_random_below(random, 4), NODES_MAX);
    const double scale = mly_random_below(random, 2) ? 1 : 0.05; /* of what crosses */
    for (int side = 0; side < 2; side++) {
        for (uint32_t v = 0; v < p->random.dag.node_count; v++)
            p->node_ns[side][v] = mly_random_below(random, 12) ? random_ns(random) : INFINITY;
        for (uint32_t i = 0; i < p->random.dag.net_count; i++) {
            p->in_ns[side][i] = scale * random_ns(random);
            p->out_ns[side][i] = scale * random_ns(random);
        }
        p->cut.fixed_ns[side] = mly_random_below(random, 2) ? random_ns(random) : 0;
    }
    for (uint32_t i = 0; i < p->random.dag.net_count; i++)
        p->cross_ns[i] = scale * random_ns(random);
    p->cut.dag = &p->random.dag;
    p->cut.cross_ns = p->cross_ns;
    for (int side = 0; side < 2; side++) {
        p->cut.node_ns[side] = p->node_ns[side];
        p->cut.in_ns[side] = p->in_ns[side];
        p->cut.out_ns[side] = p->out_ns[side];
    }
}

/*
 * What a division costs, written down anew from what it means; the sets of nodes are bits.
 */
static double cost_of(const struct problem *p, uint32_t second)
{
    const struct mly__dag *dag = &p->random.dag;
    const uint32_t all = (1u << dag->node_count) - 1;
    double sum = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        sum += p->node_ns[second >> v & 1][v];
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        uint32_t readers = 0;
        for (uint32_t k = 0; k < net->to_count; k++)
            readers |= 1u << net->to[k];
        if (net->from == MLY_NO_INDEX) {
            sum += readers & ~second ? p->in_ns[0][i] : 0;
            sum += readers & second ? p->in_ns[1][i] : 0;
        } else if (second >> net->from & 1) {
            if (readers & ~second)
                return INFINITY;
            sum += net->goes_out ? p->out_ns[1][i] : 0;
        } else {
            sum += readers & second ? p->cross_ns[i] : 0;
            sum += net->goes_out ? p->out_ns[0][i] : 0;
        }
    }
    return sum + (second ? p->cut.fixed_ns[1] : 0) + (second != all ? p->cut.fixed_ns[0] : 0);
}

static void the_flow_finds_the_least_of_all_divisions(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 1970);
    uint32_t cut_somewhere = 0, impossible = 0;
    for (int round = 0; round < 400; round++) {
        struct problem p;
        struct mly_error err;
        bool second[NODES_MAX];
        double ns = -1, least = INFINITY;
        make(&random, &p);
        expect_ok(mly__min_cut_solve(&p.cut, second, &ns, &err), err);
        for (uint32_t set = 0; set < 1u << p.random.dag.node_count; set++)
            least = fmin(least, cost_of(&p, set));
        if (isinf(least)) {
            assert_true(isinf(ns));
            impossible++;
        } else {
            uint32_t set = 0;
            for (uint32_t v = 0; v < p.random.dag.node_count; v++)
                set |= (uint32_t)second[v] << v;
            assert_true(fabs(ns - least) <= 1e-9 * least);
            assert_true(fabs(cost_of(&p, set) - least) <= 1e-9 * least);
            cut_somewhere += set && set + 1 != 1u << p.random.dag.node_count;
        }
        random_dag_free(&p.random);
    }
    assert_true(cut_somewhere > 50); /* the rounds were worth something */
    assert_true(impossible > 10);
}

static void scale(double *times, uint32_t count, double by)
{
    for (uint32_t i = 0; i < count; i++)
        times[i] *= by;
}

static void times_scaled_by_a_constant_change_nothing(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 1971);
    for (int round = 0; round < 50; round++) {
        struct problem p;
        struct mly_error err;
        bool second[NODES_MAX], again[NODES_MAX];
        double ns, scaled_ns;
        make(&random, &p);
        expect_ok(mly__min_cut_solve(&p.cut, second, &ns, &err), err);
        for (int side = 0; side < 2; side++) {
            scale(p.node_ns[side], NODES_MAX, 0x1p20);
            scale(p.in_ns[side], NETS_MAX, 0x1p20);
            scale(p.out_ns[side], NETS_MAX, 0x1p20);
            p.cut.fixed_ns[side] *= 0x1p20;
        }
        scale(p.cross_ns, NETS_MAX, 0x1p20);
        expect_ok(mly__min_cut_solve(&p.cut, again, &scaled_ns, &err), err);
        assert_true(isinf(ns) ? isinf(scaled_ns) : scaled_ns == ns * 0x1p20);
        if (isfinite(ns))
            assert_memory_equal(second, again, p.random.dag.node_count * sizeof *second);
        random_dag_free(&p.random);
    }
}

static void times_that_are_none_are_refused(void **state)
{
    (void)state;
    struct mly_random random;
    struct problem p;
    struct mly_error err;
    bool second[NODES_MAX];
    double ns;
    mly_random_init(&random, 3);
    make(&random, &p);
    p.node_ns[1][0] = -1;
    expect_error(mly__min_cut_solve(&p.cut, second, &ns, &err), MLY_E_INVALID, err, "no number");
    p.node_ns[1][0] = NAN;
    expect_error(mly__min_cut_solve(&p.cut, second, &ns, &err), MLY_E_INVALID, err, "no number");
    random_dag_free(&p.random);
}

static void a_net_against_the_order_is_refused(void **state)
{
    (void)state;
    const uint32_t readers[] = {1, 0};
    const struct mly__dag_net net = {.from = MLY_NO_INDEX, .to = readers, .to_count = 2};
    const double zeros[2] = {0, 0};
    const struct mly__dag dag = {.node_count = 2, .weight = zeros, .net_count = 1, .nets = &net};
    const struct mly__min_cut cut = {.dag = &dag,
                                     .node_ns = {zeros, zeros},
                                     .cross_ns = zeros,
                                     .in_ns = {zeros, zeros},
                                     .out_ns = {zeros, zeros}};
    struct mly_error err;
    bool second[2];
    double ns;
    expect_error(mly__min_cut_solve(&cut, second, &ns, &err), MLY_E_INVALID, err, "node 0");
}

static void memory_that_is_short_is_said(void **state)
{
    (void)state;
    struct mly_random random;
    struct problem p;
    bool second[NODES_MAX];
    double ns;
    mly_random_init(&random, 5);
    make(&random, &p);
    for (uint64_t n = 1;; n++) {
        struct mly_error err = {0};
        mly_alloc_fail_once(n);
        enum mly_status status = mly__min_cut_solve(&p.cut, second, &ns, &err);
        mly_alloc_fail_once(0);
        if (!status)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_true(err.message[0]);
        assert_true(n < 1000);
    }
    random_dag_free(&p.random);
}

/* --- flow --- */

static void a_flow_is_as_great_as_the_least_cut(void **state)
{
    (void)state;
    enum { NODES = 8 };
    struct mly_random random;
    mly_random_init(&random, 11);
    for (int round = 0; round < 300; round++) {
        int64_t capacity[NODES][NODES] = {{0}}, value, least = INT64_MAX;
        struct mly__flow flow;
        struct mly_error err;
        bool side[NODES];
        expect_ok(mly__flow_init(&flow, NODES, &err), err);
        for (uint32_t a = 0; a < NODES; a++) {
            for (uint32_t b = 0; b < NODES; b++) {
                if (a == b || mly_random_below(&random, 2))
                    continue;
                capacity[a][b] = mly_random_below(&random, 16)
                                     ? (int64_t)mly_random_below(&random, 20)
                                     : MLY__FLOW_INFINITE;
                expect_ok(mly__flow_add(&flow, a, b, capacity[a][b], &err), err);
            }
        }
        mly__flow_run(&flow, 0, NODES - 1, &value);
        for (uint32_t set = 0; set < 1u << (NODES - 2); set++) {
            const uint32_t sources = set << 1 | 1; /* node 0 in, the last one out */
            int64_t sum = 0;
            for (uint32_t a = 0; a < NODES; a++)
                for (uint32_t b = 0; b < NODES; b++)
                    if (sources >> a & 1 && !(sources >> b & 1) && sum < MLY__FLOW_INFINITE)
                        sum = capacity[a][b] == MLY__FLOW_INFINITE ? MLY__FLOW_INFINITE
                                                                   : sum + capacity[a][b];
            least = sum < least ? sum : least;
        }
        assert_int_equal(value, least);
        if (value < MLY__FLOW_INFINITE) {
            int64_t sum = 0;
            mly__flow_cut(&flow, 0, side);
            for (uint32_t a = 0; a < NODES; a++)
                for (uint32_t b = 0; b < NODES; b++)
                    sum += side[a] && !side[b] ? capacity[a][b] : 0;
            assert_true(side[0] && !side[NODES - 1]);
            assert_int_equal(sum, value);
        }
        mly__flow_fini(&flow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_flow_finds_the_least_of_all_divisions),
        cmocka_unit_test(times_scaled_by_a_constant_change_nothing),
        cmocka_unit_test(times_that_are_none_are_refused),
        cmocka_unit_test(a_net_against_the_order_is_refused),
        cmocka_unit_test(memory_that_is_short_is_said),
        cmocka_unit_test(a_flow_is_as_great_as_the_least_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

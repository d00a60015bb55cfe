/* Random graphs whose nodes are in topological order. */
#include "support/random_dag.h"

#include "base/alloc.h"
#include "support/test.h"

static double whole_number(struct mly_random *random)
{
    return (double)mly_random_below(random, 101);
}

/* Up to fan_out of the `reach` nodes from `first` on, ascending, each once. */
static uint32_t choose_readers(struct mly_random *random, uint32_t nodes, uint32_t first,
                               uint32_t fan_out, uint32_t reach, uint32_t *readers)
{
    uint32_t count = 0;
    const uint32_t end = first + reach < nodes ? first + reach : nodes;
    for (uint32_t v = first; v < end && count < fan_out; v++)
        if (mly_random_below(random, end - v) < fan_out - count && mly_random_below(random, 3))
            readers[count++] = v;
    return count;
}

struct random_dag random_dag(struct mly_random *random, uint32_t nodes, uint32_t fan_out,
                             uint32_t reach)
{
    const uint32_t most = 3 * nodes + 3;
    struct random_dag d = {
        .weight = mly_alloc_array(nodes, sizeof *d.weight),
        .nets = mly_alloc_array(most, sizeof *d.nets),
        .readers = mly_alloc_array((size_t)most * fan_out, sizeof *d.readers),
    };
    assert_true(d.weight && d.nets && d.readers);
    uint32_t *next = d.readers;
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t first = (uint32_t)mly_random_below(random, nodes);
        const uint32_t count = choose_readers(random, nodes, first, fan_out, reach, next);
        if (!count)
            continue;
        d.nets[d.dag.net_count++] = (struct mly__dag_net){
            .from = MLY_NO_INDEX, .to = next, .to_count = count, .bytes = whole_number(random)};
        next += count;
    }
    for (uint32_t v = 0; v < nodes; v++) {
        d.weight[v] = mly_random_below(random, 8) ? whole_number(random) : 0;
        for (uint32_t i = mly_random_below(random, 4) ? 1 : 2; i > 0; i--) {
            const uint32_t count = choose_readers(random, nodes, v + 1, fan_out, reach, next);
            d.nets[d.dag.net_count++] =
                (struct mly__dag_net){.from = v,
                                      .to = next,
                                      .to_count = count,
                                      .bytes = whole_number(random),
                                      .goes_out = !count || !mly_random_below(random, 8)};
            next += count;
        }
    }
    d.dag.node_count = nodes;
    d.dag.weight = d.weight;
    d.dag.nets = d.nets;
    return d;
}

void random_dag_free(struct random_dag *dag)
{
    mly_free(dag->weight);
    mly_free(dag->nets);
    mly_free(dag->readers);
}

/* Weighted graphs for the algorithms that cut: nets by node, and how good a division is. */
#include "dag.h"

#include <string.h>

#include "base/alloc.h"

static enum mly_status check_order(const struct mly__dag *dag, struct mly_error *err)
{
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        uint32_t before = net->from;
        for (uint32_t k = 0; k < net->to_count; before = net->to[k++])
            if (net->to[k] >= dag->node_count || (before != MLY_NO_INDEX && net->to[k] <= before))
                return mly_error_set(err, MLY_E_INVALID,
                                     "net %u is read by node %u, which does not follow node %u", i,
                                     net->to[k], before);
    }
    return MLY_OK;
}

enum mly_status mly__dag_index_init(struct mly__dag_index *index, const struct mly__dag *dag,
                                    struct mly_error *err)
{
    enum mly_status status = check_order(dag, err);
    if (status)
        return status;
    const size_t width = (size_t)dag->node_count + 2;
    size_t pins = 0;
    for (uint32_t i = 0; i < dag->net_count; i++)
        pins += dag->nets[i].to_count;
    *index = (struct mly__dag_index){
        .made_begin = mly_alloc_array(width, sizeof(uint32_t)),
        .made = mly_alloc_array((size_t)dag->net_count + 1, sizeof(uint32_t)),
        .read_begin = mly_alloc_array(width, sizeof(uint32_t)),
        .read = mly_alloc_array(pins + 1, sizeof(uint32_t)),
    };
    if (!index->made_begin || !index->made || !index->read_begin || !index->read) {
        mly__dag_index_fini(index);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a graph of %u nodes",
                             dag->node_count);
    }
    /* Counted two places ahead, so that filling leaves begin[v + 1] at the end of v's nets. */
    for (uint32_t i = 0; i < dag->net_count; i++) {
        if (dag->nets[i].from != MLY_NO_INDEX)
            index->made_begin[dag->nets[i].from + 2]++;
        for (uint32_t k = 0; k < dag->nets[i].to_count; k++)
            index->read_begin[dag->nets[i].to[k] + 2]++;
    }
    for (size_t v = 2; v < width; v++) {
        index->made_begin[v] += index->made_begin[v - 1];
        index->read_begin[v] += index->read_begin[v - 1];
    }
    for (uint32_t i = 0; i < dag->net_count; i++) {
        if (dag->nets[i].from != MLY_NO_INDEX)
            index->made[index->made_begin[dag->nets[i].from + 1]++] = i;
        for (uint32_t k = 0; k < dag->nets[i].to_count; k++)
            index->read[index->read_begin[dag->nets[i].to[k] + 1]++] = i;
    }
    return MLY_OK;
}

void mly__dag_index_fini(struct mly__dag_index *index)
{
    mly_free(index->made_begin);
    mly_free(index->made);
    mly_free(index->read_begin);
    mly_free(index->read);
    *index = (struct mly__dag_index){0};
}

/* Parts of a net's readers that differ from the maker's, each once. */
static uint32_t count_destinations(const struct mly__dag_net *net, const uint32_t *part)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < net->to_count; k++) {
        bool known = net->from != MLY_NO_INDEX && part[net->to[k]] == part[net->from];
        for (uint32_t i = 0; i < k && !known; i++)
            known = part[net->to[i]] == part[net->to[k]];
        count += !known;
    }
    return net->from == MLY_NO_INDEX && count ? count - 1 : count;
}

struct mly__dag_quality mly__dag_measure(const struct mly__dag *dag, const uint32_t *part,
                                         uint32_t part_count, const double *target)
{
    struct mly__dag_quality quality = {0};
    double total = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        total += dag->weight[v];
    for (uint32_t p = 0; p < part_count; p++) {
        double load = 0;
        bool empty = true;
        for (uint32_t v = 0; v < dag->node_count; v++) {
            load += part[v] == p ? dag->weight[v] : 0;
            empty = empty && part[v] != p;
        }
        const double excess = total > 0 ? load / (target[p] * total) - 1 : 0;
        quality.imbalance = excess > quality.imbalance ? excess : quality.imbalance;
        quality.empty_parts += empty;
    }
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        bool backward = false;
        for (uint32_t k = 0; k < net->to_count && net->from != MLY_NO_INDEX; k++)
            backward = backward || part[net->to[k]] < part[net->from];
        quality.cut_bytes += net->bytes * count_destinations(net, part);
        quality.backward_nets += backward;
    }
    return quality;
}

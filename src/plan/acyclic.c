/*
 * Making a division ordered.
 *
 *   1. Forward: in topological order, no node before the parts that it reads from. Backward: against
 *      it, no node after the parts that read it.
 *   2. Least: for each place t between two parts, the set of nodes before it that differs least (by
 *      weight) from the parts up to t, of all sets that need nothing from outside themselves. That is
 *      a minimum closure, so one maximum flow each. The smallest such sets lie within each other as t
 *      grows, for what speaks for a node only grows; so they are parts.
 */
#include "acyclic.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "max_flow.h"

#define UNITS ((double)((int64_t)1 << 48)) /* of the whole weight, for the flow */

const char *mly__acyclic_repair_name(enum mly__acyclic_repair repair)
{
    static const char *const names[] = {"forward", "backward", "least"};
    return repair < MLY__REPAIR_COUNT ? names[repair] : "unknown";
}

/* --- 1 --- */

static void push_forward(const struct mly__dag *dag, const struct mly__dag_index *index,
                         uint32_t *part)
{
    for (uint32_t v = 0; v < dag->node_count; v++) {
        for (uint32_t i = index->read_begin[v]; i < index->read_begin[v + 1]; i++) {
            const uint32_t from = dag->nets[index->read[i]].from;
            if (from != MLY_NO_INDEX && part[from] > part[v])
                part[v] = part[from];
        }
    }
}

static void pull_backward(const struct mly__dag *dag, const struct mly__dag_index *index,
                          uint32_t *part)
{
    for (uint32_t v = dag->node_count; v-- > 0;) {
        for (uint32_t i = index->made_begin[v]; i < index->made_begin[v + 1]; i++) {
            const struct mly__dag_net *net = &dag->nets[index->made[i]];
            for (uint32_t k = 0; k < net->to_count; k++)
                if (part[net->to[k]] < part[v])
                    part[v] = part[net->to[k]];
        }
    }
}

/* --- 2 --- */

/* before[v]: does the node belong before place `place`? */
static enum mly_status divide(const struct mly__dag *dag, const uint32_t *wanted, uint32_t place,
                              double total, bool *before, struct mly_error *err)
{
    const uint32_t source = dag->node_count, sink = source + 1;
    struct mly__flow flow;
    int64_t value;
    enum mly_status status = mly__flow_init(&flow, sink + 1, err);
    if (status)
        return status;
    for (uint32_t v = 0; !status && v < dag->node_count; v++) {
        const int64_t weight =
            1 + (total > 0 ? (int64_t)llround(dag->weight[v] / total * UNITS) : 0);
        status = wanted[v] < place ? mly__flow_add(&flow, source, v, weight, err)
                                   : mly__flow_add(&flow, v, sink, weight, err);
    }
    for (uint32_t i = 0; !status && i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        for (uint32_t k = 0; !status && net->from != MLY_NO_INDEX && k < net->to_count; k++)
            status = mly__flow_add(&flow, net->to[k], net->from, MLY__FLOW_INFINITE, err);
    }
    if (!status) {
        mly__flow_run(&flow, source, sink, &value);
        mly__flow_cut(&flow, source, before);
    }
    mly__flow_fini(&flow);
    return status;
}

static enum mly_status move_least(const struct mly__dag *dag, uint32_t part_count,
                                  const uint32_t *wanted, uint32_t *part, struct mly_error *err)
{
    double total = 0;
    for (uint32_t v = 0; v < dag->node_count; v++) {
        total += dag->weight[v];
        part[v] = 0;
    }
    bool *before = mly_alloc_array((size_t)dag->node_count + 2, sizeof *before);
    if (!before)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for making parts acyclic");
    enum mly_status status = MLY_OK;
    for (uint32_t place = 1; !status && place < part_count; place++) {
        status = divide(dag, wanted, place, total, before, err);
        for (uint32_t v = 0; !status && v < dag->node_count; v++)
            part[v] += !before[v];
    }
    mly_free(before);
    return status;
}

enum mly_status mly__acyclic_repair(const struct mly__dag *dag, const struct mly__dag_index *index,
                                    uint32_t part_count, enum mly__acyclic_repair repair,
                                    uint32_t *part, double *moved, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    uint32_t *wanted = mly_alloc_array((size_t)dag->node_count + 1, sizeof *wanted);
    if (!wanted)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for making parts acyclic");
    memcpy(wanted, part, dag->node_count * sizeof *part);
    if (repair == MLY__REPAIR_FORWARD)
        push_forward(dag, index, part);
    else if (repair == MLY__REPAIR_BACKWARD)
        pull_backward(dag, index, part);
    else
        status = move_least(dag, part_count, wanted, part, err);
    *moved = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        *moved += part[v] != wanted[v] ? dag->weight[v] : 0;
    mly_free(wanted);
    return status;
}

/* Worlds for tests of the searches for pipelines; any failure fails the test. */
#include "support/plan_world.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "device/modelled.h"
#include "model/zoo.h"
#include "support/expect.h"
#include "support/plan_fixture.h"
#include "support/test.h"

enum { NODES_MAX = 24 };

/* --- random graphs --- */

struct graph {
    struct tiny_node nodes[NODES_MAX];
    char names[NODES_MAX][2][8];
    uint32_t count;
};

/* A node of one or two earlier results; operators that no runtime fuses. */
static void add_node(struct graph *g, const char *first, const char *second)
{
    const uint32_t i = g->count++;
    snprintf(g->names[i][0], sizeof g->names[i][0], "n%u", i);
    snprintf(g->names[i][1], sizeof g->names[i][1], "t%u", i);
    g->nodes[i] = (struct tiny_node){.op = second ? "Max" : "Sin",
                                     .name = g->names[i][0],
                                     .first = first,
                                     .second = second,
                                     .output = g->names[i][1]};
}

/* layered: what is read is near, so that few things live at once. At most NODES_MAX nodes. */
mly_model *plan_random_model(struct mly_random *random, uint32_t count, bool layered)
{
    struct graph g = {0};
    bool used[NODES_MAX] = {false};
    for (uint32_t i = 0; i < count; i++) {
        const char *inputs[2] = {i ? NULL : "x", NULL};
        const uint32_t reach = layered && i > 3 ? 3 : i;
        for (int k = 0; k < 2 && i; k++) {
            if (k && mly_random_below(random, 2))
                break;
            const uint32_t from = i - 1 - (uint32_t)mly_random_below(random, reach);
            used[from] = true;
            inputs[k] = g.names[from][1];
        }
        if (inputs[1] && !strcmp(inputs[0], inputs[1]))
            inputs[1] = NULL;
        add_node(&g, inputs[0], inputs[1]);
    }
    /* Every result that nobody reads goes into the last one. */
    for (uint32_t i = 0, made = g.count; i + 1 < made; i++) {
        if (used[i] || g.count == NODES_MAX)
            continue;
        add_node(&g, g.names[g.count - 1][1], g.names[i][1]);
    }
    return tiny_model(&(struct tiny_spec){.nodes = g.nodes,
                                          .node_count = g.count,
                                          .width = 1 + (int64_t)mly_random_below(random, 1 << 16)});
}

/* Two chains side by side, of which one may hold such a pair again, joined by one node. */
static uint32_t add_block(struct graph *g, struct mly_random *random, uint32_t from, uint32_t nodes)
{
    if (nodes < 3 || !mly_random_below(random, 3)) {
        add_node(g, g->names[from][1], NULL);
        return nodes - 1;
    }
    uint32_t left = nodes - 1, ends[2];
    for (int side = 0; side < 2; side++) {
        uint32_t own = side ? left : 1 + (uint32_t)mly_random_below(random, left - 1);
        left -= own;
        for (uint32_t last = from; own;) {
            own = add_block(g, random, last, own);
            last = ends[side] = g->count - 1;
        }
    }
    add_node(g, g->names[ends[0]][1], g->names[ends[1]][1]);
    return 0;
}

mly_model *plan_series_parallel_model(struct mly_random *random, uint32_t count)
{
    struct graph g = {0};
    assert_true(count >= 2 && count <= NODES_MAX);
    add_node(&g, "x", NULL);
    for (uint32_t left = count - 1; left;)
        left = add_block(&g, random, g.count - 1, left);
    return tiny_model(&(struct tiny_spec){.nodes = g.nodes,
                                          .node_count = g.count,
                                          .width = 1 + (int64_t)mly_random_below(random, 1 << 16)});
}

/* --- worlds --- */

void plan_world_select(struct plan_world *w, const char *spec)
{
    struct mly_error err;
    char *word = NULL;
    expect_ok(mly_device_models_load(&word, &err), err);
    mly_free(word);
    expect_ok(mly_machine_select(w->machine, spec, &w->processors, &err), err);
}

static void make_problem(struct plan_world *w, enum mly_objective objective)
{
    struct mly_error err;
    w->request = (struct mly_plan_request){.model = w->model,
                                           .machine = w->machine,
                                           .costs = w->costs,
                                           .objective = objective,
                                           .processors = &w->processors};
    expect_ok(mly__problem_create(&w->request, PLAN_BATCH, MLY__UNITS_FUSED, &w->problem, &err),
              err);
}

/* Every node costs something else on each kind of core group. */
static void random_costs(struct plan_world *w, struct mly_random *random, double scale)
{
    const struct mly_graph *graph = mly_model_graph(w->model);
    w->costs = tiny_costs(w->model, w->machine);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const double work = mly_random_uniform(random) < 0.2 ? 10 : 1;
        tiny_part_cost(w->costs, MLY_COST_NODE, graph->nodes[n].label, 1, 2, PLAN_BATCH,
                       scale * work * (1e4 + 1e5 * mly_random_uniform(random)));
        tiny_part_cost(w->costs, MLY_COST_NODE, graph->nodes[n].label, 2, 1, PLAN_BATCH,
                       scale * work * (2e4 + 1e5 * mly_random_uniform(random)));
    }
}

void plan_world_of(struct plan_world *w, mly_model *model, struct mly_random *random, bool cores,
                   enum mly_objective objective)
{
    *w = (struct plan_world){.model = model, .machine = tiny_machine("core:4 pu:1")};
    plan_world_select(w, cores ? PLAN_UNLIKE_CORES : PLAN_MODELLED);
    if (cores)
        random_costs(w, random, 1);
    make_problem(w, objective);
}

void plan_world_random(struct plan_world *w, struct mly_random *random, uint32_t nodes, bool cores,
                       enum mly_objective objective)
{
    mly_model *model = plan_random_model(random, nodes, mly_random_below(random, 2) != 0);
    plan_world_of(w, model, random, cores, objective);
}

void plan_world_end(struct plan_world *w)
{
    mly__problem_destroy(w->problem);
    mly_processor_list_fini(&w->processors);
    mly_cost_table_destroy(w->costs);
    mly_model_destroy(w->model);
    mly_machine_destroy(w->machine);
}

/* --- networks --- */

static mly_model *zoo_model(const char *name)
{
    char path[] = "/tmp/motley-test-search-XXXXXX";
    struct mly_error err;
    mly_model *model = NULL;
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    expect_ok(mly_zoo_write(name, path, &err), err);
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    const char *hash;
    expect_ok(mly_model_hash(model, &hash, &err), err);
    unlink(path);
    return model;
}

void plan_world_zoo(struct plan_world *w, const char *name, const char *spec, uint32_t batch)
{
    struct mly_error err;
    *w = (struct plan_world){.machine = tiny_machine("core:4 pu:1"), .model = zoo_model(name)};
    plan_world_select(w, spec);
    w->request = (struct mly_plan_request){
        .model = w->model, .machine = w->machine, .processors = &w->processors};
    expect_ok(mly__problem_create(&w->request, batch, MLY__UNITS_FUSED, &w->problem, &err), err);
}

struct mly__segment_cost plan_set_cost(const struct mly__problem *problem, uint32_t class_index,
                                       uint32_t set)
{
    uint32_t units[32], count = 0;
    struct mly__segment_cost cost;
    struct mly_error err;
    assert_true(problem->unit_count <= 32);
    for (uint32_t u = 0; u < problem->unit_count; u++)
        if (set >> u & 1)
            units[count++] = u;
    expect_ok(mly__problem_cost(problem, class_index, units, count, &cost, NULL, 0, &err), err);
    return cost;
}

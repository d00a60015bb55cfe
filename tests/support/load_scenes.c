#include "support/load_scenes.h"

#include <stdlib.h>

#include "base/random.h"
#include "plan/queueing.h"
#include "plan/under_load.h"
#include "runtime/virtual.h"
#include "support/fake_backend.h"

#define MS 1e6

const struct load_scene load_scenes[] = {
    {"one processor", 1, 1, "1", {"0>1@0"}, {{1}}, 0.04, 0.08},
    {"a row of 3",
     3,
     3,
     "3",
     {"0>1@0", "1>2@1", "2>3@2"},
     {{0.6}, {0, 1}, {0, 0, 0.8}},
     0.04,
     0.08},
    {"a row of 4, all alike",
     4,
     4,
     "4",
     {"0>1@0", "1>2@1", "2>3@2", "3>4@3"},
     {{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}},
     0.04,
     0.08},
    {"2 alike", 1, 2, "1", {"0>1@0 1"}, {{1, 1}}, 0.04, 0.08},
    {"4 alike", 1, 4, "1", {"0>1@0 1 2 3"}, {{1, 1, 1, 1}}, 0.04, 0.08},
    {"a row of 2, the slower one twice",
     2,
     3,
     "2",
     {"0>1@0 1", "1>2@2"},
     {{2, 2}, {0, 0, 0.9}},
     0.04,
     0.08},
    {"1.2 to 1", 1, 2, "1", {"0>1@0 1"}, {{1, 1.2}}, 0.15, 0.15},
    {"1.5 to 1", 1, 2, "1", {"0>1@0 1"}, {{1, 1.5}}, 0.15, 0.15},
    {"2 to 1", 1, 2, "1", {"0>1@0 1"}, {{1, 2}}, 0.15, 0.15},
    {"5 to 1", 1, 2, "1", {"0>1@0 1"}, {{1, 5}}, 0.15, 0.15},
    /* At 90 % the fast one can do nearly all; the scheduler tries what was idle for 256 batches. */
    {"10 to 1", 1, 2, "1", {"0>1@0 1"}, {{1, 10}}, 0.15, 0.6},
    {"3 to 1, 1", 1, 3, "1", {"0>1@0 1 2"}, {{1, 1, 3}}, 0.15, 0.15},
    {"4 to 2 to 1", 1, 3, "1", {"0>1@0 1 2"}, {{1, 2, 4}}, 0.15, 0.15},
    {"4, 4, 4 to 1", 1, 4, "1", {"0>1@0 1 2 3"}, {{1, 4, 4, 4}}, 0.15, 0.15},
    {"unlike ones before a slow one",
     2,
     3,
     "2",
     {"0>1@0 1", "1>2@2"},
     {{1, 3}, {0, 0, 0.8}},
     0.15,
     0.15},
    {"to and fro, 3 parts", 3, 2, "3", {"0>1@0", "1>2@1", "2>3@0"}, {{1}, {0, 1}, {1}}, 0.1, 0.15},
    {"to and fro, 3 unlike parts",
     3,
     2,
     "3",
     {"0>1@0", "1>2@1", "2>3@0"},
     {{0.2}, {0, 1.5}, {1}},
     0.1,
     0.15},
    {"to and fro, 7 parts",
     7,
     2,
     "7",
     {"0>1@0", "1>2@1", "2>3@0", "3>4@1", "4>5@0", "5>6@1", "6>7@0"},
     {{0.3}, {0, 0.5}, {0.6}, {0, 0.3}, {0.5}, {0, 0.6}, {0.3}},
     0.1,
     0.15},
    {"two branches, one processor with the ends",
     4,
     2,
     "4",
     {"0>1@0", "1>2@0", "1>3@1", "2 3>4@0"},
     {{0.5}, {1}, {0, 1.2}, {0.4}},
     0.1,
     0.15},
    {"two branches on 3 processors",
     4,
     3,
     "4",
     {"0>1@0", "1>2@1", "1>3@2", "2 3>4@0"},
     {{0.5}, {0, 1}, {0, 0, 1.2}, {0.4}},
     0.1,
     0.15},
    {"4 processors, 2 of them with 2 parts",
     6,
     4,
     "6",
     {"0>1@0", "1>2@1", "2>3@2", "3>4@1", "4>5@3", "5>6@0"},
     {{0.4}, {0, 0.7}, {0, 0, 0.9}, {0, 0.4}, {0, 0, 0, 1}, {0.5}},
     0.1,
     0.15},
};
const size_t load_scene_count = sizeof load_scenes / sizeof *load_scenes;
const double load_scene_loads[] = {0.1, 0.3, 0.5, 0.7, 0.8, 0.9};
const size_t load_scene_load_count = sizeof load_scene_loads / sizeof *load_scene_loads;

/* Who needs whom, from the flow. */
static void set_needs(const struct mly_flow *flow, struct mly__under_load *load)
{
    for (uint32_t i = 0; i < flow->segment_count; i++)
        for (uint32_t k = 0; k < flow->segments[i].input_count; k++)
            for (uint32_t from = 0; from < flow->segment_count; from++)
                for (uint32_t t = 0; t < flow->segments[from].output_count; t++)
                    if (flow->segments[from].outputs[t] == flow->segments[i].inputs[k])
                        load->needs[(size_t)load->part_count * i + from] = true;
}

static enum mly_status make(const struct load_scene *scene, uint32_t batch, struct mly_flow *flow,
                            struct mly__under_load *load, struct mly_error *err)
{
    enum mly_status status = fake_flow_init(&fake_ops, "0", scene->outputs, scene->processors,
                                            scene->segments, scene->parts, flow, err);
    if (status)
        return status;
    status = mly__under_load_init(load, batch, scene->parts, scene->processors, err);
    for (uint32_t i = 0; !status && i < scene->parts; i++)
        for (uint32_t p = 0; p < scene->processors; p++)
            load->ns[(size_t)i * scene->processors + p] = scene->ms[i][p] * MS;
    if (!status) {
        set_needs(flow, load);
        status = mly__under_load_ready(load, err);
        if (status)
            mly__under_load_fini(load);
    }
    if (status)
        mly_flow_fini(flow);
    return status;
}

enum mly_status load_scene_estimate(const struct load_scene *scene, uint32_t batch, double share,
                                    double *ms, struct mly_error *err)
{
    struct mly_flow flow;
    struct mly__under_load load;
    enum mly_status status = make(scene, batch, &flow, &load, err);
    if (status)
        return status;
    const double rate_per_s = share * load.most_per_s;
    *ms = (mly__under_load_latency_ns(&load, rate_per_s) - mly__filling_ns(rate_per_s, batch)) / MS;
    mly__under_load_fini(&load);
    mly_flow_fini(&flow);
    return MLY_OK;
}

/* When batches are full whose samples come at random. */
static void draw(double sample_ns, uint32_t batch, uint32_t count, int64_t *times_ns)
{
    struct mly_random random;
    double at_ns = 0;
    mly_random_init(&random, 1);
    for (uint32_t i = 0; i < count; i++) {
        times_ns[i] = (int64_t)at_ns;
        for (uint32_t k = 0; k < batch; k++)
            at_ns += sample_ns * mly_random_exponential(&random);
    }
}

enum mly_status load_scene_simulate(const struct load_scene *scene, uint32_t batch, double share,
                                    uint32_t count, double *ms, struct mly_error *err)
{
    struct mly_flow flow;
    struct mly__under_load load;
    struct mly_virtual_cost costs[LOAD_SCENE_PARTS * LOAD_SCENE_PROCESSORS] = {0};
    struct mly_virtual_result result = {0};
    struct mly_arrivals arrivals = {.kind = MLY_ARRIVALS_TRACE, .count = count};
    enum mly_status status = make(scene, batch, &flow, &load, err);
    if (status)
        return status;
    arrivals.times_ns = calloc(count, sizeof *arrivals.times_ns);
    for (uint32_t i = 0; i < scene->parts * scene->processors; i++)
        costs[i] = (struct mly_virtual_cost){
            .known = load.ns[i] > 0, .median_ns = load.ns[i], .spread = MLY_VIRTUAL_EXACT};
    if (arrivals.times_ns) {
        draw(1e9 / (share * load.most_per_s), batch, count, arrivals.times_ns);
        status = mly_virtual_run(
            &(struct mly_virtual_options){
                .flow = &flow, .costs = costs, .arrivals = &arrivals, .queue_capacity = count},
            &result, err);
    } else {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for arrivals");
    }
    if (!status)
        *ms = result.latency.mean_ns / MS;
    mly_virtual_result_fini(&result);
    free(arrivals.times_ns);
    mly__under_load_fini(&load);
    mly_flow_fini(&flow);
    return status;
}

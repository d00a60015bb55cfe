/*
 * What all planners share: planning that is interrupted ends at once, wherever it is; what they remember of
 * weights that are streamed (desk.h) is what they would work out again.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "device/modelled.h"
#include "plan/desk.h"
#include "plan/problem_private.h"
#include "support/expect.h"
#include "support/hollow.h"
#include "support/plan_fixture.h"

static struct mly_error err;
static mly_machine *machine;

static int setup(void **state)
{
    (void)state;
    char *word = NULL;
    unsetenv("MOTLEY_DEVICES");
    machine = tiny_machine("core:2 pu:1");
    expect_ok(mly_device_models_load(&word, &err), err);
    mly_free(word);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mly_machine_destroy(machine);
    return 0;
}

/* --- interruption --- */

struct patience {
    uint32_t asked, most; /* most: so often it goes on; UINT32_MAX: always */
};

static bool go_on(void *user)
{
    struct patience *patience = user;
    return patience->asked++ < patience->most;
}

static enum mly_status plan_with(const char *planner, struct mly_plan_request *request,
                                 struct patience *patience, mly_plan **plan)
{
    patience->asked = 0;
    request->go_on = go_on;
    request->user = patience;
    *plan = NULL;
    return strcmp(planner, "family") == 0 ? mly_plan_make_family(request, plan, &err)
                                          : mly_plan_make(planner, request, plan, &err);
}

/* From the start, after the first time it was asked, in the middle, at the last. */
static void expect_interruptions(const char *planner, struct mly_plan_request *request)
{
    struct patience patience = {.most = UINT32_MAX};
    mly_plan *plan;
    expect_ok(plan_with(planner, request, &patience, &plan), err);
    mly_plan_destroy(plan);
    const uint32_t asked = patience.asked;
    assert_true(asked > 0);
    const uint32_t moments[] = {0, 1, asked / 2, asked - 1};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        patience.most = moments[i] < asked ? moments[i] : 0;
        expect_error(plan_with(planner, request, &patience, &plan), MLY_E_CANCELLED, err,
                     "planning was interrupted");
        assert_null(plan);
        assert_int_equal(patience.asked, patience.most + 1); /* once is enough */
    }
}

static void planning_ends_when_it_is_told_to(void **state)
{
    (void)state;
    static const char *const planners[] = {"auto", "pipeline", "exact", "min-cut", "metis"};
    static const enum mly_objective objectives[] = {MLY_OBJECTIVE_THROUGHPUT, MLY_OBJECTIVE_LATENCY,
                                                    MLY_OBJECTIVE_ENERGY};
    mly_model *model = hollow_network("squeezenet");
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_select(machine, "gtx1650,edgetpu-usb3,jetson-nano", &list, &err), err);
    for (size_t o = 0; o < MLY__COUNT(objectives); o++) {
        struct mly_plan_request request = {
            .model = model, .machine = machine, .processors = &list, .objective = objectives[o]};
        for (size_t i = 0; i < MLY__COUNT(planners); i++)
            expect_interruptions(planners[i], &request);
    }
    mly_processor_list_fini(&list);
    mly_model_destroy(model);
}

static void so_does_making_a_family(void **state)
{
    (void)state;
    mly_model *model = hollow_network("cnn2");
    struct mly_processor_list list = {0};
    expect_ok(mly_machine_select(machine, "gtx1650,jetson-nano", &list, &err), err);
    struct mly_plan_request request = {.model = model, .machine = machine, .processors = &list};
    expect_interruptions("family", &request);
    mly_processor_list_fini(&list);
    mly_model_destroy(model);
}

/* --- the desk --- */

static void expect_same_costs(struct mly__part_builder *builder, struct mly_plan_request *request,
                              struct mly__desk *desk)
{
    for (uint32_t c = 0; c < builder->problem->class_count; c++) {
        struct mly__segment_cost fresh, kept[2];
        struct mly__part_builder on = *builder;
        on.class_index = c;
        on.class = &builder->problem->classes[c];
        request->desk = NULL;
        mly__part_builder_cost(&on, &fresh);
        request->desk = desk;
        for (int again = 0; again < 2; again++) {
            mly__part_builder_cost(&on, &kept[again]);
            assert_true(kept[again].execution_ns == fresh.execution_ns);
            assert_true(kept[again].off_chip_bytes == fresh.off_chip_bytes);
        }
    }
}

static void streamed_weights_are_remembered_as_they_are(void **state)
{
    (void)state;
    mly_model *model = hollow_network("resnet50");
    struct mly_processor_list list = {0};
    struct mly_random random;
    struct mly__desk *desk = NULL;
    expect_ok(mly_machine_select(machine, "edgetpu-pcie,edgetpu-usb2,edgetpu-usb3", &list, &err),
              err);
    expect_ok(mly__desk_create(&desk, &err), err);
    mly_random_init(&random, 7);
    struct mly_plan_request request = {.model = model, .machine = machine, .processors = &list};
    for (uint32_t batch = 1; batch <= 16; batch *= 4) {
        struct mly__problem *problem = NULL;
        struct mly__part_builder builder;
        expect_ok(mly__problem_create(&request, batch, MLY__UNITS_FUSED, &problem, &err), err);
        expect_ok(mly__part_builder_init(&builder, problem, 0, &err), err);
        for (int i = 0; i < 400; i++) {
            const uint32_t unit = (uint32_t)mly_random_below(&random, problem->unit_count);
            if (builder.has[unit])
                mly__part_builder_remove(&builder, unit);
            else
                mly__part_builder_add(&builder, unit);
            expect_same_costs(&builder, &request, desk);
        }
        mly__part_builder_fini(&builder);
        mly__problem_destroy(problem);
    }
    mly__desk_destroy(desk);
    mly_processor_list_fini(&list);
    mly_model_destroy(model);
}

/* --- room on a chip --- */

/* Pieces one by one, each into the tile with most room; false if one finds none. */
static bool place_slowly(double *room, uint32_t tiles, double piece, uint32_t pieces)
{
    for (uint32_t n = 0; n < pieces; n++) {
        uint32_t most = 0;
        for (uint32_t t = 1; t < tiles; t++)
            most = room[t] > room[most] ? t : most;
        if (room[most] < piece)
            return false;
        room[most] -= piece;
    }
    return true;
}

static void room_is_found_where_pieces_find_it_one_by_one(void **state)
{
    (void)state;
    struct mly_random random;
    mly_random_init(&random, 3);
    for (int chip = 0; chip < 300; chip++) {
        struct mly_modelled_tiles tiles = {.count = 16};
        double room[MLY_DEVICE_TILES_MAX];
        for (uint32_t t = 0; t < tiles.count; t++)
            room[t] = tiles.room_bytes[t] = 4096;
        for (int layer = 0; layer < 40; layer++) {
            const uint32_t pieces = 1 + (uint32_t)mly_random_below(&random, 40);
            const double piece = 1 + (double)mly_random_below(&random, 600);
            double tried[MLY_DEVICE_TILES_MAX], sum = 0, least = 4096, wanted = 0, lowest = 4096;
            memcpy(tried, room, sizeof tried);
            const bool fits = place_slowly(tried, tiles.count, piece, pieces);
            assert_int_equal(mly_modelled_tiles_place(&tiles, piece * pieces, pieces), fits);
            if (fits)
                memcpy(room, tried, sizeof room);
            for (uint32_t t = 0; t < tiles.count; t++) {
                assert_true(!t || tiles.room_bytes[t] <= tiles.room_bytes[t - 1]);
                sum += tiles.room_bytes[t];
                wanted += room[t];
                least = tiles.room_bytes[t] < least ? tiles.room_bytes[t] : least;
                lowest = room[t] < lowest ? room[t] : lowest;
            }
            assert_true(sum == wanted && least >= 0 && lowest >= 0);
            memcpy(room, tiles.room_bytes, sizeof room);
        }
    }
}

/* In `auto` a planner may begin with what another found, which never makes its plan worse than alone. */
static void planners_together_find_what_they_find_alone(void **state)
{
    (void)state;
    mly_model *model = hollow_network("squeezenet");
    struct mly_processor_list list = {0};
    mly_plan *together = NULL, *alone = NULL;
    expect_ok(mly_machine_select(machine, "gtx1650,edgetpu-usb3,jetson-nano", &list, &err), err);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .processors = &list, .batch = 4};
    expect_ok(mly_plan_make("auto", &request, &together, &err), err);
    expect_ok(mly_plan_make("exact", &request, &alone, &err), err);
    for (uint32_t i = 0; i < together->run_count; i++)
        if (strcmp(together->runs[i].planner, "exact") == 0)
            assert_true(together->runs[i].prediction.throughput_per_s ==
                        alone->prediction.throughput_per_s);
    mly_plan_destroy(together);
    mly_plan_destroy(alone);
    mly_processor_list_fini(&list);
    mly_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planning_ends_when_it_is_told_to),
        cmocka_unit_test(so_does_making_a_family),
        cmocka_unit_test(streamed_weights_are_remembered_as_they_are),
        cmocka_unit_test(room_is_found_where_pieces_find_it_one_by_one),
        cmocka_unit_test(planners_together_find_what_they_find_alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * How good the planners of pipelines are, and how long they take, on the zoo's networks and modelled
 * processors (every time of a segment here is modelled; planning times are measured on this box).
 *
 *   bench_pipelines [NETWORK…]      without names: all but families and the largest
 *
 * Printed per network and box: units that are never cut; the bottleneck of the best pipeline (exact,
 * "-" where there are too many ways to cut), by how much that of `pipeline` exceeds it and the lower
 * bound, the whole model on all processors for comparison; what one call of each planner took.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "model/zoo.h"
#include "plan/problem_private.h"
#include "plan/stages.h"

static const char *const boxes[] = {"p100,gtx1650,xeon-e5-2683v4,jetson-nano", "edgetpu-pcie*4",
                                    "jetson-nano,raspberry-pi-4*2,edgetpu-usb3"};
/* Half a gigabyte and more of weights each. */
static const char *const left_out[] = {"vgg11", "vgg16", "vgg19", "c3d"};

static void check(enum mly_status status, const struct mly_error *err)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_pipelines: %s\n", err->message);
    exit(1);
}

static double best_of(const struct mly__problem *problem, const struct mly__found *found)
{
    double best = INFINITY;
    for (uint32_t i = 0; i < found->count; i++) {
        struct mly__layout_value value;
        struct mly_error err;
        check(mly__layout_value(problem, &found->layouts[i], &value, &err), &err);
        best = fmin(best, value.bottleneck_ns);
    }
    return best;
}

/* Bottleneck of what the planner finds; infinite where it gives up. */
static double run(const struct mly__problem *problem, mly__find *find, double *took_ns,
                  bool *contracted)
{
    struct mly__found found = {0};
    struct mly_error err = {0};
    const int64_t begin = mly_now_ns();
    enum mly_status status = find(problem, &found, &err);
    *took_ns = (double)(mly_now_ns() - begin);
    if (status != MLY_E_LIMIT)
        check(status, &err);
    const double best = status ? INFINITY : best_of(problem, &found);
    *contracted = strstr(found.note, "contracted") != NULL;
    mly__found_fini(&found);
    return best;
}

static double whole_ns(const struct mly__problem *problem)
{
    struct mly__layout layout;
    struct mly__layout_value value;
    struct mly_error err;
    check(mly__layout_init(&layout, problem, 1, &err), &err);
    for (uint32_t c = 0; c < problem->class_count; c++)
        layout.replicas[0][c] = problem->classes[c].count;
    check(mly__layout_value(problem, &layout, &value, &err), &err);
    mly__layout_fini(&layout);
    return value.bottleneck_ns;
}

static void plan_network(const char *name, const mly_model *model, const mly_machine *machine,
                         const char *box)
{
    struct mly_processor_list processors = {0};
    struct mly__problem *problem = NULL;
    struct mly__bounds bounds;
    struct mly_error err;
    double exact_took, pipeline_took;
    bool contracted, ignored;
    check(mly_machine_select(machine, box, &processors, &err), &err);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .processors = &processors};
    const int64_t begin = mly_now_ns();
    enum mly_status status = mly__problem_create(&request, 1, MLY__UNITS_FUSED, &problem, &err);
    if (status == MLY_E_UNSUPPORTED) {
        printf("%-18s %-42s %s\n", name, box, err.message);
        mly_processor_list_fini(&processors);
        return;
    }
    check(status, &err);
    const double made_ns = (double)(mly_now_ns() - begin);
    check(mly__problem_bounds(problem, &bounds, &err), &err);
    const double exact = run(problem, mly__exact_find, &exact_took, &contracted);
    const double pipeline = run(problem, mly__pipeline_find, &pipeline_took, &ignored);
    printf("%-18s %-42s %5u ", name, box, problem->unit_count);
    if (isfinite(exact))
        printf("%9.4g%c %+8.2f %%", exact / 1e6, contracted ? '*' : ' ',
               (pipeline / exact - 1) * 100);
    else
        printf("%9s  %8s  ", "-", "-");
    printf(" %8.1f %% %9.4g %7.1f %8.1f %8.1f\n",
           fmax(0, pipeline / bounds.bottleneck_ns - 1) * 100, whole_ns(problem) / 1e6,
           made_ns / 1e6, exact_took / 1e6, pipeline_took / 1e6);
    fflush(stdout);
    mly__problem_destroy(problem);
    mly_processor_list_fini(&processors);
}

static void bench(const char *name, const mly_machine *machine)
{
    char path[] = "/tmp/motley-bench-pipelines-XXXXXX";
    mly_model *model = NULL;
    struct mly_error err;
    const int file = mkstemp(path);
    if (file < 0) {
        fprintf(stderr, "bench_pipelines: no temporary file\n");
        exit(1);
    }
    close(file);
    check(mly_zoo_write(name, path, &err), &err);
    check(mly_model_load(path, NULL, &model, &err), &err);
    unlink(path);
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++)
        plan_network(name, model, machine, boxes[i]);
    mly_model_destroy(model);
}

static bool is_left_out(const char *name)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(name, left_out[i]) == 0)
            return true;
    return false;
}

int main(int argument_count, char **arguments)
{
    mly_machine *machine = NULL;
    struct mly_error err;
    char *word = NULL;
    check(mly_machine_create(NULL, &machine, &err), &err);
    check(mly_device_models_load(&word, &err), &err);
    mly_free(word);
    printf("Times of segments: modelled. Planning: measured on %s.\n"
           "bottleneck of `exact` in ms (*: of contracted chains); `pipeline` above it; `pipeline` "
           "above the lower bound;\nthe whole model on every processor, in ms; ms for making the "
           "problem, for exact (with the pipeline it begins\nwith), for pipeline\n\n",
           mly_machine_info(machine)->cpu_model);
    printf("%-18s %-42s %5s %10s %10s %10s %9s %7s %8s %8s\n", "network", "processors", "units",
           "exact", "pipeline", "bound", "whole", "problem", "exact", "pipeline");
    for (int i = 1; i < argument_count; i++)
        bench(arguments[i], machine);
    for (size_t i = 0; argument_count == 1 && i < mly_zoo_count(); i++)
        if (!mly_zoo_entry(i)->is_family && !is_left_out(mly_zoo_entry(i)->name))
            bench(mly_zoo_entry(i)->name, machine);
    mly_machine_destroy(machine);
    return 0;
}

/*
 * How good the planners of pipelines are, and how long they take, on the zoo's networks and modelled
 * processors (every time of a segment here is modelled; planning times are measured on this box).
 *
 *   bench_pipelines [NETWORK…]      without names: all but families and the largest, and a large graph
 *   bench_pipelines --whole         only what the whole of `motley plan` takes
 *
 * Printed per network and box: units that are never cut; the bottleneck of the best pipeline (exact,
 * "-" where there are too many ways to cut), "=" where it is proved to be the best there is, else by how
 * much it may exceed it; by how much that of `pipeline` exceeds it; by how much the best exceeds the
 * bound of bounds.c; the whole model on all processors for comparison; what one call of each planner took.
 * Of five networks on several boxes: the processor's time that planning takes (`auto`, all batch sizes, as `motley plan`
 * does it, with reading and hashing the network), for each objective, and what the plan gives.
 * Of the large graph, random and layered with 5,000 nodes, what `auto` takes in time and memory.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "model/zoo.h"
#include "model/zoo/builder.h"
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

/* Bottleneck of what the planner finds, infinite where it gives up; *proved: what none can beat, or 0. */
static double run(const struct mly__problem *problem, mly__find *find, double *took_ns,
                  double *proved)
{
    struct mly__found found = {0};
    struct mly_error err = {0};
    const int64_t begin = mly_now_ns();
    enum mly_status status = find(problem, &found, &err);
    *took_ns = (double)(mly_now_ns() - begin);
    if (status != MLY_E_LIMIT)
        check(status, &err);
    const double best = status ? INFINITY : best_of(problem, &found);
    *proved = status ? 0 : found.bottleneck_ns;
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
    double proved, ignored;
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
    const double exact = run(problem, mly__exact_find, &exact_took, &proved);
    const double pipeline = run(problem, mly__pipeline_find, &pipeline_took, &ignored);
    printf("%-18s %-42s %5u ", name, box, problem->unit_count);
    const double best = fmin(exact, pipeline);
    const double gap = proved > 0 ? fmax(0, best / proved - 1) * 100 : INFINITY;
    if (isfinite(exact))
        printf("%9.4g %8.2f %%%c %+7.2f %%", exact / 1e6, gap, gap < 1e-7 ? '=' : ' ',
               (pipeline / exact - 1) * 100);
    else
        printf("%9s %10s  %9s", "-", "-", "-");
    printf(" %8.1f %% %9.4g %7.1f %8.1f %8.1f\n", fmax(0, best / bounds.bottleneck_ns - 1) * 100,
           whole_ns(problem) / 1e6, made_ns / 1e6, exact_took / 1e6, pipeline_took / 1e6);
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

/* --- a large graph --- */

enum { LARGE = 5000, REACH = 12 };

/* Convolutions, sums and activations, each of one or two of the results just before. */
static void write_large(const char *path)
{
    mly__zoo *zoo = NULL;
    struct mly_error err;
    struct mly_random random;
    uint32_t recent[REACH], unused[REACH] = {0}, count = 0, nodes = 1;
    mly_random_init(&random, 5000);
    check(mly__zoo_create("large", &zoo, &err), &err);
    recent[count++] = mly__zoo_conv(zoo, "first", mly__zoo_image(zoo, "input", 3, 32, 32),
                                    (struct mly__conv){.out = 16, .k = 3, .p = 1});
    for (; nodes < LARGE; nodes++) {
        const uint32_t a = (uint32_t)mly_random_below(&random, count);
        uint32_t b = (uint32_t)mly_random_below(&random, count);
        const uint64_t kind = mly_random_below(&random, 4);
        const char *name = mly__zoo_path(zoo, "n%u", nodes);
        const bool full = count == REACH;
        /* What would be forgotten without a reader is read now. */
        b = full && unused[0] ? 0 : b;
        const uint32_t x = recent[a], y = recent[b];
        const uint32_t made =
            (full && unused[0]) || kind < 2 ? mly__zoo_add(zoo, name, x, y)
            : kind == 2 ? mly__zoo_conv(zoo, name, x, (struct mly__conv){.out = 16, .k = 3, .p = 1})
                        : mly__zoo_sigmoid(zoo, name, x);
        unused[a] = unused[b] = 0;
        if (full) {
            memmove(recent, recent + 1, (REACH - 1) * sizeof *recent);
            memmove(unused, unused + 1, (REACH - 1) * sizeof *unused);
            count--;
        }
        unused[count] = 1;
        recent[count++] = made;
    }
    mly__zoo_output(zoo, mly__zoo_concat(zoo, "last", 1, recent, count), "output");
    check(mly__zoo_save(zoo, path, false, &err), &err);
    mly__zoo_destroy(zoo);
}

/* --- the whole of `motley plan` --- */

static const char *const whole_networks[] = {"googlenet", "resnet101", "inception-v4", "nfnet-f0",
                                             "vit-base-16"};
static const char *const whole_boxes[] = {"p100,gtx1650,xeon-e5-2683v4,jetson-nano",
                                          "jetson-nano,raspberry-pi-4,edgetpu-usb3,xeon-e5-2683v4",
                                          "edgetpu-pcie,edgetpu-usb2,edgetpu-usb3,raspberry-pi-4",
                                          "jetson-nano,raspberry-pi-4,edgetpu-usb3,edgetpu-pcie",
                                          "p100,gtx1650,edgetpu-pcie,edgetpu-usb3",
                                          "jetson-nano,raspberry-pi-4*2,edgetpu-usb3",
                                          "edgetpu-pcie*4"};

/* Seconds that processors have computed for this program. */
static double used_s(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

/* One request as the command makes it; prints its time and what the plan is best at. */
static void plan_whole(const char *path, const mly_machine *machine, const char *box,
                       enum mly_objective objective)
{
    struct mly_processor_list processors = {0};
    mly_model *model = NULL;
    mly_plan *plan = NULL;
    const char *hash;
    struct mly_error err;
    const double begin_s = used_s();
    check(mly_model_load(path, NULL, &model, &err), &err);
    check(mly_model_hash(model, &hash, &err), &err);
    check(mly_machine_select(machine, box, &processors, &err), &err);
    const struct mly_plan_request request = {
        .model = model, .machine = machine, .processors = &processors, .objective = objective};
    const enum mly_status status = mly_plan_make("auto", &request, &plan, &err);
    const double took_s = used_s() - begin_s;
    if (status == MLY_E_UNSUPPORTED)
        printf(" %6s %9s", "-", "-");
    else
        check(status, &err);
    if (status == MLY_OK) {
        const struct mly_prediction *p = &plan->prediction;
        printf(" %6.2f %9.4g", took_s,
               objective == MLY_OBJECTIVE_LATENCY  ? p->latency_ns / 1e6
               : objective == MLY_OBJECTIVE_ENERGY ? p->energy_j * 1e3
                                                   : p->throughput_per_s);
    }
    mly_plan_destroy(plan);
    mly_processor_list_fini(&processors);
    mly_model_destroy(model);
}

static void bench_whole(const mly_machine *machine)
{
    printf("planning as a whole, every batch size: seconds of one core, with reading the network; "
           "what the "
           "plan gives\n\n%-14s %-56s %6s %9s %6s %9s %6s %9s\n",
           "network", "processors", "s", "samples/s", "s", "ms", "s", "mJ");
    for (size_t n = 0; n < MLY__COUNT(whole_networks); n++) {
        char path[] = "/tmp/motley-bench-pipelines-XXXXXX";
        struct mly_error err;
        const int file = mkstemp(path);
        if (file < 0) {
            fprintf(stderr, "bench_pipelines: no temporary file\n");
            exit(1);
        }
        close(file);
        check(mly_zoo_write_hollow(whole_networks[n], path, &err), &err);
        for (size_t i = 0; i < MLY__COUNT(whole_boxes); i++) {
            printf("%-14s %-56s", whole_networks[n], whole_boxes[i]);
            plan_whole(path, machine, whole_boxes[i], MLY_OBJECTIVE_THROUGHPUT);
            plan_whole(path, machine, whole_boxes[i], MLY_OBJECTIVE_LATENCY);
            plan_whole(path, machine, whole_boxes[i], MLY_OBJECTIVE_ENERGY);
            printf("\n");
            fflush(stdout);
        }
        unlink(path);
    }
    printf("\n");
}

static double peak_mib(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (double)usage.ru_maxrss / 1024;
}

static void bench_large(const mly_machine *machine)
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
    write_large(path);
    check(mly_model_load(path, NULL, &model, &err), &err);
    unlink(path);
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        struct mly_processor_list processors = {0};
        mly_plan *plan = NULL;
        check(mly_machine_select(machine, boxes[i], &processors, &err), &err);
        const struct mly_plan_request request = {
            .model = model, .machine = machine, .processors = &processors, .batch = 1};
        const int64_t begin = mly_now_ns();
        check(mly_plan_make("auto", &request, &plan, &err), &err);
        const double took_s = (double)(mly_now_ns() - begin) / 1e9;
        printf(
            "%u nodes on %-42s planned by auto in %.2f s; %.4g ms a batch, no pipeline takes less "
            "than %.4g; at most %.0f MiB so far\n",
            mly_model_graph(model)->node_count, boxes[i], took_s,
            1e3 / plan->prediction.throughput_per_s, 1e3 / plan->most_per_s, peak_mib());
        fflush(stdout);
        mly_plan_destroy(plan);
        mly_processor_list_fini(&processors);
    }
    printf("\n");
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
    printf("Times of segments: modelled. Planning: measured on %s.\n\n",
           mly_machine_info(machine)->cpu_model);
    const bool whole_only = argument_count == 2 && !strcmp(arguments[1], "--whole");
    if (argument_count == 1 || whole_only)
        bench_whole(machine);
    if (whole_only) {
        mly_machine_destroy(machine);
        return 0;
    }
    if (argument_count == 1)
        bench_large(machine);
    printf(
        "bottleneck of `exact` in ms, and how much shorter one may be at most (=: proved to be the "
        "shortest); `pipeline` above it;\nthe best above the bound of shared work; the whole model "
        "on "
        "every processor, in ms; ms for making the problem, for exact\n(with the pipeline it "
        "begins "
        "with), for pipeline\n\n");
    printf("%-18s %-42s %5s %9s %11s %9s %10s %9s %7s %8s %8s\n", "network", "processors", "units",
           "exact", "may be", "pipeline", "bound", "whole", "problem", "exact", "pipeline");
    for (int i = 1; i < argument_count; i++)
        bench(arguments[i], machine);
    for (size_t i = 0; argument_count == 1 && i < mly_zoo_count(); i++)
        if (!mly_zoo_entry(i)->is_family && !is_left_out(mly_zoo_entry(i)->name))
            bench(mly_zoo_entry(i)->name, machine);
    mly_machine_destroy(machine);
    return 0;
}

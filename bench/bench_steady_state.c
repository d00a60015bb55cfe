/*
 * What a request costs once everything is warm: time over a bare session, and allocations.
 *
 *   bench_steady_state MODEL [SECONDS]
 *
 * One session, and one engine with one worker and one request in flight, of the whole model with
 * batch 1 and one thread, take turns in short rounds; medians over the rounds, all measured on
 * this box. "session, own memory" is run with the same output tensors every time, "session, its
 * memory" lets the back end provide them, as an engine does. Allocations are counted per run: ours
 * (mly_alloc), and all of the process (malloc and its kin, those of the runtime too).
 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <motley/engine.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/stats.h"
#include "device/thread.h"
#include "plan/plan.h"
#include "profile/profile.h"
#include "runtime/measure.h"

/* --- every allocation of the process, by way of the C library's other names --- */

static _Atomic uint64_t all_allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static void count_one(void)
{
    atomic_fetch_add_explicit(&all_allocations, 1, memory_order_relaxed);
}

void *malloc(size_t bytes)
{
    count_one();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    count_one();
    return __libc_calloc(count, bytes);
}

void *realloc(void *p, size_t bytes)
{
    count_one();
    return __libc_realloc(p, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    count_one();
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *p = memalign(alignment, bytes);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

/* --- what is compared --- */

enum { ROUNDS = 15, STREAM = 1000 };

struct bench {
    mly_model *model;
    mly_machine *machine;
    struct mly_segment whole;
    struct mly_processor_list cores;
    const struct mly_backend_ops *ops;
    mly_session *session;
    mly_engine *engine;
    struct mly_tensor *inputs, *own, *given;
    uint32_t input_count, output_count;
};

static void stop_if(enum mly_status status, const char *what, const struct mly_error *err)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_steady_state: %s: %s\n", what, err->message);
    exit(1);
}

static void run_own(struct bench *b)
{
    struct mly_error err = {0};
    stop_if(b->ops->run(b->session, b->inputs, b->own, &err), "running", &err);
}

static void run_given(struct bench *b)
{
    struct mly_error err = {0};
    stop_if(b->ops->run(b->session, b->inputs, b->given, &err), "running", &err);
    for (uint32_t i = 0; i < b->output_count; i++)
        mly_tensor_fini(&b->given[i]);
}

static void run_engine(struct bench *b)
{
    struct mly_error err = {0};
    mly_request *request = NULL;
    stop_if(mly_engine_submit(b->engine, b->inputs, b->input_count, NULL, true, NULL, NULL,
                              &request, &err),
            "submitting", &err);
    stop_if(mly_request_wait(request, &err), "waiting", &err);
    mly_request_release(request);
}

static enum mly_status same_inputs(void *user, uint64_t index, uint32_t lane,
                                   struct mly_tensor *inputs, struct mly_error *err)
{
    (void)index;
    (void)lane;
    (void)err;
    const struct bench *b = user;
    memcpy(inputs, b->inputs, b->input_count * sizeof *inputs);
    return MLY_OK;
}

/* As `motley run` does it: as many in flight as keep the worker busy, results taken in bulk. */
static void run_stream(struct bench *b)
{
    struct mly_error err = {0};
    struct mly_measure_result result;
    const struct mly_measure_options options = {
        .inputs = same_inputs, .user = b, .count = STREAM, .in_flight = 16};
    stop_if(mly_measure_stream(b->engine, &options, &result, &err), "streaming", &err);
}

static const struct way {
    const char *name;
    void (*run)(struct bench *bench);
    uint32_t runs; /* that one call makes */
} ways[] = {
    {"session, own memory", run_own, 1},
    {"session, its memory", run_given, 1},
    {"engine, 1 in flight", run_engine, 1},
    {"engine, 16 in flight", run_stream, STREAM},
};
enum { WAYS = sizeof ways / sizeof *ways };

struct result {
    double ns[ROUNDS], cpu_ns[ROUNDS], ours, all;
};

static void measure(struct bench *b, int64_t slice_ns, struct result results[WAYS])
{
    for (int round = -1; round < ROUNDS; round++) { /* the first one warms */
        for (size_t w = 0; w < WAYS; w++) {
            uint64_t runs = 0, ours = mly_alloc_count(), all = atomic_load(&all_allocations);
            int64_t begun_ns = mly_now_ns(), begun_cpu_ns = mly_cpu_time_ns(), now_ns;
            do {
                ways[w].run(b);
                runs += ways[w].runs;
                now_ns = mly_now_ns();
            } while (now_ns - begun_ns < slice_ns);
            if (round < 0)
                continue;
            results[w].ns[round] = (double)(now_ns - begun_ns) / (double)runs;
            results[w].cpu_ns[round] = (double)(mly_cpu_time_ns() - begun_cpu_ns) / (double)runs;
            results[w].ours += (double)(mly_alloc_count() - ours) / (double)runs / ROUNDS;
            results[w].all += (double)(atomic_load(&all_allocations) - all) / (double)runs / ROUNDS;
        }
    }
}

/* One core, one thread, the whole model. */
static mly_plan *make_plan(struct bench *b)
{
    struct mly_error err = {0};
    mly_plan *plan = NULL;
    stop_if(mly_plan_create(b->model, b->machine, &plan, &err), "planning", &err);
    plan->processors = mly_alloc(sizeof *plan->processors);
    plan->segments = mly_alloc(sizeof *plan->segments);
    plan->ladder = mly_alloc(sizeof *plan->ladder);
    plan->segments[0].name = mly_strdup("whole");
    plan->segments[0].processors = mly_alloc(sizeof *plan->segments[0].processors);
    plan->processor_count = plan->segment_count = plan->ladder_count = 1;
    plan->segments[0].processor_count = 1;
    struct mly_plan_processor *p = plan->processors;
    const struct mly_processor *core = &b->cores.items[b->cores.count - 1];
    snprintf(p->id, sizeof p->id, "%s", core->id);
    snprintf(p->kind, sizeof p->kind, "cpu");
    snprintf(p->backend, sizeof p->backend, "ort");
    p->threads = p->cpu_count = 1;
    p->pin = true;
    p->cpus = mly_alloc(sizeof *p->cpus);
    p->cpus[0] = core->cpus[0];
    plan->ladder[0] = plan->batch = 1;
    plan->in_flight = 1;
    snprintf(plan->planner, sizeof plan->planner, "bench");
    return plan;
}

static void open_all(struct bench *b, const char *path)
{
    struct mly_error err = {0};
    stop_if(mly_model_load(path, NULL, &b->model, &err), path, &err);
    stop_if(mly_profile_infer_shapes(b->model, &err), path, &err);
    stop_if(mly_machine_create(NULL, &b->machine, &err), "this box", &err);
    stop_if(mly_machine_group(b->machine, MLY_GROUP_CORE, 0, false, &b->cores, &err), "cores",
            &err);
    stop_if(mly_segment_whole(b->model, &b->whole, &err), path, &err);
    b->ops = mly_backend_find("ort");
    const struct mly_session_options options = {.processor = &b->cores.items[0], .threads = 1};
    stop_if(b->ops->open(b->model, &b->whole, &options, &b->session, &err), "opening", &err);
    mly_plan *plan = make_plan(b);
    stop_if(mly_engine_create(b->model, plan, NULL, &b->engine, &err), "opening", &err);
    mly_plan_destroy(plan);
    const struct mly_session_info *info = b->ops->info(b->session);
    b->input_count = info->input_count;
    b->output_count = info->output_count;
    b->inputs = mly_alloc_array((size_t)b->input_count + 1, sizeof *b->inputs);
    b->own = mly_alloc_array((size_t)b->output_count + 1, sizeof *b->own);
    b->given = mly_alloc_array((size_t)b->output_count + 1, sizeof *b->given);
    for (uint32_t i = 0; i < b->input_count; i++) {
        struct mly_shape shape = info->inputs[i].shape;
        for (int32_t d = 0; d < shape.rank; d++)
            shape.dims[d] = shape.dims[d] < 0 ? 1 : shape.dims[d];
        stop_if(mly_tensor_init(info->inputs[i].dtype, &shape, &b->inputs[i], &err), "inputs",
                &err);
    }
    stop_if(b->ops->run(b->session, b->inputs, b->own, &err), "running", &err);
}

int main(int argument_count, char **arguments)
{
    static struct result results[WAYS];
    struct bench b = {0};
    if (argument_count < 2) {
        fprintf(stderr, "usage: bench_steady_state MODEL [SECONDS]\n");
        return 2;
    }
    double seconds = argument_count > 2 ? strtod(arguments[2], NULL) : 10;
    open_all(&b, arguments[1]);
    measure(&b, (int64_t)(seconds * 1e9 / (ROUNDS + 1) / WAYS), results);
    printf("%s, batch 1, one thread; medians of %d rounds\n", arguments[1], ROUNDS);
    for (size_t w = 0; w < WAYS; w++) {
        struct mly_summary s = mly_summarise(results[w].ns, ROUNDS);
        struct mly_summary cpu = mly_summarise(results[w].cpu_ns, ROUNDS);
        printf("  %-20s %8.2f us a run (p10 %.2f, p90 %.2f), %.2f us of CPU (p10 %.2f); "
               "allocations a run: ours %.3f, all %.1f\n",
               ways[w].name, s.median / 1e3, s.p10 / 1e3, s.p90 / 1e3, cpu.median / 1e3,
               cpu.p10 / 1e3, results[w].ours, results[w].all);
    }
    return 0;
}

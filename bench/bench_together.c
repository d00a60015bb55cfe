/*
 * Does one engine give what its processors give by themselves?
 *
 *   bench_together [--seconds S] MODEL…
 *
 * By hand: a process for every core, pinned to it, with a session of one thread that runs batches of one
 * in a loop; all processes at once, their rates summed up. motley: one engine with a core group for every core, with
 * as many batches in flight as motley's plan has. Both stand ready all the time and have their turns in ROUNDS
 * rounds, forwards and backwards, S seconds each way in all (default 10). Printed: the median over the rounds of
 * both rates and of their ratios, with the least and the greatest ratio.
 *
 *   bench_together --core CPU SECONDS MODEL      one of the processes: says "ready", and a rate for each line
 *                                                it is given
 */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/stats.h"
#include "device/thread.h"
#include "plan/plan.h"
#include "profile/profile.h"
#include "real_models.h"
#include "runtime/measure.h"

enum { ROUNDS = 12, CORES_MAX = 256 };

static void check(enum mly_status status, const struct mly_error *err, const char *what)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_together: %s: %s\n", what, err->message);
    exit(1);
}

static mly_model *open_model(const char *path)
{
    struct mly_error err;
    mly_model *model = NULL;
    check(mly_model_load(path, NULL, &model, &err), &err, path);
    check(mly_profile_infer_shapes(model, &err), &err, path);
    return model;
}

/* --- by hand --- */

static double run_alone(const struct mly_backend_ops *ops, mly_session *session,
                        const struct bench_inputs *inputs, int64_t duration_ns)
{
    struct mly_error err;
    const uint32_t outputs = ops->info(session)->output_count;
    struct mly_tensor *results = mly_alloc_array((size_t)outputs + 1, sizeof *results);
    uint64_t runs = 0;
    const int64_t begin_ns = mly_now_ns();
    int64_t now_ns = begin_ns;
    if (!results)
        exit(1);
    for (; now_ns - begin_ns < duration_ns; now_ns = mly_now_ns(), runs++) {
        check(ops->run(session, inputs->items, results, &err), &err, "running");
        for (uint32_t i = 0; i < outputs; i++)
            mly_tensor_fini(&results[i]);
    }
    mly_free(results);
    return (double)runs * 1e9 / (double)(now_ns - begin_ns);
}

/* Lives until its standard input ends. */
static int be_alone(uint32_t cpu, double seconds, const char *path)
{
    struct mly_error err;
    struct mly_segment whole;
    struct bench_inputs inputs = {0};
    mly_session *session = NULL;
    const char *version;
    char line[16];
    struct mly_processor core = {.id = "cpu", .kind = "cpu", .usable = true, .numa_node = -1};
    const struct mly_session_options options = {.processor = &core, .threads = 1, .pin = true};
    const struct mly_backend_ops *ops = mly_backend_find("ort");
    core.cpus = &cpu;
    core.cpu_count = 1;
    check(ops->probe(&version, &err), &err, "starting");
    mly_model *model = open_model(path);
    check(mly_thread_pin(cpu, &err), &err, "pinning");
    check(mly_segment_whole(model, &whole, &err), &err, path);
    check(ops->open(model, &whole, &options, &session, &err), &err, path);
    check(bench_inputs_make(model, 1, &inputs, &err), &err, path);
    (void)run_alone(ops, session, &inputs, (int64_t)(seconds * 1e9 / 4)); /* warm */
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("%.9g\n", run_alone(ops, session, &inputs, (int64_t)(seconds * 1e9)));
        fflush(stdout);
    }
    ops->close(session);
    bench_inputs_free(&inputs);
    mly_segment_fini(&whole);
    mly_model_destroy(model);
    return 0;
}

struct process {
    pid_t pid;
    FILE *to, *from;
};

static struct process start_process(uint32_t cpu, double seconds, const char *path)
{
    int down[2], up[2];
    char cpu_text[16], seconds_text[32];
    snprintf(cpu_text, sizeof cpu_text, "%" PRIu32, cpu);
    snprintf(seconds_text, sizeof seconds_text, "%.9g", seconds);
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0)
        exit(1);
    const pid_t pid = fork();
    if (pid == 0) {
        if (dup2(down[0], STDIN_FILENO) >= 0 && dup2(up[1], STDOUT_FILENO) >= 0)
            execl("/proc/self/exe", "bench_together", "--core", cpu_text, seconds_text, path,
                  (char *)NULL);
        _exit(127);
    }
    close(down[0]);
    close(up[1]);
    return (struct process){.pid = pid, .to = fdopen(down[1], "w"), .from = fdopen(up[0], "r")};
}

static void expect_line(struct process *p, char *line, size_t size)
{
    if (!p->to || !p->from || !fgets(line, (int)size, p->from)) {
        fprintf(stderr, "bench_together: a process ended\n");
        exit(1);
    }
}

/* All at once; the sum of their rates. */
static double run_by_hand(struct process *processes, uint32_t count)
{
    double sum = 0;
    char line[64];
    for (uint32_t i = 0; i < count; i++) {
        fputs("go\n", processes[i].to);
        fflush(processes[i].to);
    }
    for (uint32_t i = 0; i < count; i++) {
        expect_line(&processes[i], line, sizeof line);
        sum += strtod(line, NULL);
    }
    return sum;
}

static void stop_process(struct process *p)
{
    fclose(p->to);
    fclose(p->from);
    (void)waitpid(p->pid, NULL, 0);
}

/* --- motley --- */

/* The whole model on every core, blocking, one thread each. */
static mly_plan *plan_of(const mly_model *model, const mly_machine *machine, uint32_t cores)
{
    struct mly_error err;
    mly_plan *plan = NULL;
    const struct mly_cost_config config = {
        .backend = "ort", .processor_kind = "cpu", .groups = cores, .threads = 1, .batch = 1};
    check(bench_plan_of(model, machine, &config, &plan, &err), &err, "planning");
    return plan;
}

static double run_engine(mly_engine *engine, const mly_plan *plan, struct bench_inputs *inputs,
                         int64_t duration_ns)
{
    struct mly_error err;
    struct mly_measure_result result;
    const struct mly_measure_options options = {.inputs = bench_inputs_give,
                                                .user = inputs,
                                                .duration_ns = duration_ns,
                                                .in_flight = plan->in_flight};
    check(mly_measure_stream(engine, &options, &result, &err), &err, "running");
    /* By hand nobody waits for the others' last run, either. */
    return result.steady_per_s > 0 ? result.steady_per_s : result.throughput_per_s;
}

static void compare(const char *path, const mly_machine *machine, double seconds, int *good)
{
    struct mly_error err;
    struct mly_processor_list cores = {0};
    struct bench_inputs inputs = {0};
    struct process processes[CORES_MAX];
    mly_engine *engine = NULL;
    double hand[ROUNDS], ours[ROUNDS], ratios[ROUNDS];
    char line[64];
    const double slice = seconds / ROUNDS;
    check(mly_machine_group(machine, MLY_GROUP_CORE, 0, false, &cores, &err), &err, "the cores");
    const uint32_t count = cores.count < CORES_MAX ? (uint32_t)cores.count : CORES_MAX;
    for (uint32_t i = 0; i < count; i++)
        processes[i] = start_process(cores.items[i].cpus[0], slice, path);
    for (uint32_t i = 0; i < count; i++)
        expect_line(&processes[i], line, sizeof line);
    mly_model *model = open_model(path);
    mly_plan *plan = plan_of(model, machine, count);
    check(bench_inputs_make(model, 1, &inputs, &err), &err, path);
    check(mly_engine_create(model, plan, NULL, &engine, &err), &err, path);
    (void)run_engine(engine, plan, &inputs, (int64_t)(slice * 1e9 / 4));
    for (int round = 0; round < ROUNDS; round++) {
        for (int turn = 0; turn < 2; turn++) {
            if ((turn ^ round) & 1)
                ours[round] = run_engine(engine, plan, &inputs, (int64_t)(slice * 1e9));
            else
                hand[round] = run_by_hand(processes, count);
        }
        ratios[round] = ours[round] / hand[round];
    }
    mly_engine_destroy(engine);
    for (uint32_t i = 0; i < count; i++)
        stop_process(&processes[i]);
    const struct mly_summary h = mly_summarise(hand, ROUNDS), o = mly_summarise(ours, ROUNDS),
                             r = mly_summarise(ratios, ROUNDS);
    printf("%-28s %9u %12.5g %12.5g %9.3f %9.3f %9.3f\n", bench_base_name(path), plan->in_flight,
           h.median, o.median, r.median, r.min, r.max);
    fflush(stdout);
    *good += r.median >= 0.97;
    bench_inputs_free(&inputs);
    mly_plan_destroy(plan);
    mly_model_destroy(model);
    mly_processor_list_fini(&cores);
}

int main(int argc, char **argv)
{
    double seconds = 10, unused = 1;
    struct mly_error err;
    mly_machine *machine = NULL;
    char now[MLY_UTC_TEXT_BYTES];
    int good = 0;
    if (argc == 5 && strcmp(argv[1], "--core") == 0)
        return be_alone((uint32_t)strtoul(argv[2], NULL, 10), strtod(argv[3], NULL), argv[4]);
    const int first = bench_arguments(argc, argv, &seconds, &unused);
    if (!first)
        return 2;
    check(mly_machine_create(NULL, &machine, &err), &err, "the box");
    const struct mly_machine_info *info = mly_machine_info(machine);
    printf("a pinned process per core, all at once, against one engine; measured, %s on %s, %u "
           "cores; %g s each way in %d rounds; samples/s, batch 1\n",
           mly_utc_now(now), info->cpu_model, info->cores, seconds, ROUNDS);
    printf("%-28s %9s %12s %12s %9s %9s %9s\n", "model", "in flight", "by hand", "motley", "ratio",
           "least", "greatest");
    for (int i = first; i < argc; i++)
        compare(argv[i], machine, seconds, &good);
    printf("at least 0.97 of them by hand: %d of %d models\n", good, argc - first);
    mly_machine_destroy(machine);
    return 0;
}

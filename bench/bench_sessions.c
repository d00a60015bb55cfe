/*
 * What prepared copies gain, in ratios of one run: memory of four sessions against one, opening
 * against the plain way, speed against the plain way, and speed against the runtime's own defaults.
 *
 *   bench_sessions [-n RUNS] [-t THREADS] MODEL…
 *
 * 1. Memory is the proportional set size of a child process that opened and ran its sessions: pages
 *    that the sessions share count once.
 * 2. Openings are timed in children too, after the copy was made, each way in turn; the median counts.
 * 3. Speed is the median of runs in one process, in blocks that alternate between the ways, forwards
 *    and backwards. A block's first two runs do not count: threads of the runtime's defaults still spin
 *    when their run is over, and slow what comes next.
 *
 * One line per model: NAME, then KEY VALUE pairs; times in ms, memory in MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/stats.h"

enum { OPENINGS = 5, RUNS_MAX = 1000, SESSIONS = 4, BLOCK = 7, BLOCK_IGNORED = 2 };

enum way { PREPARED, PLAIN, DEFAULTS, WAYS };

struct settings {
    uint32_t threads;
    int runs;
    struct mly_processor processor;
    uint32_t cpus[64];
};

static struct mly_error err;

static void check(enum mly_status status, const char *what)
{
    if (status == MLY_OK)
        return;
    fprintf(stderr, "bench_sessions: %s: %s\n", what, err.message);
    exit(1);
}

static double pss_mib(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "Pss: %ld", &kib);
    if (file)
        fclose(file);
    return (double)kib / 1024.0;
}

static struct mly_session_options options_of(const struct settings *settings, enum way way)
{
    return (struct mly_session_options){
        .processor = &settings->processor,
        .threads = settings->threads,
        .no_prepared_copy = way == PLAIN,
        .runtime_defaults = way == DEFAULTS,
    };
}

struct loaded {
    const struct mly_backend_ops *ops;
    mly_model *model;
    struct mly_segment whole;
};

static struct loaded load(const char *path)
{
    struct loaded loaded = {.ops = mly_backend_find("ort")};
    const char *version;
    check(loaded.ops->probe(&version, &err), "probe");
    check(mly_model_load(path, NULL, &loaded.model, &err), path);
    /* As every command does: what is known of shapes decides how weights are kept. */
    if (loaded.ops->infer_shapes(loaded.model, NULL, 0, &err) != MLY_OK)
        fprintf(stderr, "bench_sessions: %s\n", err.message);
    check(mly_segment_whole(loaded.model, &loaded.whole, &err), path);
    return loaded;
}

static mly_session *open_one(const struct loaded *from, const struct settings *settings,
                             enum way way)
{
    mly_session *session = NULL;
    const struct mly_session_options options = options_of(settings, way);
    check(from->ops->open(from->model, &from->whole, &options, &session, &err), "open");
    return session;
}

static struct mly_tensor *make_inputs(const struct mly_session_info *info)
{
    struct mly_tensor *tensors = calloc((size_t)info->input_count + 1, sizeof *tensors);
    for (uint32_t i = 0; i < info->input_count; i++) {
        struct mly_shape shape = info->inputs[i].shape;
        for (int32_t d = 0; d < shape.rank; d++)
            shape.dims[d] = shape.dims[d] < 0 ? 1 : shape.dims[d];
        check(mly_tensor_init(info->inputs[i].dtype, &shape, &tensors[i], &err), "input");
        if (tensors[i].dtype == MLY_DTYPE_F32)
            for (size_t k = 0; k < tensors[i].size_bytes / 4; k++)
                ((float *)tensors[i].data)[k] = (float)(k * 2654435761u % 1000) / 500.0f - 1.0f;
    }
    return tensors;
}

static void run(const struct loaded *from, mly_session *session, const struct mly_tensor *inputs)
{
    const struct mly_session_info *info = from->ops->info(session);
    struct mly_tensor *outputs = calloc((size_t)info->output_count + 1, sizeof *outputs);
    check(from->ops->run(session, inputs, outputs, &err), "run");
    for (uint32_t i = 0; i < info->output_count; i++)
        mly_tensor_fini(&outputs[i]);
    free(outputs);
}

struct measured {
    double open_ms, pss_mib;
};

/* In a child: opens that many sessions, runs each once, tells how long the first opening took. */
static struct measured in_child(const char *path, const struct settings *settings, enum way way,
                                int sessions)
{
    int ends[2];
    struct measured result = {0};
    if (pipe(ends) != 0)
        exit(1);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        struct measured own = {0};
        struct loaded loaded = load(path);
        mly_session *opened[SESSIONS] = {NULL};
        for (int i = 0; i < sessions; i++) {
            opened[i] = open_one(&loaded, settings, way);
            if (i == 0)
                own.open_ms = (double)loaded.ops->info(opened[0])->open_ns / 1e6;
        }
        struct mly_tensor *inputs = make_inputs(loaded.ops->info(opened[0]));
        for (int i = 0; i < sessions; i++)
            run(&loaded, opened[i], inputs);
        own.pss_mib = pss_mib();
        _exit(write(ends[1], &own, sizeof own) == sizeof own ? 0 : 1);
    }
    close(ends[1]);
    int status = 1;
    const bool read_all = read(ends[0], &result, sizeof result) == sizeof result;
    waitpid(pid, &status, 0);
    close(ends[0]);
    if (!read_all || status != 0)
        exit(1);
    return result;
}

static double median(double *samples, size_t count)
{
    return mly_percentile(samples, count, 0.5);
}

/* 3. Medians of all three ways, in ms. */
static void speed(const char *path, const struct settings *settings, double ms[WAYS])
{
    static double samples[WAYS][RUNS_MAX];
    const struct loaded loaded = load(path);
    mly_session *sessions[WAYS];
    for (int way = 0; way < WAYS; way++)
        sessions[way] = open_one(&loaded, settings, (enum way)way);
    struct mly_tensor *inputs = make_inputs(loaded.ops->info(sessions[0]));
    size_t counts[WAYS] = {0};
    for (int round = 0;
         counts[WAYS - 1] < (size_t)settings->runs || counts[0] < (size_t)settings->runs; round++) {
        for (int k = 0; k < WAYS; k++) {
            const int way = round % 2 ? WAYS - 1 - k : k;
            for (int i = 0; i < BLOCK && counts[way] < (size_t)settings->runs; i++) {
                const int64_t begun_ns = mly_now_ns();
                run(&loaded, sessions[way], inputs);
                if (i >= BLOCK_IGNORED)
                    samples[way][counts[way]++] = (double)(mly_now_ns() - begun_ns) / 1e6;
            }
        }
    }
    for (int way = 0; way < WAYS; way++) {
        ms[way] = median(samples[way], (size_t)settings->runs);
        loaded.ops->close(sessions[way]);
    }
}

static void bench(const char *path, const struct settings *settings)
{
    double opens[WAYS][OPENINGS], ms[WAYS];
    const char *slash = strrchr(path, '/');
    const struct measured first = in_child(path, settings, PREPARED, 1); /* makes it */
    for (int i = 0; i < OPENINGS; i++)
        for (int way = 0; way < WAYS; way++)
            opens[way][i] = in_child(path, settings, (enum way)way, 1).open_ms;
    const double one = in_child(path, settings, PREPARED, 1).pss_mib;
    const double four = in_child(path, settings, PREPARED, SESSIONS).pss_mib;
    const double plain_one = in_child(path, settings, PLAIN, 1).pss_mib;
    const double plain_four = in_child(path, settings, PLAIN, SESSIONS).pss_mib;
    double open_ms[WAYS];
    for (int way = 0; way < WAYS; way++)
        open_ms[way] = median(opens[way], OPENINGS);
    speed(path, settings, ms);
    printf("%s\n", slash ? slash + 1 : path);
    printf("  memory   1 session %.0f, 4 sessions %.0f: ratio %.2f   (plain %.0f, %.0f: %.2f)\n",
           one, four, four / one, plain_one, plain_four, plain_four / plain_one);
    printf("  opening  first %.0f, again %.1f, plain %.1f, defaults %.1f: plain/again %.1f, "
           "defaults/again %.1f\n",
           first.open_ms, open_ms[PREPARED], open_ms[PLAIN], open_ms[DEFAULTS],
           open_ms[PLAIN] / open_ms[PREPARED], open_ms[DEFAULTS] / open_ms[PREPARED]);
    printf("  run      prepared %.2f, plain %.2f, defaults %.2f: prepared/plain %.3f, "
           "defaults/prepared %.2f\n",
           ms[PREPARED], ms[PLAIN], ms[DEFAULTS], ms[PREPARED] / ms[PLAIN],
           ms[DEFAULTS] / ms[PREPARED]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct settings settings = {.threads = 2, .runs = 20};
    for (int option; (option = getopt(argc, argv, "n:t:")) != -1;) {
        if (option == 'n')
            settings.runs = atoi(optarg);
        else if (option == 't')
            settings.threads = (uint32_t)atoi(optarg);
        else
            return 2;
    }
    if (optind == argc || settings.runs < 1 || settings.runs > RUNS_MAX || settings.threads < 1 ||
        settings.threads > 64) {
        fprintf(stderr, "usage: bench_sessions [-n RUNS] [-t THREADS] MODEL...\n");
        return 2;
    }
    snprintf(settings.processor.id, sizeof settings.processor.id, "cpu");
    snprintf(settings.processor.kind, sizeof settings.processor.kind, "cpu");
    for (uint32_t i = 0; i < settings.threads; i++)
        settings.cpus[i] = i;
    settings.processor.cpus = settings.cpus;
    settings.processor.cpu_count = settings.threads;
    for (int i = optind; i < argc; i++)
        bench(argv[i], &settings);
    return 0;
}

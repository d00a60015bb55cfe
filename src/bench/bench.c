/* Running an experiment: what it is given, and what it asks of the box. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "device/modelled.h"
#include "experiment.h"
#include "model/zoo.h"

enum mly_status mly__bench_progress(struct mly_bench *bench, double fraction, const char *what,
                                    struct mly_error *err)
{
    const struct mly_bench_options *options = bench->options;
    if (options->stop && atomic_load(options->stop))
        return mly_error_set(err, MLY_E_CANCELLED, "%s was stopped", bench->experiment->name);
    if (options->progress)
        options->progress(options->user, fraction, what);
    return MLY_OK;
}

/* The file's name is this process's own; it is gone as soon as the model has mapped it. */
static enum mly_status open_hollow(const char *name, mly_model **out, struct mly_error *err)
{
    char *folder = NULL;
    enum mly_status status = mly_cache_dir("bench", &folder, err);
    if (status != MLY_OK)
        return status;
    char *path = mly_strfmt("%s/%s-%ld.onnx", folder, name, (long)getpid());
    mly_free(folder);
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    status = mly_zoo_write_hollow(name, path, err);
    if (status == MLY_OK) {
        status = mly_model_load(path, NULL, out, err);
        unlink(path);
    }
    mly_free(path);
    return status;
}

enum mly_status mly__bench_network(struct mly_bench *bench, const char *name, mly_model **out,
                                   struct mly_error *err)
{
    const char *hash = NULL;
    mly_model *model = NULL;
    enum mly_status status = open_hollow(name, &model, err);
    if (status == MLY_OK)
        status = mly_model_hash(model, &hash, err);
    if (status != MLY_OK) {
        mly_model_destroy(model);
        return status;
    }
    mly_result_model(bench->result, name, hash);
    *out = model;
    return MLY_OK;
}

enum mly_status mly__bench_device(struct mly_bench *bench, const struct mly_device_model **out,
                                  struct mly_error *err)
{
    enum mly_status status = mly_device_models_load(NULL, err);
    if (status != MLY_OK)
        return status;
    const struct mly_device_model *device = mly_device_model_find(bench->processors);
    if (!device)
        return mly_error_set(err, MLY_E_INVALID,
                             "%s: -d %s: the name of one modelled processor is wanted; `motley "
                             "devices --modelled` lists them",
                             bench->experiment->name, bench->processors);
    *out = device;
    return MLY_OK;
}

size_t mly__sizes_count(const struct mly__sizes *sizes, bool quick)
{
    return quick ? sizes->quick_count : (sizes->last - sizes->first) / sizes->step + 1;
}

uint32_t mly__sizes_at(const struct mly__sizes *sizes, bool quick, size_t index)
{
    return quick ? sizes->quick[index] : sizes->first + (uint32_t)index * sizes->step;
}

/* "AMD EPYC, 2 cores" */
static void describe_host(const mly_machine *machine, char *text, size_t size)
{
    const struct mly_machine_info *info = mly_machine_info(machine);
    snprintf(text, size, "%s, %" PRIu32 " core%s", info->cpu_model, info->cores,
             info->cores == 1 ? "" : "s");
}

static enum mly_status check_options(const struct mly_experiment *experiment,
                                     const struct mly_bench_options *options, struct mly_error *err)
{
    if (options->processors && !experiment->processors)
        return mly_error_set(err, MLY_E_INVALID, "%s takes no processors", experiment->name);
    return MLY_OK;
}

enum mly_status mly_experiment_run(const struct mly_experiment *experiment,
                                   const struct mly_bench_options *options, mly_result **out,
                                   struct mly_error *err)
{
    char host[192];
    struct mly_bench bench = {.experiment = experiment, .options = options};
    bench.processors = options->processors ? options->processors : experiment->processors;
    enum mly_status status = check_options(experiment, options, err);
    if (status != MLY_OK)
        return status;
    describe_host(options->machine, host, sizeof host);
    const struct mly_result_head head = {.experiment = experiment->name,
                                         .summary = experiment->summary,
                                         .source = experiment->source,
                                         .processors = bench.processors ? bench.processors : "",
                                         .host_id = mly_machine_info(options->machine)->host_id,
                                         .host = host,
                                         .seed = options->seed,
                                         .quick = options->quick};
    status = mly_result_create(&head, &bench.result, err);
    if (status == MLY_OK)
        status = experiment->run(&bench, err);
    if (status == MLY_OK)
        status = mly_result_check(bench.result, err);
    if (status != MLY_OK) {
        mly_result_destroy(bench.result);
        return status;
    }
    *out = bench.result;
    return MLY_OK;
}

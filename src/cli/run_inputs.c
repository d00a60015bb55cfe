/* Samples from files, and batches of samples. */
#include "run_inputs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "model/tensor_pb.h"
#include "tensorio/image.h"
#include "tensorio/npy.h"
#include "tensorio/raw.h"

static const size_t file_bytes_max = (size_t)4 << 30;

enum file_kind {
    FILE_RANDOM,
    FILE_NPY,
    FILE_NPZ,
    FILE_PB,
    FILE_IMAGE,
    FILE_RAW,
    FILE_FOLDER,
    FILE_UNKNOWN
};

static enum file_kind kind_of(const char *path)
{
    static const struct {
        const char *ending;
        enum file_kind kind;
    } endings[] = {
        {".npy", FILE_NPY},    {".npz", FILE_NPZ},   {".pb", FILE_PB},     {".jpg", FILE_IMAGE},
        {".jpeg", FILE_IMAGE}, {".png", FILE_IMAGE}, {".bmp", FILE_IMAGE}, {".pgm", FILE_IMAGE},
        {".ppm", FILE_IMAGE},  {".gif", FILE_IMAGE}, {".tga", FILE_IMAGE}, {".psd", FILE_IMAGE},
        {".raw", FILE_RAW},    {".bin", FILE_RAW},
    };
    struct stat info;
    if (strcmp(path, "random") == 0)
        return FILE_RANDOM;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return FILE_FOLDER;
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
        if (strcasecmp(dot, endings[i].ending) == 0)
            return endings[i].kind;
    return FILE_UNKNOWN;
}

/* After NAME=, which may be any; a file's own '=' does no harm to its ending. */
static const char *after_name(const char *text)
{
    const char *equals = strrchr(text, '=');
    return equals ? equals + 1 : text;
}

bool run_inputs_have_image(const struct cli_texts *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (kind_of(after_name(files->items[i])) == FILE_IMAGE)
            return true;
    return false;
}

bool run_inputs_have_random(const struct cli_texts *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (kind_of(after_name(files->items[i])) == FILE_RANDOM)
            return true;
    return files->count == 0;
}

/* The port's shape with one sample in it: batch 1 (or the fixed one); other free dimensions as given, else 1. */
static struct mly_shape sample_shape(const struct mly_port *port,
                                     const struct run_input_options *options)
{
    struct mly_shape shape = port->shape;
    for (int32_t i = 0; i < shape.rank; i++) {
        if (shape.dims[i] >= 0)
            continue;
        shape.dims[i] = 1;
        char place[256]; /* of a dimension without a name: "state[1]" */
        snprintf(place, sizeof place, "%.200s[%d]", port->name, i);
        const char *name = *port->dim_names[i] ? port->dim_names[i] : place;
        for (size_t k = 0; k < options->dim_count; k++)
            if (strcmp(options->dims[k].name, name) == 0)
                shape.dims[i] = options->dims[k].size;
    }
    return shape;
}

/* Rows along dimension 0 that one sample of this input has: 1, or the model's fixed batch; 0 where dimension 0 is not the batch. */
static int64_t rows_per_sample(const struct run_inputs *inputs, size_t index)
{
    const struct mly_port *port = mly_model_input(inputs->model, index);
    const int64_t fixed = mly_model_fixed_batch(inputs->model);
    if (port->shape.rank <= 0)
        return 0;
    if (fixed == 0)
        return port->shape.dims[0] < 0;
    return port->shape.dims[0] == fixed ? fixed : 0;
}

/*
 * A tensor from a file as the input wants it: a missing leading 1 is added, sizes are compared where the model fixes them. Along the batch there
 * may be rows of several samples, which split_samples takes apart.
 */
static enum mly_status fit(const struct run_inputs *inputs, size_t index, const char *file,
                           struct mly_tensor *tensor, struct mly_error *err)
{
    const struct mly_port *port = mly_model_input(inputs->model, index);
    char have[MLY_SHAPE_TEXT_BYTES], want[MLY_SHAPE_TEXT_BYTES], more[64] = "";
    if (tensor->dtype != port->dtype)
        return mly_error_set(err, MLY_E_MISMATCH, "%s: holds %s, input '%s' takes %s", file,
                             mly_dtype_name(tensor->dtype), port->name,
                             mly_dtype_name(port->dtype));
    if (port->shape.rank >= 0 && tensor->shape.rank + 1 == port->shape.rank) {
        memmove(&tensor->shape.dims[1], &tensor->shape.dims[0],
                (size_t)tensor->shape.rank * sizeof tensor->shape.dims[0]);
        tensor->shape.dims[0] = 1;
        tensor->shape.rank++;
    }
    const int64_t rows = rows_per_sample(inputs, index);
    bool same = port->shape.rank < 0 || tensor->shape.rank == port->shape.rank;
    if (same && rows > 0)
        same = tensor->shape.dims[0] > 0 && tensor->shape.dims[0] % rows == 0;
    for (int32_t i = rows > 0; same && i < port->shape.rank; i++)
        same = port->shape.dims[i] < 0 || port->shape.dims[i] == tensor->shape.dims[i];
    if (same)
        return MLY_OK;
    if (rows > 1)
        snprintf(more, sizeof more, ", or several times %lld rows", (long long)rows);
    return mly_error_set(err, MLY_E_MISMATCH,
                         "%s: shape %s does not fit input '%s', which takes %s%s", file,
                         mly_shape_format(&tensor->shape, have), port->name,
                         mly_shape_format(&port->shape, want), more);
}

static enum mly_status read_image(const struct run_input_options *options,
                                  const struct mly_port *port, const char *path,
                                  struct mly_tensor *out, struct mly_error *err)
{
    struct mly_preprocess preprocess;
    enum mly_status status = mly_preprocess_for_shape(port->dtype, &port->shape, &preprocess, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "%s: input '%s' is no image", path, port->name);
    if (options->preprocess)
        status = mly_preprocess_parse(options->preprocess, &preprocess, err);
    return status == MLY_OK ? mly_image_load(path, &preprocess, out, err) : status;
}

/* Raw bytes: as many samples of that shape as the file's size says; one where dimension 0 is not the batch. */
static enum mly_status read_raw(enum mly_dtype dtype, const char *path, struct mly_shape shape,
                                bool batched, struct mly_tensor *out, struct mly_error *err)
{
    struct stat info;
    size_t bytes = 0;
    enum mly_status status = mly_shape_bytes(dtype, &shape, &bytes, err);
    if (status == MLY_OK && batched && bytes > 0 && stat(path, &info) == 0 &&
        (size_t)info.st_size > bytes && (size_t)info.st_size % bytes == 0)
        shape.dims[0] *= info.st_size / (off_t)bytes;
    return status == MLY_OK ? mly_raw_load(path, dtype, &shape, out, err) : status;
}

/* Reads one file for one input. .npz and folders hold several and are handled by their own functions. */
static enum mly_status read_one(const struct run_inputs *inputs,
                                const struct run_input_options *options, size_t index,
                                const char *path, struct mly_tensor *out, struct mly_error *err)
{
    const struct mly_port *port = mly_model_input(inputs->model, index);
    struct mly_shape shape = sample_shape(port, options);
    enum mly_status status = MLY_OK;
    switch (kind_of(path)) {
    case FILE_RANDOM:
        return mly_tensor_random(port->dtype, &shape,
                                 options->seed + index + inputs->sample_count * 1000, out, err);
    case FILE_NPY:
        status = mly_npy_load(path, file_bytes_max, out, err);
        break;
    case FILE_PB:
        status = mly_tensor_load_pb(path, file_bytes_max, out, NULL, err);
        break;
    case FILE_IMAGE:
        status = read_image(options, port, path, out, err);
        break;
    case FILE_RAW:
        status = read_raw(port->dtype, path, shape, rows_per_sample(inputs, index) > 0, out, err);
        break;
    case FILE_NPZ:
    case FILE_FOLDER:
        return mly_error_set(
            err, MLY_E_INVALID,
            "--input %s: holds all inputs of a sample; give it without NAME=", path);
    case FILE_UNKNOWN:
        return mly_error_set(err, MLY_E_INVALID,
                             "--input %s: unknown kind of file; .npy, .npz, .pb, .raw, .bin, an "
                             "image, a folder with input_0.pb, or the word random",
                             path);
    }
    return status == MLY_OK ? fit(inputs, index, path, out, err) : status;
}

static enum mly_status add_sample(struct run_inputs *inputs, const char *name,
                                  struct run_sample **out, struct mly_error *err)
{
    if (mly_array_reserve(&inputs->samples, &inputs->sample_capacity, inputs->sample_count + 1,
                          sizeof *inputs->samples) != 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    struct run_sample sample = {
        .name = name, .tensors = mly_alloc_array(inputs->input_count, sizeof(struct mly_tensor))};
    if (!sample.tensors)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    inputs->samples[inputs->sample_count] = sample;
    *out = &inputs->samples[inputs->sample_count++];
    return MLY_OK;
}

static enum mly_status random_sample(struct run_inputs *inputs,
                                     const struct run_input_options *options, struct mly_error *err)
{
    struct run_sample *sample = NULL;
    enum mly_status status = add_sample(inputs, "random", &sample, err);
    for (size_t i = 0; status == MLY_OK && i < inputs->input_count; i++)
        status = read_one(inputs, options, i, "random", &sample->tensors[i], err);
    inputs->is_random = true;
    return status;
}

static enum mly_status npz_sample(struct run_inputs *inputs, const char *path,
                                  struct mly_error *err)
{
    struct run_sample *sample = NULL;
    struct mly_tensor_set set = {0};
    enum mly_status status = mly_npz_load(path, NULL, &set, err);
    if (status == MLY_OK)
        status = add_sample(inputs, path, &sample, err);
    for (size_t i = 0; status == MLY_OK && i < inputs->input_count; i++) {
        const struct mly_port *port = mly_model_input(inputs->model, i);
        const struct mly_tensor *found = mly_tensor_set_find(&set, port->name);
        if (!found)
            status = mly_error_set(err, MLY_E_NOT_FOUND, "%s: holds no array named '%s'", path,
                                   port->name);
        else
            status = mly_tensor_dup(found, &sample->tensors[i], err);
        if (status == MLY_OK)
            status = fit(inputs, i, path, &sample->tensors[i], err);
    }
    mly_tensor_set_fini(&set);
    return status;
}

static enum mly_status folder_sample(struct run_inputs *inputs,
                                     const struct run_input_options *options, const char *path,
                                     struct mly_error *err)
{
    struct run_sample *sample = NULL;
    enum mly_status status = add_sample(inputs, path, &sample, err);
    for (size_t i = 0; status == MLY_OK && i < inputs->input_count; i++) {
        char *file = mly_strfmt("%s/input_%zu.pb", path, i);
        if (!file)
            return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        status = read_one(inputs, options, i, file, &sample->tensors[i], err);
        mly_free(file);
    }
    return status;
}

static bool is_complete(const struct run_inputs *inputs, const struct run_sample *sample)
{
    for (size_t i = 0; i < inputs->input_count; i++)
        if (sample->tensors[i].dtype == MLY_DTYPE_UNDEFINED)
            return false;
    return true;
}

/* NAME=FILE: into the sample that is being filled, or a new one. */
static enum mly_status named_input(struct run_inputs *inputs,
                                   const struct run_input_options *options, size_t index,
                                   const char *path, struct mly_error *err)
{
    struct run_sample *sample =
        inputs->sample_count ? &inputs->samples[inputs->sample_count - 1] : NULL;
    enum mly_status status = MLY_OK;
    if (!sample || is_complete(inputs, sample))
        status = add_sample(inputs, path, &sample, err);
    if (status == MLY_OK && sample->tensors[index].dtype != MLY_DTYPE_UNDEFINED)
        status = mly_error_set(
            err, MLY_E_INVALID,
            "--input %s=%s: this input is given twice before the others of its sample",
            mly_model_input(inputs->model, index)->name, path);
    return status == MLY_OK ? read_one(inputs, options, index, path, &sample->tensors[index], err)
                            : status;
}

/* Index of the input whose "NAME=" begins text; the longest name counts, since names may hold '='. */
static bool split_name(const struct run_inputs *inputs, const char *text, size_t *index,
                       const char **path)
{
    size_t best = 0;
    for (size_t i = 0; i < inputs->input_count; i++) {
        const char *name = mly_model_input(inputs->model, i)->name;
        size_t length = strlen(name);
        if (length >= best && strncmp(text, name, length) == 0 && text[length] == '=') {
            best = length + 1;
            *index = i;
            *path = text + length + 1;
        }
    }
    return best > 0;
}

static enum mly_status unknown_name(const struct run_inputs *inputs, const char *text,
                                    struct mly_error *err)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < inputs->input_count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                 mly_model_input(inputs->model, i)->name);
    const char *equals = strchr(text, '=');
    if (equals)
        return mly_error_set(err, MLY_E_INVALID,
                             "--input %s: there is no such file, and no input '%.*s': the model's "
                             "inputs are: %s",
                             text, (int)(equals - text), text, names);
    return mly_error_set(err, MLY_E_INVALID,
                         "--input %s: NAME=FILE is needed, the model's inputs are: %s", text,
                         names);
}

static enum mly_status load_file(struct run_inputs *inputs, const struct run_input_options *options,
                                 const char *text, struct mly_error *err)
{
    size_t index = 0;
    const char *path = NULL;
    if (split_name(inputs, text, &index, &path))
        return named_input(inputs, options, index, path, err);
    if (strchr(text, '=') && access(text, F_OK) != 0)
        return unknown_name(inputs, text, err);
    switch (kind_of(text)) {
    case FILE_RANDOM:
        return random_sample(inputs, options, err);
    case FILE_NPZ:
        return npz_sample(inputs, text, err);
    case FILE_FOLDER:
        return folder_sample(inputs, options, text, err);
    default:
        return inputs->input_count == 1 ? named_input(inputs, options, 0, text, err)
                                        : unknown_name(inputs, text, err);
    }
}

/* Samples along the batch dimension; 0 with an error when the inputs of the sample disagree. */
static int64_t count_samples(const struct run_inputs *inputs, const struct run_sample *sample,
                             struct mly_error *err)
{
    int64_t count = 0;
    for (size_t i = 0; i < inputs->input_count; i++) {
        const int64_t rows = rows_per_sample(inputs, i);
        if (rows == 0)
            continue;
        int64_t here = sample->tensors[i].shape.dims[0] / rows;
        if (here < 1 || (count && here != count)) {
            mly_error_set(err, MLY_E_MISMATCH,
                          "%s: input '%s' holds %lld samples, another input %lld", sample->name,
                          mly_model_input(inputs->model, i)->name, (long long)here,
                          (long long)count);
            return 0;
        }
        count = here;
    }
    return count ? count : 1;
}

/* Sample `at` of the `count` in a tensor, as a view. */
static struct mly_tensor sample_of(const struct mly_tensor *tensor, int64_t at, int64_t count)
{
    struct mly_tensor view = *tensor;
    view.shape.dims[0] /= count;
    view.size_bytes = tensor->size_bytes / (size_t)count;
    view.data = (char *)tensor->data + view.size_bytes * (size_t)at;
    view.release = NULL;
    return view;
}

/* Files that hold several samples become several samples, which are views into what was read. */
static enum mly_status split_samples(struct run_inputs *inputs, struct mly_error *err)
{
    struct run_sample *read = inputs->samples;
    size_t read_count = inputs->sample_count;
    inputs->samples = NULL;
    inputs->sample_count = inputs->sample_capacity = 0;
    inputs->read = read;
    inputs->read_count = read_count;
    for (size_t s = 0; s < read_count; s++) {
        int64_t count = count_samples(inputs, &read[s], err);
        if (count == 0)
            return MLY_E_MISMATCH;
        for (int64_t at = 0; at < count; at++) {
            struct run_sample *sample = NULL;
            enum mly_status status = add_sample(inputs, read[s].name, &sample, err);
            if (status != MLY_OK)
                return status;
            for (size_t i = 0; i < inputs->input_count; i++) {
                sample->tensors[i] = read[s].tensors[i];
                sample->tensors[i].release = NULL;
                if (rows_per_sample(inputs, i) > 0)
                    sample->tensors[i] = sample_of(&read[s].tensors[i], at, count);
            }
        }
    }
    return MLY_OK;
}

static uint64_t random_count(const struct run_input_options *options)
{
    enum { RANDOM_MAX = 16 };
    uint64_t wanted = options->random_count;
    return wanted < 1 ? 1 : wanted > RANDOM_MAX ? RANDOM_MAX : wanted;
}

enum mly_status run_inputs_load(const mly_model *model, const struct run_input_options *options,
                                struct run_inputs *out, struct mly_error *err)
{
    struct run_inputs inputs = {.model = model, .input_count = mly_model_input_count(model)};
    enum mly_status status = MLY_OK;
    for (uint64_t i = 0;
         status == MLY_OK && options->files->count == 0 && i < random_count(options); i++)
        status = random_sample(&inputs, options, err);
    for (size_t i = 0; status == MLY_OK && i < options->files->count; i++)
        status = load_file(&inputs, options, options->files->items[i], err);
    for (size_t i = 0; status == MLY_OK && i < inputs.input_count; i++)
        if (inputs.samples[inputs.sample_count - 1].tensors[i].dtype == MLY_DTYPE_UNDEFINED)
            status =
                mly_error_set(err, MLY_E_INVALID, "input '%s' is missing: give --input %s=FILE",
                              mly_model_input(model, i)->name, mly_model_input(model, i)->name);
    if (status == MLY_OK)
        status = split_samples(&inputs, err);
    if (status != MLY_OK) {
        run_inputs_fini(&inputs);
        return status;
    }
    *out = inputs;
    return MLY_OK;
}

void run_inputs_share(const struct run_inputs *inputs, struct run_inputs *out)
{
    *out = *inputs;
    out->batches = NULL;
    out->batch_count = 0;
    out->read = NULL;
    out->read_count = 0;
    out->borrows_samples = true;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* An input without a batch dimension serves the whole batch: all its samples must agree. */
static enum mly_status join_constant(const struct run_inputs *inputs, size_t index, uint64_t first,
                                     uint64_t count, struct mly_tensor *out, struct mly_error *err)
{
    const struct mly_tensor *tensor = &inputs->samples[first % inputs->sample_count].tensors[index];
    for (uint64_t i = 1; i < count; i++) {
        const struct mly_tensor *other =
            &inputs->samples[(first + i) % inputs->sample_count].tensors[index];
        if (other->size_bytes != tensor->size_bytes ||
            memcmp(other->data, tensor->data, tensor->size_bytes) != 0)
            return mly_error_set(
                err, MLY_E_MISMATCH,
                "input '%s' has no batch dimension and differs between samples: use --batch 1",
                mly_model_input(inputs->model, index)->name);
    }
    *out = *tensor;
    return MLY_OK;
}

/* Input `index` of samples [first, first + count), one after the other along dimension 0. */
static enum mly_status join(const struct run_inputs *inputs, size_t index, uint64_t first,
                            uint64_t count, struct mly_tensor *out, struct mly_error *err)
{
    if (count == 1) {
        *out = inputs->samples[first % inputs->sample_count]
                   .tensors[index]; /* borrowed: the sample outlives the batch */
        return MLY_OK;
    }
    if (rows_per_sample(inputs, index) == 0)
        return join_constant(inputs, index, first, count, out, err);
    const struct mly_tensor **parts = mly_alloc_array(count, sizeof *parts);
    if (!parts)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint64_t i = 0; i < count; i++)
        parts[i] = &inputs->samples[(first + i) % inputs->sample_count].tensors[index];
    enum mly_status status = mly_tensor_join(parts, count, out, err);
    mly_free(parts);
    return status == MLY_E_MISMATCH
               ? mly_error_prefix(err, status,
                                  "samples of unlike shapes cannot share a batch (use --batch 1)")
               : status;
}

static enum mly_status make_batch(struct run_inputs *inputs, uint64_t first, uint64_t count,
                                  struct run_batch *out, struct mly_error *err)
{
    out->first = first;
    out->count = count;
    out->tensors = mly_alloc_array(inputs->input_count, sizeof *out->tensors);
    if (!out->tensors)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (size_t i = 0; i < inputs->input_count; i++) {
        enum mly_status status = join(inputs, i, first, count, &out->tensors[i], err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

enum mly_status run_inputs_make_batches(struct run_inputs *inputs, uint32_t batch, uint64_t count,
                                        struct mly_error *err)
{
    enum { BATCHES_MAX = 4096 };
    int64_t fixed = mly_model_fixed_batch(inputs->model);
    /* With a fixed batch size a sample is a whole batch. */
    uint64_t per_batch = fixed ? 1 : batch;
    uint64_t needed = (count + per_batch - 1) / per_batch;
    uint64_t period = inputs->sample_count / gcd(inputs->sample_count, per_batch);
    uint64_t distinct = needed < period || count % per_batch ? needed : period;
    if (distinct > BATCHES_MAX)
        return mly_error_set(err, MLY_E_LIMIT,
                             "%llu samples in batches of %llu make more than %d different batches: "
                             "choose a batch that divides the number of samples",
                             (unsigned long long)inputs->sample_count,
                             (unsigned long long)per_batch, BATCHES_MAX);
    inputs->batches = mly_alloc_array(distinct ? distinct : 1, sizeof *inputs->batches);
    if (!inputs->batches)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (uint64_t i = 0; i < distinct; i++) {
        uint64_t left = count - i * per_batch;
        enum mly_status status =
            make_batch(inputs, i * per_batch, left < per_batch ? left : per_batch,
                       &inputs->batches[inputs->batch_count], err);
        inputs->batch_count++;
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

static void free_samples(struct run_sample *samples, size_t count, size_t input_count)
{
    for (size_t i = 0; samples && i < count; i++) {
        for (size_t j = 0; j < input_count; j++)
            mly_tensor_fini(&samples[i].tensors[j]);
        mly_free(samples[i].tensors);
    }
    mly_free(samples);
}

void run_inputs_fini(struct run_inputs *inputs)
{
    for (size_t i = 0; i < inputs->batch_count; i++) {
        for (size_t j = 0; inputs->batches[i].tensors && j < inputs->input_count; j++)
            mly_tensor_fini(&inputs->batches[i].tensors[j]);
        mly_free(inputs->batches[i].tensors);
    }
    mly_free(inputs->batches);
    free_samples(inputs->borrows_samples ? NULL : inputs->samples, inputs->sample_count,
                 inputs->input_count);
    free_samples(inputs->read, inputs->read_count, inputs->input_count);
    *inputs = (struct run_inputs){0};
}

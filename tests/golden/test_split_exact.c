/*
 * Segments compute exactly what the whole model computes: every model in the shared test data that the
 * runtime takes, and the zoo's networks, cut at random places into 2 to 4 parts, run part after part by
 * ONNX Runtime, compared with the whole model on the same input; and with what others computed, where
 * that lies beside the model.
 *
 *   MOTLEY_SPLIT_CUTS=50     random cuts per model (default 4)
 *   MOTLEY_SPLIT_ANYWHERE=1  cut inside what the runtime fuses, too
 *   MOTLEY_SPLIT_ONLY=TEXT   only models whose path has TEXT in it
 *   MOTLEY_SPLIT_VERBOSE=1   a line for every model
 *   MOTLEY_TEST_LARGE=1      all networks of the zoo (gigabytes)
 */
#include <ftw.h>
#include <math.h>
#include <sys/stat.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/half.h"
#include "base/random.h"
#include "model/cut.h"
#include "model/segment.h"
#include "model/tensor_pb.h"
#include "model/zoo.h"
#include "support/expect.h"
#include "tensorio/compare.h"

/* Of an output's range. Half floats have ten bits: what is rounded otherwise differs by 1e-3. */
#define TOLERANCE 1e-5
#define HALF_TOLERANCE 2e-3
#define SMALL_BYTES 30e6
#define SMALL_MACS 1.2e9
#define PARTS_MAX 4
#define TRIES 12

static char *scratch;
static const struct mly_backend_ops *ort;
static struct mly_error err;
static unsigned cuts_wanted = 4;
static enum mly_cut_rule rule;

static struct tally {
    unsigned models, refused_by_reader, refused_by_runtime, not_run, random, whole_only;
    unsigned cuts, parts, data_sets;
    double worst, worst_half, worst_data;
    char worst_at[512];
} tally;
static unsigned failures;

/* --- sessions --- */

static uint32_t cpu;

static enum mly_status open_segment(const mly_model *model, const struct mly_segment *segment,
                                    mly_session **out)
{
    const struct mly_processor processor = {
        .id = "cpu:0", .kind = "cpu", .usable = true, .cpus = &cpu, .cpu_count = 1};
    const struct mly_session_options options = {
        .processor = &processor, .threads = 1, .no_prepared_copy = true};
    return ort->open(model, segment, &options, out, &err);
}

/* --- values: a tensor per tensor of the graph --- */

struct values {
    struct mly_tensor *items;
    uint32_t count;
};

static struct values values_make(const struct mly_graph *graph)
{
    struct values values = {calloc(graph->tensor_count + 1, sizeof(struct mly_tensor)),
                            graph->tensor_count};
    assert_non_null(values.items);
    return values;
}

static void values_free(struct values *values)
{
    for (uint32_t i = 0; i < values->count; i++)
        mly_tensor_fini(&values->items[i]);
    free(values->items);
    *values = (struct values){0};
}

/* Runs a segment: inputs from values, outputs into them. */
static enum mly_status run_segment(mly_session *session, const struct mly_segment *segment,
                                   struct values *values)
{
    struct mly_tensor *inputs = calloc(segment->input_count + 1, sizeof *inputs);
    struct mly_tensor *outputs = calloc(segment->output_count + 1, sizeof *outputs);
    assert_true(inputs && outputs);
    for (uint32_t i = 0; i < segment->input_count; i++) {
        inputs[i] = values->items[segment->inputs[i]];
        inputs[i].release = NULL; /* borrowed */
    }
    enum mly_status status = ort->run(session, inputs, outputs, &err);
    for (uint32_t i = 0; status == MLY_OK && i < segment->output_count; i++) {
        struct mly_tensor *slot = &values->items[segment->outputs[i]];
        /* an output of the model that no node makes may be an input as well: it stays */
        if (slot->size_bytes > 0 || slot->data)
            mly_tensor_fini(&outputs[i]);
        else
            *slot = outputs[i];
    }
    free(inputs);
    free(outputs);
    return status;
}

/* --- inputs --- */

enum filling { RANDOM, ZEROS, ONES, FILLINGS };

/*
 * Masks are 0 or 1. The runtime's attention fusion takes them as such, while the nodes that it fuses compute
 * with their values: with 2 and 3 in the mask bert_toy_optimized as a whole is 1e-2 away from itself without
 * optimisation, whose results the segments have.
 */
static void fill(struct mly_tensor *tensor, const char *name, enum filling filling,
                 struct mly_random *random)
{
    int64_t count = 0;
    const uint64_t bound = strstr(name, "mask") ? 2 : 4;
    if (mly_shape_count(&tensor->shape, &count, NULL) != MLY_OK || filling == ZEROS)
        return;
    for (int64_t i = 0; i < count; i++) {
        const double real = filling == ONES ? 1 : mly_random_normal(random);
        const uint64_t whole = filling == ONES ? 1 : mly_random_below(random, bound);
        switch (tensor->dtype) {
        case MLY_DTYPE_F32:
            ((float *)tensor->data)[i] = (float)real;
            break;
        case MLY_DTYPE_F64:
            ((double *)tensor->data)[i] = real;
            break;
        case MLY_DTYPE_F16:
            ((uint16_t *)tensor->data)[i] = mly_f16_from_f32((float)real);
            break;
        case MLY_DTYPE_BOOL:
            ((uint8_t *)tensor->data)[i] = whole & 1;
            break;
        case MLY_DTYPE_U8:
        case MLY_DTYPE_I8:
            ((uint8_t *)tensor->data)[i] =
                (uint8_t)(filling == ONES ? 1 : mly_random_below(random, 256));
            break;
        case MLY_DTYPE_I32:
        case MLY_DTYPE_U32:
            ((uint32_t *)tensor->data)[i] = (uint32_t)whole;
            break;
        case MLY_DTYPE_I64:
        case MLY_DTYPE_U64:
            ((uint64_t *)tensor->data)[i] = whole;
            break;
        case MLY_DTYPE_I16:
        case MLY_DTYPE_U16:
            ((uint16_t *)tensor->data)[i] = (uint16_t)whole;
            break;
        default:
            break;
        }
    }
}

/* Sizes that symbolic dimensions are tried with, batch and others. */
static const int64_t sizes[][2] = {{2, 8}, {1, 1},  {1, 32},  {1, 64},
                                   {2, 2}, {4, 16}, {1, 128}, {1, 512}};
#define SIZES (sizeof sizes / sizeof sizes[0])

static bool make_inputs(const mly_model *model, const struct mly_segment *whole, size_t size,
                        enum filling filling, uint64_t seed, struct values *values)
{
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape *shapes = calloc(graph->tensor_count + 1, sizeof *shapes);
    struct mly_random random;
    bool good = shapes != NULL;
    const int64_t fixed = mly_model_fixed_batch(model);
    mly_random_init(&random, seed);
    if (good)
        good =
            mly_graph_bind(model, fixed ? fixed : sizes[size][0], NULL, 0, shapes, &err) == MLY_OK;
    for (uint32_t i = 0; good && i < whole->input_count; i++) {
        const uint32_t index = whole->inputs[i];
        struct mly_shape *shape = &shapes[index];
        for (int32_t d = 0; d < shape->rank; d++)
            if (shape->dims[d] < 0)
                shape->dims[d] = sizes[size][1];
        int64_t count;
        good = mly_shape_count(shape, &count, &err) == MLY_OK && count < 50000000 &&
               mly_tensor_init(graph->tensors[index].dtype, shape, &values->items[index], &err) ==
                   MLY_OK;
        if (good)
            fill(&values->items[index], graph->tensors[index].name, filling, &random);
    }
    free(shapes);
    return good;
}

/* A copy of the inputs alone. */
static struct values copy_inputs(const struct mly_graph *graph, const struct mly_segment *whole,
                                 const struct values *from)
{
    struct values values = values_make(graph);
    for (uint32_t i = 0; i < whole->input_count; i++)
        expect_ok(
            mly_tensor_dup(&from->items[whole->inputs[i]], &values.items[whole->inputs[i]], &err),
            err);
    return values;
}

/* --- comparing --- */

static double allowed(enum mly_dtype dtype)
{
    return dtype == MLY_DTYPE_F16 || dtype == MLY_DTYPE_BF16 ? HALF_TOLERANCE : TOLERANCE;
}

/* How far apart, of the range; infinity if they cannot be compared or integers differ. */
static double distance(const struct mly_tensor *actual, const struct mly_tensor *expected)
{
    struct mly_comparison found;
    enum mly_status status = mly_tensor_compare(actual, expected, 0, 0, &found, &err);
    if (status == MLY_E_UNSUPPORTED)
        return actual->size_bytes == expected->size_bytes &&
                       memcmp(actual->data, expected->data, actual->size_bytes) == 0
                   ? 0
                   : INFINITY;
    if (status != MLY_OK || found.nan_mismatches > 0)
        return INFINITY;
    const bool real = expected->dtype == MLY_DTYPE_F32 || expected->dtype == MLY_DTYPE_F64 ||
                      expected->dtype == MLY_DTYPE_F16 || expected->dtype == MLY_DTYPE_BF16 ||
                      expected->dtype == MLY_DTYPE_C64 || expected->dtype == MLY_DTYPE_C128;
    if (!real)
        return found.mismatches == 0 ? 0 : INFINITY;
    return found.mismatches == 0 ? 0 : found.max_relative;
}

/* --- cutting --- */

/* A random topological order of the groups, cut at random places. */
static void cut_at_random(const struct mly_graph *graph, const uint32_t *group_of_node,
                          uint32_t group_count, uint32_t parts, struct mly_random *random,
                          uint32_t *part_of_node)
{
    uint32_t *needs = calloc(group_count + 1, sizeof *needs);
    uint32_t *ready = calloc(group_count + 1, sizeof *ready);
    uint32_t *part_of_group = calloc(group_count + 1, sizeof *part_of_group);
    uint32_t begins[PARTS_MAX], count = 0, placed = 0, part = 0;
    assert_true(needs && ready && part_of_group);
    for (uint32_t t = 0; t < graph->tensor_count; t++)
        for (uint32_t c = 0;
             graph->tensors[t].producer != MLY_NO_INDEX && c < graph->tensors[t].consumer_count;
             c++)
            if (group_of_node[graph->tensors[t].producer] !=
                group_of_node[graph->tensors[t].consumers[c]])
                needs[group_of_node[graph->tensors[t].consumers[c]]]++;
    for (uint32_t g = 0; g < group_count; g++)
        if (needs[g] == 0)
            ready[count++] = g;
    for (uint32_t p = 0; p < parts; p++) /* ascending, apart, from 0 */
        begins[p] = p == 0 ? 0 : 1 + (uint32_t)mly_random_below(random, group_count - 1);
    for (uint32_t p = 1; p < parts; p++)
        for (uint32_t q = p; q > 1 && begins[q] < begins[q - 1]; q--) {
            uint32_t swap = begins[q];
            begins[q] = begins[q - 1];
            begins[q - 1] = swap;
        }
    while (count > 0) {
        const uint32_t pick = (uint32_t)mly_random_below(random, count);
        const uint32_t group = ready[pick];
        ready[pick] = ready[--count];
        while (part + 1 < parts && placed >= begins[part + 1])
            part++;
        part_of_group[group] = part;
        placed++;
        for (uint32_t i = 0; i < graph->node_count; i++) {
            if (group_of_node[i] != group)
                continue;
            for (uint32_t k = 0; k < graph->nodes[i].output_count; k++) {
                const uint32_t t = graph->nodes[i].outputs[k];
                for (uint32_t c = 0; t != MLY_NO_INDEX && c < graph->tensors[t].consumer_count;
                     c++) {
                    const uint32_t to = group_of_node[graph->tensors[t].consumers[c]];
                    if (to != group && --needs[to] == 0)
                        ready[count++] = to;
                }
            }
        }
    }
    assert_int_equal(placed, group_count);
    for (uint32_t i = 0; i < graph->node_count; i++)
        part_of_node[i] = part_of_group[group_of_node[i]];
    free(needs);
    free(ready);
    free(part_of_group);
}

static uint32_t extract_part(const mly_model *model, const uint32_t *part_of_node, uint32_t part,
                             struct mly_segment *out, enum mly_status *status)
{
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t *nodes = calloc(graph->node_count + 1, sizeof *nodes), count = 0;
    assert_non_null(nodes);
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (part_of_node[i] == part)
            nodes[count++] = i;
    *status = mly_segment_extract(model, nodes, count, out, &err);
    free(nodes);
    return count;
}

/* All parts, or false where one has nothing that is needed. */
static bool extract_parts(const mly_model *model, const uint32_t *part_of_node, uint32_t parts,
                          struct mly_segment *segments, const char *path)
{
    bool all = true;
    for (uint32_t p = 0; p < parts && all; p++) {
        enum mly_status status;
        extract_part(model, part_of_node, p, &segments[p], &status);
        all = status == MLY_OK;
        if (!all && !strstr(err.message, "nothing needs") && !strstr(err.message, "at least one"))
            fail_msg("%s: %s", path, err.message);
    }
    for (uint32_t p = 0; !all && p < parts; p++)
        mly_segment_fini(&segments[p]);
    return all;
}

static void complain(const char *path, const char *what)
{
    print_message("# DIFFERS %s: %s\n", path, what);
    failures++;
}

/* Runs the parts after one another; true if all ran. */
static bool run_parts(const mly_model *model, const struct mly_segment *segments, uint32_t parts,
                      struct values *values, const char *path)
{
    for (uint32_t p = 0; p < parts; p++) {
        mly_session *session = NULL;
        enum mly_status status = open_segment(model, &segments[p], &session);
        if (status == MLY_OK)
            status = run_segment(session, &segments[p], values);
        if (session)
            ort->close(session);
        if (status != MLY_OK) {
            char text[900];
            snprintf(text, sizeof text, "part %u of %u: %.700s", p, parts, err.message);
            complain(path, text);
            return false;
        }
    }
    return true;
}

struct subject {
    const char *path;
    mly_model *model;
    struct mly_segment whole;
    struct values wanted; /* inputs and outputs of the whole model */
    uint32_t *group_of_node, *part_of_node;
    uint32_t group_count;
    struct mly_random random;
    double worst;
};

static void compare_outputs(struct subject *it, struct values *values, uint32_t parts)
{
    const struct mly_graph *graph = mly_model_graph(it->model);
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const uint32_t index = graph->outputs[i];
        const double found = distance(&values->items[index], &it->wanted.items[index]);
        if (found > it->worst)
            it->worst = found;
        const bool half = allowed(graph->tensors[index].dtype) > TOLERANCE;
        if (half && found > tally.worst_half)
            tally.worst_half = found;
        if (!half && found > tally.worst) {
            tally.worst = found;
            snprintf(tally.worst_at, sizeof tally.worst_at, "%.350s, output '%.100s'", it->path,
                     graph->tensors[index].name);
        }
        if (found > allowed(graph->tensors[index].dtype)) {
            char text[1000];
            snprintf(text, sizeof text, "output '%.100s' by %.3g in %u parts; they begin with",
                     graph->tensors[index].name, found, parts);
            for (uint32_t p = 1; p < parts; p++)
                for (uint32_t n = 0; n < graph->node_count; n++)
                    if (it->part_of_node[n] == p) {
                        snprintf(text + strlen(text), sizeof text - strlen(text), " '%.60s'",
                                 graph->nodes[n].label);
                        break;
                    }
            complain(it->path, text);
        }
    }
}

/* One random cut; false if no try gave parts that are all needed. */
static bool cut_once(struct subject *it, struct values *inputs_of, bool compare)
{
    struct mly_segment segments[PARTS_MAX] = {{0}};
    const struct mly_graph *graph = mly_model_graph(it->model);
    for (unsigned attempt = 0; attempt < TRIES; attempt++) {
        uint32_t parts = 2 + (uint32_t)mly_random_below(&it->random, PARTS_MAX - 1);
        if (parts > it->group_count)
            parts = it->group_count;
        cut_at_random(graph, it->group_of_node, it->group_count, parts, &it->random,
                      it->part_of_node);
        if (!extract_parts(it->model, it->part_of_node, parts, segments, it->path))
            continue;
        struct values values = copy_inputs(graph, &it->whole, inputs_of);
        if (run_parts(it->model, segments, parts, &values, it->path) && compare) {
            compare_outputs(it, &values, parts);
            tally.cuts++;
            tally.parts += parts;
        }
        if (!compare) { /* the caller does */
            values_free(inputs_of);
            *inputs_of = values;
        } else {
            values_free(&values);
        }
        for (uint32_t p = 0; p < parts; p++)
            mly_segment_fini(&segments[p]);
        return true;
    }
    return false;
}

/* Runs the whole on some input that it takes; twice, because some models are random by nature. */
static bool run_whole(struct subject *it, mly_session *session, bool *random)
{
    const struct mly_graph *graph = mly_model_graph(it->model);
    for (unsigned filling = 0; filling < FILLINGS; filling++)
        for (size_t size = 0; size < SIZES; size++) {
            it->wanted = values_make(graph);
            if (make_inputs(it->model, &it->whole, size, filling, 11, &it->wanted)) {
                struct values again = copy_inputs(graph, &it->whole, &it->wanted);
                mly_session *other = NULL;
                if (run_segment(session, &it->whole, &it->wanted) == MLY_OK &&
                    open_segment(it->model, &it->whole, &other) == MLY_OK &&
                    run_segment(other, &it->whole, &again) == MLY_OK) {
                    *random = false;
                    for (uint32_t i = 0; i < graph->output_count; i++)
                        *random = *random || distance(&again.items[graph->outputs[i]],
                                                      &it->wanted.items[graph->outputs[i]]) > 0;
                    ort->close(other);
                    values_free(&again);
                    return true;
                }
                if (other)
                    ort->close(other);
                values_free(&again);
            }
            values_free(&it->wanted);
        }
    return false;
}

/* --- what others computed --- */

static bool load_tensor(const char *folder, const char *kind, uint32_t index,
                        struct mly_tensor *out)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s_%u.pb", folder, kind, index);
    return mly_tensor_load_pb(path, (size_t)64 << 20, out, NULL, &err) == MLY_OK;
}

/* Known to differ from the file beside it, by the index of the shared data. */
static bool is_bugged(const char *path)
{
    return strstr(path, "/6_Plus112_Output_0/") != NULL;
}

/* The whole model and a random cut of it against one data set. */
static void check_data_set(struct subject *it, mly_session *session, const char *folder)
{
    const struct mly_graph *graph = mly_model_graph(it->model);
    struct values values = values_make(graph);
    struct values whole = {0};
    bool good = !is_bugged(it->path);
    for (uint32_t i = 0; good && i < it->whole.input_count; i++)
        good = load_tensor(folder, "input", i, &values.items[it->whole.inputs[i]]);
    if (good) {
        whole = copy_inputs(graph, &it->whole, &values);
        good = run_segment(session, &it->whole, &whole) == MLY_OK;
    }
    if (good && cut_once(it, &values, false)) {
        tally.data_sets++;
        for (uint32_t i = 0; i < graph->output_count; i++) {
            struct mly_tensor wanted;
            const uint32_t index = graph->outputs[i];
            if (!load_tensor(folder, "output", i, &wanted))
                continue;
            const double cut = distance(&values.items[index], &wanted);
            const double by_itself = distance(&whole.items[index], &wanted);
            if (cut > tally.worst_data)
                tally.worst_data = cut;
            /* as near as the whole model is, or nearer than a thousandth of the range */
            if (cut > by_itself + TOLERANCE && cut > 1e-3) {
                char text[600];
                snprintf(text, sizeof text, "output '%.100s' by %.3g from %.300s; uncut by %.3g",
                         graph->tensors[index].name, cut, folder, by_itself);
                complain(it->path, text);
            }
            mly_tensor_fini(&wanted);
        }
    }
    values_free(&values);
    values_free(&whole);
}

static void check_data_sets(struct subject *it, mly_session *session)
{
    for (unsigned i = 0; i < 8; i++) {
        char folder[4096];
        const char *slash = strrchr(it->path, '/');
        snprintf(folder, sizeof folder, "%.*s/test_data_set_%u", (int)(slash - it->path), it->path,
                 i);
        if (access(folder, R_OK) != 0)
            break;
        check_data_set(it, session, folder);
    }
}

/* --- one model --- */

static bool set_up_subject(struct subject *it)
{
    const struct mly_graph *graph;
    if (mly_model_load(it->path, NULL, &it->model, &err) != MLY_OK) {
        tally.refused_by_reader++;
        return false;
    }
    if (ort->infer_shapes(it->model, NULL, 0, &err) != MLY_OK ||
        mly_segment_whole(it->model, &it->whole, &err) != MLY_OK) {
        tally.refused_by_runtime++;
        return false;
    }
    graph = mly_model_graph(it->model);
    it->group_of_node = calloc(graph->node_count + 1, sizeof *it->group_of_node);
    it->part_of_node = calloc(graph->node_count + 1, sizeof *it->part_of_node);
    assert_true(it->group_of_node && it->part_of_node);
    expect_ok(mly_graph_fusion_groups(graph, rule, it->group_of_node, &it->group_count, &err), err);
    mly_random_init(&it->random, 5);
    return true;
}

static void check_subject(struct subject *it)
{
    mly_session *session = NULL;
    bool random = false;
    unsigned done = 0;
    if (open_segment(it->model, &it->whole, &session) != MLY_OK) {
        tally.refused_by_runtime++;
        return;
    }
    if (!run_whole(it, session, &random)) {
        tally.not_run++;
        if (getenv("MOTLEY_SPLIT_VERBOSE"))
            print_message("# %s: not run: %s\n", it->path, err.message);
    } else if (random) {
        tally.random++;
    } else {
        while (done < cuts_wanted && it->group_count > 1 && cut_once(it, &it->wanted, true))
            done++;
        tally.whole_only += done == 0;
        if (it->group_count > 1)
            check_data_sets(it, session);
    }
    if (getenv("MOTLEY_SPLIT_VERBOSE"))
        print_message("# %-9.2e %5u nodes %5u groups %3u cuts  %s\n", it->worst,
                      mly_model_graph(it->model)->node_count, it->group_count, done, it->path);
    ort->close(session);
}

static void check_model(const char *path)
{
    const char *only = getenv("MOTLEY_SPLIT_ONLY");
    struct subject it = {.path = path};
    if (only && !strstr(path, only))
        return;
    tally.models++;
    if (set_up_subject(&it))
        check_subject(&it);
    else if (getenv("MOTLEY_SPLIT_VERBOSE"))
        print_message("# %s: refused: %s\n", path, err.message);
    values_free(&it.wanted);
    free(it.group_of_node);
    free(it.part_of_node);
    mly_segment_fini(&it.whole);
    mly_model_destroy(it.model);
}

static void begin(void)
{
    const char *cuts = getenv("MOTLEY_SPLIT_CUTS"), *version;
    ort = mly_backend_find("ort");
    assert_non_null(ort);
    if (ort->probe(&version, &err) != MLY_OK)
        TEST_SKIP("ONNX Runtime: %s", err.message);
    if (cuts)
        cuts_wanted = (unsigned)strtoul(cuts, NULL, 10);
    rule = getenv("MOTLEY_SPLIT_ANYWHERE") ? MLY_CUT_ANYWHERE : MLY_CUT_BETWEEN_PATTERNS;
    tally = (struct tally){0};
    failures = 0;
}

static void end(void)
{
    print_message(
        "# %u models: %u refused by the reader, %u by the runtime, %u ran on no input, %u "
        "random by nature, %u in one piece\n",
        tally.models, tally.refused_by_reader, tally.refused_by_runtime, tally.not_run,
        tally.random, tally.whole_only);
    print_message("# %u cuts into %u parts; largest difference %.3g of the range (%s)\n",
                  tally.cuts, tally.parts, tally.worst, tally.worst > 0 ? tally.worst_at : "-");
    print_message("# %u data sets of others, cut: largest difference %.3g\n", tally.data_sets,
                  tally.worst_data);
    assert_int_equal(failures, 0);
}

static char **paths;
static size_t path_count;

static int keep_path(const char *path, const struct stat *info, int type, struct FTW *where)
{
    size_t length = strlen(path);
    (void)info;
    (void)where;
    if (type != FTW_F || length < 5 || strcmp(path + length - 5, ".onnx") != 0)
        return 0;
    paths = realloc(paths, (path_count + 1) * sizeof *paths);
    assert_non_null(paths);
    paths[path_count++] = strdup(path);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Made by tests/data/models/make-models.py: each has something that is hard to cut. */
static void models_made_to_be_hard_compute_the_same_in_parts(void **state)
{
    (void)state;
    static const char *const names[] = {
        "constants",    "convolutions", "domains", "external", "functions",  "if",
        "initialisers", "loop",         "names",   "optional", "qdq",        "qlinear",
        "scan",         "sequence",     "sparse",  "symbols",  "transformer"};
    enum { COUNT = sizeof names / sizeof names[0] };
    begin();
    const unsigned usual = cuts_wanted;
    cuts_wanted = 24;
    for (unsigned anywhere = 0; anywhere < 2; anywhere++) {
        rule = anywhere ? MLY_CUT_ANYWHERE : MLY_CUT_BETWEEN_PATTERNS;
        for (size_t i = 0; i < COUNT; i++) {
            char path[4096];
            /* An operator cut from its QuantizeLinear works on floats: a step of quantisation apart. */
            if (anywhere && strcmp(names[i], "qdq") == 0)
                continue;
            snprintf(path, sizeof path, "%s/tests/data/models/%s.onnx",
                     test_env("MOTLEY_SOURCE_ROOT"), names[i]);
            check_model(path);
        }
    }
    cuts_wanted = usual;
    end();
    if (!getenv("MOTLEY_SPLIT_ONLY")) {
        assert_int_equal(tally.refused_by_reader + tally.refused_by_runtime + tally.not_run, 0);
        assert_true(tally.cuts >= 24 * COUNT);
    }
}

static void models_of_others_compute_the_same_in_parts(void **state)
{
    (void)state;
    const char *data = test_env("MOTLEY_SHARED_DATA");
    if (access(data, R_OK) != 0)
        TEST_SKIP("no test data at %s", data);
    begin();
    assert_int_equal(nftw(data, keep_path, 16, FTW_PHYS), 0);
    qsort(paths, path_count, sizeof *paths, by_name);
    for (size_t i = 0; i < path_count; i++) {
        check_model(paths[i]);
        free(paths[i]);
    }
    free(paths);
    end();
}

/* Members of families that are looked at. */
static const char *const members[] = {"matmul-64",    "fc-1",         "fc-2.5",
                                      "fc-4",         "edge-fc-100",  "edge-fc-620",
                                      "edge-conv-32", "edge-conv-202"};

static void check_network(const char *network)
{
    char name[128];
    snprintf(name, sizeof name, "%s.onnx", network);
    char *path = strdup(scratch_path(scratch, name));
    expect_ok(mly_zoo_write(network, path, &err), err);
    check_model(path);
    remove(path);
    free(path);
}

static void check_networks(bool large)
{
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        struct mly_zoo_measures measures;
        if (entry->is_family)
            continue;
        expect_ok(mly_zoo_measure(entry->name, &measures, &err), err);
        if ((measures.weight_bytes > SMALL_BYTES || measures.macs > SMALL_MACS) != large)
            continue;
        check_network(entry->name);
    }
}

static void networks_of_the_zoo_compute_the_same_in_parts(void **state)
{
    (void)state;
    begin();
    check_networks(false);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        check_network(members[i]);
    end();
}

static void large_networks_compute_the_same_in_parts(void **state)
{
    (void)state;
    if (!getenv("MOTLEY_TEST_LARGE"))
        TEST_SKIP("MOTLEY_TEST_LARGE is not set");
    begin();
    check_networks(true);
    end();
}

static int set_up(void **state)
{
    (void)state;
    scratch = scratch_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_made_to_be_hard_compute_the_same_in_parts),
        cmocka_unit_test(models_of_others_compute_the_same_in_parts),
        cmocka_unit_test(networks_of_the_zoo_compute_the_same_in_parts),
        cmocka_unit_test(large_networks_compute_the_same_in_parts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The zoo: what its files hold, against what is published, and that they are the same on every box.
 */
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/graph.h"
#include "model/zoo.h"
#include "support/expect.h"

/* Of what is published; networks with a note, which says why, may differ by twice that. */
#define TOLERANCE 0.005

static char *scratch;

/* --- an independent reader: protobuf's wire format, as far as files of the zoo use it --- */

struct span {
    const uint8_t *at, *end;
};

static uint64_t varint(struct span *s)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        assert_true(s->at < s->end);
        uint8_t byte = *s->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail_msg("a varint is too long");
    return 0;
}

/* The next field's number; its value in *number or *bytes. 0 at the end. */
static unsigned field(struct span *s, uint64_t *number, struct span *bytes)
{
    if (s->at == s->end)
        return 0;
    uint64_t tag = varint(s);
    switch (tag & 7) {
    case 0:
        *number = varint(s);
        break;
    case 2:
        *number = varint(s);
        assert_true(*number <= (uint64_t)(s->end - s->at));
        *bytes = (struct span){s->at, s->at + *number};
        s->at += *number;
        break;
    case 5:
        assert_true(s->end - s->at >= 4);
        s->at += 4;
        break;
    default:
        fail_msg("wire type %u", (unsigned)(tag & 7));
    }
    return (unsigned)(tag >> 3);
}

struct contents {
    double weights; /* elements of initialisers */
    double largest, mean;
    unsigned nodes, initialisers, inputs, outputs, symbolic_batches, ir_version, opset;
};

static void read_initialiser(struct span tensor, struct contents *out)
{
    uint64_t number, elements = 1;
    struct span bytes, raw = {0};
    for (unsigned f; (f = field(&tensor, &number, &bytes));) {
        if (f == 1)
            elements *= number;
        else if (f == 2)
            assert_int_equal(number, 1); /* FLOAT */
        else if (f == 9)
            raw = bytes;
    }
    assert_int_equal(raw.end - raw.at, elements * sizeof(float));
    double sum = 0;
    for (uint64_t i = 0; i < elements; i++) {
        float value;
        memcpy(&value, raw.at + i * sizeof(value), sizeof(value));
        assert_true(isfinite(value));
        out->largest = fmax(out->largest, fabs((double)value));
        sum += (double)value;
    }
    out->mean += sum;
    out->weights += (double)elements;
    out->initialisers++;
}

static bool contains(struct span s, const char *text)
{
    return memmem(s.at, (size_t)(s.end - s.at), text, strlen(text)) != NULL;
}

static struct contents read_network(const char *path)
{
    struct contents out = {0};
    struct mly_file_map map;
    struct mly_error err = {0};
    expect_ok(mly_file_map_open(path, &map, &err), err);
    struct span model = {map.data, map.data + map.length}, graph, bytes;
    uint64_t number;
    for (unsigned f; (f = field(&model, &number, &bytes));) {
        if (f == 1)
            out.ir_version = (unsigned)number;
        if (f == 8) {
            for (unsigned g; (g = field(&bytes, &number, &graph));)
                if (g == 2)
                    out.opset = (unsigned)number;
        }
        if (f != 7)
            continue;
        graph = bytes;
        for (unsigned g; (g = field(&graph, &number, &bytes));) {
            out.nodes += g == 1;
            out.inputs += g == 11;
            out.outputs += g == 12;
            if (g == 11 || g == 12)
                out.symbolic_batches += contains(bytes, "batch");
            if (g == 5)
                read_initialiser(bytes, &out);
        }
    }
    mly_file_map_close(&map);
    out.mean /= out.weights;
    return out;
}

/* What the model reader counts in a file, by rules of its own. */
static struct mly_graph_totals count_network(const char *path)
{
    mly_model *model;
    struct mly_error err = {0};
    struct mly_graph_totals totals;
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_shape *shapes = mly_alloc_array(graph->tensor_count, sizeof *shapes);
    assert_non_null(shapes);
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    expect_ok(mly_graph_totals(graph, shapes, &totals, &err), err);
    mly_free(shapes);
    mly_model_destroy(model);
    return totals;
}

static void hash_file(const char *path, char text[MLY_HASH_TEXT_BYTES])
{
    struct mly_file_map map;
    struct mly_error err = {0};
    expect_ok(mly_file_map_open(path, &map, &err), err);
    expect_ok(mly_hash_bytes(map.data, map.length, text, &err), err);
    mly_file_map_close(&map);
}

/* --- cases --- */

static void expect_published(const struct mly_zoo_entry *entry, const char *what, double counted,
                             double published)
{
    double tolerance = entry->note ? 2 * TOLERANCE : TOLERANCE;
    if (published > 0 && fabs(counted / published - 1) > tolerance)
        fail_msg("%s: %.0f %s, published are %.0f", entry->name, counted, what, published);
}

static void counts_are_those_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        struct mly_zoo_measures measures;
        struct mly_error err = {0};
        assert_true(*entry->name && *entry->summary && *entry->source);
        assert_true(entry->is_family == (entry->numbers != NULL));
        if (entry->is_family)
            continue;
        expect_ok(mly_zoo_measure(entry->name, &measures, &err), err);
        assert_true(measures.parameters > 0 && measures.macs > 0);
        expect_published(entry, "parameters", measures.parameters, entry->published_parameters);
        expect_published(entry, "MACs", measures.macs, entry->published_macs);
    }
    assert_null(mly_zoo_entry(mly_zoo_count()));
}

/* Members of families, counted by hand from the papers' words. */
static void families_have_the_papers_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double parameters, macs;
    } members[] = {
        {"matmul-64", 4096, 4096},
        {"matmul-1024", 1048576, 1048576},
        /* 1024-181-90-45-32-10 */
        {"fc-5", 207444 + 181 + 90 + 45 + 32 + 10, 207444},
        /* 16384-1448-548-207-128-14 */
        {"fc-7", 24659260 + 1448 + 548 + 207 + 128 + 14, 24659260},
        {"edge-fc-100", 64 * 100 + 3 * 10000 + 1000 + 410, 64 * 100 + 3 * 10000 + 1000},
        {"edge-conv-32", 9 * 32 * (3 + 4 * 32) + 5 * 32, 9.0 * 32 * (3 + 4 * 32) * 64 * 64},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        struct mly_zoo_measures measures;
        struct mly_error err = {0};
        expect_ok(mly_zoo_measure(members[i].name, &measures, &err), err);
        if (measures.parameters != members[i].parameters || measures.macs != members[i].macs)
            fail_msg("%s: %.0f parameters, %.0f MACs", members[i].name, measures.parameters,
                     measures.macs);
    }
}

static void a_number_that_a_family_does_not_take_is_refused_with_the_rule(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "matmul-0",     "matmul-16385",   "matmul-N",
        "matmul-",      "matmul--1",      "matmul-12 ",
        "matmul-1.5",   "matmul-1x",      "matmul-99999999999999999999",
        "fc-0.5",       "fc-7.5",         "fc-2.25",
        "fc-L",         "fc-.5",          "edge-fc-0",
        "edge-fc-8193", "edge-conv-2049", "edge-conv-abc",
    };
    const char *path = scratch_path(scratch, "wrong.onnx");
    struct mly_error err = {0};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_error(mly_zoo_write(wrong[i], path, &err), MLY_E_INVALID, err, " from 1 to ");
    expect_error(mly_zoo_write("fc-2.25", path, &err), MLY_E_INVALID, err,
                 "in steps of 0.5, as in fc-2.5");
    assert_int_equal(access(path, F_OK), -1);
    expect_ok(mly_zoo_write("matmul-1", path, &err), err);
}

static void files_hold_what_was_measured(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned outputs;
    } networks[] = {
        {"googlenet", 1},        {"mobilenet-v2", 1}, {"squeezenet", 1},
        {"xception", 1},         {"fc-1", 1},         {"mobilenet-v1", 1},
        {"ssd-mobilenet-v1", 2}, {"cifarnet", 1},     {"cnn1", 1},
    };
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        const char *path = scratch_path(scratch, "network.onnx");
        struct mly_zoo_measures measures;
        struct mly_error err = {0};
        expect_ok(mly_zoo_measure(networks[i].name, &measures, &err), err);
        expect_ok(mly_zoo_write(networks[i].name, path, &err), err);
        struct contents contents = read_network(path);
        assert_true(contents.weights == measures.parameters);
        assert_true(contents.weights * sizeof(float) == measures.weight_bytes);
        struct mly_graph_totals totals = count_network(path);
        assert_int_equal(totals.unknown_nodes, 0);
        assert_true(totals.parameters == measures.parameters);
        assert_true(totals.macs == measures.macs);
        assert_int_equal(contents.inputs, 1);
        assert_int_equal(contents.outputs, networks[i].outputs);
        assert_int_equal(contents.symbolic_batches, 1 + networks[i].outputs);
        assert_int_equal(contents.ir_version, 8);
        assert_int_equal(contents.opset, 17);
        assert_true(contents.nodes > contents.initialisers / 2);
        /* Scaled by what a unit sums, and centred. */
        assert_true(contents.largest < 4);
        assert_true(contents.weights < 1e5 || fabs(contents.mean) < 1e-3);
    }
}

static void bytes_are_the_same_on_every_box(void **state)
{
    (void)state;
    static const struct {
        const char *name, *hash;
    } pinned[] = {
        {"squeezenet-1.1", "827461777b3f19b7b5139166bc854ebffc3f676411d8577b5dd7274f3b650dfa"},
        {"fc-5", "e36167a6f678b539b3b6a3c50d6726424848dd85ee9274cc24a3409e52998fbc"},
    };
    for (size_t i = 0; i < sizeof(pinned) / sizeof(pinned[0]); i++) {
        const char *path = scratch_path(scratch, "network.onnx"),
                   *again = scratch_path(scratch, "again.onnx");
        char first[MLY_HASH_TEXT_BYTES], second[MLY_HASH_TEXT_BYTES];
        struct mly_error err = {0};
        expect_ok(mly_zoo_write(pinned[i].name, path, &err), err);
        expect_ok(mly_zoo_write(pinned[i].name, again, &err), err);
        hash_file(path, first);
        hash_file(again, second);
        assert_string_equal(first, second);
        assert_string_equal(first, pinned[i].hash);
    }
}

static void two_spellings_of_a_number_are_one_network(void **state)
{
    (void)state;
    const char *path = scratch_path(scratch, "one.onnx"),
               *again = scratch_path(scratch, "two.onnx");
    char first[MLY_HASH_TEXT_BYTES], second[MLY_HASH_TEXT_BYTES];
    struct mly_error err = {0};
    expect_ok(mly_zoo_write("fc-2", path, &err), err);
    expect_ok(mly_zoo_write("fc-2.0", again, &err), err);
    hash_file(path, first);
    hash_file(again, second);
    assert_string_equal(first, second);
}

static void an_unknown_name_is_answered_with_near_ones(void **state)
{
    (void)state;
    const char *path = scratch_path(scratch, "unknown.onnx");
    struct mly_zoo_measures measures = {.macs = 7};
    struct mly_error err = {0};
    expect_error(mly_zoo_write("vgg17", path, &err), MLY_E_NOT_FOUND, err, "vgg11, vgg16, vgg19");
    expect_error(mly_zoo_write("mobilenet_v2", path, &err), MLY_E_NOT_FOUND, err, "mobilenet-v2");
    expect_error(mly_zoo_write("GoogLeNet", path, &err), MLY_E_NOT_FOUND, err, "googlenet");
    expect_error(mly_zoo_write("squeeze", path, &err), MLY_E_NOT_FOUND, err,
                 "squeezenet, squeezenet-1.1");
    expect_error(mly_zoo_write("zzz", path, &err), MLY_E_NOT_FOUND, err, "motley zoo");
    expect_error(mly_zoo_write("", path, &err), MLY_E_NOT_FOUND, err, "''");
    expect_error(
        mly_zoo_measure("a-name-that-is-far-too-long-for-any-network-of-the-zoo", &measures, &err),
        MLY_E_NOT_FOUND, err, "a-name-that");
    assert_true(measures.macs == 7);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct mly_error err = {0};
    const char *path = scratch_path(scratch, "none/network.onnx");
    expect_error(mly_zoo_write("squeezenet-1.1", path, &err), MLY_E_NOT_FOUND, err,
                 "none/network.onnx");
}

/* Every allocation in turn fails: an error, and no file. */
static void short_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    const char *path = scratch_path(scratch, "short.onnx");
    struct mly_error err = {0};
    for (uint64_t n = 1;; n++) {
        mly_alloc_fail_after(n);
        enum mly_status status = mly_zoo_write("squeezenet-1.1", path, &err);
        mly_alloc_fail_after(0);
        if (status == MLY_OK) {
            assert_true(n > 4);
            break;
        }
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_int_equal(access(path, F_OK), -1);
    }
    assert_int_equal(read_network(path).inputs, 1);
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
        cmocka_unit_test(counts_are_those_published),
        cmocka_unit_test(families_have_the_papers_sizes),
        cmocka_unit_test(a_number_that_a_family_does_not_take_is_refused_with_the_rule),
        cmocka_unit_test(files_hold_what_was_measured),
        cmocka_unit_test(bytes_are_the_same_on_every_box),
        cmocka_unit_test(two_spellings_of_a_number_are_one_network),
        cmocka_unit_test(an_unknown_name_is_answered_with_near_ones),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(short_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

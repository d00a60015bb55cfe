/* Reading a large model costs memory for its structure, not for its weights. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "model/segment.h"
#include "test_model_wire.h"

#define WEIGHT_BYTES (UINT64_C(137) * 1000 * 1000)
#define WEIGHTS 4
#define ALLOWED_BYTES (INT64_C(16) << 20)

static struct mly_error err;

static int64_t anonymous_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long long kibibytes = -1;
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lld kB", &kibibytes) == 1)
            break;
    fclose(file);
    if (kibibytes < 0)
        TEST_SKIP("this kernel does not tell RssAnon");
    return (int64_t)kibibytes * 1024;
}

/* A model of 550 MB whose weights are a hole in the file: nothing is written or read for them. */
static void write_large_model(const char *path)
{
    struct wire head = {0}, tail = {0}, opset = {0};
    uint64_t initialisers = 0;
    struct wire tensors[WEIGHTS];
    for (unsigned i = 0; i < WEIGHTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        tensors[i] = onnx_tensor(name, 2, "137 1000 1000");
        wire_varint(&tensors[i], 9 << 3 | 2); /* raw_data */
        wire_varint(&tensors[i], WEIGHT_BYTES);
        struct wire header = {0};
        wire_varint(&header, GRAPH_INITIALISER << 3 | 2);
        wire_varint(&header, tensors[i].length + WEIGHT_BYTES);
        wire_raw(&header, tensors[i].data, tensors[i].length);
        wire_drop(&tensors[i]);
        tensors[i] = header;
        initialisers += header.length + WEIGHT_BYTES;
    }
    wire_put(&tail, GRAPH_NODE, onnx_node("Sum", "", "x w0 w1 w2 w3", "y"));
    wire_put(&tail, GRAPH_INPUT, onnx_value("x", 2, "1"));
    wire_put(&tail, GRAPH_OUTPUT, onnx_value("y", 2, "137 1000 1000"));
    wire_int(&head, 1, 8);
    wire_int(&opset, 2, 13);
    wire_put(&head, 8, opset);
    wire_varint(&head, 7 << 3 | 2);
    wire_varint(&head, initialisers + tail.length);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    off_t at = 0;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, head.data, head.length, at), head.length);
    at += (off_t)head.length;
    for (unsigned i = 0; i < WEIGHTS; i++) {
        assert_int_equal(pwrite(fd, tensors[i].data, tensors[i].length, at), tensors[i].length);
        at += (off_t)(tensors[i].length + WEIGHT_BYTES);
        wire_drop(&tensors[i]);
    }
    assert_int_equal(pwrite(fd, tail.data, tail.length, at), tail.length);
    close(fd);
    wire_drop(&head);
    wire_drop(&tail);
}

static void a_model_of_550_megabytes_is_read_and_cut_in_a_few(void **state)
{
    (void)state;
    char *scratch = scratch_create();
    const char *path = scratch_path(scratch, "large.onnx");
    write_large_model(path);
    const int64_t before = anonymous_bytes();
    mly_model *model = NULL;
    struct mly_segment segment = {0};
    expect_ok(mly_model_load(path, NULL, &model, &err), err);
    expect_ok(mly_segment_whole(model, &segment, &err), err);
    const int64_t grown = anonymous_bytes() - before;
    struct mly_shape shapes[8];
    struct mly_graph_totals totals;
    expect_ok(mly_graph_bind(model, 1, NULL, 0, shapes, &err), err);
    expect_ok(mly_graph_totals(mly_model_graph(model), shapes, &totals, &err), err);
    assert_true(totals.weight_bytes == (double)(WEIGHTS * WEIGHT_BYTES));
    assert_true(segment.onnx_bytes < 4096);
    printf("# %lld KiB for a file of %llu MB\n", (long long)(grown / 1024),
           (unsigned long long)(WEIGHTS * WEIGHT_BYTES / 1000000));
    assert_true(grown < ALLOWED_BYTES);
    mly_segment_fini(&segment);
    mly_model_destroy(model);
    scratch_remove(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_of_550_megabytes_is_read_and_cut_in_a_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

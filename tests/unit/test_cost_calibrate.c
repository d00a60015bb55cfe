/* Files of measurements, and fitting a device to them: what is known is found again. */
#include "support/expect.h"
#include "support/hollow.h"

#include <math.h>

#include "base/alloc.h"
#include "base/random.h"
#include "cost/calibrate.h"

static struct mly_error err;

static int setup(void **state)
{
    (void)state;
    return unsetenv("MOTLEY_DEVICES");
}

static int teardown(void **state)
{
    (void)state;
    return 0;
}

/* --- files --- */

static enum mly_status parse(const char *text, struct mly_measurement_list *list)
{
    return mly_measurements_parse("m.csv", text, strlen(text), list, &err);
}

static void lines_are_read(void **state)
{
    (void)state;
    static const char text[] = "# a remark\n"
                               "\n"
                               "model, batch ,time_ms,on_chip_mib,links\r\n"
                               "edge-fc-100,2,0.25,0.5,no\r\n"
                               "\"my \"\"own\"\", model.onnx\" ,,1e3,,\n"
                               "  # another\n"
                               "vgg16,1,9,,yes";
    struct mly_measurement_list list = {0};
    expect_ok(parse(text, &list), err);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].model, "edge-fc-100");
    assert_int_equal(list.items[0].batch, 2);
    assert_true(list.items[0].time_ns == 0.25e6 && list.items[0].on_chip_bytes == 524288);
    assert_true(!list.items[0].links && list.items[0].off_chip_bytes == -1);
    assert_int_equal(list.items[0].line, 4);
    assert_string_equal(list.items[1].model, "my \"own\", model.onnx");
    assert_true(list.items[1].batch == 1 && list.items[1].time_ns == 1e9 && list.items[1].links);
    assert_true(list.items[1].on_chip_bytes == -1);
    assert_int_equal(list.items[2].line, 7);
    mly_measurement_list_fini(&list);
    assert_null(list.items);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "m.csv:1: no line that names the columns"},
        {"# only\n\n", "no line that names the columns"},
        {"model,time_ms\n", "no measurements"},
        {"model\na\n", "m.csv:1: time_ms: missing"},
        {"time_ms\n1\n", "m.csv:1: model: missing"},
        {"model,time_ms,speed\n", "m.csv:1: 'speed' is no column; known are model, time_ms"},
        {"model,time_ms,model\n", "m.csv:1: model: given twice"},
        {"model,time_ms\n\na,1\nb\n", "m.csv:4: 1 values; the first line names 2"},
        {"model,time_ms\na,1,2\n", "m.csv:2: 3 values; the first line names 2"},
        {"model,time_ms\n,1\n", "m.csv:2: model: is empty"},
        {"model,time_ms\na,\n", "m.csv:2: time_ms: is empty"},
        {"model,time_ms\na,fast\n", "m.csv:2: time_ms: 'fast' is no number from 1e-06 to 1e+09"},
        {"model,time_ms\na,0\n", "'0' is no number"},
        {"model,time_ms\na,-3\n", "'-3' is no number"},
        {"model,time_ms\na,1e99\n", "is no number"},
        {"model,time_ms\na,nan\n", "is no number"},
        {"model,time_ms\na,0x10\n", "is no number"},
        {"model,time_ms\na,1 ms\n", "is no number"},
        {"model,time_ms,batch\na,1,0\n", "m.csv:2: batch: '0' is no number from 1 to 65536"},
        {"model,time_ms,batch\na,1,1.5\n", "m.csv:2: batch: is no whole number"},
        {"model,time_ms,links\na,1,maybe\n", "m.csv:2: links: is neither yes nor no"},
        {"model,time_ms,off_chip_mib\na,1,-1\n", "off_chip_mib: '-1' is no number"},
        {"model,time_ms\n\"a,1\n", "m.csv:2: a quotation mark is missing"},
        {"model,time_ms\n\"a\"b,1\n", "m.csv:2: a comma is missing after a quotation mark"},
        {",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n", "m.csv:1: over 32 columns"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mly_measurement_list list = {0};
        expect_error(parse(cases[i].text, &list), MLY_E_FORMAT, err, cases[i].says);
        assert_null(list.items);
    }
    struct mly_measurement_list list = {0};
    expect_error(mly_measurements_parse("m.csv", "a\0b", 3, &list, &err), MLY_E_FORMAT, err, "NUL");
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct mly_measurement_list list = {0};
    char *text = mly_alloc(MLY_MEASUREMENT_BYTES_MAX + 1);
    assert_non_null(text);
    expect_error(mly_measurements_parse("m.csv", text, MLY_MEASUREMENT_BYTES_MAX + 1, &list, &err),
                 MLY_E_LIMIT, err, "4194304");
    size_t length = (size_t)sprintf(text, "model,time_ms\n");
    for (uint32_t i = 0; i <= MLY_MEASUREMENT_ROWS_MAX; i++)
        length += (size_t)sprintf(text + length, "a,1\n");
    expect_error(mly_measurements_parse("m.csv", text, length, &list, &err), MLY_E_LIMIT, err,
                 "m.csv:10002: over 10000 measurements");
    mly_free(text);
}

static void reading_may_run_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct mly_measurement_list list = {0};
        mly_alloc_fail_once(n);
        uint64_t before = mly_alloc_count();
        enum mly_status status = parse("model,time_ms\na,1\nb,2\n", &list);
        uint64_t made = mly_alloc_count() - before;
        mly_alloc_fail_after(0);
        mly_measurement_list_fini(&list);
        if (status == MLY_OK && made < n)
            break;
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_true(n < 100);
    }
}

/* --- fitting --- */

static const char *const networks[] = {
    "edge-fc-200",   "edge-fc-900",   "edge-fc-1400",  "edge-fc-1700",  "edge-fc-2200",
    "edge-conv-64",  "edge-conv-128", "edge-conv-256", "edge-conv-400", "edge-conv-500",
    "edge-conv-600", "mobilenet-v1",  "squeezenet",    "resnet18",
};
#define NETWORKS (sizeof networks / sizeof *networks)

struct bench {
    struct mly_device_model device;
    mly_model *models[NETWORKS];
    mly_modelled *modelled[NETWORKS];
    struct mly_calibration_row rows[NETWORKS];
    struct mly_calibration_constant constants[MLY_DEVICE_CONSTANT_COUNT];
    size_t constant_count;
};

/* Rows as a device that is given would have measured them. */
static void bench_open(struct bench *bench, const char *name)
{
    *bench = (struct bench){.device = *mly_device_model_find(name)};
    for (size_t i = 0; i < NETWORKS; i++) {
        bench->models[i] = hollow_network(networks[i]);
        expect_ok(mly_modelled_create(&bench->device, bench->models[i], 1, NULL, 0,
                                      &bench->modelled[i], &err),
                  err);
        bench->rows[i] =
            (struct mly_calibration_row){.modelled = bench->modelled[i], .links = true};
    }
}

static void bench_measure(struct bench *bench)
{
    for (size_t i = 0; i < NETWORKS; i++) {
        struct mly_modelled_cost cost;
        expect_ok(mly_modelled_segment(bench->modelled[i], NULL, 0, &cost, &err), err);
        bench->rows[i].measured_ns = cost.execution_ns + cost.input_ns + cost.output_ns;
    }
}

static void bench_close(struct bench *bench)
{
    for (size_t i = 0; i < NETWORKS; i++) {
        mly_modelled_destroy(bench->modelled[i]);
        mly_model_destroy(bench->models[i]);
    }
}

static double value(const struct bench *bench, size_t index)
{
    return mly_device_constant_get(&bench->device, index);
}

static void expect_within(double found, double wanted, double share)
{
    if (fabs(found / wanted - 1) > share)
        fail_msg("%g is not within %g %% of %g", found, 100 * share, wanted);
}

static void fit(struct bench *bench)
{
    bench->constant_count = mly_calibration_constants(&bench->device, bench->constants);
    expect_ok(mly_calibrate(&bench->device, bench->constants, bench->constant_count, bench->rows,
                            NETWORKS, &err),
              err);
}

static void constants_are_found_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "edgetpu-pcie");
    bench_measure(&bench);
    const struct mly_device_model truth = bench.device;
    mly_device_constant_set(&bench.device, MLY_DEVICE_LAUNCH_NS, 2 * truth.launch_ns);
    mly_device_constant_set(&bench.device, MLY_DEVICE_EDGETPU_CONV_MACS_PER_S,
                            truth.edgetpu.conv_macs_per_s / 3);
    mly_device_constant_set(&bench.device, MLY_DEVICE_EDGETPU_STREAM_BYTES_PER_S,
                            truth.edgetpu.stream_bytes_per_s * 1.7);
    fit(&bench);
    expect_within(bench.device.launch_ns, truth.launch_ns, 0.05);
    expect_within(bench.device.edgetpu.conv_macs_per_s, truth.edgetpu.conv_macs_per_s, 0.05);
    expect_within(bench.device.edgetpu.stream_bytes_per_s, truth.edgetpu.stream_bytes_per_s, 0.03);
    for (size_t i = 0; i < NETWORKS; i++) {
        assert_true(bench.rows[i].before_ns != bench.rows[i].after_ns);
        expect_within(bench.rows[i].after_ns, bench.rows[i].measured_ns, 0.05);
    }
    for (size_t k = 0; k < bench.constant_count; k++)
        assert_true(bench.constants[k].after == value(&bench, bench.constants[k].index));
    bench_close(&bench);
}

static void scatter_and_one_wild_row_do_little_harm(void **state)
{
    (void)state;
    struct bench bench;
    struct mly_random random;
    bench_open(&bench, "edgetpu-pcie");
    bench_measure(&bench);
    const struct mly_device_model truth = bench.device;
    mly_random_init(&random, 7);
    for (size_t i = 0; i < NETWORKS; i++)
        bench.rows[i].measured_ns *= 1 + 0.02 * mly_random_normal(&random);
    bench.rows[8].measured_ns *= 6;
    mly_device_constant_set(&bench.device, MLY_DEVICE_EDGETPU_STREAM_BYTES_PER_S,
                            truth.edgetpu.stream_bytes_per_s / 2);
    fit(&bench);
    expect_within(bench.device.edgetpu.stream_bytes_per_s, truth.edgetpu.stream_bytes_per_s, 0.1);
    assert_true(bench.rows[8].weight < 0.2);
    bench_close(&bench);
}

static void what_rows_do_not_tell_stays(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "edgetpu-pcie");
    bench_measure(&bench);
    const struct mly_device_model before = bench.device;
    for (size_t i = 0; i < NETWORKS; i++)
        bench.rows[i].measured_ns *= 1.3;
    bench.constant_count = mly_calibration_constants(&bench.device, bench.constants);
    /* nothing streams in the first row alone */
    expect_ok(
        mly_calibrate(&bench.device, bench.constants, bench.constant_count, bench.rows, 1, &err),
        err);
    for (size_t k = 0; k < bench.constant_count; k++)
        if (bench.constants[k].index == MLY_DEVICE_EDGETPU_STREAM_BYTES_PER_S ||
            bench.constants[k].index == MLY_DEVICE_EDGETPU_STREAM_NS)
            assert_true(bench.constants[k].spread < 0);
    assert_true(bench.device.edgetpu.stream_bytes_per_s == before.edgetpu.stream_bytes_per_s);
    assert_true(bench.device.edgetpu.lanes == before.edgetpu.lanes);
    bench_close(&bench);
}

static void a_roofline_is_fitted_too(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "p100");
    bench_measure(&bench);
    const struct mly_device_model truth = bench.device;
    mly_device_constant_set(&bench.device, MLY_DEVICE_EFFICIENCY, 0.3);
    fit(&bench);
    double error = 0;
    for (size_t i = 0; i < NETWORKS; i++)
        error += fabs(bench.rows[i].after_ns / bench.rows[i].measured_ns - 1) / NETWORKS;
    assert_true(error < 0.03);
    assert_true(bench.device.macs_per_s[MLY_DTYPE_F32] == truth.macs_per_s[MLY_DTYPE_F32]);
    bench_close(&bench);
}

static void failures_change_nothing(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "edgetpu-pcie");
    bench_measure(&bench);
    bench.constant_count = mly_calibration_constants(&bench.device, bench.constants);
    expect_error(
        mly_calibrate(&bench.device, bench.constants, bench.constant_count, bench.rows, 0, &err),
        MLY_E_INVALID, err, "0 rows");
    expect_error(mly_calibrate(&bench.device, bench.constants, 0, bench.rows, 1, &err),
                 MLY_E_INVALID, err, "0 constants");
    const struct mly_device_model before = bench.device;
    for (uint64_t n = 1; n < 40; n += 3) {
        mly_alloc_fail_once(n);
        enum mly_status status = mly_calibrate(&bench.device, bench.constants, bench.constant_count,
                                               bench.rows, NETWORKS, &err);
        mly_alloc_fail_after(0);
        assert_int_equal(status, MLY_E_NO_MEMORY);
        assert_memory_equal(&bench.device, &before, sizeof before);
    }
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(there_is_an_end_to_it),
        cmocka_unit_test(reading_may_run_out_of_memory),
        cmocka_unit_test(constants_are_found_again),
        cmocka_unit_test(scatter_and_one_wild_row_do_little_harm),
        cmocka_unit_test(what_rows_do_not_tell_stays),
        cmocka_unit_test(a_roofline_is_fitted_too),
        cmocka_unit_test(failures_change_nothing),
    };
    return cmocka_run_group_tests(cases, setup, teardown);
}

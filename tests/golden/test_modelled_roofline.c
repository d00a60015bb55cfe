/*
 * The roofline devices against what was published of them. Errors are printed, and checked against bounds that are recorded
 * here: as they are, not as one would like them.
 *
 * Rows: Hadidi et al. 2019 (Jetson Nano, TensorRT); Damle and Jayakumar 2024, table 1 (GTX 1650 and a Xeon of 2.2 GHz);
 * Villarrubia et al. 2023, raw data (i9-9900K, TFLite in 8 bits); coral.ai's benchmarks (one Cortex-A53 core, TFLite in 8
 * bits); Beaumont et al. 2024 (P100 beside 2 x 16 cores of E5-2683 v4: shapes, no numbers).
 */
#include "support/hollow.h"
#include "unit/test_model_wire.h"

#include <math.h>
#include <stdlib.h>

#include "cost/modelled.h"
#include "device/modelled.h"

static int setup(void **state)
{
    (void)state;
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    return unsetenv("MOTLEY_DEVICES");
}

static int teardown(void **state)
{
    (void)state;
    return 0;
}

static struct mly_device_model device(const char *name)
{
    const struct mly_device_model *found = mly_device_model_find(name);
    assert_non_null(found);
    return *found;
}

/* The whole network of the zoo. */
static struct mly_modelled_cost cost_on(const struct mly_device_model *on, const char *network,
                                        uint32_t batch)
{
    struct mly_error err = {0};
    mly_model *model = hollow_network(network);
    mly_modelled *modelled = NULL;
    struct mly_modelled_cost cost;
    expect_ok(mly_modelled_create(on, model, batch, NULL, 0, &modelled, &err), err);
    expect_ok(mly_modelled_segment(modelled, NULL, 0, &cost, &err), err);
    mly_modelled_destroy(modelled);
    mly_model_destroy(model);
    return cost;
}

static double total_ms(const struct mly_modelled_cost *cost)
{
    return (cost->execution_ns + cost->input_ns + cost->output_ns) * 1e-6;
}

/* A modelled time against a published one; the factor between them, 1 or more. */
static double print_row(const char *what, double published_ms, double modelled_ms)
{
    printf("# %-24s %9.3f ms published %9.3f modelled  %+6.1f %%\n", what, published_ms,
           modelled_ms, 100 * (modelled_ms / published_ms - 1));
    return fmax(modelled_ms / published_ms, published_ms / modelled_ms);
}

struct published {
    const char *network;
    double ms;
    double factor; /* recorded bound */
};

static void jetson_nano(void **state)
{
    (void)state;
    /*
     * TensorRT in half precision, batch 1; three constants were fitted to these nine. No roofline explains AlexNet: VGG-16 has
     * twenty times its products and twice its weights, and took twice as long.
     */
    static const struct published rows[] = {
        {"resnet18", 23, 1.35},        {"resnet50", 32, 1.55},  {"mobilenet-v2", 18, 1.1},
        {"inception-v4", 95, 1.15},    {"alexnet", 46, 4.1},    {"vgg16", 92, 1.4},
        {"ssd-mobilenet-v1", 32, 1.2}, {"tiny-yolo", 42, 1.35}, {"c3d", 229, 1.2},
    };
    const struct mly_device_model nano = device("jetson-nano");
    double logs = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mly_modelled_cost cost = cost_on(&nano, rows[i].network, 1);
        double factor = print_row(rows[i].network, rows[i].ms, total_ms(&cost));
        logs += log(factor);
        if (factor > rows[i].factor)
            fail_msg("%s: off by a factor of %.2f", rows[i].network, factor);
    }
    double mean = exp(logs / (sizeof rows / sizeof *rows));
    printf("# geometric mean of the factors: %.3f\n", mean);
    assert_true(mean <= 1.4);
}

/* One product of a vector and an N x N matrix; "loading" brings the weights, too. */
static void matrix_products(void **state)
{
    (void)state;
    static const struct {
        const char *network;
        double alone_ms, loading_ms, xeon_ms;
    } rows[] = {
        {"matmul-64", 0.0624, 0.2009, 0.0412},   {"matmul-128", 0.1252, 0.3865, 0.0687},
        {"matmul-256", 0.0718, 0.4294, 0.0518},  {"matmul-512", 0.0930, 0.6712, 0.0661},
        {"matmul-1024", 0.1106, 1.3720, 0.1555},
    };
    const struct mly_device_model gpu = device("gtx1650"), xeon = device("xeon-e5-2683v4");
    double alone = 1, loading = 1, cpu = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mly_modelled_cost on_gpu = cost_on(&gpu, rows[i].network, 1),
                                 on_cpu = cost_on(&xeon, rows[i].network, 1);
        printf("# %s\n", rows[i].network);
        alone = fmax(alone, print_row("  GTX 1650", rows[i].alone_ms, on_gpu.execution_ns * 1e-6));
        loading = fmax(loading, print_row("  GTX 1650, loading", rows[i].loading_ms,
                                          total_ms(&on_gpu) + on_gpu.first_ns * 1e-6));
        cpu = fmax(cpu, print_row("  Xeon, 2.2 GHz (another)", rows[i].xeon_ms,
                                  on_cpu.execution_ns * 1e-6));
    }
    printf("# largest factors: %.2f alone, %.2f with loading, %.2f on the Xeon\n", alone, loading,
           cpu);
    /* with loading TensorFlow copies from memory that is not pinned; the Xeon is another one, in a cloud */
    assert_true(alone <= 1.5 && loading <= 3.6 && cpu <= 4.3);
}

/* TFLite computes in 8 bits, and says nothing of it in the networks of the zoo: so many bits for every float. */
static struct mly_device_model quantised(const char *name, double cores, double clock)
{
    struct mly_device_model on = device(name);
    on.float_bits = 8;
    on.origins[MLY_DEVICE_FLOAT_BITS].given = true;
    for (int i = 0; i < MLY_DTYPE_COUNT; i++)
        on.macs_per_s[i] *= cores * clock;
    return on;
}

static void i9_9900k(void **state)
{
    (void)state;
    /* TFLite, eight threads; the rate of 8-bit products was fitted to the larger convolutions. */
    static const struct published rows[] = {
        {"edge-conv-92", 11.308, 1.6},   {"edge-conv-152", 25.294, 1.6},
        {"edge-conv-272", 77.576, 1.6},  {"edge-conv-392", 176.846, 1.6},
        {"edge-conv-512", 302.488, 1.6}, {"edge-conv-692", 555.584, 1.6},
        {"edge-fc-500", 0.0823, 20},     {"edge-fc-900", 0.2358, 20},
        {"edge-fc-1700", 1.2829, 20},    {"edge-fc-2500", 3.1109, 20},
    };
    const struct mly_device_model on = quantised("i9-9900k", 1, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mly_modelled_cost cost = cost_on(&on, rows[i].network, 1);
        double factor = print_row(rows[i].network, rows[i].ms, cost.execution_ns * 1e-6);
        if (factor > rows[i].factor)
            fail_msg("%s: off by a factor of %.2f", rows[i].network, factor);
    }
}

static void one_cortex_a53(void **state)
{
    (void)state;
    /* One core at 1.5 GHz, where the Raspberry Pi 3 has four at 1.2; two constants were fitted to these nine. */
    static const struct published rows[] = {
        {"mobilenet-v1", 164, 1.15}, {"mobilenet-v2", 122, 1.15},   {"squeezenet", 232, 1.15},
        {"googlenet", 392, 1.15},    {"inception-v4", 3157, 1.15},  {"resnet50-299", 1763, 1.2},
        {"vgg16", 4595, 1.2},        {"resnet152-299", 5499, 1.15}, {"vgg19", 5538, 1.15},
    };
    const struct mly_device_model core = quantised("raspberry-pi-3", 0.25, 1.5 / 1.2);
    double logs = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mly_modelled_cost cost = cost_on(&core, rows[i].network, 1);
        double factor = print_row(rows[i].network, rows[i].ms, cost.execution_ns * 1e-6);
        logs += log(factor);
        if (factor > rows[i].factor)
            fail_msg("%s: off by a factor of %.2f", rows[i].network, factor);
    }
    printf("# geometric mean of the factors: %.3f\n", exp(logs / (sizeof rows / sizeof *rows)));
}

/* Beaumont et al. 2024: figures without numbers; what the text says of their shapes. */
static void p100_and_its_host(void **state)
{
    (void)state;
    const struct mly_device_model gpu = device("p100");
    struct mly_device_model host = device("xeon-e5-2683v4");
    static const char *const networks[] = {"googlenet", "nfnet-f0", "vit-base-16"};
    for (int i = 0; i < MLY_DTYPE_COUNT; i++)
        host.macs_per_s[i] *= 2; /* two sockets */
    host.memory_bytes_per_s *= 2;
    host.on_chip_bytes *= 2;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        double last = INFINITY, first = 0;
        /* figure 2: time per sample falls with the batch, and ever less */
        for (uint32_t batch = 1; batch <= 32; batch *= 2) {
            struct mly_modelled_cost cost = cost_on(&gpu, networks[i], batch);
            double each = cost.execution_ns / batch;
            assert_true(each < last);
            if (batch == 1)
                first = each;
            if (batch == 32)
                assert_true(each > 0.8 * last);
            last = each;
        }
        /* figures 5 and 6: a second part of 10 to 25 % of the GPU's time takes the host as long as the first the GPU */
        struct mly_modelled_cost on_gpu = cost_on(&gpu, networks[i], 27),
                                 on_host = cost_on(&host, networks[i], 27);
        double ratio = on_host.execution_ns / on_gpu.execution_ns;
        printf(
            "# %-12s P100: batch 32 takes %.2f of the time per sample of batch 1; two Xeons take "
            "%.1f times as long as the P100\n",
            networks[i], last / first, ratio);
        if (ratio < 3 || ratio > 9)
            fail_msg("%s: %.1f", networks[i], ratio);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(jetson_nano),       cmocka_unit_test(matrix_products),
        cmocka_unit_test(i9_9900k),          cmocka_unit_test(one_cortex_a53),
        cmocka_unit_test(p100_and_its_host),
    };
    return cmocka_run_group_tests(cases, setup, teardown);
}

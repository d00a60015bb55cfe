/* Arrivals: what users write, the times that come of it, and traces, right and wrong. */
#include "support/expect.h"

#include <math.h>

#include "base/alloc.h"
#include "runtime/arrivals.h"

static struct mly_error err;

static struct mly_arrivals parse(const char *text)
{
    struct mly_arrivals arrivals = {0};
    expect_ok(mly_arrivals_parse(text, &arrivals, &err), err);
    return arrivals;
}

static void every_kind_is_read(void **state)
{
    (void)state;
    char text[MLY_ARRIVALS_TEXT_BYTES];
    struct mly_arrivals a = parse("closed:8");
    assert_int_equal(a.kind, MLY_ARRIVALS_CLOSED);
    assert_int_equal(a.in_flight, 8);
    assert_string_equal(mly_arrivals_describe(&a, text), "closed loop, 8 in flight");
    a = parse("constant:0.5");
    assert_int_equal(a.kind, MLY_ARRIVALS_CONSTANT);
    assert_true(a.rate_per_s == 0.5);
    a = parse("poisson:2e3");
    assert_int_equal(a.kind, MLY_ARRIVALS_POISSON);
    assert_string_equal(mly_arrivals_describe(&a, text), "poisson, 2000 requests/s");
    a = parse("bursty:50/2,400/0.5");
    assert_int_equal(a.kind, MLY_ARRIVALS_BURSTY);
    assert_true(a.states[0].rate_per_s == 50 && a.states[0].mean_ns == 2e9);
    assert_true(a.states[1].rate_per_s == 400 && a.states[1].mean_ns == 0.5e9);
    assert_true(mly_arrivals_rate_per_s(&a) == 120);
    assert_non_null(strstr(mly_arrivals_describe(&a, text), "bursty"));
}

static void wrong_descriptions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "closed:N"},
        {"poisson", "poisson:RATE"},
        {"gamma:3", "'gamma:3'"},
        {"closed:", "closed:8"},
        {"closed:0", "whole number"},
        {"closed:1.5", "whole number"},
        {"closed:1000001", "1000000"},
        {"closed:8x", "closed:8x"},
        {"poisson:0", "poisson:0"},
        {"poisson:-3", "number from"},
        {"poisson:nan", "number from"},
        {"poisson:inf", "number from"},
        {"poisson:0x10", "number from"},
        {"poisson:1e10", "1e+09"},
        {"constant:1e400", "constant:1e400"},
        {"bursty:50", "bursty:50/2,400/0.5"},
        {"bursty:50/2", "bursty:50/2"},
        {"bursty:50/2,", "two of"},
        {"bursty:50/2,3", "two of"},
        {"bursty:50/0,3/1", "two of"},
        {"bursty:0/1,0/1", "may be 0"},
        {"bursty:1/1,1/1,1/1", "two of"},
        {"trace:", "a file is missing"},
    };
    struct mly_arrivals a = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_error(mly_arrivals_parse(wrong[i].text, &a, &err), MLY_E_INVALID, err,
                     wrong[i].says);
    expect_error(mly_arrivals_parse("trace:/nowhere/x.csv", &a, &err), MLY_E_NOT_FOUND, err,
                 "/nowhere/x.csv");
    assert_null(a.times_ns);
}

static void constant_times_are_exact(void **state)
{
    (void)state;
    struct mly_arrivals a = parse("constant:1000");
    struct mly_arrival_stream stream;
    mly_arrival_stream_init(&stream, &a, 1);
    for (int64_t i = 0; i < 100000; i++)
        assert_int_equal(mly_arrival_stream_next(&stream), i * 1000000);
}

/* Mean and squared coefficient of variation of the times between. */
static void moments(const struct mly_arrivals *a, uint64_t seed, uint64_t count, double *mean_ns,
                    double *variation)
{
    struct mly_arrival_stream stream;
    double sum = 0, squares = 0;
    int64_t last = 0;
    mly_arrival_stream_init(&stream, a, seed);
    for (uint64_t i = 0; i < count; i++) {
        int64_t at = mly_arrival_stream_next(&stream);
        assert_true(at >= last);
        double between = (double)(at - last);
        sum += between;
        squares += between * between;
        last = at;
    }
    *mean_ns = sum / (double)count;
    *variation = squares / (double)count / (*mean_ns * *mean_ns) - 1;
}

static void random_times_have_their_moments(void **state)
{
    (void)state;
    double mean, variation;
    struct mly_arrivals a = parse("poisson:200");
    moments(&a, 7, 400000, &mean, &variation);
    assert_true(fabs(mean / 5e6 - 1) < 0.01);
    assert_true(fabs(variation - 1) < 0.02);
    a = parse("bursty:10/1,1000/1");
    moments(&a, 7, 400000, &mean, &variation);
    assert_true(fabs(mean * mly_arrivals_rate_per_s(&a) / 1e9 - 1) < 0.1);
    assert_true(variation > 5);
    a = parse("bursty:0/1,1000/0.1"); /* silence between bursts */
    moments(&a, 7, 100000, &mean, &variation);
    assert_true(fabs(mean * mly_arrivals_rate_per_s(&a) / 1e9 - 1) < 0.1);
}

static void a_seed_gives_the_same_times(void **state)
{
    (void)state;
    struct mly_arrivals a = parse("bursty:10/1,1000/1");
    struct mly_arrival_stream x, y, z;
    mly_arrival_stream_init(&x, &a, 5);
    mly_arrival_stream_init(&y, &a, 5);
    mly_arrival_stream_init(&z, &a, 6);
    bool differ = false;
    for (int i = 0; i < 1000; i++) {
        int64_t at = mly_arrival_stream_next(&x);
        assert_int_equal(at, mly_arrival_stream_next(&y));
        differ = differ || at != mly_arrival_stream_next(&z);
    }
    assert_true(differ);
}

static void closed_loops_have_no_times(void **state)
{
    (void)state;
    struct mly_arrivals a = parse("closed:3");
    struct mly_arrival_stream stream;
    mly_arrival_stream_init(&stream, &a, 1);
    assert_true(mly_arrival_stream_next(&stream) == INT64_MAX);
}

/* --- traces --- */

static enum mly_status parse_trace(const char *text, struct mly_arrivals *out)
{
    return mly_arrivals_parse_trace("t.csv", text, strlen(text), out, &err);
}

static void expect_trace(const char *text, const int64_t *times_ns, size_t count)
{
    struct mly_arrivals a = {0};
    struct mly_arrival_stream stream;
    expect_ok(parse_trace(text, &a), err);
    assert_int_equal(a.count, count);
    mly_arrival_stream_init(&stream, &a, 1);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mly_arrival_stream_next(&stream), times_ns[i]);
    assert_true(mly_arrival_stream_next(&stream) == INT64_MAX);
    mly_arrivals_fini(&a);
}

static void traces_are_read(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 500000000, 500000000, 2000000001};
    expect_trace("0\n0.5\n.5\n2.000000001\n", times, 4);
    expect_trace("# seconds\r\n\r\n1\r\n1.5\r\n1.5\r\n3.0000000019", times, 4);
    expect_trace("1700000000.0, a\n1700000000.5,b\n1700000000.5\n1700000002.000000001,c,d\n", times,
                 4);
    expect_trace("who;TimeStamp;x\na;3;\nb;3.5;\nc; 3.5 ;\nd;5.000000001;9\n", times, 4);
    expect_trace("\"n\",\"time\"\n\"1\",\"7\"\n\"1\",\"7.5\"\n1,7.5\n1,9.000000001\n", times, 4);
    expect_trace("n\ttime\n1\t7\n1\t7.5\n1\t7.5\n1\t9.000000001\n", times, 4);
}

static void wrong_traces_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"", "no time"},
        {"# nothing\n\n", "no time"},
        {"time\n", "no time"},
        {"hello\n1\n", "t.csv:1: 'hello' is neither"},
        {"1\n2\nx\n", "t.csv:3: 'x' is no time"},
        {"1\n-2\n", "t.csv:2: '-2'"},
        {"1\n1e3\n", "t.csv:2: '1e3'"},
        {"1\nnan\n", "t.csv:2"},
        {"2\n\n# x\n1\n", "t.csv:4: the time is before"},
        {"a,time\n1,2\n3\n", "t.csv:3: there is no column 2"},
        {"1\n.\n", "t.csv:2: '.'"},
        {"9000000001\n", "t.csv:1"},
        {"1\n99999999999999999999999\n", "t.csv:2"},
        {"1 2\n", "t.csv:1"},
    };
    struct mly_arrivals a = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_error(parse_trace(wrong[i].text, &a), MLY_E_FORMAT, err, wrong[i].says);
    expect_error(mly_arrivals_parse_trace("t.csv", "1\0\n", 3, &a, &err), MLY_E_FORMAT, err,
                 "t.csv:1");
    assert_null(a.times_ns);
}

static void a_trace_has_a_most(void **state)
{
    (void)state;
    const size_t length = 2 * (MLY_ARRIVALS_TRACE_COUNT_MAX + 1);
    struct mly_arrivals a = {0};
    char *text = malloc(length);
    assert_non_null(text);
    for (size_t i = 0; i < length; i += 2)
        memcpy(text + i, "1\n", 2);
    expect_error(mly_arrivals_parse_trace("t.csv", text, length, &a, &err), MLY_E_LIMIT, err,
                 "16777216");
    expect_ok(mly_arrivals_parse_trace("t.csv", text, length - 2, &a, &err), err);
    mly_arrivals_fini(&a);
    free(text);
}

static void a_lack_of_memory_is_told(void **state)
{
    (void)state;
    struct mly_arrivals a = {0};
    mly_alloc_fail_once(1);
    expect_error(parse_trace("1\n2\n", &a), MLY_E_NO_MEMORY, err, "memory");
    mly_alloc_fail_once(0);
    assert_null(a.times_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(wrong_descriptions_are_refused),
        cmocka_unit_test(constant_times_are_exact),
        cmocka_unit_test(random_times_have_their_moments),
        cmocka_unit_test(a_seed_gives_the_same_times),
        cmocka_unit_test(closed_loops_have_no_times),
        cmocka_unit_test(traces_are_read),
        cmocka_unit_test(wrong_traces_are_refused_with_their_line),
        cmocka_unit_test(a_trace_has_a_most),
        cmocka_unit_test(a_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("arrivals", tests, NULL, NULL);
}

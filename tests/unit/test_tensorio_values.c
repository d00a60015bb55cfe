/* Raw, random and joined tensors; comparison; the largest values. */
#include "support/expect.h"

#include <math.h>

#include "base/alloc.h"
#include "base/half.h"
#include "tensorio/compare.h"
#include "tensorio/raw.h"

static struct mly_tensor of(enum mly_dtype dtype, void *values, int64_t count)
{
    return (struct mly_tensor){
        dtype, {1, {count}}, values, (size_t)count * mly_dtype_bits(dtype) / 8, NULL, NULL};
}

static void raw_bytes_become_a_tensor_or_are_the_wrong_number(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_tensor t = {0};
    struct mly_shape shape = {2, {2, 3}}, open = {2, {-1, 3}};
    char *scratch = scratch_create();
    expect_ok(mly_raw_parse("f", "abcdef", 6, MLY_DTYPE_U8, &shape, &t, &err), err);
    assert_memory_equal(t.data, "abcdef", 6);
    mly_tensor_fini(&t);
    expect_error(mly_raw_parse("f", "abcdef", 6, MLY_DTYPE_F32, &shape, &t, &err), MLY_E_MISMATCH,
                 err, "f: 6 bytes where 2x3 of f32 needs 24");
    expect_error(mly_raw_parse("f", "abcdef", 6, MLY_DTYPE_F32, &open, &t, &err), MLY_E_INVALID,
                 err, "f: shape ?x3");
    expect_ok(mly_file_write(scratch_path(scratch, "r"), "abcdef", 6, &err), err);
    expect_ok(mly_raw_load(scratch_path(scratch, "r"), MLY_DTYPE_I8, &shape, &t, &err), err);
    mly_tensor_fini(&t);
    expect_error(mly_raw_load(scratch_path(scratch, "q"), MLY_DTYPE_I8, &shape, &t, &err),
                 MLY_E_NOT_FOUND, err, "/q");
    mly_alloc_fail_once(1);
    expect_error(mly_raw_parse("f", "abcdef", 6, MLY_DTYPE_U8, &shape, &t, &err), MLY_E_NO_MEMORY,
                 err, "f: no memory");
    mly_alloc_fail_after(0);
    scratch_remove(scratch);
}

static void random_tensors_repeat_and_stay_in_range(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_shape shape = {1, {301}};
    for (int i = 1; i < MLY_DTYPE_COUNT; i++) {
        enum mly_dtype dtype = (enum mly_dtype)i;
        struct mly_tensor a = {0}, b = {0}, c = {0};
        if (dtype == MLY_DTYPE_STRING) {
            expect_error(mly_tensor_random(dtype, &shape, 1, &a, &err), MLY_E_UNSUPPORTED, err,
                         "string");
            continue;
        }
        expect_ok(mly_tensor_random(dtype, &shape, 1, &a, &err), err);
        expect_ok(mly_tensor_random(dtype, &shape, 1, &b, &err), err);
        expect_ok(mly_tensor_random(dtype, &shape, 2, &c, &err), err);
        assert_memory_equal(a.data, b.data, a.size_bytes);
        assert_memory_not_equal(a.data, c.data, a.size_bytes);
        struct mly_top top[400];
        size_t found = 0;
        if (mly_tensor_top(&a, 0, 400, top, &found, &err) == MLY_OK) {
            double high = dtype == MLY_DTYPE_U8 ? 255 : dtype == MLY_DTYPE_I8 ? 127 : 1;
            double low = dtype == MLY_DTYPE_I8 ? -128 : mly_dtype_bits(dtype) == 8 ? 0 : -1;
            assert_int_equal(found, 301);
            assert_true(top[0].value <= high && top[0].value > 0);
            assert_true(top[300].value >= low);
        }
        mly_tensor_fini(&a);
        mly_tensor_fini(&b);
        mly_tensor_fini(&c);
    }
}

static void tensors_join_to_a_batch(void **state)
{
    (void)state;
    struct mly_error err;
    float one[] = {1, 2, 3}, two[] = {4, 5, 6, 7, 8, 9};
    struct mly_tensor a = {MLY_DTYPE_F32, {2, {1, 3}}, one, sizeof one, NULL, NULL};
    struct mly_tensor b = {MLY_DTYPE_F32, {2, {2, 3}}, two, sizeof two, NULL, NULL};
    struct mly_tensor scalar = {MLY_DTYPE_F32, {0}, one, 4, NULL, NULL}, t = {0}, other = b;
    const struct mly_tensor *parts[] = {&a, &b};
    expect_ok(mly_tensor_join(parts, 2, &t, &err), err);
    assert_int_equal(t.shape.dims[0], 3);
    for (int i = 0; i < 9; i++)
        assert_true(((float *)t.data)[i] == (float)i + 1);
    mly_tensor_fini(&t);
    other.shape.dims[1] = 4;
    parts[1] = &other;
    expect_error(mly_tensor_join(parts, 2, &t, &err), MLY_E_MISMATCH, err, "tensor 1 (f32 2x4)");
    other = b;
    other.dtype = MLY_DTYPE_I32;
    expect_error(mly_tensor_join(parts, 2, &t, &err), MLY_E_MISMATCH, err, "i32 2x3");
    other = b;
    other.size_bytes = 20;
    expect_error(mly_tensor_join(parts, 2, &t, &err), MLY_E_INVALID, err, "20 bytes");
    parts[0] = &scalar;
    expect_error(mly_tensor_join(parts, 2, &t, &err), MLY_E_INVALID, err, "scalar of f32");
    expect_error(mly_tensor_join(NULL, 0, &t, &err), MLY_E_INVALID, err, "no tensors");
}

static void equal_tensors_agree(void **state)
{
    (void)state;
    struct mly_error err;
    float values[] = {1, -2, NAN, INFINITY, -INFINITY, 0};
    struct mly_tensor a = of(MLY_DTYPE_F32, values, 6);
    struct mly_comparison c;
    expect_ok(mly_tensor_compare(&a, &a, 0, 0, &c, &err), err);
    assert_true(c.count == 6 && c.mismatches == 0 && c.max_abs == 0 && c.nan_mismatches == 0);
    assert_true(c.expected_range == 3 && c.max_relative == 0);
    struct mly_tensor none = of(MLY_DTYPE_F32, NULL, 0);
    expect_ok(mly_tensor_compare(&none, &none, 0, 0, &c, &err), err);
    assert_true(c.count == 0 && c.mismatches == 0 && c.worst == -1 && c.max_relative == 0);
}

static void differences_are_found_and_placed(void **state)
{
    (void)state;
    struct mly_error err;
    float actual[] = {1, 2.5F, 3, 4}, expected[] = {1, 2, 3.25F, 5};
    struct mly_tensor a = of(MLY_DTYPE_F32, actual, 4), e = of(MLY_DTYPE_F32, expected, 4);
    struct mly_comparison c;
    expect_ok(mly_tensor_compare(&a, &e, 0.25, 0, &c, &err), err);
    assert_true(c.mismatches == 2 && c.worst == 3 && c.max_abs == 1);
    assert_true(c.worst_actual == 4 && c.worst_expected == 5 && c.mean_abs == 1.75 / 4);
    assert_true(c.expected_range == 4 && c.max_relative == 0.25);
    expect_ok(mly_tensor_compare(&a, &e, 0, 0.25, &c, &err), err);
    assert_int_equal(c.mismatches, 0);
    actual[1] = NAN;
    expect_ok(mly_tensor_compare(&a, &e, 10, 0, &c, &err), err);
    assert_true(c.mismatches == 1 && c.nan_mismatches == 1 && c.worst == 1 &&
                isnan(c.worst_actual));
    actual[1] = INFINITY;
    expected[1] = -INFINITY;
    expect_ok(mly_tensor_compare(&a, &e, INFINITY, 0, &c, &err), err);
    assert_int_equal(c.nan_mismatches, 1);
    float same_actual[] = {6, 5}, same[] = {5, 5}, zero_actual[] = {0.5F, 0}, zero[] = {0, 0};
    a = of(MLY_DTYPE_F32, same_actual, 2);
    e = of(MLY_DTYPE_F32, same, 2);
    expect_ok(mly_tensor_compare(&a, &e, 0, 0, &c, &err), err);
    assert_true(c.max_relative == 0.2);
    a = of(MLY_DTYPE_F32, zero_actual, 2);
    e = of(MLY_DTYPE_F32, zero, 2);
    expect_ok(mly_tensor_compare(&a, &e, 0, 0, &c, &err), err);
    assert_true(c.max_relative == 0.5);
}

static void integers_compare_exactly(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_comparison c;
    int64_t low[] = {INT64_MIN, INT64_MAX}, high[] = {INT64_MAX, INT64_MAX - 1};
    struct mly_tensor a = of(MLY_DTYPE_I64, low, 2), e = of(MLY_DTYPE_I64, high, 2);
    expect_ok(mly_tensor_compare(&a, &e, 0.001, 1, &c, &err), err);
    assert_true(c.mismatches == 2 && c.worst == 0 && c.max_abs == 0x1p64);
    a = of(MLY_DTYPE_I64, low + 1, 1);
    e = of(MLY_DTYPE_I64, high + 1, 1);
    expect_ok(mly_tensor_compare(&a, &e, 0, 0, &c, &err), err);
    assert_true(c.mismatches == 1 && c.max_abs == 1); /* lost in doubles */
    int8_t s[] = {-128, 5}, t[] = {127, 6};
    a = of(MLY_DTYPE_I8, s, 2);
    e = of(MLY_DTYPE_I8, t, 2);
    expect_ok(mly_tensor_compare(&a, &e, 1, 0, &c, &err), err);
    assert_true(c.mismatches == 1 && c.max_abs == 255);
    uint64_t u[] = {UINT64_MAX}, v[] = {0};
    a = of(MLY_DTYPE_U64, u, 1);
    e = of(MLY_DTYPE_U64, v, 1);
    expect_ok(mly_tensor_compare(&a, &e, 0, 0, &c, &err), err);
    assert_true(c.max_abs == 0x1p64);
    uint8_t p[] = {0xF1, 0x02}, q[] = {0x81, 0x02}; /* i4: 1 -1 2, 1 -8 2 */
    struct mly_tensor pa = {MLY_DTYPE_I4, {1, {3}}, p, 2, NULL, NULL}, qa = pa;
    qa.data = q;
    expect_ok(mly_tensor_compare(&pa, &qa, 0, 0, &c, &err), err);
    assert_true(c.mismatches == 1 && c.worst == 1 && c.max_abs == 7 && c.worst_expected == -8);
}

static void halves_doubles_and_complex_numbers_compare(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_comparison c;
    uint16_t half[] = {mly_f16_from_f32(0.5F), mly_f16_from_f32(-3)};
    uint16_t brain[] = {mly_bf16_from_f32(0.5F), mly_bf16_from_f32(-3)};
    double wide[] = {0.5, -3};
    struct mly_tensor h = of(MLY_DTYPE_F16, half, 2), b = of(MLY_DTYPE_BF16, brain, 2);
    struct mly_tensor w = of(MLY_DTYPE_F64, wide, 2);
    expect_ok(mly_tensor_compare(&h, &w, 0, 0, &c, &err), err);
    assert_int_equal(c.mismatches, 0);
    expect_ok(mly_tensor_compare(&b, &w, 0, 0, &c, &err), err);
    assert_int_equal(c.mismatches, 0);
    float x[] = {1, 2, 3, 4}, y[] = {1, 2, 3, 5};
    struct mly_tensor cx = of(MLY_DTYPE_C64, x, 2), cy = of(MLY_DTYPE_C64, y, 2);
    expect_ok(mly_tensor_compare(&cx, &cy, 0, 0, &c, &err), err);
    assert_true(c.count == 4 && c.mismatches == 1 && c.worst == 3);
    struct mly_top top;
    size_t found;
    expect_error(mly_tensor_top(&cx, 0, 1, &top, &found, &err), MLY_E_UNSUPPORTED, err, "order");
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_comparison c;
    float f[] = {1, 2};
    int32_t i[] = {1, 2};
    struct mly_tensor a = of(MLY_DTYPE_F32, f, 2), b = of(MLY_DTYPE_I32, i, 2);
    struct mly_tensor shorter = of(MLY_DTYPE_F32, f, 1), eight = of(MLY_DTYPE_F8E5M2, f, 2);
    expect_error(mly_tensor_compare(&a, &b, 0, 0, &c, &err), MLY_E_MISMATCH, err, "f32 cannot");
    b.dtype = MLY_DTYPE_U32;
    struct mly_tensor signed_b = of(MLY_DTYPE_I32, i, 2);
    expect_error(mly_tensor_compare(&signed_b, &b, 0, 0, &c, &err), MLY_E_MISMATCH, err, "u32");
    expect_error(mly_tensor_compare(&a, &shorter, 0, 0, &c, &err), MLY_E_MISMATCH, err,
                 "shape 2 where 1");
    expect_error(mly_tensor_compare(&eight, &eight, 0, 0, &c, &err), MLY_E_UNSUPPORTED, err,
                 "f8e5m2");
    expect_error(mly_tensor_compare(&a, &a, -1, 0, &c, &err), MLY_E_INVALID, err, "-1");
    expect_error(mly_tensor_compare(&a, &a, 0, NAN, &c, &err), MLY_E_INVALID, err, "tolerances");
    a.size_bytes = 4;
    expect_error(mly_tensor_compare(&a, &a, 0, 0, &c, &err), MLY_E_INVALID, err, "4 bytes");
}

static void indices_are_shown_by_dimension(void **state)
{
    (void)state;
    char text[MLY_SHAPE_TEXT_BYTES];
    struct mly_shape shape = {3, {2, 3, 4}}, scalar = {0};
    assert_string_equal(mly_index_format(&shape, 23, text), "[1, 2, 3]");
    assert_string_equal(mly_index_format(&shape, 4, text), "[0, 1, 0]");
    assert_string_equal(mly_index_format(&scalar, 0, text), "[]");
    struct mly_shape longest = {.rank = MLY_RANK_MAX};
    for (int i = 0; i < MLY_RANK_MAX; i++)
        longest.dims[i] = INT64_MAX;
    assert_non_null(mly_index_format(&longest, INT64_MAX, text));
}

static void the_largest_values_come_first(void **state)
{
    (void)state;
    struct mly_error err;
    float values[] = {1, 5, NAN, 5, 2, -1, -2, -3, -4, -INFINITY};
    struct mly_tensor t = {MLY_DTYPE_F32, {2, {2, 5}}, values, sizeof values, NULL, NULL};
    struct mly_top top[8];
    size_t found = 0;
    assert_int_equal(mly_tensor_rows(&t), 2);
    expect_ok(mly_tensor_top(&t, 0, 3, top, &found, &err), err);
    assert_true(found == 3 && top[0].index == 1 && top[1].index == 3 && top[2].index == 4);
    expect_ok(mly_tensor_top(&t, 0, 8, top, &found, &err), err);
    assert_true(found == 5 && top[4].index == 2 && isnan(top[4].value));
    expect_ok(mly_tensor_top(&t, 1, 1, top, &found, &err), err);
    assert_true(found == 1 && top[0].index == 0 && top[0].value == -1);
    expect_ok(mly_tensor_top(&t, 1, 0, top, &found, &err), err);
    assert_int_equal(found, 0);
    expect_error(mly_tensor_top(&t, 2, 1, top, &found, &err), MLY_E_INVALID, err, "row 2 of 2");
    expect_error(mly_tensor_top(&t, -1, 1, top, &found, &err), MLY_E_INVALID, err, "row -1");
    struct mly_tensor flat = of(MLY_DTYPE_F32, values, 10),
                      empty = {MLY_DTYPE_F32, {2, {0, 5}}, NULL, 0, NULL, NULL};
    assert_int_equal(mly_tensor_rows(&flat), 1);
    expect_ok(mly_tensor_top(&flat, 0, 8, top, &found, &err), err);
    assert_int_equal(found, 8);
    expect_error(mly_tensor_top(&empty, 0, 1, top, &found, &err), MLY_E_INVALID, err, "row 0 of 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_bytes_become_a_tensor_or_are_the_wrong_number),
        cmocka_unit_test(random_tensors_repeat_and_stay_in_range),
        cmocka_unit_test(tensors_join_to_a_batch),
        cmocka_unit_test(equal_tensors_agree),
        cmocka_unit_test(differences_are_found_and_placed),
        cmocka_unit_test(integers_compare_exactly),
        cmocka_unit_test(halves_doubles_and_complex_numbers_compare),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(indices_are_shown_by_dimension),
        cmocka_unit_test(the_largest_values_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

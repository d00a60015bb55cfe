/* Data types, shapes and tensors. */
#include "support/expect.h"

#include <motley/tensor.h>

#include "base/alloc.h"

static void types_are_found_by_name_and_number(void **state)
{
    (void)state;
    for (int i = 1; i < MLY_DTYPE_COUNT; i++) {
        enum mly_dtype dtype = (enum mly_dtype)i;
        assert_int_equal(mly_dtype_from_name(mly_dtype_name(dtype)), dtype);
        assert_int_equal(mly_dtype_from_onnx(mly_dtype_to_onnx(dtype)), dtype);
    }
    assert_int_equal(mly_dtype_bits(MLY_DTYPE_F32), 32);
    assert_int_equal(mly_dtype_bits(MLY_DTYPE_STRING), 0);
    assert_string_equal(mly_dtype_npy(MLY_DTYPE_I64), "i8");
    assert_string_equal(mly_dtype_npy(MLY_DTYPE_BF16), "");
}

static void unknown_types_are_undefined(void **state)
{
    (void)state;
    assert_int_equal(mly_dtype_from_name("float"), MLY_DTYPE_UNDEFINED);
    assert_int_equal(mly_dtype_from_name(NULL), MLY_DTYPE_UNDEFINED);
    assert_int_equal(mly_dtype_from_onnx(999), MLY_DTYPE_UNDEFINED);
    assert_int_equal(mly_dtype_from_onnx(-1), MLY_DTYPE_UNDEFINED);
    assert_string_equal(mly_dtype_name((enum mly_dtype)999), "undefined");
    assert_int_equal(mly_dtype_bits((enum mly_dtype) - 1), 0);
    assert_int_equal(mly_dtype_to_onnx(MLY_DTYPE_COUNT), 0);
    assert_string_equal(mly_dtype_npy(MLY_DTYPE_COUNT), "");
}

static void shapes_compare_and_format(void **state)
{
    (void)state;
    char text[MLY_SHAPE_TEXT_BYTES];
    struct mly_shape a = {3, {1, -1, 224}}, b = a, scalar = {0}, unknown = {.rank = -1};
    assert_string_equal(mly_shape_format(&a, text), "1x?x224");
    assert_string_equal(mly_shape_format(&scalar, text), "scalar");
    assert_string_equal(mly_shape_format(&unknown, text), "?");
    assert_true(mly_shape_equal(&a, &b));
    b.dims[2] = 225;
    assert_false(mly_shape_equal(&a, &b));
    assert_false(mly_shape_equal(&a, &scalar));
    assert_false(mly_shape_is_known(&a));
    assert_false(mly_shape_is_known(&unknown));
    assert_true(mly_shape_is_known(&scalar));
    struct mly_shape longest = {.rank = MLY_RANK_MAX};
    for (int i = 0; i < MLY_RANK_MAX; i++)
        longest.dims[i] = INT64_MAX;
    assert_int_equal(strlen(mly_shape_format(&longest, text)), 16 * 19 + 15);
}

static void counts_and_bytes(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_shape s = {4, {2, 3, 5, 7}}, scalar = {0}, empty = {3, {INT64_MAX, INT64_MAX, 0}};
    int64_t count = -1;
    size_t bytes = 99;
    expect_ok(mly_shape_count(&s, &count, &err), err);
    assert_int_equal(count, 210);
    expect_ok(mly_shape_count(&scalar, &count, &err), err);
    assert_int_equal(count, 1);
    expect_ok(mly_shape_count(&empty, &count, &err), err);
    assert_int_equal(count, 0);
    expect_ok(mly_shape_bytes(MLY_DTYPE_F64, &s, &bytes, &err), err);
    assert_int_equal(bytes, 1680);
    struct mly_shape odd = {1, {5}};
    expect_ok(mly_shape_bytes(MLY_DTYPE_I4, &odd, &bytes, &err), err);
    assert_int_equal(bytes, 3);
}

static void shapes_that_have_no_count_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    int64_t count = -7;
    size_t bytes = 99;
    struct mly_shape unknown = {2, {1, -1}}, over = {3, {INT64_C(1) << 31, INT64_C(1) << 31, 2}};
    struct mly_shape wide = {1, {INT64_MAX / 2}}, rank = {.rank = MLY_RANK_MAX + 1};
    expect_error(mly_shape_count(&unknown, &count, &err), MLY_E_INVALID, err, "1x?");
    expect_error(mly_shape_count(&over, &count, &err), MLY_E_LIMIT, err, "2147483648x2147483648x2");
    expect_error(mly_shape_count(&rank, &count, &err), MLY_E_INVALID, err, "rank 17");
    assert_int_equal(count, -7);
    expect_error(mly_shape_bytes(MLY_DTYPE_F32, &wide, &bytes, &err), MLY_E_LIMIT, err, "f32");
    expect_error(mly_shape_bytes(MLY_DTYPE_U8, &over, &bytes, &err), MLY_E_LIMIT, err,
                 "2147483648");
    expect_error(mly_shape_bytes(MLY_DTYPE_STRING, &wide, &bytes, &err), MLY_E_UNSUPPORTED, err,
                 "string");
    assert_int_equal(bytes, 99);
    assert_int_equal(mly_shape_count(&over, &count, NULL), MLY_E_LIMIT);
}

static void a_tensor_is_zeroed_aligned_and_copied(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_tensor t = {0}, copy = {0};
    struct mly_shape s = {2, {3, 5}}, none = {2, {0, 5}};
    expect_ok(mly_tensor_init(MLY_DTYPE_F32, &s, &t, &err), err);
    assert_int_equal((uintptr_t)t.data % MLY_TENSOR_ALIGNMENT, 0);
    assert_int_equal(t.size_bytes, 60);
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(((char *)t.data)[i], 0);
    ((float *)t.data)[14] = 2.5F;
    expect_ok(mly_tensor_dup(&t, &copy, &err), err);
    assert_true(copy.data != t.data);
    assert_memory_equal(copy.data, t.data, 60);
    mly_tensor_fini(&t);
    assert_null(t.data);
    mly_tensor_fini(&t);
    mly_tensor_fini(NULL);
    mly_tensor_fini(&copy);
    expect_ok(mly_tensor_init(MLY_DTYPE_I64, &none, &t, &err), err);
    assert_int_equal(t.size_bytes, 0);
    mly_tensor_fini(&t);
}

static void a_borrowed_tensor_is_not_freed(void **state)
{
    (void)state;
    float values[4] = {1, 2, 3, 4};
    struct mly_tensor t = {MLY_DTYPE_F32, {1, {4}}, values, sizeof values, NULL, NULL};
    mly_tensor_fini(&t);
    assert_null(t.data);
}

static void a_tensor_that_contradicts_itself_is_not_copied(void **state)
{
    (void)state;
    struct mly_error err;
    float values[4] = {0};
    struct mly_tensor copy = {0}, t = {MLY_DTYPE_F32, {1, {5}}, values, sizeof values, NULL, NULL};
    expect_error(mly_tensor_dup(&t, &copy, &err), MLY_E_INVALID, err, "16 bytes");
    t.data = NULL;
    expect_error(mly_tensor_dup(&t, &copy, &err), MLY_E_INVALID, err, "needs 20");
    struct mly_shape unknown = {1, {-1}};
    expect_error(mly_tensor_init(MLY_DTYPE_F32, &unknown, &copy, &err), MLY_E_INVALID, err, "?");
    assert_null(copy.data);
}

static void a_lack_of_memory_is_reported(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_tensor t = {0}, copy = {0};
    struct mly_shape s = {1, {4}}, huge = {1, {INT64_C(1) << 60}};
    mly_alloc_fail_once(1);
    expect_error(mly_tensor_init(MLY_DTYPE_F32, &s, &t, &err), MLY_E_NO_MEMORY, err, "16 bytes");
    expect_ok(mly_tensor_init(MLY_DTYPE_F32, &s, &t, &err), err);
    mly_alloc_fail_once(1);
    expect_error(mly_tensor_dup(&t, &copy, &err), MLY_E_NO_MEMORY, err, "no memory");
    mly_alloc_fail_after(0);
    mly_tensor_fini(&t);
    mly_alloc_fail_once(1); /* a sanitizer would abort on a request of that size */
    expect_error(mly_tensor_init(MLY_DTYPE_U8, &huge, &t, &err), MLY_E_NO_MEMORY, err, "u8");
    mly_alloc_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_found_by_name_and_number),
        cmocka_unit_test(unknown_types_are_undefined),
        cmocka_unit_test(shapes_compare_and_format),
        cmocka_unit_test(counts_and_bytes),
        cmocka_unit_test(shapes_that_have_no_count_are_refused),
        cmocka_unit_test(a_tensor_is_zeroed_aligned_and_copied),
        cmocka_unit_test(a_borrowed_tensor_is_not_freed),
        cmocka_unit_test(a_tensor_that_contradicts_itself_is_not_copied),
        cmocka_unit_test(a_lack_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

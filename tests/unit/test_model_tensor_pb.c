/* TensorProto files: every numeric type, raw and typed; what does not fit is refused. */
#include <ftw.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "model/tensor_pb.h"
#include "test_model_wire.h"

static struct mly_error err;

static void parse(struct wire w, struct mly_tensor *tensor)
{
    char *name = NULL;
    expect_ok(mly_tensor_parse_pb(w.data, w.length, tensor, &name, &err), err);
    assert_string_equal(name, "t");
    mly_free(name);
    wire_drop(&w);
}

static void refuse(struct wire w, enum mly_status status, const char *fragment)
{
    struct mly_tensor tensor = {0};
    expect_error(mly_tensor_parse_pb(w.data, w.length, &tensor, NULL, &err), status, err, fragment);
    assert_null(tensor.data);
    wire_drop(&w);
}

static void raw_data_is_taken_as_it_is_for_every_numeric_type(void **state)
{
    (void)state;
    for (int type = 0; type < MLY_DTYPE_COUNT; type++) {
        const uint32_t bits = mly_dtype_bits((enum mly_dtype)type);
        if (bits == 0)
            continue;
        for (unsigned large = 0; large < 2; large++) {
            const size_t bytes = bits * (large ? 6400 : 6) / 8;
            struct mly_tensor tensor = {0};
            parse(onnx_raw_tensor("t", mly_dtype_to_onnx((enum mly_dtype)type),
                                  large ? "64 100" : "2 3", bytes, 5),
                  &tensor);
            assert_int_equal(tensor.dtype, type);
            assert_int_equal(tensor.shape.rank, 2);
            assert_int_equal(tensor.size_bytes, bytes);
            for (size_t i = 0; i < bytes; i++)
                assert_int_equal(((uint8_t *)tensor.data)[i], (uint8_t)(5 + i));
            mly_tensor_fini(&tensor);
        }
    }
}

/* Typed fields of TensorProto: float 4, int32 5, int64 7, double 10, uint64 11. */
static struct wire typed(int type, const char *dims, unsigned field, const int64_t *values,
                         size_t count)
{
    struct wire w = onnx_tensor("t", type, dims), packed = {0};
    for (size_t i = 0; i < count; i++)
        wire_varint(&packed, (uint64_t)values[i]);
    wire_put(&w, field, packed);
    return w;
}

static void typed_fields_are_narrowed_to_their_type(void **state)
{
    (void)state;
    const int64_t values[] = {1, -2, 300};
    const struct {
        enum mly_dtype dtype;
        unsigned field;
    } cases[] = {
        {MLY_DTYPE_U8, 5},     {MLY_DTYPE_I8, 5},   {MLY_DTYPE_U16, 5},  {MLY_DTYPE_I16, 5},
        {MLY_DTYPE_I32, 5},    {MLY_DTYPE_F16, 5},  {MLY_DTYPE_BF16, 5}, {MLY_DTYPE_I64, 7},
        {MLY_DTYPE_F8E5M2, 5}, {MLY_DTYPE_U64, 11}, {MLY_DTYPE_U32, 11}, {MLY_DTYPE_BOOL, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mly_tensor tensor = {0};
        parse(typed(mly_dtype_to_onnx(cases[i].dtype), "3", cases[i].field, values, 3), &tensor);
        const size_t bytes = mly_dtype_bits(cases[i].dtype) / 8;
        assert_int_equal(tensor.size_bytes, 3 * bytes);
        for (size_t k = 0; k < 3; k++)
            assert_memory_equal((uint8_t *)tensor.data + k * bytes, &values[k],
                                bytes); /* little-endian */
        mly_tensor_fini(&tensor);
    }
    struct mly_tensor tensor = {0};
    const int64_t nibbles[] = {0x21, 0x03};
    parse(typed(mly_dtype_to_onnx(MLY_DTYPE_U4), "3", 5, nibbles, 2), &tensor);
    assert_memory_equal(tensor.data, "\x21\x03", 2);
    mly_tensor_fini(&tensor);
}

static void floats_and_doubles_come_packed_or_one_by_one(void **state)
{
    (void)state;
    const float floats[] = {1.5f, -2};
    const double doubles[] = {1.5, -2};
    struct mly_tensor tensor = {0};
    struct wire w = onnx_tensor("t", F32, "2");
    wire_bytes(&w, 4, floats, sizeof floats);
    parse(w, &tensor);
    assert_memory_equal(tensor.data, floats, sizeof floats);
    mly_tensor_fini(&tensor);
    w = onnx_tensor("t", F32, "2");
    for (size_t i = 0; i < 2; i++) {
        wire_raw(&w, "\x25", 1); /* field 4, fixed32 */
        wire_raw(&w, &floats[i], sizeof floats[i]);
    }
    parse(w, &tensor);
    assert_memory_equal(tensor.data, floats, sizeof floats);
    mly_tensor_fini(&tensor);
    w = onnx_tensor("t", mly_dtype_to_onnx(MLY_DTYPE_F64), "2");
    wire_bytes(&w, 10, doubles, sizeof doubles);
    parse(w, &tensor);
    assert_memory_equal(tensor.data, doubles, sizeof doubles);
    mly_tensor_fini(&tensor);
    w = onnx_tensor("t", mly_dtype_to_onnx(MLY_DTYPE_C64), "1");
    wire_bytes(&w, 4, floats, sizeof floats);
    parse(w, &tensor);
    assert_memory_equal(tensor.data, floats, sizeof floats);
    mly_tensor_fini(&tensor);
}

static void scalars_and_empty_tensors_are_tensors(void **state)
{
    (void)state;
    struct mly_tensor tensor = {0};
    parse(onnx_raw_tensor("t", F32, "", 4, 0), &tensor);
    assert_int_equal(tensor.shape.rank, 0);
    assert_int_equal(tensor.size_bytes, 4);
    mly_tensor_fini(&tensor);
    parse(onnx_tensor("t", F32, "0 3"), &tensor);
    assert_int_equal(tensor.size_bytes, 0);
    mly_tensor_fini(&tensor);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const int64_t values[] = {1, 2, 3};
    refuse(onnx_raw_tensor("t", F32, "2", 12, 0), MLY_E_FORMAT, "has 12 bytes");
    refuse(typed(6, "2", 5, values, 3), MLY_E_FORMAT, "has 3 elements");
    refuse(onnx_tensor("t", F32, "2"), MLY_E_FORMAT, "has 0 elements");
    refuse(onnx_raw_tensor("t", F32, "-2", 8, 0), MLY_E_FORMAT, "dimension 0");
    refuse(onnx_raw_tensor("t", 99, "2", 8, 0), MLY_E_UNSUPPORTED, "99");
    refuse(onnx_raw_tensor("t", 8, "2", 8, 0), MLY_E_UNSUPPORTED, "string");
    refuse(onnx_external_tensor("t", F32, "2", "/etc/passwd", NULL, NULL), MLY_E_UNSUPPORTED,
           "another file");
    refuse(onnx_raw_tensor("t", F32, "4294967296 4294967296 4294967296", 8, 0), MLY_E_LIMIT, "'t'");
    struct wire w = onnx_raw_tensor("t", F32, "2", 8, 0);
    for (w.length--; w.length > 0; w.length--) {
        struct mly_tensor tensor = {0};
        if (mly_tensor_parse_pb(w.data, w.length, &tensor, NULL, &err) == MLY_OK)
            mly_tensor_fini(&tensor); /* cut behind a field: a smaller tensor may be whole */
    }
    wire_drop(&w);
    struct mly_tensor tensor = {0};
    expect_error(mly_tensor_load_pb("/nowhere/t.pb", 100, &tensor, NULL, &err), MLY_E_NOT_FOUND,
                 err, "t.pb");
}

static void every_failing_allocation_is_an_error(void **state)
{
    (void)state;
    struct wire w = onnx_raw_tensor("t", F32, "600", 2400, 0);
    uint64_t n = 1;
    for (enum mly_status status = MLY_E_NO_MEMORY; status != MLY_OK; n++) {
        struct mly_tensor tensor = {0};
        char *name = NULL;
        mly_alloc_fail_after(n);
        status = mly_tensor_parse_pb(w.data, w.length, &tensor, &name, &err);
        mly_alloc_fail_after(0);
        assert_true(status == MLY_OK || status == MLY_E_NO_MEMORY);
        mly_tensor_fini(&tensor);
        mly_free(name);
    }
    assert_true(n > 5);
    wire_drop(&w);
}

static unsigned loaded, refused;

static int visit(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)where;
    size_t length = strlen(path);
    if (type != FTW_F || length < 3 || strcmp(path + length - 3, ".pb") != 0 ||
        !(strstr(path, "input_") || strstr(path, "output_")))
        return 0;
    struct mly_tensor tensor = {0};
    enum mly_status status = mly_tensor_load_pb(path, 1 << 28, &tensor, NULL, &err);
    if (strstr(path, "bugged"))
        assert_int_equal(status, MLY_E_FORMAT);
    else if (status == MLY_E_FORMAT && !strstr(path, "sequence"))
        fail_msg("%s", err.message);
    loaded += status == MLY_OK;
    refused += status != MLY_OK;
    mly_tensor_fini(&tensor);
    return 0;
}

static void real_tensor_files_load_and_the_bugged_one_is_refused(void **state)
{
    (void)state;
    const char *data = test_env("MOTLEY_SHARED_DATA");
    if (access(data, R_OK) != 0)
        TEST_SKIP("no test data at %s", data);
    loaded = refused = 0;
    assert_int_equal(nftw(data, visit, 16, FTW_PHYS), 0);
    printf("# %u loaded, %u refused\n", loaded, refused);
    assert_true(loaded > 100 && refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_data_is_taken_as_it_is_for_every_numeric_type),
        cmocka_unit_test(typed_fields_are_narrowed_to_their_type),
        cmocka_unit_test(floats_and_doubles_come_packed_or_one_by_one),
        cmocka_unit_test(scalars_and_empty_tensors_are_tensors),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(every_failing_allocation_is_an_error),
        cmocka_unit_test(real_tensor_files_load_and_the_bugged_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* .npy and .npz: what NumPy wrote is read, what is broken is refused with its place, round trips. */
#include "support/expect.h"

#include "base/alloc.h"
#include "base/half.h"
#include "tensorio/npy.h"
#include "tensorio/raw.h"

static char *scratch;

static const char *data(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/npy/%s", test_env("MOTLEY_SOURCE_ROOT"), name);
    return path;
}

static struct mly_tensor load(const char *name)
{
    struct mly_error err = {0};
    struct mly_tensor t = {0};
    expect_ok(mly_npy_load(data(name), 0, &t, &err), err);
    return t;
}

static void assert_ramp(const char *name)
{
    struct mly_tensor t = load(name);
    struct mly_shape shape = {3, {2, 3, 4}};
    assert_int_equal(t.dtype, MLY_DTYPE_F32);
    assert_true(mly_shape_equal(&t.shape, &shape));
    for (int i = 0; i < 24; i++)
        assert_true(((float *)t.data)[i] == (float)i / 4 - 1);
    mly_tensor_fini(&t);
}

static void every_order_and_version_reads_the_same(void **state)
{
    (void)state;
    assert_ramp("f4_2x3x4.npy");
    assert_ramp("f4_2x3x4_fortran.npy");
    assert_ramp("f4_2x3x4_big_endian.npy");
    assert_ramp("v2.npy");
    assert_ramp("v3.npy");
}

static void every_type_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum mly_dtype dtype;
    } cases[] = {
        {"u1_4.npy", MLY_DTYPE_U8},  {"i1_4.npy", MLY_DTYPE_I8},  {"u2_4.npy", MLY_DTYPE_U16},
        {"i2_4.npy", MLY_DTYPE_I16}, {"u4_4.npy", MLY_DTYPE_U32}, {"i4_4.npy", MLY_DTYPE_I32},
        {"u8_4.npy", MLY_DTYPE_U64}, {"i8_4.npy", MLY_DTYPE_I64},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mly_tensor t = load(cases[i].name);
        uint64_t last = 0;
        assert_int_equal(t.dtype, cases[i].dtype);
        assert_int_equal(t.size_bytes, mly_dtype_bits(t.dtype) / 2);
        memcpy(&last, (char *)t.data + t.size_bytes / 4 * 3, t.size_bytes / 4);
        assert_int_equal(last, 100);
        mly_tensor_fini(&t);
    }
    struct mly_tensor t = load("f8_4.npy");
    assert_true(((double *)t.data)[3] == 100);
    mly_tensor_fini(&t);
    t = load("f2_3.npy");
    assert_true(mly_f16_to_f32(((uint16_t *)t.data)[2]) == 65504);
    mly_tensor_fini(&t);
    t = load("bool_5.npy");
    assert_int_equal(t.dtype, MLY_DTYPE_BOOL);
    assert_memory_equal(t.data, "\1\0\0\1\1", 5);
    mly_tensor_fini(&t);
    t = load("c8_2_big_endian.npy");
    assert_int_equal(t.dtype, MLY_DTYPE_C64);
    assert_true(((float *)t.data)[1] == 2 && ((float *)t.data)[2] == -3);
    mly_tensor_fini(&t);
}

static void scalars_and_empty_arrays_are_read(void **state)
{
    (void)state;
    struct mly_tensor t = load("scalar_f8.npy");
    assert_int_equal(t.shape.rank, 0);
    assert_true(*(double *)t.data == 2.5);
    mly_tensor_fini(&t);
    t = load("empty_i8_0x3.npy");
    assert_int_equal(t.shape.rank, 2);
    assert_int_equal(t.size_bytes, 0);
    mly_tensor_fini(&t);
}

static void what_numpy_can_and_we_cannot_is_named(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_tensor t = {0};
    expect_error(mly_npy_load(data("object.npy"), 0, &t, &err), MLY_E_UNSUPPORTED, err,
                 "Python objects");
    expect_error(mly_npy_load(data("structured.npy"), 0, &t, &err), MLY_E_UNSUPPORTED, err,
                 "structured");
    expect_error(mly_npy_load(data("text.npy"), 0, &t, &err), MLY_E_UNSUPPORTED, err, "text");
    expect_error(mly_npy_load(data("none.npy"), 0, &t, &err), MLY_E_NOT_FOUND, err, "none.npy");
    expect_error(mly_npy_load(data("u8_4.npy"), 31, &t, &err), MLY_E_LIMIT, err, "limit of 31");
    assert_null(t.data);
}

/* A version 1.0 file of that header and some bytes of data. */
static enum mly_status parse(const char *header, size_t data_bytes, struct mly_tensor *t,
                             struct mly_error *err)
{
    static unsigned char bytes[4096];
    size_t length = strlen(header);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    bytes[8] = (unsigned char)length;
    bytes[9] = (unsigned char)(length >> 8);
    memcpy(bytes + 10, header, length);
    memset(bytes + 10 + length, 1, data_bytes);
    char *exact = malloc(10 + length + data_bytes);
    memcpy(exact, bytes, 10 + length + data_bytes);
    enum mly_status status = mly_npy_parse("f", exact, 10 + length + data_bytes, 0, t, err);
    free(exact);
    return status;
}

static void unusual_but_valid_headers_are_read(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{\"shape\":(2),\"fortran_order\":True,\"descr\":\"=f4\"}\n\n",
        "  { 'shape' : ( 2L , ) , 'descr' : 'f4' , 'fortran_order' : False , }  \t\n",
        "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 4,), }",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct mly_error err;
        struct mly_tensor t = {0};
        expect_ok(parse(headers[i], 8, &t, &err), err);
        assert_int_equal(t.size_bytes, 8);
        mly_tensor_fini(&t);
    }
}

static void broken_headers_are_refused_with_their_place(void **state)
{
    (void)state;
#define HEAD "{'descr': '<f4', 'fortran_order': False, "
    static const struct {
        const char *header;
        size_t data_bytes;
        enum mly_status status;
        const char *fragment;
    } cases[] = {
        {"", 8, MLY_E_FORMAT, "f: byte 10: expected '{', found the header's end"},
        {"{'descr': '<f4'", 8, MLY_E_FORMAT, "byte 25: expected '}'"},
        {"{'descr': '<f4'}", 8, MLY_E_FORMAT, "no 'fortran_order'"},
        {"{'x': 1}", 8, MLY_E_FORMAT, "byte 11: unknown field 'x'"},
        {"{'descr': '<f4', 'descr': '<f4'}", 8, MLY_E_FORMAT, "byte 27: 'descr' comes twice"},
        {"{'descr': '<f4', 'fortran_order': 0}", 8, MLY_E_FORMAT, "neither True nor False"},
        {HEAD "'shape': 2}", 8, MLY_E_FORMAT, "expected '(', found '2'"},
        {HEAD "'shape': (-1,)}", 8, MLY_E_FORMAT, "expected a dimension"},
        {HEAD "'shape': (2 3)}", 8, MLY_E_FORMAT, "expected ')', found '3'"},
        {HEAD "'shape': (2,)} x", 8, MLY_E_FORMAT, "follows the header"},
        {HEAD "'shape': (2,)}", 7, MLY_E_FORMAT,
         "truncated: 7 bytes of data where 2 of f32 needs 8"},
        {HEAD "'shape': (2,)}", 9, MLY_E_FORMAT, "bytes follow the data"},
        {HEAD "'shape': (99999999999999999999,)}", 8, MLY_E_LIMIT, "over 2^63-1"},
        {HEAD "'shape': (4294967296, 4294967296)}", 8, MLY_E_LIMIT, "f: shape"},
        {HEAD "'shape': (9999999999,)}", 8, MLY_E_LIMIT, "over the limit of 4294967296"},
        {HEAD "'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}", 8, MLY_E_LIMIT, "16 dimensions"},
        {"{'descr': '<q9'}", 8, MLY_E_UNSUPPORTED, "byte 20: type '<q9'"},
        {"{'descr': ''}", 8, MLY_E_UNSUPPORTED, "type ''"},
        {"{'descr': '<M8[ns]'}", 8, MLY_E_UNSUPPORTED, "dates"},
        {"{'descr': 'a\\'b'}", 8, MLY_E_FORMAT, "does not belong"},
        {"{'descr': '<f4", 8, MLY_E_FORMAT, "a string without end"},
        {"{descr: '<f4'}", 8, MLY_E_FORMAT, "expected a string"},
        {"{'descr' '<f4'}", 8, MLY_E_FORMAT, "expected ':'"},
        {"\x01", 8, MLY_E_FORMAT, "found byte 0x01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mly_error err;
        struct mly_tensor t = {0};
        expect_error(parse(cases[i].header, cases[i].data_bytes, &t, &err), cases[i].status, err,
                     cases[i].fragment);
        assert_null(t.data);
    }
}

static void broken_beginnings_are_refused(void **state)
{
    (void)state;
    struct mly_error err;
    struct mly_tensor t = {0};
    expect_error(mly_npy_parse("f", NULL, 0, 0, &t, &err), MLY_E_FORMAT, err, "only 0 bytes");
    expect_error(mly_npy_parse("f", "GIF89a  ", 8, 0, &t, &err), MLY_E_FORMAT, err, "no .npy");
    expect_error(mly_npy_parse("f", "\x93NUMPY\4\0", 8, 0, &t, &err), MLY_E_UNSUPPORTED, err,
                 "byte 6: version 4.0");
    expect_error(mly_npy_parse("f", "\x93NUMPY\1\0\1", 9, 0, &t, &err), MLY_E_FORMAT, err,
                 "byte 8");
    expect_error(mly_npy_parse("f", "\x93NUMPY\1\0\x10\0{", 11, 0, &t, &err), MLY_E_FORMAT, err,
                 "1 of its 16");
    expect_error(mly_npy_parse("f", "\x93NUMPY\2\0\xff\xff\xff\xff", 12, 0, &t, &err), MLY_E_LIMIT,
                 err, "over the limit of 65536");
}

static void every_cut_of_a_file_is_refused(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char *bytes = NULL;
    size_t length = 0;
    expect_ok(mly_file_read(data("f4_2x3x4.npy"), 1000, &bytes, &length, &err), err);
    for (size_t cut = 0; cut < length; cut++) {
        struct mly_tensor t = {0};
        char *part = malloc(cut ? cut : 1);
        memcpy(part, bytes, cut);
        expect_error(mly_npy_parse("f", part, cut, 0, &t, &err), MLY_E_FORMAT, err, "f: byte ");
        free(part);
    }
    mly_free(bytes);
}

static void every_type_survives_a_round_trip(void **state)
{
    (void)state;
    struct mly_error err = {0};
    for (int i = 1; i < MLY_DTYPE_COUNT; i++) {
        enum mly_dtype dtype = (enum mly_dtype)i;
        struct mly_shape shape = {2, {3, 5}};
        struct mly_tensor t = {0}, back = {0};
        if (!*mly_dtype_npy(dtype))
            continue;
        const char *path = scratch_path(scratch, "t.npy");
        expect_ok(mly_tensor_random(dtype, &shape, 7, &t, &err), err);
        expect_ok(mly_npy_save(path, &t, &err), err);
        expect_ok(mly_npy_load(path, 0, &back, &err), err);
        assert_int_equal(back.dtype, dtype);
        assert_true(mly_shape_equal(&back.shape, &shape));
        assert_memory_equal(back.data, t.data, t.size_bytes);
        mly_tensor_fini(&t);
        mly_tensor_fini(&back);
    }
}

static void what_we_write_is_what_numpy_writes(void **state)
{
    (void)state;
    static const char *const names[] = {"f4_2x3x4.npy", "scalar_f8.npy", "empty_i8_0x3.npy",
                                        "bool_5.npy", "f2_3.npy"};
    struct mly_error err = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct mly_tensor t = load(names[i]);
        char *ours = NULL, *theirs = NULL;
        size_t length = 0, their_length = 0;
        expect_ok(mly_npy_save(scratch_path(scratch, "t"), &t, &err), err);
        expect_ok(mly_file_read(scratch_path(scratch, "t"), 4096, &ours, &length, &err), err);
        expect_ok(mly_file_read(data(names[i]), 4096, &theirs, &their_length, &err), err);
        assert_int_equal(length, their_length);
        assert_memory_equal(ours, theirs, length);
        mly_free(ours);
        mly_free(theirs);
        mly_tensor_fini(&t);
    }
}

static void types_without_a_numpy_type_are_widened_or_refused(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_tensor t = {0}, back = {0};
    struct mly_shape many = {1, {5001}}, three = {1, {3}};
    const char *path = scratch_path(scratch, "t.npy");
    expect_ok(mly_tensor_random(MLY_DTYPE_BF16, &many, 7, &t, &err), err);
    expect_ok(mly_npy_save(path, &t, &err), err);
    expect_ok(mly_npy_load(path, 0, &back, &err), err);
    assert_int_equal(back.dtype, MLY_DTYPE_F32);
    for (int i = 0; i < 5001; i++)
        assert_true(((float *)back.data)[i] == mly_bf16_to_f32(((uint16_t *)t.data)[i]));
    mly_tensor_fini(&t);
    mly_tensor_fini(&back);
    uint8_t packed[] = {0xF8, 0x07};
    struct mly_tensor four = {MLY_DTYPE_I4, three, packed, 2, NULL, NULL};
    expect_ok(mly_npy_save(path, &four, &err), err);
    expect_ok(mly_npy_load(path, 0, &back, &err), err);
    assert_int_equal(back.dtype, MLY_DTYPE_I8);
    assert_memory_equal(back.data, "\xF8\xFF\x07", 3);
    mly_tensor_fini(&back);
    four.dtype = MLY_DTYPE_F8E5M2;
    expect_error(mly_npy_save(scratch_path(scratch, "no"), &four, &err), MLY_E_UNSUPPORTED, err,
                 "f8e5m2");
    four.dtype = MLY_DTYPE_U8;
    expect_error(mly_npy_save(scratch_path(scratch, "no"), &four, &err), MLY_E_INVALID, err,
                 "2 bytes where its shape needs 3");
    assert_int_not_equal(access(scratch_path(scratch, "no"), F_OK), 0);
    if (access("/dev/full", W_OK) == 0) {
        struct mly_tensor large = {0};
        struct mly_shape shape = {1, {100000}};
        expect_ok(mly_tensor_init(MLY_DTYPE_F32, &shape, &large, &err), err);
        expect_error(mly_npy_save("/dev/full", &large, &err), MLY_E_NO_SPACE, err, "/dev/full");
        mly_tensor_fini(&large);
    }
}

static void archives_are_read_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"two.npz", "two_compressed.npz"};
    struct mly_error err = {0};
    for (size_t i = 0; i < 2; i++) {
        struct mly_tensor_set set = {0};
        expect_ok(mly_npz_load(data(names[i]), NULL, &set, &err), err);
        assert_int_equal(set.count, 2);
        assert_int_equal(mly_tensor_set_find(&set, "a")->dtype, MLY_DTYPE_F32);
        assert_int_equal(((int64_t *)mly_tensor_set_find(&set, "b")->data)[3], 4);
        assert_null(mly_tensor_set_find(&set, "a.npy"));
        mly_tensor_set_fini(&set);
        mly_tensor_set_fini(&set);
    }
    mly_tensor_set_fini(NULL);
}

static void hostile_archives_are_refused(void **state)
{
    (void)state;
    struct mly_error err = {0};
    struct mly_tensor_set set = {0};
    struct mly_npz_limits entries = {.max_entries = 1}, bytes = {.max_bytes = 300};
    expect_error(mly_npz_load(data("bomb.npz"), NULL, &set, &err), MLY_E_LIMIT, err, "200 times");
    expect_error(mly_npz_load(data("bzip2.npz"), NULL, &set, &err), MLY_E_UNSUPPORTED, err,
                 "method 12");
    expect_error(mly_npz_load(data("not_an_array.npz"), NULL, &set, &err), MLY_E_FORMAT, err,
                 "'readme.txt' is no .npy");
    expect_error(mly_npz_load(data("two.npz"), &entries, &set, &err), MLY_E_LIMIT, err,
                 "2 entries");
    expect_error(mly_npz_load(data("two.npz"), &bytes, &set, &err), MLY_E_LIMIT, err, "300 bytes");
    expect_error(mly_npz_load(data("u1_4.npy"), NULL, &set, &err), MLY_E_FORMAT, err, "u1_4.npy");
    expect_error(mly_npz_load(data("none.npz"), NULL, &set, &err), MLY_E_NOT_FOUND, err, "none");
    expect_error(mly_npz_parse("f", "", 0, NULL, &set, &err), MLY_E_FORMAT, err, "f: ");
    assert_null(set.items);
}

/* Whatever byte is changed: an error or the arrays, and nothing worse. */
static void every_changed_byte_of_an_archive_is_survived(void **state)
{
    (void)state;
    struct mly_error err = {0};
    char *bytes = NULL;
    size_t length = 0, refused = 0;
    expect_ok(mly_file_read(data("two_compressed.npz"), 4096, &bytes, &length, &err), err);
    for (size_t i = 0; i < length; i++) {
        struct mly_tensor_set set = {0};
        bytes[i] ^= 0x55;
        if (mly_npz_parse("f", bytes, length, NULL, &set, &err) != MLY_OK) {
            assert_null(set.items);
            refused++;
        }
        mly_tensor_set_fini(&set);
        bytes[i] ^= 0x55;
    }
    assert_true(refused > length / 2);
    mly_free(bytes);
}

static void reading_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct mly_error err = {0};
    for (uint64_t n = 1;; n++) {
        struct mly_tensor_set set = {0};
        const char *path = data("two_compressed.npz");
        mly_alloc_fail_once(n);
        enum mly_status status = mly_npz_load(path, NULL, &set, &err);
        mly_alloc_fail_after(0);
        mly_tensor_set_fini(&set);
        if (status == MLY_OK) {
            assert_true(n > 8);
            break;
        }
        assert_int_equal(status, MLY_E_NO_MEMORY);
    }
}

static int setup(void **state)
{
    (void)state;
    scratch = scratch_create();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_and_version_reads_the_same),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(scalars_and_empty_arrays_are_read),
        cmocka_unit_test(what_numpy_can_and_we_cannot_is_named),
        cmocka_unit_test(unusual_but_valid_headers_are_read),
        cmocka_unit_test(broken_headers_are_refused_with_their_place),
        cmocka_unit_test(broken_beginnings_are_refused),
        cmocka_unit_test(every_cut_of_a_file_is_refused),
        cmocka_unit_test(every_type_survives_a_round_trip),
        cmocka_unit_test(what_we_write_is_what_numpy_writes),
        cmocka_unit_test(types_without_a_numpy_type_are_widened_or_refused),
        cmocka_unit_test(archives_are_read_by_name),
        cmocka_unit_test(hostile_archives_are_refused),
        cmocka_unit_test(every_changed_byte_of_an_archive_is_survived),
        cmocka_unit_test(reading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

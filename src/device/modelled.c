/*
 * Device files: reading, writing, and what may stand in them (device/modelled_defs.inc).
 *
 *   {
 *     "motley_device": 1,
 *     "name": "p100",
 *     "description": "NVIDIA Tesla P100, 16 GB, PCIe",
 *     "family": "roofline",
 *     "constants": {
 *       "f32_macs_per_s": {"value": 4.65e12, "source": "NVIDIA's data sheet: 9.3 TFLOPS"},
 *       "node_ns": {"value": 5000, "assumed": true}
 *     }
 *   }
 */
#include "device/modelled.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

#define FILE_VERSION 1

enum presence { NOT, MAY, NEEDED };

static const struct constant {
    struct mly_device_constant_info info;
    size_t offset;       /* of a double in struct mly_device_model */
    enum presence in[2]; /* by family */
} constants[] = {
#define MLY_DEVICE_CONSTANT(enumerator, key, member, unit, min, max, roofline, edgetpu, meaning)   \
    {{key, unit, meaning, min, max},                                                               \
     offsetof(struct mly_device_model, member),                                                    \
     {roofline, edgetpu}},
#include "device/modelled_defs.inc"
#undef MLY_DEVICE_CONSTANT
};

static const char *const families[] = {"roofline", "edgetpu"};
#define FAMILY_COUNT (sizeof families / sizeof *families)

const char *mly_device_family_name(enum mly_device_family family)
{
    return (size_t)family < FAMILY_COUNT ? families[family] : "unknown";
}

const struct mly_device_constant_info *mly_device_constant_at(size_t index)
{
    return index < MLY_DEVICE_CONSTANT_COUNT ? &constants[index].info : NULL;
}

double mly_device_constant_get(const struct mly_device_model *model, size_t index)
{
    double value;
    memcpy(&value, (const char *)model + constants[index].offset, sizeof value);
    return value;
}

void mly_device_constant_set(struct mly_device_model *model, size_t index, double value)
{
    memcpy((char *)model + constants[index].offset, &value, sizeof value);
    model->macs_per_s[MLY_DTYPE_U8] = model->macs_per_s[MLY_DTYPE_I8];
}

/* --- reading --- */

struct reader {
    const char *name;
    const char *text; /* NUL-terminated copy of the file */
    struct mly_json root;
    struct mly_error *err;
};

/* The next `"key" :` from `from`; NULL if there is none. Inside strings quotes are escaped, so that
 * nothing else looks like it. */
static const char *find_key(const char *from, const char *key, size_t length)
{
    for (; (from = strchr(from, '"')); from++) {
        const char *end = from + 1 + length;
        if (strncmp(from + 1, key, length) != 0 || *end != '"')
            continue;
        end += 1 + strspn(end + 1, " \t\r\n");
        if (*end == ':')
            return from;
    }
    return NULL;
}

/* Line of the place that a path ("constants.idle_w.value") leads to, as far as it is there. */
static size_t line_of(const char *text, const char *path, size_t length)
{
    const char *at = text;
    for (size_t used = 0; used < length;) {
        const char *dot = memchr(path + used, '.', length - used);
        size_t step = dot ? (size_t)(dot - (path + used)) : length - used;
        const char *found = find_key(at, path + used, step);
        if (found)
            at = found;
        used += step + 1;
    }
    size_t line = 1;
    for (const char *c = text; c < at; c++)
        line += *c == '\n';
    return line;
}

/* Puts the line into a message of the JSON reader: "NAME: PATH: …" becomes "NAME:LINE: PATH: …". */
static enum mly_status with_line(const struct reader *reader, const struct mly_error *problem)
{
    const char *rest = problem->message;
    size_t name_length = strlen(reader->name);
    if (problem->status != MLY_E_FORMAT || strncmp(rest, reader->name, name_length) != 0 ||
        rest[name_length] != ':')
        return mly_error_set(reader->err, problem->status, "%s", rest);
    rest += name_length + 1;
    rest += *rest == ' ';
    return mly_error_set(reader->err, problem->status, "%s:%zu: %s", reader->name,
                         line_of(reader->text, rest, strcspn(rest, ":")), rest);
}

static MLY_PRINTF(3, 4) enum mly_status
    refuse(const struct reader *reader, const char *path, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return mly_error_set(reader->err, MLY_E_FORMAT, "%s:%zu: %s: %s", reader->name,
                         line_of(reader->text, path, strlen(path)), path, message);
}

/* A string of at most size - 1 bytes, without control characters. */
static enum mly_status read_text(const struct reader *reader, struct mly_json object,
                                 const char *key, char *text, size_t size)
{
    struct mly_error problem;
    const char *value;
    char path[128];
    if (mly_json_string(object, key, &value, &problem))
        return with_line(reader, &problem);
    snprintf(path, sizeof path, "%s%s%s", object.where, object.where[0] ? "." : "", key);
    if (!*value)
        return refuse(reader, path, "is empty");
    if (strlen(value) >= size)
        return refuse(reader, path, "%zu bytes; at most %zu may be", strlen(value), size - 1);
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return refuse(reader, path, "has a control character in it");
    memcpy(text, value, strlen(value) + 1);
    return MLY_OK;
}

/* What can stand after -d: no ':', '*', ',' or blanks. */
static enum mly_status read_name(const struct reader *reader, struct mly_device_model *model)
{
    enum mly_status status =
        read_text(reader, reader->root, "name", model->name, sizeof model->name);
    if (status)
        return status;
    for (const char *c = model->name; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) &&
            (c == model->name || !strchr("-._", *c)))
            return refuse(reader, "name",
                          "'%s': lower-case letters, digits, '-', '.' and '_' make a name, and a "
                          "letter or digit begins it",
                          model->name);
    return MLY_OK;
}

static enum mly_status read_family(const struct reader *reader, struct mly_device_model *model)
{
    char word[32];
    enum mly_status status = read_text(reader, reader->root, "family", word, sizeof word);
    if (status)
        return status;
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (strcmp(word, families[i]) == 0) {
            model->family = (enum mly_device_family)i;
            return MLY_OK;
        }
    return refuse(reader, "family", "'%s' is neither roofline nor edgetpu", word);
}

/* {"value": 2e12, "source": "data sheet"}, or "assumed": true with or without a word why. */
static enum mly_status read_constant(const struct reader *reader, struct mly_json object,
                                     size_t index, struct mly_device_model *model)
{
    static const char *const known[] = {"value", "source", "assumed", NULL};
    const struct mly_device_constant_info *info = &constants[index].info;
    struct mly_device_origin *origin = &model->origins[index];
    struct mly_error problem;
    double value = 0;
    if (mly_json_only(object, known, &problem) ||
        mly_json_number(object, "value", info->min, info->max, &value, &problem))
        return with_line(reader, &problem);
    if (mly_json_member_opt(object, "assumed").impl &&
        mly_json_bool(object, "assumed", &origin->assumed, &problem))
        return with_line(reader, &problem);
    if (mly_json_member_opt(object, "source").impl) {
        enum mly_status status =
            read_text(reader, object, "source", origin->source, sizeof origin->source);
        if (status)
            return status;
    }
    if (!origin->assumed && !origin->source[0])
        return refuse(reader, object.where,
                      "has no source; say where it comes from, or \"assumed\": true");
    origin->given = true;
    mly_device_constant_set(model, index, value);
    return MLY_OK;
}

static enum mly_status read_constants(const struct reader *reader, struct mly_device_model *model)
{
    const char *known[MLY_DEVICE_CONSTANT_COUNT + 1];
    char path[64];
    size_t count = 0;
    struct mly_json object;
    struct mly_error problem;
    if (mly_json_member(reader->root, "constants", &object, &problem))
        return with_line(reader, &problem);
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++)
        known[count++] = constants[i].info.key;
    known[count] = NULL;
    if (mly_json_only(object, known, &problem))
        return with_line(reader, &problem);
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++) {
        const enum presence presence = constants[i].in[model->family];
        struct mly_json value = mly_json_member_opt(object, constants[i].info.key);
        snprintf(path, sizeof path, "constants.%s", constants[i].info.key);
        if (value.impl && presence == NOT)
            return refuse(reader, path, "has no meaning in family %s", families[model->family]);
        if (!value.impl && presence == NEEDED)
            return refuse(reader, path, "missing (%s, in %s)", constants[i].info.meaning,
                          constants[i].info.unit[0] ? constants[i].info.unit : "plain numbers");
        enum mly_status status = value.impl ? read_constant(reader, value, i, model) : MLY_OK;
        if (status)
            return status;
    }
    return MLY_OK;
}

/* Numbers of float_bits need a rate. */
static enum mly_status check_float_bits(const struct reader *reader,
                                        const struct mly_device_model *model)
{
    static const struct {
        double bits;
        enum mly_device_constant rate;
    } types[] = {{8, MLY_DEVICE_I8_MACS_PER_S},
                 {16, MLY_DEVICE_F16_MACS_PER_S},
                 {32, MLY_DEVICE_F32_MACS_PER_S},
                 {64, MLY_DEVICE_F64_MACS_PER_S}};
    if (!model->origins[MLY_DEVICE_FLOAT_BITS].given)
        return MLY_OK;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (model->float_bits == types[i].bits)
            return model->origins[types[i].rate].given
                       ? MLY_OK
                       : refuse(reader, "constants.float_bits", "%g needs %s", model->float_bits,
                                constants[types[i].rate].info.key);
    return refuse(reader, "constants.float_bits", "%g is none of 8, 16, 32 and 64",
                  model->float_bits);
}

/* What single bounds do not see. */
static enum mly_status check_together(const struct reader *reader,
                                      const struct mly_device_model *model)
{
    if (model->active_w < model->idle_w)
        return refuse(reader, "constants.active_w", "%g W is less than idle_w, %g W",
                      model->active_w, model->idle_w);
    if (model->family == MLY_DEVICE_EDGETPU && model->edgetpu.reserve_bytes >= model->on_chip_bytes)
        return refuse(reader, "constants.reserve_bytes", "%g B leave nothing of on_chip_bytes, %g",
                      model->edgetpu.reserve_bytes, model->on_chip_bytes);
    return check_float_bits(reader, model);
}

static enum mly_status read_model(const struct reader *reader, struct mly_device_model *model)
{
    static const char *const known[] = {"motley_device", "name",      "description",
                                        "family",        "constants", NULL};
    struct mly_error problem;
    int64_t version;
    if (!mly_json_is_object(reader->root) ||
        !mly_json_member_opt(reader->root, "motley_device").impl)
        return mly_error_set(reader->err, MLY_E_FORMAT,
                             "%s:1: motley_device: missing; this is no device file of motley",
                             reader->name);
    if (mly_json_int(reader->root, "motley_device", 1, INT64_MAX, &version, &problem))
        return with_line(reader, &problem);
    if (version > FILE_VERSION)
        return mly_error_set(reader->err, MLY_E_UNSUPPORTED,
                             "%s:%zu: motley_device: format %lld of a newer motley; this one reads "
                             "format %d",
                             reader->name, line_of(reader->text, "motley_device", 13),
                             (long long)version, FILE_VERSION);
    if (mly_json_only(reader->root, known, &problem))
        return with_line(reader, &problem);
    enum mly_status status = read_name(reader, model);
    if (!status)
        status = read_text(reader, reader->root, "description", model->description,
                           sizeof model->description);
    if (!status)
        status = read_family(reader, model);
    if (!status)
        status = read_constants(reader, model);
    return status ? status : check_together(reader, model);
}

enum mly_status mly_device_model_parse(const char *name, const char *text, size_t length,
                                       struct mly_device_model *out, struct mly_error *err)
{
    struct mly_device_model *model = NULL;
    mly_json_doc *doc = NULL;
    char *copy = NULL;
    if (length > MLY_DEVICE_TEXT_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: %zu bytes; at most %zu are read", name, length,
                             MLY_DEVICE_TEXT_BYTES_MAX);
    enum mly_status status = mly_json_parse(name, text, length, &doc, err);
    if (status)
        return status;
    copy = mly_strndup(text, length);
    model = mly_alloc(sizeof *model);
    if (copy && model) {
        snprintf(model->path, sizeof model->path, "%s", name);
        status = read_model(&(struct reader){name, copy, mly_json_root(doc), err}, model);
    } else {
        status = mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory for a device", name);
    }
    if (!status)
        memcpy(out, model, sizeof *out); /* padding too: models are compared */
    mly_free(model);
    mly_free(copy);
    mly_json_destroy(doc);
    return status;
}

/* --- writing --- */

enum mly_status mly_device_model_format(const struct mly_device_model *model, char **text,
                                        size_t *length, struct mly_error *err)
{
    struct mly_json_writer writer;
    mly_json_writer_init(&writer, true);
    mly_json_begin_object(&writer, NULL);
    mly_json_put_int(&writer, "motley_device", FILE_VERSION);
    mly_json_put_string(&writer, "name", model->name);
    mly_json_put_string(&writer, "description", model->description);
    mly_json_put_string(&writer, "family", mly_device_family_name(model->family));
    mly_json_begin_object(&writer, "constants");
    for (size_t i = 0; i < MLY_DEVICE_CONSTANT_COUNT; i++) {
        const struct mly_device_origin *origin = &model->origins[i];
        if (!origin->given)
            continue;
        mly_json_begin_object(&writer, constants[i].info.key);
        mly_json_put_number(&writer, "value", mly_device_constant_get(model, i));
        if (origin->assumed)
            mly_json_put_bool(&writer, "assumed", true);
        if (origin->source[0])
            mly_json_put_string(&writer, "source", origin->source);
        mly_json_end_object(&writer);
    }
    mly_json_end_object(&writer);
    mly_json_end_object(&writer);
    return mly_json_finish(&writer, text, length, err);
}

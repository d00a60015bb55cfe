/* Reading plans: values of any kind. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "parse.h"

enum mly_status mly__plan_refuse(const struct mly__plan_reader *r, struct mly_error *err,
                                 struct mly_json at, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return mly_error_set(err, MLY_E_FORMAT, "%s: %s: %s", r->name, at.where, message);
}

enum mly_status mly__plan_no_memory(const struct mly__plan_reader *r, struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory for a plan", r->name);
}

enum mly_status mly__plan_read_array(const struct mly__plan_reader *r, struct mly_json object,
                                     const char *key, size_t min, size_t max, struct mly_json *out,
                                     struct mly_error *err)
{
    struct mly_json array = mly_json_member_opt(object, key);
    const size_t count = mly_json_length(array);
    *out = array;
    if (!array.impl && min)
        return mly__plan_refuse(r, err, array, "missing");
    if (array.impl && !mly_json_is_array(array))
        return mly__plan_refuse(r, err, array, "expected an array");
    if (array.impl && (count < min || count > max))
        return mly__plan_refuse(r, err, array, "has %zu elements; %zu to %zu are allowed", count,
                                min, max);
    return MLY_OK;
}

enum mly_status mly__plan_read_text(const struct mly__plan_reader *r, struct mly_json object,
                                    const char *key, bool required, char *text, size_t size,
                                    struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, key);
    const char *string;
    if (!value.impl && !required)
        return MLY_OK;
    if (!value.impl)
        return mly__plan_refuse(r, err, value, "missing");
    enum mly_status status = mly_json_as_string(value, &string, err);
    if (status)
        return status;
    if (required && !*string)
        return mly__plan_refuse(r, err, value, "is empty");
    if (strlen(string) >= size)
        return mly__plan_refuse(r, err, value, "more than %zu bytes", size - 1);
    memcpy(text, string, strlen(string) + 1);
    return MLY_OK;
}

enum mly_status mly__plan_read_copy(const struct mly__plan_reader *r, struct mly_json object,
                                    const char *key, char **out, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, key);
    const char *string;
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_as_string(value, &string, err);
    if (status)
        return status;
    *out = mly_strdup(string);
    return *out ? MLY_OK : mly__plan_no_memory(r, err);
}

enum mly_status mly__plan_read_u32(struct mly_json object, const char *key, uint32_t min,
                                   uint32_t max, uint32_t *out, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, key);
    int64_t number;
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_as_int(value, min, max, &number, err);
    if (!status)
        *out = (uint32_t)number;
    return status;
}

enum mly_status mly__plan_read_bool(struct mly_json object, const char *key, bool *out,
                                    struct mly_error *err)
{
    return mly_json_member_opt(object, key).impl ? mly_json_bool(object, key, out, err) : MLY_OK;
}

enum mly_status mly__plan_read_numbers(const struct mly__plan_reader *r, struct mly_json array,
                                       uint32_t min, uint32_t max, bool ascending, uint32_t **out,
                                       uint32_t *out_count, struct mly_error *err)
{
    const uint32_t count = (uint32_t)mly_json_length(array);
    if (!count)
        return MLY_OK;
    uint32_t *numbers = mly_alloc_array(count, sizeof *numbers);
    if (!numbers)
        return mly__plan_no_memory(r, err);
    *out = numbers; /* the plan owns it from here on */
    *out_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct mly_json element = mly_json_element(array, i);
        int64_t number;
        enum mly_status status = mly_json_as_int(element, min, max, &number, err);
        if (status)
            return status;
        if (ascending && i && number <= numbers[i - 1])
            return mly__plan_refuse(r, err, element, "%lld follows %u; the numbers must ascend",
                                    (long long)number, numbers[i - 1]);
        numbers[i] = (uint32_t)number;
    }
    return MLY_OK;
}

enum mly_status mly__plan_read_prediction(struct mly_json object, struct mly_prediction *out,
                                          struct mly_error *err)
{
    static const char *const known[] = {
        "measured",     "modelled", "throughput_per_s",  "latency_ns", "spread",
        "memory_bytes", "energy_j", "loaded_latency_ns", NULL};
    struct mly_json value = mly_json_member_opt(object, "prediction");
    const struct {
        const char *key;
        double *out;
    } numbers[] = {
        {"throughput_per_s", &out->throughput_per_s},
        {"latency_ns", &out->latency_ns},
        {"spread", &out->spread},
        {"memory_bytes", &out->memory_bytes},
    };
    const struct {
        const char *key;
        double *out;
    } optional[] = {
        {"energy_j", &out->energy_j},
        {"loaded_latency_ns", &out->loaded_latency_ns},
    };
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_only(value, known, err);
    if (!status)
        status = mly_json_bool(value, "measured", &out->measured, err);
    if (!status)
        status = mly_json_bool(value, "modelled", &out->modelled, err);
    for (size_t i = 0; !status && i < MLY__COUNT(numbers); i++)
        status =
            mly_json_number(value, numbers[i].key, 0, MLY__PLAN_NUMBER_MAX, numbers[i].out, err);
    for (size_t i = 0; !status && i < MLY__COUNT(optional); i++)
        if (mly_json_member_opt(value, optional[i].key).impl)
            status = mly_json_number(value, optional[i].key, 0, MLY__PLAN_NUMBER_MAX,
                                     optional[i].out, err);
    out->known = true;
    return status;
}

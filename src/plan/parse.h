/*
 * Reading plans, from values up. All say file and place of what is wrong (MLY_E_FORMAT) or MLY_E_NO_MEMORY. What was read
 * is the plan's, also when the rest could not be.
 */
#ifndef MLY_PLAN_PARSE_H
#define MLY_PLAN_PARSE_H

#include "base/json.h"
#include "internal.h"

/* The file's name for messages, and where the plan grows. */
struct mly__plan_reader {
    const char *name;
    mly_plan *plan;
    uint32_t node_count; /* in all segments so far */
};

/* --- parse_values.c --- */

/* MLY_E_FORMAT, with file and place. */
MLY_PRINTF(4, 5)
enum mly_status mly__plan_refuse(const struct mly__plan_reader *r, struct mly_error *err,
                                 struct mly_json at, const char *format, ...);
/* MLY_E_NO_MEMORY. */
enum mly_status mly__plan_no_memory(const struct mly__plan_reader *r, struct mly_error *err);
/* An array member of min to max elements; absent when it may be. */
enum mly_status mly__plan_read_array(const struct mly__plan_reader *r, struct mly_json object,
                                     const char *key, size_t min, size_t max, struct mly_json *out,
                                     struct mly_error *err);
/*
 * A string of at most size - 1 bytes into text, which keeps its default when the member is absent.
 */
enum mly_status mly__plan_read_text(const struct mly__plan_reader *r, struct mly_json object,
                                    const char *key, bool required, char *text, size_t size,
                                    struct mly_error *err);
/* A string of any length as a copy; NULL when it is absent. */
enum mly_status mly__plan_read_copy(const struct mly__plan_reader *r, struct mly_json object,
                                    const char *key, char **out, struct mly_error *err);
/* These two keep their default when the member is absent. */
enum mly_status mly__plan_read_u32(struct mly_json object, const char *key, uint32_t min,
                                   uint32_t max, uint32_t *out, struct mly_error *err);
enum mly_status mly__plan_read_bool(struct mly_json object, const char *key, bool *out,
                                    struct mly_error *err);
/* An array of distinct numbers below `limit` into *out; ascending ones when `ascending`. */
enum mly_status mly__plan_read_numbers(const struct mly__plan_reader *r, struct mly_json array,
                                       uint32_t min, uint32_t max, bool ascending, uint32_t **out,
                                       uint32_t *out_count, struct mly_error *err);
/* The member "prediction"; absent: as it was. */
enum mly_status mly__plan_read_prediction(struct mly_json object, struct mly_prediction *out,
                                          struct mly_error *err);

/* --- parse_segments.c --- */

/* The member "segments" of the plan or of a member of its family. */
enum mly_status mly__plan_read_segments(struct mly__plan_reader *r, struct mly_json object,
                                        struct mly_plan_segment **segments, uint32_t *segment_count,
                                        struct mly_error *err);

#endif

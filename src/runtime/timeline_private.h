/* What the parts of a timeline share: the store, a sorted copy of it, and its two written forms. */
#ifndef MLY_RUNTIME_TIMELINE_PRIVATE_H
#define MLY_RUNTIME_TIMELINE_PRIVATE_H

#include <stddef.h>

#include "base/buffer.h"
#include "runtime/timeline.h"

struct timeline_processor {
    char *name;
    bool modelled;
};

struct timeline_segment {
    char *name;
    uint32_t model;
};

struct timeline_mark {
    int64_t at_ns;
    uint32_t processor; /* MLY_NO_INDEX: of the whole engine */
    char *text;
};

/* A timeline at one moment; all of it owned by the view. */
struct timeline_view {
    char *title;
    bool virtual_time;
    uint64_t dropped;
    struct timeline_processor *processors;
    uint32_t processor_count;
    char **models;
    uint32_t model_count;
    struct timeline_segment *segments;
    uint32_t segment_count;
    struct mly__timeline_record *records; /* by begin_ns */
    size_t record_count;
    struct timeline_mark *marks; /* by at_ns */
    size_t mark_count;
    int64_t from_ns, to_ns; /* of everything in it; both 0 when it is empty */
};

/* MLY_E_NO_MEMORY; *out then needs no fini. */
enum mly_status mly__timeline_view_init(mly_timeline *timeline, struct timeline_view *out,
                                        struct mly_error *err) MLY_MUST_CHECK;
void mly__timeline_view_fini(struct timeline_view *view);

/* Text on its way to a file; the first failure is kept and ends all. */
struct timeline_sink {
    struct mly_file_writer *file;
    struct mly_buffer buffer;
    enum mly_status status;
    struct mly_error *err;
};
void mly__sink_printf(struct timeline_sink *sink, const char *format, ...) MLY_PRINTF(2, 3);

/* Both write the whole view; failures are in the sink. */
void mly__timeline_write_trace(const struct timeline_view *view, struct timeline_sink *sink);
void mly__timeline_write_svg(const struct timeline_view *view, struct timeline_sink *sink);

/* "GoogLeNet / part 2"; the model only where there are several. */
void mly__timeline_segment_label(const struct timeline_view *view, uint32_t segment, char *out,
                                 size_t out_bytes);

#endif

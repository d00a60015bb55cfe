/*
 * Timelines: what every processor did and when, and what waited meanwhile. An engine records into
 * the timeline that its options name; save it while the engine runs or afterwards.
 *
 * Threads: any thread may call any function here on the same timeline at any time, but for
 * mly_timeline_destroy.
 */
#ifndef MOTLEY_TIMELINE_H
#define MOTLEY_TIMELINE_H

#include <stdint.h>

#include <motley/export.h>
#include <motley/status.h>

MLY_BEGIN_DECLS

/* Records of tasks, copies and requests, with the names that they refer to. */
typedef struct mly_timeline mly_timeline;

/* Zeroed is what most want. */
struct mly_timeline_options {
    /*
     * Records kept, of 64 bytes each; 0: 1,048,576. Memory grows with what is recorded. When all
     * are in use the oldest ones go, and are counted.
     */
    uint64_t max_records;
    const char *title; /* heads the picture; copied; NULL: "timeline" */
};

/*
 * Makes an empty timeline. options (borrowed for the call) may be NULL. *out is owned by the caller
 * (mly_timeline_destroy) and must outlive every engine that records into it.
 * Errors: MLY_E_INVALID for max_records above 2^32, MLY_E_NO_MEMORY.
 */
MLY_API enum mly_status mly_timeline_create(const struct mly_timeline_options *options,
                                            mly_timeline **out,
                                            struct mly_error *err) MLY_MUST_CHECK;
/* Frees a timeline that no engine records into any more; NULL is fine. */
MLY_API void mly_timeline_destroy(mly_timeline *timeline);

/*
 * Writes what was recorded so far to path, atomically. Its extension chooses the form: ".json" is
 * the Chrome trace format, for https://ui.perfetto.dev and chrome://tracing; ".svg" a picture with a
 * lane per processor.
 * Errors: MLY_E_INVALID for any other extension; MLY_E_NOT_FOUND (the folder), MLY_E_IO,
 * MLY_E_NO_SPACE, MLY_E_NO_MEMORY.
 * Cost: O(n log n) in records. Recording goes on meanwhile.
 * Source: docs/reference/formats.md.
 */
MLY_API enum mly_status mly_timeline_save(mly_timeline *timeline, const char *path,
                                          struct mly_error *err) MLY_MUST_CHECK;

/* Records that a timeline holds, and older ones that had to go. */
struct mly_timeline_counts {
    uint64_t kept, dropped;
};
/* Fills *out (the caller's). */
MLY_API void mly_timeline_get_counts(mly_timeline *timeline, struct mly_timeline_counts *out);

MLY_END_DECLS

#endif

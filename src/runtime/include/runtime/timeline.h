/*
 * Recording into a timeline. It has no clock: whoever records says what time it was, on a clock of
 * its own, real or virtual. Several engines may record into one timeline if they share a clock.
 *
 *   add_processor, add_model, add_segment, add_writer → record … → mly_timeline_save
 *
 * Each thread that records has a writer of its own, so that recorders never wait for each other: a
 * writer's lock is only contended while somebody saves.
 */
#ifndef MLY_RUNTIME_TIMELINE_H
#define MLY_RUNTIME_TIMELINE_H

#include <stdbool.h>

#include <motley/timeline.h>

#include "model/graph.h" /* MLY_NO_INDEX */

enum mly__timeline_kind {
    MLY__TIMELINE_TASK,   /* one segment of one request on a processor */
    MLY__TIMELINE_COPY,   /* tensors on their way to a processor, or back */
    MLY__TIMELINE_REQUEST /* a whole request, from submission to delivery */
};

/* 64 bytes. Numbers that do not apply are MLY_NO_INDEX. */
struct mly__timeline_record {
    uint64_t request; /* its number among those of its model */
    int64_t ready_ns; /* it could have begun: tasks and copies wait from here to begin_ns */
    int64_t begin_ns; /* for requests: submitted */
    int64_t end_ns;
    uint64_t bytes;     /* copied; 0 for tasks and requests */
    uint32_t processor; /* that ran it; for copies: that they are for, or come from */
    uint32_t segment;   /* whose task it was; for copies: whose inputs or outputs */
    uint32_t model;
    uint32_t batch;         /* samples */
    uint8_t kind;           /* enum mly__timeline_kind */
    bool out;               /* of copies: from the processor back to the host */
    uint16_t status;        /* enum mly_status */
    uint32_t request_class; /* priority of the request; 0 for the usual one */
};

typedef struct mly__timeline_writer mly__timeline_writer;

/*
 * Lanes and names, copied; *out is what records refer to. A processor that is added again by the
 * same name gets a lane of its own. MLY_E_NO_MEMORY; MLY_E_LIMIT beyond 65,536 of a kind.
 * Thread-safe.
 */
enum mly_status mly__timeline_add_processor(mly_timeline *timeline, const char *name, bool modelled,
                                            uint32_t *out, struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__timeline_add_model(mly_timeline *timeline, const char *name, uint32_t *out,
                                        struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__timeline_add_segment(mly_timeline *timeline, uint32_t model, const char *name,
                                          uint32_t *out, struct mly_error *err) MLY_MUST_CHECK;
/* *out is owned by the timeline and lives as long. MLY_E_NO_MEMORY. Thread-safe. */
enum mly_status mly__timeline_add_writer(mly_timeline *timeline, mly__timeline_writer **out,
                                         struct mly_error *err) MLY_MUST_CHECK;
/* Times are those of a virtual clock; saved timelines say so. */
void mly__timeline_set_virtual(mly_timeline *timeline);

/*
 * Copies *record. Never fails: when the timeline is full or memory is short the writer's oldest
 * records go, and are counted. Thread-safe, but meant for one thread per writer. Cost: tens of
 * nanoseconds.
 */
void mly__timeline_add(mly__timeline_writer *writer, const struct mly__timeline_record *record);
/*
 * Something that happened at one moment: a plan was changed, a processor set aside. processor may
 * be MLY_NO_INDEX. text is copied. For rare events: the first 4,096 are kept, more are counted as
 * dropped. Thread-safe.
 */
void mly__timeline_mark(mly_timeline *timeline, uint32_t processor, int64_t at_ns,
                        const char *format, ...) MLY_PRINTF(4, 5);

/* Could mly_timeline_save write here, by the extension? MLY_E_INVALID as there. */
enum mly_status mly__timeline_check_path(const char *path, struct mly_error *err) MLY_MUST_CHECK;

#endif

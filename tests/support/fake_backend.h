/*
 * A back end for tests of what runs above back ends. It computes something checkable on i64
 * tensors, and does what it is told: wait at a gate, fail, note who ran what. Tests order events
 * by gates, never by time.
 *
 * Tensors are [N, FAKE_WIDTH]. Element 0 of a batch is its tag: it passes through every segment,
 * so that gates and logs can name a batch. All functions are thread-safe.
 */
#ifndef MOTLEY_TEST_FAKE_BACKEND_H
#define MOTLEY_TEST_FAKE_BACKEND_H

#include <stdbool.h>

#include "backend/backend.h"
#include "runtime/flow.h"

#define FAKE_WIDTH 4
#define FAKE_ANY (-1)

extern const struct mly_backend_ops fake_ops;           /* with the cancel slot */
extern const struct mly_backend_ops fake_ops_no_cancel; /* without */

/* Forgets gates, failures and the log. Nothing may be running. */
void fake_reset(void);

/*
 * Runs of this batch, segment and processor (each may be FAKE_ANY) wait inside until released; up
 * to 32 gates.
 */
void fake_hold(int64_t tag, int segment, int processor);
/* Opens the gate that was set with just these words. */
void fake_release(int64_t tag, int segment, int processor);
void fake_release_all(void);
/* Blocks until a run that the words describe waits at a gate. */
void fake_await_held(int64_t tag, int segment, int processor);
/* Blocks until `count` runs that the words describe have ended (well or not) since the reset. */
void fake_await_ended(uint64_t count, int64_t tag, int segment, int processor);
/* Runs begun and described by the words since the reset. */
uint64_t fake_begun(int64_t tag, int segment, int processor);
/* Most runs that were inside at once since the reset. */
uint32_t fake_most_at_once(void);

/* This batch fails in this segment. */
void fake_poison(int64_t tag, int segment, enum mly_status status);
/* The n-th run, or open, from now on fails, and only that one; 0 for none. */
void fake_fail_run(uint64_t n, enum mly_status status);
void fake_fail_open(uint64_t n, enum mly_status status);

/* Every run on this processor fails like this from now on; MLY_OK mends it. */
void fake_break(int processor, enum mly_status status);

/* Sessions open, and result tensors of this back end not yet released. */
uint32_t fake_open_sessions(void);
uint32_t fake_live_tensors(void);
/* Opens in the order in which they began: "segment@processor" each. */
const char *fake_open_log(void);

/*
 * A flow by description: `inputs` and `outputs` list tensor numbers ("0", "3 4"), each segment
 * reads, makes and may run on "0 1>2@0 1" (tensors > tensors @ processors). Ports are i64 [N,
 * FAKE_WIDTH]. Free it with mly_flow_fini, or hand it to an engine. Warms batches 1 and 2.
 */
enum mly_status fake_flow_init(const struct mly_backend_ops *ops, const char *inputs,
                               const char *outputs, uint32_t processors,
                               const char *const *segments, uint32_t segment_count,
                               struct mly_flow *flow, struct mly_error *err) MLY_MUST_CHECK;

/* Input tensors of one batch on the heap: tag in element 0, the rest made from it. */
void fake_fill(struct mly_tensor *tensor, int64_t *memory, int64_t batch, int64_t tag,
               uint32_t port);
/*
 * What output `port` must hold for that batch and those inputs, by running the segments one after
 * the other.
 */
bool fake_is_right(const struct mly_flow *flow, const struct mly_tensor *inputs,
                   const struct mly_tensor *outputs);

#endif

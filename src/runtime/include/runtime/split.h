/*
 * Batches that are split over processors: each computes some rows (samples) of every batch, and the
 * request goes on when all are done. Parts read from and write into the whole batch's tensors:
 * nothing is copied, but what a back end only writes to memory of its own.
 */
#ifndef MLY_RUNTIME_SPLIT_H
#define MLY_RUNTIME_SPLIT_H

#include "runtime/request.h"

/*
 * Can the flow's split segment be run? MLY_E_UNSUPPORTED names the output whose shape is not known
 * before it is computed, or whose elements are smaller than a byte.
 */
enum mly_status mly__split_check(const struct mly_flow *flow, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Memory for the outputs of a request for which the client (outputs may be NULL) provides none.
 * MLY_E_MISMATCH if what it provides has the wrong size; MLY_E_NO_MEMORY. What was made is the
 * request's.
 */
enum mly_status mly__split_make_outputs(mly_request *request, const struct mly_tensor *inputs,
                                        const struct mly_tensor *outputs,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* The shape of an output for a batch. */
struct mly_shape mly__split_output_shape(const struct mly_flow *flow, uint32_t output,
                                         int64_t batch);
/* Sets first_row and rows of each part of a segment, by its shares. */
void mly__split_rows(mly_request *request, uint32_t segment);
/* The task's part of one of the segment's tensors; what has no batch is whole. */
struct mly_tensor mly__split_view(const struct mly__task *task, uint32_t slot);
/*
 * The same of an output, to be written to; empty where the processor is modelled and may declare its
 * results absent, which it can only do with memory of its own.
 */
struct mly_tensor mly__split_output(const struct mly__task *task, uint32_t slot,
                                    const struct mly_flow_processor *processor);
/*
 * After a run: brings home what the back end wrote to memory of its own, and adds its bytes to *copied.
 * False if it is declared absent.
 */
bool mly__split_take(const struct mly__task *task, uint32_t slot, struct mly_tensor *output,
                     uint64_t *copied);
/* A part's results are absent, so those of the whole batch are. */
void mly__split_declare_absent(mly_request *request);

#endif

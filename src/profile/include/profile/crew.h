/* A crew: one configuration opened for measuring, that is equal core groups with a session each,
 * run all at once. */
#ifndef MLY_PROFILE_CREW_H
#define MLY_PROFILE_CREW_H

#include <stdatomic.h>

#include <motley/device.h>

#include "backend/backend.h"
#include "cost/table.h"
#include "model/segment.h"
#include "profile/samples.h"

/* What one session of a crew runs by itself, and the times that it took. */
struct crew_own {
    const struct mly_tensor *inputs; /* borrowed */
    struct samples times;
};

struct crew {
    struct mly_cost_config config; /* batch is 0: a crew runs any */
    const struct mly_backend_ops *ops;
    struct mly_processor_list groups;
    mly_session **sessions; /* config.groups of them */
    /*
     * By session, where they are unlike: then the inputs and times of crew_round are not looked at.
     * NULL: all run the same. Borrowed.
     */
    struct crew_own *own;
    /*
     * By session, its stage of a pipeline, ascending from 0: the sessions of a stage together run no
     * more than two batches ahead of any other stage, so that a short stage waits as it will in the
     * pipeline. NULL: all run as fast as they can. Borrowed.
     */
    const uint32_t *stages;
    /* Sessions rest before each run: each time anything from 0 to twice this. 0: none does. */
    int64_t rest_ns;
};

/* model, segment and machine are borrowed until crew_close. */
enum mly_status crew_open(const mly_model *model, const struct mly_segment *segment,
                          const mly_machine *machine, const struct mly_cost_config *config,
                          struct crew *out, struct mly_error *err) MLY_MUST_CHECK;
void crew_close(struct crew *crew);

/*
 * Every group runs `inputs` (shared, read only) over and over until duration_ns have passed, at
 * least once, all starting together. *throughput_per_s gets the sum over groups of batch * runs /
 * time; run times in ns are added to `times`, which stays as it was on failure. A stop flag (may be
 * NULL) that gets set ends the round soon with MLY_E_CANCELLED: the back end is asked to give up
 * runs in progress. Of several groups that fail, the first one's error is told. Not thread-safe
 * per crew.
 */
enum mly_status crew_round(struct crew *crew, const struct mly_tensor *inputs, uint32_t batch,
                           int64_t duration_ns, const atomic_bool *stop, double *throughput_per_s,
                           struct samples *times, struct mly_error *err) MLY_MUST_CHECK;

#endif

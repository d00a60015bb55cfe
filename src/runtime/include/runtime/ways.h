/*
 * The ways of running a model that an executor has at hand, each best up to a rate of arrivals, and which of
 * them new requests run. No threads, no clock: the executor serialises the calls and passes the time.
 */
#ifndef MLY_RUNTIME_WAYS_H
#define MLY_RUNTIME_WAYS_H

#include "runtime/pace.h"
#include "runtime/timeline.h"

struct mly__ways {
    struct mly__pace pace; /* pace.current: the way that new requests should run */
    bool *ready;           /* [pace.count]; the first one is before any request comes */
    uint32_t serving;      /* the one that they do run, which is ready */
    uint64_t changes;      /* of it */
};

/* max_rates[count] as of a pace, borrowed; nothing is ready. MLY_E_NO_MEMORY; fini in every case. */
enum mly_status mly__ways_init(struct mly__ways *ways, const double *max_rates, uint32_t count,
                               struct mly_error *err) MLY_MUST_CHECK;
void mly__ways_fini(struct mly__ways *ways);
/*
 * The way that the pace asks for; where it is not ready the next one that is, which can take the rate,
 * too, else the one before. True if that changed.
 */
bool mly__ways_choose(struct mly__ways *ways);
/*
 * A request of so many samples arrives; crowded: it finds the queue full. True if it is the first that is to
 * run another way, which the timeline (NULL: none) then says.
 */
bool mly__ways_arrive(struct mly__ways *ways, mly_timeline *timeline, int64_t now_ns,
                      uint32_t samples, bool crowded);

#endif

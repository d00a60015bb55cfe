/* How fast the box was in each round, and what configurations gave apart from that. */
#ifndef MLY_PROFILE_LEVELS_H
#define MLY_PROFILE_LEVELS_H

#include "profiler.h"

/*
 * Sets throughput, throughput_spread and pace of every cell that has rates, and p->drift, the spread of the
 * box's own speed. MLY_E_NO_MEMORY: nothing is changed.
 */
enum mly_status profile_levels(struct profiler *p, struct mly_error *err) MLY_MUST_CHECK;

#endif

/*
 * What the planners of one request share, so that `auto` finds nothing out twice: which weights a set of units
 * would have streamed, and the pipelines that were found. One call of mly_plan_make has one; without one
 * (NULL) everything is worked out where it is needed. For one thread at a time.
 */
#ifndef MLY_PLAN_DESK_H
#define MLY_PLAN_DESK_H

#include "problem.h"

#define MLY__SPILL_CLASSES_MAX 4u /* that are one chip on unlike links */

enum mly_status mly__desk_create(struct mly__desk **out, struct mly_error *err) MLY_MUST_CHECK;
void mly__desk_destroy(struct mly__desk *desk);

/*
 * --- weights that find no room on a chip ---
 */

/* A set of nodes, a chip's list of layers, and the room of its tiles: what decides which are streamed. */
struct mly__spill_key {
    uint64_t nodes[2], layers;
    double room_bytes;
};
/* Which, in sums; by class, what streaming takes them longer, per sample. */
struct mly__spill {
    double bytes;
    double ns[MLY__SPILL_CLASSES_MAX];
};
/* NULL: not known yet. Good until the next one is kept. */
const struct mly__spill *mly__desk_find_spill(struct mly__desk *desk,
                                              const struct mly__spill_key *key);
/* Where memory is short, or there are a great many, it is not kept. */
void mly__desk_keep_spill(struct mly__desk *desk, const struct mly__spill_key *key,
                          const struct mly__spill *spill);

/*
 * --- pipelines ---
 */

/* What was found for this problem's request, batch size and kind of value; NULL: it was not looked for. */
const struct mly__found *mly__desk_find_pipelines(const struct mly__problem *problem, bool sums);
/* What was found last for another batch size; NULL: nothing. Units are the same. */
const struct mly__found *mly__desk_other_pipelines(const struct mly__problem *problem, bool sums);
/* Copies it. */
enum mly_status mly__desk_keep_pipelines(const struct mly__problem *problem, bool sums,
                                         const struct mly__found *found,
                                         struct mly_error *err) MLY_MUST_CHECK;

#endif

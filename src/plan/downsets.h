/*
 * Downsets of a planning problem's units: sets that hold with a unit all that it needs. Each is what a
 * first part of a pipeline may be. All of them, or a family of chosen ones.
 */
#ifndef MLY_PLAN_DOWNSETS_H
#define MLY_PLAN_DOWNSETS_H

#include "problem.h"

struct mly__downsets {
    const struct mly__problem *problem;
    uint32_t count, limit; /* the empty set is 0, all units are the last; smaller sets come first */
    size_t words;          /* of 64 units, of each set */
    uint64_t *bits;        /* [count * words] */
    uint32_t *slots, mask; /* hash table of sets: number plus one */
    uint32_t
        *live_begin; /* live[live_begin[i]…live_begin[i + 1]): crossings that something outside… */
    uint32_t *live;  /* …set i reads, and that come from it or from the host */
    /*
     * Of all there are: covers[cover_begin[i]…cover_begin[i + 1]) are the sets with one unit more than
     * set i. NULL: a family.
     */
    uint32_t *cover_begin, *covers;
};

/*
 * All there are, with their covers. MLY_E_LIMIT for more than `limit` of them; MLY_E_NO_MEMORY.
 * O(count * units).
 */
enum mly_status mly__downsets_all(struct mly__downsets *downsets,
                                  const struct mly__problem *problem, uint32_t limit,
                                  struct mly_error *err) MLY_MUST_CHECK;
/*
 * A family: begun with the empty set and that of all units, then sets are added (copied; those there
 * already, or beyond the limit, are left out), then closed, which sorts them.
 */
enum mly_status mly__downsets_begin(struct mly__downsets *downsets,
                                    const struct mly__problem *problem, uint32_t limit,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__downsets_add(struct mly__downsets *downsets, const uint64_t *set);
enum mly_status mly__downsets_close(struct mly__downsets *downsets,
                                    struct mly_error *err) MLY_MUST_CHECK;
void mly__downsets_fini(struct mly__downsets *downsets);

static inline const uint64_t *mly__downset(const struct mly__downsets *downsets, uint32_t index)
{
    return downsets->bits + downsets->words * index;
}
static inline bool mly__downset_has(const uint64_t *set, uint32_t unit)
{
    return set[unit / 64] >> unit % 64 & 1;
}
static inline void mly__downset_put(uint64_t *set, uint32_t unit)
{
    set[unit / 64] |= UINT64_C(1) << unit % 64;
}
/* Is all that the unit needs in the set? */
bool mly__downset_is_ready(const struct mly__problem *problem, const uint64_t *set, uint32_t unit);
/* Is every unit of `small` in `large`? */
static inline bool mly__downset_within(const struct mly__downsets *downsets, uint32_t small,
                                       uint32_t large)
{
    const uint64_t *a = mly__downset(downsets, small), *b = mly__downset(downsets, large);
    for (size_t w = 0; w < downsets->words; w++)
        if (a[w] & ~b[w])
            return false;
    return true;
}

#endif

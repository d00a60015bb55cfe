/*
 * What planners of one request share.
 *
 *   1. Streamed weights: a hash table by keys, that grows. Sets of nodes are told apart by 128 bits, the
 *      exclusive or of a random number for each, so that those of a stage are had from its two downsets'.
 *   2. Pipelines: a short list.
 */
#include "desk.h"

#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

#define SPILLS_MAX (1u << 18)
#define PIPELINES_MAX 16u

struct slot {
    struct mly__spill_key key;
    struct mly__spill spill;
    bool used;
};

struct kept {
    struct mly__found found;
    uint32_t batch, segments_max, unit_count, class_count;
    enum mly_objective objective;
    bool no_replicas, must_cut, sums;
};

struct mly__desk {
    struct slot *slots; /* mask + 1; NULL: none yet */
    struct slot
        *last; /* that was asked for; classes with one chip ask for the same, one after the other */
    uint32_t mask, count;
    struct kept kept[PIPELINES_MAX];
    uint32_t kept_count;
};

enum mly_status mly__desk_create(struct mly__desk **out, struct mly_error *err)
{
    struct mly__desk *desk = mly_alloc(sizeof *desk);
    if (!desk)
        return mly__problem_no_memory(err);
    *out = desk;
    return MLY_OK;
}

void mly__desk_destroy(struct mly__desk *desk)
{
    for (uint32_t i = 0; desk && i < desk->kept_count; i++)
        mly__found_fini(&desk->kept[i].found);
    if (desk)
        mly_free(desk->slots);
    mly_free(desk);
}

/* --- 1 --- */

static bool is_same(const struct mly__spill_key *a, const struct mly__spill_key *b)
{
    return a->nodes[0] == b->nodes[0] && a->nodes[1] == b->nodes[1] && a->layers == b->layers &&
           a->room_bytes == b->room_bytes;
}

/* The slot of the key, or the empty one where it would be. */
static struct slot *slot_of(struct slot *slots, uint32_t mask, const struct mly__spill_key *key)
{
    uint64_t room;
    memcpy(&room, &key->room_bytes, sizeof room);
    uint64_t hash = (key->nodes[0] ^ key->layers ^ room) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(hash >> 32) & mask;
    while (slots[at].used && !is_same(&slots[at].key, key))
        at = (at + 1) & mask;
    return &slots[at];
}

const struct mly__spill *mly__desk_find_spill(struct mly__desk *desk,
                                              const struct mly__spill_key *key)
{
    if (!desk || !desk->slots)
        return NULL;
    if (desk->last && is_same(&desk->last->key, key))
        return &desk->last->spill;
    struct slot *slot = slot_of(desk->slots, desk->mask, key);
    desk->last = slot->used ? slot : NULL;
    return slot->used ? &slot->spill : NULL;
}

static bool grow(struct mly__desk *desk)
{
    const uint32_t mask = desk->slots ? 2 * desk->mask + 1 : 1023;
    struct slot *slots = mly_alloc_array((size_t)mask + 1, sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = 0; desk->slots && i <= desk->mask; i++)
        if (desk->slots[i].used)
            *slot_of(slots, mask, &desk->slots[i].key) = desk->slots[i];
    mly_free(desk->slots);
    desk->last = NULL;
    desk->slots = slots;
    desk->mask = mask;
    return true;
}

void mly__desk_keep_spill(struct mly__desk *desk, const struct mly__spill_key *key,
                          const struct mly__spill *spill)
{
    if (!desk || desk->count == SPILLS_MAX ||
        ((!desk->slots || 2 * desk->count > desk->mask) && !grow(desk)))
        return;
    struct slot *slot = slot_of(desk->slots, desk->mask, key);
    desk->count += !slot->used;
    *slot = (struct slot){.key = *key, .spill = *spill, .used = true};
    desk->last = slot;
}

/* --- 2 --- */

static bool fits(const struct kept *kept, const struct mly__problem *problem, bool sums)
{
    const struct mly_plan_request *request = problem->request;
    return kept->sums == sums && kept->objective == request->objective &&
           kept->segments_max == request->segments_max &&
           kept->no_replicas == request->no_replicas && kept->must_cut == request->must_cut &&
           kept->unit_count == problem->unit_count && kept->class_count == problem->class_count;
}

const struct mly__found *mly__desk_find_pipelines(const struct mly__problem *problem, bool sums)
{
    const struct mly__desk *desk = problem->request->desk;
    for (uint32_t i = 0; desk && i < desk->kept_count; i++)
        if (fits(&desk->kept[i], problem, sums) && desk->kept[i].batch == problem->batch)
            return &desk->kept[i].found;
    return NULL;
}

const struct mly__found *mly__desk_other_pipelines(const struct mly__problem *problem, bool sums)
{
    const struct mly__desk *desk = problem->request->desk;
    for (uint32_t i = desk ? desk->kept_count : 0; i-- > 0;)
        if (fits(&desk->kept[i], problem, sums) && desk->kept[i].batch != problem->batch)
            return &desk->kept[i].found;
    return NULL;
}

enum mly_status mly__desk_keep_pipelines(const struct mly__problem *problem, bool sums,
                                         const struct mly__found *found, struct mly_error *err)
{
    struct mly__desk *desk = problem->request->desk;
    enum mly_status status = MLY_OK;
    if (!desk || desk->kept_count == PIPELINES_MAX)
        return MLY_OK;
    struct kept *kept = &desk->kept[desk->kept_count++];
    *kept = (struct kept){.batch = problem->batch,
                          .segments_max = problem->request->segments_max,
                          .unit_count = problem->unit_count,
                          .class_count = problem->class_count,
                          .objective = problem->request->objective,
                          .no_replicas = problem->request->no_replicas,
                          .must_cut = problem->request->must_cut,
                          .sums = sums};
    for (uint32_t i = 0; !status && i < found->count; i++)
        status = mly__found_add(&kept->found, problem, &found->layouts[i], err);
    return status;
}

/*
 * The scheduler's decisions.
 *
 * Ready tasks wait in lanes, oldest request first. A lane is a set of processors that may take
 * from it: under MLY_SCHEDULE_EARLIEST one lane per segment with all its processors, under
 * MLY_SCHEDULE_PINNED one lane per segment and processor. A decision is
 *   1. the lane with an idle processor whose first task is the oldest (of equally old ones, the
 *      segment nearer to the end: what is begun gets finished and its memory freed);
 *   2. of the lane's idle processors the one expected to finish first: least cost, then the one
 *      that already has the inputs, then the one that worked last (its caches are warm, the
 *      others stay asleep).
 */
#include "runtime/scheduler.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "model/graph.h"

struct lane {
    const uint32_t *processors; /* into scheduler->eligible */
    uint32_t processor_count;
    uint32_t idle; /* how many of them are */
    struct mly_schedule_task *first, *last;
};

struct processor {
    bool busy;
    int64_t released_ns; /* when it last became idle */
    uint32_t *lanes;     /* into scheduler->lane_numbers: those it may take from */
    uint32_t lane_count;
};

struct mly_scheduler {
    enum mly_schedule_policy policy;
    uint32_t processor_count, segment_count, lane_count;
    uint32_t idle; /* processors */
    size_t length;
    struct processor *processors;
    struct lane *lanes;
    uint32_t *first_lane;   /* [segment_count + 1] */
    uint32_t *eligible;     /* all segments' lists, one after the other */
    uint32_t *lane_numbers; /* all processors' lanes, one after the other */
    int64_t *cost_ns;       /* [segment_count][processor_count] */
};

static bool allocate(mly_scheduler *s, uint32_t pair_count)
{
    s->lane_count = s->policy == MLY_SCHEDULE_PINNED ? pair_count : s->segment_count;
    s->processors = mly_alloc_array(s->processor_count, sizeof *s->processors);
    s->lanes = mly_alloc_array(s->lane_count, sizeof *s->lanes);
    s->first_lane = mly_alloc_array(s->segment_count + 1, sizeof *s->first_lane);
    s->eligible = mly_alloc_array(pair_count, sizeof *s->eligible);
    s->lane_numbers = mly_alloc_array(pair_count, sizeof *s->lane_numbers);
    s->cost_ns = mly_alloc_array((size_t)s->segment_count * s->processor_count, sizeof *s->cost_ns);
    return s->processors && s->lanes && s->first_lane && s->eligible && s->lane_numbers &&
           s->cost_ns;
}

/* Lanes of all segments, and of each processor the lanes it may take from. */
static void lay_out(mly_scheduler *s, const struct mly_schedule_eligible *eligible)
{
    uint32_t lane = 0, pair = 0;
    for (uint32_t segment = 0; segment < s->segment_count; segment++) {
        uint32_t width = s->policy == MLY_SCHEDULE_PINNED ? 1 : eligible[segment].count;
        s->first_lane[segment] = lane;
        for (uint32_t i = 0; i < eligible[segment].count; i++) {
            if (i % width == 0)
                s->lanes[lane++] = (struct lane){
                    .processors = s->eligible + pair, .processor_count = width, .idle = width};
            s->eligible[pair++] = eligible[segment].processors[i];
            s->processors[eligible[segment].processors[i]].lane_count++;
        }
    }
    s->first_lane[s->segment_count] = lane;

    uint32_t *numbers = s->lane_numbers;
    for (uint32_t p = 0; p < s->processor_count; p++) {
        s->processors[p].lanes = numbers;
        numbers += s->processors[p].lane_count;
        s->processors[p].lane_count = 0;
    }
    for (uint32_t i = 0; i < s->lane_count; i++) {
        for (uint32_t k = 0; k < s->lanes[i].processor_count; k++) {
            struct processor *p = &s->processors[s->lanes[i].processors[k]];
            p->lanes[p->lane_count++] = i;
        }
    }
}

enum mly_status mly_scheduler_create(enum mly_schedule_policy policy, uint32_t processor_count,
                                     const struct mly_schedule_eligible *eligible,
                                     uint32_t segment_count, mly_scheduler **out,
                                     struct mly_error *err)
{
    uint32_t pair_count = 0;
    for (uint32_t s = 0; s < segment_count; s++) {
        if (eligible[s].count == 0)
            return mly_error_set(err, MLY_E_INVALID, "segment %" PRIu32 " has no processor", s);
        for (uint32_t i = 0; i < eligible[s].count; i++) {
            uint32_t processor = eligible[s].processors[i];
            if (processor >= processor_count)
                return mly_error_set(err, MLY_E_INVALID,
                                     "segment %" PRIu32 ": processor %" PRIu32
                                     " is not below %" PRIu32,
                                     s, processor, processor_count);
            for (uint32_t k = 0; k < i; k++) {
                if (eligible[s].processors[k] == processor)
                    return mly_error_set(err, MLY_E_INVALID,
                                         "segment %" PRIu32 " lists processor %" PRIu32 " twice", s,
                                         processor);
            }
        }
        pair_count += eligible[s].count;
    }
    if (segment_count == 0)
        return mly_error_set(err, MLY_E_INVALID, "there is no segment to schedule");

    mly_scheduler *s = mly_alloc(sizeof *s);
    if (s) {
        s->policy = policy;
        s->processor_count = s->idle = processor_count;
        s->segment_count = segment_count;
    }
    if (!s || !allocate(s, pair_count)) {
        mly_scheduler_destroy(s);
        return mly_error_set(err, MLY_E_NO_MEMORY,
                             "no memory for a scheduler of %" PRIu32 " segments and %" PRIu32
                             " processors",
                             segment_count, processor_count);
    }
    lay_out(s, eligible);
    *out = s;
    return MLY_OK;
}

void mly_scheduler_destroy(mly_scheduler *scheduler)
{
    if (!scheduler)
        return;
    mly_free(scheduler->processors);
    mly_free(scheduler->lanes);
    mly_free(scheduler->first_lane);
    mly_free(scheduler->eligible);
    mly_free(scheduler->lane_numbers);
    mly_free(scheduler->cost_ns);
    mly_free(scheduler);
}

void mly_scheduler_set_cost(mly_scheduler *scheduler, uint32_t segment, uint32_t processor,
                            int64_t cost_ns)
{
    scheduler->cost_ns[(size_t)segment * scheduler->processor_count + processor] = cost_ns;
}

void mly_scheduler_push(mly_scheduler *scheduler, struct mly_schedule_task *task)
{
    uint32_t first = scheduler->first_lane[task->segment];
    uint32_t width = scheduler->first_lane[task->segment + 1] - first;
    task->lane = first + (uint32_t)(task->order % width);
    task->waiting = true;
    struct lane *lane = &scheduler->lanes[task->lane];

    struct mly_schedule_task *after = lane->last;
    while (after && after->order > task->order)
        after = after->previous;
    task->previous = after;
    task->next = after ? after->next : lane->first;
    if (task->next)
        task->next->previous = task;
    else
        lane->last = task;
    if (after)
        after->next = task;
    else
        lane->first = task;
    scheduler->length++;
}

void mly_scheduler_remove(mly_scheduler *scheduler, struct mly_schedule_task *task)
{
    if (!task->waiting)
        return;
    struct lane *lane = &scheduler->lanes[task->lane];
    if (task->previous)
        task->previous->next = task->next;
    else
        lane->first = task->next;
    if (task->next)
        task->next->previous = task->previous;
    else
        lane->last = task->previous;
    task->previous = task->next = NULL;
    task->waiting = false;
    scheduler->length--;
}

/* (2) a must be idle; NULL best means that there is none yet. */
static bool is_better(const mly_scheduler *s, const struct mly_schedule_task *task, uint32_t a,
                      uint32_t best)
{
    const int64_t *cost_ns = s->cost_ns + (size_t)task->segment * s->processor_count;
    if (cost_ns[a] != cost_ns[best])
        return cost_ns[a] < cost_ns[best];
    if (a == task->home || best == task->home)
        return a == task->home;
    return s->processors[a].released_ns > s->processors[best].released_ns;
}

static void set_busy(mly_scheduler *s, uint32_t processor, bool busy)
{
    struct processor *p = &s->processors[processor];
    p->busy = busy;
    uint32_t change = busy ? UINT32_MAX : 1; /* modulo 2^32: -1 or +1 */
    s->idle += change;
    for (uint32_t i = 0; i < p->lane_count; i++)
        s->lanes[p->lanes[i]].idle += change;
}

bool mly_scheduler_decide(mly_scheduler *scheduler, struct mly_schedule_task **task,
                          uint32_t *processor)
{
    if (scheduler->length == 0 || scheduler->idle == 0)
        return false;
    const struct lane *oldest = NULL; /* (1) */
    for (uint32_t i = 0; i < scheduler->lane_count; i++) {
        const struct lane *lane = &scheduler->lanes[i];
        if (lane->first && lane->idle && (!oldest || lane->first->order <= oldest->first->order))
            oldest = lane;
    }
    if (!oldest)
        return false;
    uint32_t best = MLY_NO_INDEX;
    for (uint32_t i = 0; i < oldest->processor_count; i++) {
        uint32_t p = oldest->processors[i];
        if (!scheduler->processors[p].busy &&
            (best == MLY_NO_INDEX || is_better(scheduler, oldest->first, p, best)))
            best = p;
    }
    *task = oldest->first;
    *processor = best;
    mly_scheduler_remove(scheduler, oldest->first);
    set_busy(scheduler, best, true);
    return true;
}

void mly_scheduler_release(mly_scheduler *scheduler, uint32_t processor, int64_t now_ns)
{
    if (!scheduler->processors[processor].busy)
        return;
    scheduler->processors[processor].released_ns = now_ns;
    set_busy(scheduler, processor, false);
}

size_t mly_scheduler_length(const mly_scheduler *scheduler)
{
    return scheduler->length;
}

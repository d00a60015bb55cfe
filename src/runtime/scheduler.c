/*
 * The scheduler's book-keeping: groups, their lanes, and the tasks that wait in them.
 *
 * A lane is a list of waiting tasks, in the order in which they are looked at. There is one per
 * group where every task is looked at (earliest finish); one per segment where any idle processor
 * will do (eager); one per segment and processor under the policies that bind a task when it becomes
 * ready (pinned, random).
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "scheduler_private.h"

/* Of the random policy: the same seed, the same schedule. */
#define SEED 0x6d6f746c6579u

static const char *const policy_names[MLY_SCHEDULE_POLICY_COUNT] = {
    [MLY_SCHEDULE_EARLIEST] = "earliest-finish",
    [MLY_SCHEDULE_PINNED] = "pinned",
    [MLY_SCHEDULE_EAGER] = "eager",
    [MLY_SCHEDULE_RANDOM] = "random",
};

const char *mly_schedule_policy_name(enum mly_schedule_policy policy)
{
    return policy_names[policy];
}

enum mly_status mly_schedule_policy_parse(const char *word, enum mly_schedule_policy *out,
                                          struct mly_error *err)
{
    for (int i = 0; i < MLY_SCHEDULE_POLICY_COUNT; i++) {
        if (strcmp(word, policy_names[i]) == 0) {
            *out = (enum mly_schedule_policy)i;
            return MLY_OK;
        }
    }
    return mly_error_set(err, MLY_E_INVALID,
                         "there is no scheduling policy '%.64s'; there are earliest-finish, "
                         "pinned, eager and random",
                         word);
}

static bool binds(const mly_scheduler *s)
{
    return s->policy == MLY_SCHEDULE_PINNED || s->policy == MLY_SCHEDULE_RANDOM;
}

/* --- groups --- */

static void free_group(struct mly__group *group)
{
    if (!group)
        return;
    mly_free(group->lanes);
    mly_free(group->first_lane);
    mly_free(group->eligible);
    mly_free(group->ascending);
    mly_free(group->first_ascending);
    mly_free(group->sets);
    mly_free(group->active);
    mly_free(group->costs);
    mly_free(group->expected_ns);
    mly_free(group->rows);
    mly_free(group);
}

static enum mly_status check_eligible(uint32_t processor_count,
                                      const struct mly_schedule_eligible *eligible,
                                      uint32_t segment_count, uint32_t *pair_count,
                                      struct mly_error *err)
{
    *pair_count = 0;
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
        *pair_count += eligible[s].count;
    }
    if (segment_count == 0)
        return mly_error_set(err, MLY_E_INVALID, "there is no segment to schedule");
    return MLY_OK;
}

static bool allocate(struct mly__group *g, uint32_t pair_count)
{
    size_t rows = (size_t)g->segment_count * MLY__BATCH_SIZES;
    g->lanes = mly_alloc_array(g->lane_count, sizeof *g->lanes);
    g->first_lane = mly_alloc_array(g->segment_count + 1, sizeof *g->first_lane);
    g->eligible = mly_alloc_array(pair_count, sizeof *g->eligible);
    g->costs = mly_alloc_array(rows * g->stride, sizeof *g->costs);
    g->expected_ns = mly_alloc_array(rows * g->stride, sizeof *g->expected_ns);
    g->rows = mly_alloc_array(rows, sizeof *g->rows);
    g->ascending = mly_alloc_array(pair_count, sizeof *g->ascending);
    g->first_ascending = mly_alloc_array(g->segment_count + 1, sizeof *g->first_ascending);
    g->sets = mly_alloc_array(g->segment_count, sizeof *g->sets);
    g->active = mly_alloc_array(rows, sizeof *g->active);
    return g->lanes && g->first_lane && g->eligible && g->costs && g->expected_ns && g->rows &&
           g->ascending && g->first_ascending && g->sets && g->active;
}

static uint32_t count_lanes(enum mly_schedule_policy policy, uint32_t segments, uint32_t pairs)
{
    switch (policy) {
    case MLY_SCHEDULE_EARLIEST:
        return 1;
    case MLY_SCHEDULE_EAGER:
        return segments;
    default:
        return pairs;
    }
}

/* The lanes of a segment with `count` processors: first_lane, and so many. */
static uint32_t lanes_of(enum mly_schedule_policy policy, uint32_t count)
{
    return policy == MLY_SCHEDULE_EARLIEST ? 0 : policy == MLY_SCHEDULE_EAGER ? 1 : count;
}

/* From expected_ns, which says where there are sessions. */
static void list_ascending(struct mly__group *g)
{
    uint32_t n = 0;
    for (uint32_t segment = 0; segment < g->segment_count; segment++) {
        const int64_t *expected_ns =
            g->expected_ns + (size_t)segment * MLY__BATCH_SIZES * g->stride;
        g->first_ascending[segment] = n;
        for (uint32_t p = 0; p < g->stride; p++) {
            if (expected_ns[p] == MLY__NEVER_NS)
                continue;
            g->ascending[n++] = p;
            g->sets[segment] |= mly__processor_bit(p);
        }
    }
    g->first_ascending[g->segment_count] = n;
}

static void lay_out(struct mly__group *g, enum mly_schedule_policy policy,
                    const struct mly_schedule_eligible *eligible)
{
    uint32_t lane = 0, pair = 0;
    for (uint32_t segment = 0; segment < g->segment_count; segment++) {
        uint32_t count = eligible[segment].count, lanes = lanes_of(policy, count);
        g->first_lane[segment] = lane;
        for (uint32_t i = 0; i < lanes; i++)
            g->lanes[lane++] =
                (struct mly__lane){.processors = g->eligible + pair + i * (count / lanes),
                                   .processor_count = count / lanes};
        for (uint32_t i = 0; i < count; i++)
            g->eligible[pair++] = eligible[segment].processors[i];
    }
    g->first_lane[g->segment_count] = lane;

    g->batch_count = 1;
    for (size_t i = 0; i < (size_t)g->segment_count * MLY__BATCH_SIZES * g->stride; i++)
        g->expected_ns[i] = MLY__NEVER_NS;
    for (uint32_t segment = 0; segment < g->segment_count; segment++) {
        for (uint32_t b = 0; b < MLY__BATCH_SIZES; b++) {
            size_t row = (size_t)segment * MLY__BATCH_SIZES + b;
            for (uint32_t i = 0; i < eligible[segment].count; i++)
                g->expected_ns[row * g->stride + eligible[segment].processors[i]] = 0;
        }
    }
    list_ascending(g);
}

static bool reserve_processors(mly_scheduler *s, uint32_t count)
{
    if (count <= s->processor_count)
        return true;
    struct mly__processor *processors = mly_realloc_array(s->processors, count, sizeof *processors);
    if (processors)
        s->processors = processors;
    int64_t *available_ns = mly_realloc_array(s->available_ns, count, sizeof *available_ns);
    if (available_ns)
        s->available_ns = available_ns;
    uint32_t *sorted = mly_realloc_array(s->sorted, count, sizeof *sorted);
    if (sorted)
        s->sorted = sorted;
    return processors && available_ns && sorted;
}

/* A place for one more group; MLY_NO_INDEX when memory is short. */
static uint32_t reserve_group(mly_scheduler *s)
{
    for (uint32_t i = 0; i < s->group_count; i++) {
        if (!s->groups[i])
            return i;
    }
    struct mly__group **groups =
        mly_realloc_array(s->groups, s->group_count + 1, sizeof *s->groups);
    if (!groups)
        return MLY_NO_INDEX;
    s->groups = groups;
    s->groups[s->group_count] = NULL;
    return s->group_count++;
}

enum mly_status mly_scheduler_add_group(mly_scheduler *scheduler, uint32_t processor_count,
                                        const struct mly_schedule_eligible *eligible,
                                        uint32_t segment_count, uint32_t weight, uint32_t *group,
                                        struct mly_error *err)
{
    uint32_t pair_count = 0;
    enum mly_status status =
        check_eligible(processor_count, eligible, segment_count, &pair_count, err);
    if (status != MLY_OK)
        return status;
    if (weight < 1 || weight > 10000)
        return mly_error_set(err, MLY_E_INVALID, "a weight of %" PRIu32 " is not within 1…10000",
                             weight);
    struct mly__group *g = mly_alloc(sizeof *g);
    if (g)
        *g = (struct mly__group){.weight = weight,
                                 .segment_count = segment_count,
                                 .stride = processor_count,
                                 .lane_count =
                                     count_lanes(scheduler->policy, segment_count, pair_count)};
    uint32_t number = MLY_NO_INDEX;
    if (g && allocate(g, pair_count) && reserve_processors(scheduler, processor_count))
        number = reserve_group(scheduler);
    if (number == MLY_NO_INDEX) {
        free_group(g);
        return mly_error_set(err, MLY_E_NO_MEMORY,
                             "no memory for a scheduler of %" PRIu32 " segments and %" PRIu32
                             " processors",
                             segment_count, processor_count);
    }
    lay_out(g, scheduler->policy, eligible);
    for (; scheduler->processor_count < processor_count; scheduler->processor_count++) {
        scheduler->processors[scheduler->processor_count] = (struct mly__processor){0};
        scheduler->idle_set |= mly__processor_bit(scheduler->processor_count);
        scheduler->idle++;
    }
    scheduler->groups[number] = g;
    *group = number;
    return MLY_OK;
}

void mly_scheduler_remove_group(mly_scheduler *scheduler, uint32_t group)
{
    free_group(scheduler->groups[group]);
    scheduler->groups[group] = NULL;
}

enum mly_status mly_scheduler_create_empty(enum mly_schedule_policy policy, mly_scheduler **out,
                                           struct mly_error *err)
{
    mly_scheduler *s = mly_alloc(sizeof *s);
    if (!s)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a scheduler");
    s->policy = policy;
    s->review_ns = INT64_MAX;
    mly_random_init(&s->random, SEED);
    *out = s;
    return MLY_OK;
}

enum mly_status mly_scheduler_create(enum mly_schedule_policy policy, uint32_t processor_count,
                                     const struct mly_schedule_eligible *eligible,
                                     uint32_t segment_count, mly_scheduler **out,
                                     struct mly_error *err)
{
    mly_scheduler *s = NULL;
    uint32_t group;
    enum mly_status status = mly_scheduler_create_empty(policy, &s, err);
    if (status == MLY_OK)
        status =
            mly_scheduler_add_group(s, processor_count, eligible, segment_count, 1, &group, err);
    if (status != MLY_OK) {
        mly_scheduler_destroy(s);
        return status;
    }
    *out = s;
    return MLY_OK;
}

void mly_scheduler_destroy(mly_scheduler *scheduler)
{
    if (!scheduler)
        return;
    for (uint32_t i = 0; i < scheduler->group_count; i++)
        free_group(scheduler->groups[i]);
    mly_free(scheduler->groups);
    mly_free(scheduler->processors);
    mly_free(scheduler->available_ns);
    mly_free(scheduler->sorted);
    mly_free(scheduler);
}

/* --- tasks --- */

static void link_task(struct mly__lane *lane, struct mly_schedule_task *task)
{
    struct mly_schedule_task *after = lane->last;
    if (after && mly__goes_before(task, lane->first))
        after = NULL;
    while (after && mly__goes_before(task, after))
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
}

static void unlink_task(struct mly__lane *lane, struct mly_schedule_task *task)
{
    if (task->previous)
        task->previous->next = task->next;
    else
        lane->first = task->next;
    if (task->next)
        task->next->previous = task->previous;
    else
        lane->last = task->previous;
    task->previous = task->next = NULL;
}

/* The lane to wait in: of bound ones that of a processor that works, beginning with `choice`. */
static uint32_t choose_lane(const mly_scheduler *s, const struct mly__group *g,
                            const struct mly_schedule_task *task, uint64_t choice)
{
    uint32_t first = g->first_lane[task->segment];
    uint32_t width = g->first_lane[task->segment + 1] - first;
    if (width == 0)
        return 0;
    for (uint32_t i = 0; i < width && width > 1; i++) {
        uint32_t lane = first + (uint32_t)((choice + i) % width);
        uint32_t processor = g->lanes[lane].processors[0];
        if (task->only == processor + 1 && !s->processors[processor].aside)
            return lane;
    }
    for (uint32_t i = 0; i < width && width > 1; i++) {
        uint32_t lane = first + (uint32_t)((choice + i) % width);
        uint32_t processor = g->lanes[lane].processors[0];
        if (!s->processors[processor].aside &&
            (!task->avoid || mly__health_may_retry(s, task, processor)))
            return lane;
    }
    return first + (uint32_t)(choice % width);
}

static uint64_t draw(mly_scheduler *s, const struct mly_schedule_task *task)
{
    return s->policy == MLY_SCHEDULE_RANDOM ? mly_random_next(&s->random) >> 8 : task->order;
}

/* A group that had nothing to do does not claim afterwards what it did not use. */
static void catch_up(mly_scheduler *s, struct mly__group *g)
{
    double least = -1;
    for (uint32_t i = 0; i < s->group_count; i++) {
        const struct mly__group *other = s->groups[i];
        if (other && other != g && other->length + other->outside > 0 &&
            (least < 0 || other->served < least))
            least = other->served;
    }
    if (g->served < least)
        g->served = least;
}

/* One more task of its row waits. */
static void count_in(struct mly__group *g, struct mly_schedule_task *task)
{
    struct mly__row *row = &g->rows[task->row];
    if (row->waiting++ == 0) {
        row->at = g->active_count;
        g->active[g->active_count++] = task->row;
    }
    task->choosy = task->avoid || task->only || task->move_ns;
    g->choosy += task->choosy;
    g->length++;
}

static void count_out(struct mly__group *g, const struct mly_schedule_task *task)
{
    struct mly__row *row = &g->rows[task->row];
    if (--row->waiting == 0) {
        uint32_t last = g->active[--g->active_count];
        g->active[row->at] = last;
        g->rows[last].at = row->at;
    }
    g->choosy -= task->choosy;
    g->length--;
}

void mly_scheduler_push(mly_scheduler *scheduler, struct mly_schedule_task *task)
{
    struct mly__group *g = scheduler->groups[task->group];
    if (g->length + g->outside == 0 && scheduler->length > 0)
        catch_up(scheduler, g);
    task->row = mly__costs_row(g, task->segment, task->batch);
    task->lane = choose_lane(scheduler, g, task, draw(scheduler, task));
    task->waiting = true;
    link_task(&g->lanes[task->lane], task);
    count_in(g, task);
    scheduler->length++;
}

void mly_scheduler_remove(mly_scheduler *scheduler, struct mly_schedule_task *task)
{
    if (!task->waiting)
        return;
    struct mly__group *g = scheduler->groups[task->group];
    unlink_task(&g->lanes[task->lane], task);
    task->waiting = false;
    count_out(g, task);
    scheduler->length--;
}

void mly_scheduler_enter(mly_scheduler *scheduler, uint32_t group)
{
    struct mly__group *g = scheduler->groups[group];
    if (g->length + g->outside == 0)
        catch_up(scheduler, g);
    g->outside++;
}

void mly_scheduler_leave(mly_scheduler *scheduler, uint32_t group)
{
    scheduler->groups[group]->outside--;
}

void mly_scheduler_charge(mly_scheduler *scheduler, uint32_t group, int64_t ns)
{
    scheduler->groups[group]->served += (double)ns / scheduler->groups[group]->weight;
}

double mly_scheduler_served(const mly_scheduler *scheduler, uint32_t group)
{
    return scheduler->groups[group]->served;
}

size_t mly_scheduler_length(const mly_scheduler *scheduler)
{
    return scheduler->length;
}

void mly__scheduler_rebind(mly_scheduler *scheduler, uint32_t processor)
{
    if (!binds(scheduler))
        return;
    for (uint32_t i = 0; i < scheduler->group_count; i++) {
        struct mly__group *g = scheduler->groups[i];
        for (uint32_t l = 0; g && l < g->lane_count; l++) {
            struct mly__lane *lane = &g->lanes[l];
            struct mly_schedule_task *task = lane->processors[0] == processor ? lane->first : NULL;
            while (task) {
                struct mly_schedule_task *next = task->next;
                uint32_t to = choose_lane(scheduler, g, task, draw(scheduler, task));
                if (to != l) {
                    unlink_task(lane, task);
                    task->lane = to;
                    link_task(&g->lanes[to], task);
                }
                task = next;
            }
        }
    }
}

/* --- processors --- */

void mly__scheduler_set_state(mly_scheduler *scheduler, uint32_t processor, bool busy, bool aside)
{
    struct mly__processor *p = &scheduler->processors[processor];
    scheduler->idle -= mly__is_open(p);
    scheduler->aside -= p->aside;
    p->busy = busy;
    p->aside = aside;
    scheduler->idle += mly__is_open(p);
    scheduler->aside += p->aside;
    if (mly__is_open(p))
        scheduler->idle_set |= mly__processor_bit(processor);
    else if (scheduler->processor_count <= 64) /* else others share the bit */
        scheduler->idle_set &= ~mly__processor_bit(processor);
}

void mly_scheduler_ran(mly_scheduler *scheduler, const struct mly_schedule_task *task,
                       uint32_t processor, int64_t elapsed_ns)
{
    struct mly__group *g = scheduler->groups[task->group];
    struct mly__processor *p = &scheduler->processors[processor];
    p->failures = 0;
    scheduler->successes++;
    p->pause_ns = 0;
    g->served += (double)(elapsed_ns - task->cost_ns) / g->weight;
    if (task->move_ns) { /* which may be assumed: a run is never nothing but moving */
        int64_t most_ns = elapsed_ns - elapsed_ns / 4;
        elapsed_ns -= task->move_ns[processor] < most_ns ? task->move_ns[processor] : most_ns;
    }
    mly__costs_ran(g, task->row, task->batch, processor, elapsed_ns);
}

void mly_scheduler_release(mly_scheduler *scheduler, uint32_t processor, int64_t now_ns)
{
    struct mly__processor *p = &scheduler->processors[processor];
    if (now_ns > scheduler->now_ns)
        scheduler->now_ns = now_ns;
    if (!p->busy)
        return;
    p->released_ns = now_ns;
    mly__scheduler_set_state(scheduler, processor, false, p->aside);
}

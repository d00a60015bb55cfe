/*
 * The `starpu` executor.
 *
 *   1. A task that is ready gets a ticket: where it may run, and what it costs there.
 *      While there are several engines tickets of the engine that has had least for its weight are submitted
 *      first, and not more than StarPU needs to keep its workers busy: it knows of no weights.
 *   2. Its StarPU task carries the ticket; StarPU's policy asks for costs and chooses a worker.
 *   3. The workers sleep on the crew's conditions, not inside StarPU, whose own waiting spins. One
 *      is woken when something is submitted that it may run, and lets StarPU look once.
 *   4. When StarPU runs a ticket on a worker, the crew's scheduler is given the task for just that
 *      worker, which executes it as a native one does. So costs that are corrected on line,
 *      processors set aside, and statistics are the same.
 *   5. Tasks that were stopped meanwhile leave their tickets behind: these do nothing.
 */
#include "runtime/starpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "starpu_library.h"

/* Some policies look at other workers' queues only when nobody else does: a worker that found
 * nothing although there is something looks again after this. */
#define LOOK_AGAIN_NS 1000000

/* Tickets per worker that StarPU is given while several engines compete: one to run, one to follow. */
#define GIVEN_PER_WORKER 2

/* A run of the driver takes a task from the policy, or executes the one taken by the run before. */
#define RUNS_PER_LOOK 2

#define DEFAULT_POLICY "dmda"

/* One StarPU task. Everything up to `next` is set before it is submitted, and constant from then. */
struct ticket {
    struct mly__starpu *starpu;
    mly_engine *engine;
    struct mly__task *task;
    uint64_t placement; /* the task's, while this ticket is the task's */
    uint32_t group;     /* of the task, which may be over before the ticket is */
    uint64_t workers;   /* bit by worker: may run it */
    double cost_us[STARPU_NMAXWORKERS];
    int64_t least_ns; /* of these */
    int priority;
    struct ticket *next; /* free, or to be submitted */
};

struct mly__starpu {
    struct mly__placer placer; /* first: cores know it by this */
    struct mly__crew *crew;
    const struct starpu_library *library;
    char policy[64];
    uint32_t worker_count; /* with which StarPU runs; 0: it does not */
    struct starpu_driver drivers[STARPU_MAXCPUS];
    struct starpu_codelet codelet;
    struct starpu_perfmodel model;
    int min_priority, max_priority;
    /* Protected by the crew's lock: */
    struct ticket *placed, **placed_tail; /* to be submitted, in order */
    struct ticket *free;
    uint64_t pending; /* submitted, and not begun */
    uint64_t submits; /* counts submissions */
    uint64_t asleep;  /* bit by worker */
};

/* The worker whose thread this is, and whether it has run a ticket since it looked. */
static _Thread_local struct mly__worker *this_worker;
static _Thread_local bool has_run;

static pthread_mutex_t claim_lock = PTHREAD_MUTEX_INITIALIZER;
static bool claimed; /* protected by claim_lock */

/* --- (1) placing --- */

static int clamp_priority(const struct mly__starpu *starpu, const struct mly__task *task)
{
    int32_t priority = task->schedule.priority;
    if (task->schedule.late || priority < starpu->min_priority)
        return starpu->min_priority;
    return priority > starpu->max_priority ? starpu->max_priority : priority;
}

/* Workers that may run the task: of its segment, not set aside, not the one that failed it. */
static uint64_t find_workers(const struct mly__starpu *starpu, const struct mly__task *task)
{
    const struct mly_flow *flow = task->request->pool->flow;
    const struct mly_flow_segment *segment = &flow->segments[task->schedule.segment];
    uint64_t all = 0, good = 0;
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        uint32_t p = segment->processors[i];
        all |= UINT64_C(1) << p;
        if (p + 1 != task->schedule.avoid &&
            !mly_scheduler_is_aside(starpu->crew->scheduler, p, NULL))
            good |= UINT64_C(1) << p;
    }
    uint64_t only = task->schedule.only ? UINT64_C(1) << (task->schedule.only - 1) : 0;
    if (good & only)
        return only;
    return good ? good : all;
}

/* Unknown costs speak for nobody: they are the least of those known. */
static void find_costs(const struct mly__starpu *starpu, const struct mly__task *task,
                       struct ticket *ticket)
{
    const struct mly_schedule_task *schedule = &task->schedule;
    int64_t least_ns = INT64_MAX, cost_ns[STARPU_NMAXWORKERS];
    ticket->least_ns = INT64_MAX;
    for (uint32_t p = 0; p < starpu->worker_count; p++) {
        cost_ns[p] = 0;
        if (!(ticket->workers >> p & 1))
            continue;
        cost_ns[p] = mly_scheduler_cost(starpu->crew->scheduler, schedule->group, schedule->segment,
                                        p, schedule->batch);
        if (cost_ns[p] > 0 && cost_ns[p] < least_ns)
            least_ns = cost_ns[p];
    }
    for (uint32_t p = 0; p < starpu->worker_count; p++) {
        if (cost_ns[p] == 0)
            cost_ns[p] = least_ns == INT64_MAX ? 1000 : least_ns;
        if (schedule->move_ns)
            cost_ns[p] += schedule->move_ns[p];
        if ((ticket->workers >> p & 1) && cost_ns[p] < ticket->least_ns)
            ticket->least_ns = cost_ns[p];
        ticket->cost_us[p] = (double)cost_ns[p] / 1e3;
    }
}

static struct ticket *take_ticket(struct mly__starpu *starpu)
{
    struct ticket *ticket = starpu->free;
    if (ticket)
        starpu->free = ticket->next;
    else
        ticket = mly_alloc(sizeof *ticket);
    return ticket;
}

static void give_ticket(struct mly__starpu *starpu, struct ticket *ticket)
{
    ticket->next = starpu->free;
    starpu->free = ticket;
}

/* Of struct mly__placer. */
static void place(struct mly__placer *placer, struct mly__task *task)
{
    struct mly__starpu *starpu = (struct mly__starpu *)(void *)placer;
    struct ticket *ticket = take_ticket(starpu);
    if (!ticket) { /* without StarPU rather than not at all */
        mly_scheduler_push(starpu->crew->scheduler, &task->schedule);
        return;
    }
    ticket->starpu = starpu;
    ticket->engine = task->request->engine;
    ticket->engine->inside++; /* it outlives its tickets */
    ticket->task = task;
    ticket->placement = ++task->placement;
    ticket->workers = find_workers(starpu, task);
    ticket->priority = clamp_priority(starpu, task);
    find_costs(starpu, task, ticket);
    ticket->group = task->schedule.group;
    mly_scheduler_enter(starpu->crew->scheduler, ticket->group);
    ticket->next = NULL;
    *starpu->placed_tail = ticket;
    starpu->placed_tail = &ticket->next;
}

static void wake(struct mly__starpu *starpu, uint64_t workers, const struct mly__worker *self,
                 struct mly__wakes *wakes)
{
    workers &= starpu->asleep;
    if (self)
        workers &= ~(UINT64_C(1) << self->index);
    starpu->asleep &= ~workers;
    for (uint32_t p = 0; p < starpu->worker_count; p++) {
        if (!(workers >> p & 1))
            continue;
        if (wakes->count < sizeof wakes->conditions / sizeof *wakes->conditions)
            wakes->conditions[wakes->count++] = &starpu->crew->workers[p]->wake;
        else
            pthread_cond_signal(&starpu->crew->workers[p]->wake);
    }
}

/* The ticket's task, if it still waits; nobody else gets it then. */
static struct mly__task *redeem(struct ticket *ticket)
{
    struct mly__task *task = ticket->task;
    bool live = task->state == MLY__TASK_WAITING && task->placement == ticket->placement;
    return live ? task : NULL;
}

/* The ticket is over; whoever waits for the engine to be quiet is told. */
static void drop(struct mly__starpu *starpu, struct ticket *ticket)
{
    mly_engine *engine = ticket->engine;
    mly_scheduler_leave(starpu->crew->scheduler, ticket->group);
    give_ticket(starpu, ticket);
    mly__engine_leave(engine);
}

/* (2) */
static void submit_one(struct mly__starpu *starpu, struct ticket *ticket,
                       const struct mly__worker *self, struct mly__wakes *wakes)
{
    struct starpu_task *task = starpu->library->task_create();
    task->cl = &starpu->codelet;
    task->cl_arg = ticket;
    task->detach = 1;
    task->priority = ticket->priority;
    uint64_t workers = ticket->workers; /* the ticket may be over before the call returns */
    starpu->pending++;
    mly_scheduler_charge(starpu->crew->scheduler, ticket->group, ticket->least_ns);
    if (starpu->library->task_submit(task) == 0) {
        starpu->submits++;
        wake(starpu, workers, self, wakes);
        return;
    }
    starpu->pending--;
    mly_scheduler_charge(starpu->crew->scheduler, ticket->group, -ticket->least_ns);
    mly_log(MLY_LOG_WARNING, "StarPU took a task of no worker; it runs without StarPU");
    struct mly__task *live = redeem(ticket);
    if (live)
        mly_scheduler_push(starpu->crew->scheduler, &live->schedule);
    drop(starpu, ticket);
}

static struct ticket *take_placed(struct mly__starpu *starpu, struct ticket **link)
{
    struct ticket *ticket = *link;
    *link = ticket->next;
    if (!*link)
        starpu->placed_tail = link;
    return ticket;
}

/*
 * Which ticket to submit next: the oldest; where there are several engines that of the group that has had least for
 * its weight, and when StarPU has enough only one that a worker without work may run. NULL: none.
 */
static struct ticket **next_placed(struct mly__starpu *starpu)
{
    const mly_scheduler *scheduler = starpu->crew->scheduler;
    struct ticket **best = NULL;
    double least = 0;
    if (!starpu->placed || starpu->crew->members < 2)
        return starpu->placed ? &starpu->placed : NULL;
    const bool enough = starpu->pending >= (uint64_t)GIVEN_PER_WORKER * starpu->worker_count;
    for (struct ticket **link = &starpu->placed; *link; link = &(*link)->next) {
        double served = mly_scheduler_served(scheduler, (*link)->group);
        if (enough && !((*link)->workers & starpu->asleep))
            continue;
        if (!best || served < least) {
            best = link;
            least = served;
        }
    }
    return best;
}

void mly__starpu_submit(struct mly__starpu *starpu, const struct mly__worker *self,
                        struct mly__wakes *wakes)
{
    struct ticket **link;
    mly__starpu_purge(starpu);
    while ((link = next_placed(starpu)))
        submit_one(starpu, take_placed(starpu, link), self, wakes);
}

void mly__starpu_purge(struct mly__starpu *starpu)
{
    for (struct ticket **link = &starpu->placed; *link;) {
        if (redeem(*link))
            link = &(*link)->next;
        else
            drop(starpu, take_placed(starpu, link));
    }
}

struct mly__placer *mly__starpu_placer(struct mly__starpu *starpu)
{
    return &starpu->placer;
}

/* --- what StarPU calls --- */

static int may_run(unsigned worker, struct starpu_task *task, unsigned implementation)
{
    (void)implementation;
    const struct ticket *ticket = task->cl_arg;
    return (int)(ticket->workers >> worker & 1);
}

/* Before 1.4 costs are asked for by architecture; each worker has one of its own (set_environment). */
#if STARPU_MAJOR_VERSION == 1 && STARPU_MINOR_VERSION < 4
static double cost_of(struct starpu_task *task, struct starpu_perfmodel_arch *arch,
                      unsigned implementation)
{
    (void)implementation;
    const struct ticket *ticket = task->cl_arg;
    int worker = arch->devices[0].devid;
    return worker >= 0 && worker < STARPU_NMAXWORKERS ? ticket->cost_us[worker] : 1;
}
#else
static double cost_of(struct starpu_task *task, unsigned worker, unsigned implementation)
{
    (void)implementation;
    const struct ticket *ticket = task->cl_arg;
    return worker < STARPU_NMAXWORKERS ? ticket->cost_us[worker] : 1;
}
#endif

/* (4) On a worker's thread, without locks of StarPU's. */
static void run_ticket(void *buffers[], void *argument)
{
    (void)buffers;
    struct ticket *ticket = argument;
    struct mly__starpu *starpu = ticket->starpu;
    struct mly__crew *crew = starpu->crew;
    struct mly__worker *worker = this_worker;
    struct mly__wakes wakes = {.count = 0};
    has_run = true;
    pthread_mutex_lock(&crew->lock);
    starpu->pending--;
    mly_engine *engine = ticket->engine;
    struct mly__task *task = redeem(ticket); /* (5) */
    mly_scheduler_charge(crew->scheduler, ticket->group, -ticket->least_ns);
    mly_scheduler_leave(crew->scheduler, ticket->group);
    give_ticket(starpu, ticket);
    if (task) {
        task->schedule.only = worker->index + 1;
        mly_scheduler_push(crew->scheduler, &task->schedule);
        mly__crew_dispatch(crew, mly_now_ns(), worker, &wakes);
        mly__wakes_send(&wakes);
        mly__worker_execute_given(worker);
    } else { /* its place is free */
        mly__starpu_submit(starpu, worker, &wakes);
        mly__wakes_send(&wakes);
    }
    mly__engine_leave(engine);
    pthread_mutex_unlock(&crew->lock);
}

/* --- (3) workers --- */

static bool look(struct mly__starpu *starpu, struct starpu_driver *driver)
{
    has_run = false;
    for (int i = 0; i < RUNS_PER_LOOK && !has_run; i++)
        starpu->library->driver_run_once(driver);
    return has_run;
}

/* With the lock held. */
static void rest(struct mly__starpu *starpu, struct mly__worker *worker)
{
    starpu->asleep |= UINT64_C(1) << worker->index;
    if (starpu->pending == 0) {
        pthread_cond_wait(&worker->wake, &starpu->crew->lock);
    } else { /* for others, as far as we know */
        int64_t at_ns = mly_now_ns() + LOOK_AGAIN_NS;
        struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                              .tv_nsec = (long)(at_ns % 1000000000)};
        pthread_cond_clockwait(&worker->wake, &starpu->crew->lock, CLOCK_MONOTONIC, &at);
    }
    starpu->asleep &= ~(UINT64_C(1) << worker->index);
}

void mly__starpu_work(struct mly__starpu *starpu, struct mly__worker *worker)
{
    struct mly__crew *crew = starpu->crew;
    struct starpu_driver *driver = &starpu->drivers[worker->index];
    char name[16]; /* what the kernel keeps; StarPU gives its own */
    snprintf(name, sizeof name, "%.15s", worker->id);
    this_worker = worker;
    starpu->library->driver_init(driver);
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        if (worker->task) {
            mly__worker_execute_given(worker);
            continue;
        }
        if (crew->stop && starpu->pending == 0)
            break;
        uint64_t submits = starpu->submits;
        bool found = false;
        if (starpu->pending > 0) {
            pthread_mutex_unlock(&crew->lock);
            found = look(starpu, driver);
            pthread_mutex_lock(&crew->lock);
        }
        if (!found && submits == starpu->submits && !worker->task &&
            (!crew->stop || starpu->pending > 0))
            rest(starpu, worker);
    }
    pthread_mutex_unlock(&crew->lock);
    starpu->library->driver_deinit(driver);
    this_worker = NULL;
}

/* --- start and stop --- */

/* StarPU for us alone, among motley's crews and in the process. */
static enum mly_status claim(const struct starpu_library *library, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    pthread_mutex_lock(&claim_lock);
    if (claimed)
        status =
            mly_error_set(err, MLY_E_BUSY,
                          "another engine of this process runs on StarPU, which serves one at a "
                          "time: make this one beside it, or with the native executor");
    else if (library->is_initialized())
        status =
            mly_error_set(err, MLY_E_BUSY, "this process uses StarPU for something else already");
    else
        claimed = true;
    pthread_mutex_unlock(&claim_lock);
    return status;
}

static void unclaim(void)
{
    pthread_mutex_lock(&claim_lock);
    claimed = false;
    pthread_mutex_unlock(&claim_lock);
}

static void set_out(struct mly__starpu *starpu, struct mly__crew *crew,
                    const struct starpu_library *library, const char *policy)
{
    starpu->placer.place = place;
    starpu->crew = crew;
    starpu->library = library;
    starpu->placed_tail = &starpu->placed;
    snprintf(starpu->policy, sizeof starpu->policy, "%s", policy);
    starpu->model = (struct starpu_perfmodel){.symbol = "motley"};
#if STARPU_MAJOR_VERSION == 1 && STARPU_MINOR_VERSION < 4
    starpu->model.type = STARPU_PER_ARCH;
    starpu->model.arch_cost_function = cost_of;
#else
    starpu->model.type = STARPU_PER_WORKER;
    starpu->model.worker_cost_function = cost_of;
#endif
    starpu->codelet = (struct starpu_codelet){.where = STARPU_CPU,
                                              .can_execute = may_run,
                                              .cpu_funcs = {run_ticket},
                                              .model = &starpu->model,
                                              .name = "motley"};
}

static enum mly_status find(const char **policy, const struct starpu_library **library,
                            struct mly_error *err)
{
    if (!*policy || !**policy)
        *policy = DEFAULT_POLICY;
    enum mly_status status = mly__starpu_library(library, err);
    return status == MLY_OK ? mly__starpu_check_policy(*library, *policy, err) : status;
}

enum mly_status mly__starpu_check(const char *policy, struct mly_error *err)
{
    const struct starpu_library *library = NULL;
    return find(&policy, &library, err);
}

enum mly_status mly__starpu_create(struct mly__crew *crew, const char *policy,
                                   struct mly__starpu **out, struct mly_error *err)
{
    const struct starpu_library *library = NULL;
    enum mly_status status = find(&policy, &library, err);
    if (status != MLY_OK)
        return status;
    struct mly__starpu *starpu = mly_alloc(sizeof *starpu);
    if (!starpu)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for StarPU");
    status = claim(library, err);
    if (status != MLY_OK) {
        mly_free(starpu);
        return status;
    }
    set_out(starpu, crew, library, policy);
    *out = starpu;
    return MLY_OK;
}

enum mly_status mly__starpu_start(struct mly__starpu *starpu, uint32_t wanted,
                                  struct mly_error *err)
{
    if (wanted <= starpu->worker_count)
        return MLY_OK;
    if (wanted > STARPU_MAXCPUS || wanted > STARPU_NMAXWORKERS)
        return mly_error_set(err, MLY_E_LIMIT,
                             "%" PRIu32
                             " processors; this StarPU (%s) was built for %d CPU workers, "
                             "%d workers in all: use fewer, or the native executor",
                             wanted, starpu->library->version, STARPU_MAXCPUS, STARPU_NMAXWORKERS);
    if (starpu->worker_count > 0)
        return mly_error_set(err, MLY_E_LIMIT,
                             "StarPU runs with %" PRIu32
                             " workers and cannot get more while it runs; "
                             "%" PRIu32 " processors are wanted",
                             starpu->worker_count, wanted);
    struct starpu_conf conf;
    starpu->library->conf_init(&conf);
    conf.precedence_over_environment_variables = 1;
    conf.sched_policy_name = starpu->policy;
    conf.ncpus = (int)wanted;
    conf.ncuda = conf.nopencl = 0;
    conf.calibrate = conf.bus_calibrate = 0;
    conf.catch_signals = 0;
    conf.driver_spinning_backoff_min = conf.driver_spinning_backoff_max = 1;
    for (uint32_t i = 0; i < wanted; i++) {
        starpu->drivers[i].type = STARPU_CPU_WORKER;
        starpu->drivers[i].id.cpu_id = i;
    }
    conf.not_launched_drivers = starpu->drivers;
    conf.n_not_launched_drivers = wanted;
    int error = starpu->library->init(&conf);
    if (error != 0)
        return mly_error_set(err, MLY_E_INTERNAL, "StarPU %s does not start: %s",
                             starpu->library->version, strerror(-error));
    starpu->worker_count = wanted;
    starpu->min_priority = starpu->library->min_priority();
    starpu->max_priority = starpu->library->max_priority();
    return MLY_OK;
}

void mly__starpu_destroy(struct mly__starpu *starpu)
{
    if (!starpu)
        return;
    if (starpu->worker_count > 0)
        starpu->library->shutdown();
    while (starpu->free) {
        struct ticket *ticket = starpu->free;
        starpu->free = ticket->next;
        mly_free(ticket);
    }
    mly_free(starpu);
    unclaim();
}

enum mly_status mly__starpu_probe(const char **version, char **policies, uint32_t *workers,
                                  struct mly_error *err)
{
    const struct starpu_library *library = NULL;
    enum mly_status status = mly__starpu_library(&library, err);
    if (status != MLY_OK)
        return status;
    char *names = policies ? mly__starpu_policies(library) : NULL;
    if (policies && !names)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the names of StarPU's policies");
    if (version)
        *version = library->version;
    if (policies)
        *policies = names;
    if (workers)
        *workers = STARPU_MAXCPUS;
    return MLY_OK;
}

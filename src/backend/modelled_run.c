/*
 * A run on a modelled processor.
 *
 *   1. Inputs are checked against the segment's ports; those declared absent are fine.
 *   2. What the model says of these shapes.
 *   3. Results by the CPU, unless they are absent: an input is, nobody wants them, the CPU cannot, or it
 *      is not fast enough. That is decided once per shapes, in their first run, by the fastest of up to
 *      three: at most half of the modelled time, so that several modelled processors fit on the cores.
 *   4. The run begins on the device when it is asked for, or, if it waited for the last one, when that one
 *      ended there: a device goes on by itself, however late this thread wakes up and is given more.
 *   5. Sleep until the modelled end.
 *   6. What was on the links meanwhile: inputs before all else but a first run's weights, outputs last.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "modelled_session.h"

#define FAST_SHARE 0.5
#define TRIES 3
#define HOPELESS 4 /* so many times too slow: not tried again */
/* A run that is asked for so soon after the last one returned has waited for it: the engine's own time. */
#define HANDOVER_NS 100000
/* No wake-up later than that is made up for: the box, not the device, stood still. */
#define LATE_NS_MAX 2000000
#define TIMER_SLACK_NS 1000ul /* the kernel's own would add up to 50 us to every sleep */

/* --- 1 --- */

static enum mly_status check_input(const struct mly_session_port *port,
                                   const struct mly_tensor *given, struct mly_error *err)
{
    char wanted[MLY_SHAPE_TEXT_BYTES], got[MLY_SHAPE_TEXT_BYTES];
    bool fits = given->dtype == port->dtype && mly_shape_is_known(&given->shape) &&
                (port->shape.rank < 0 || port->shape.rank == given->shape.rank);
    for (int32_t d = 0; fits && d < port->shape.rank; d++)
        fits = port->shape.dims[d] < 0 || port->shape.dims[d] == given->shape.dims[d];
    if (!fits)
        return mly_error_set(err, MLY_E_MISMATCH, "input '%.200s' is %s %s; it was given %s %s",
                             port->name, mly_dtype_name(port->dtype),
                             mly_shape_format(&port->shape, wanted), mly_dtype_name(given->dtype),
                             mly_shape_format(&given->shape, got));
    size_t bytes;
    if (mly_tensor_is_absent(given))
        return MLY_OK;
    enum mly_status status = mly_shape_bytes(given->dtype, &given->shape, &bytes, err);
    if (status == MLY_OK && (given->size_bytes != bytes || (bytes > 0 && !given->data)))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "input '%.200s' takes %zu bytes for its shape; it was given %zu",
                             port->name, bytes, given->data ? given->size_bytes : 0);
    return status;
}

/* --- cancelling --- */

static void begin(struct mly__modelled_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->cancelled = false;
    s->running = true;
    pthread_mutex_unlock(&s->lock);
}

/* True if somebody asked for the end of this run. */
static bool end(struct mly__modelled_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->running = false;
    bool cancelled = s->cancelled;
    pthread_mutex_unlock(&s->lock);
    return cancelled;
}

static bool is_cancelled(struct mly__modelled_session *s)
{
    pthread_mutex_lock(&s->lock);
    bool cancelled = s->cancelled;
    pthread_mutex_unlock(&s->lock);
    return cancelled;
}

void mly__modelled_cancel(mly_session *session)
{
    struct mly__modelled_session *s = mly__modelled_session_of(session);
    pthread_mutex_lock(&s->lock);
    if (s->running && !s->cancelled) {
        s->cancelled = true;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (s->cpu && s->cpu_ops->cancel)
        s->cpu_ops->cancel(s->cpu);
}

/* --- 3 --- */

/* Frees what the back end provided; the caller's memory stays. */
static void drop_results(struct mly__modelled_session *s, struct mly_tensor *outputs)
{
    for (uint32_t i = 0; i < s->info.output_count; i++)
        if (!s->is_preset[i])
            mly_tensor_fini(&outputs[i]);
}

static enum mly_status compute(struct mly__modelled_session *s, struct mly__modelled_timing *timing,
                               const struct mly_tensor *inputs, struct mly_tensor *outputs,
                               struct mly_error *err)
{
    bool undecided = timing->results == MLY__RESULTS_UNDECIDED;
    const double limit_ns = timing->run_ns * FAST_SHARE;
    for (int i = 0; i < (undecided ? TRIES : 1); i++) {
        int64_t begun_ns = mly_now_ns();
        if (i > 0)
            drop_results(s, outputs);
        enum mly_status status = s->cpu_ops->run(s->cpu, inputs, outputs, err);
        if (status != MLY_OK)
            return status;
        double ns = (double)(mly_now_ns() - begun_ns);
        if (timing->cpu_ns <= 0 || ns < timing->cpu_ns)
            timing->cpu_ns = ns;
        if (timing->cpu_ns <= limit_ns || ns > HOPELESS * limit_ns ||
            s->results == MLY_RESULTS_ALWAYS || is_cancelled(s))
            break;
    }
    if (undecided)
        timing->results = timing->cpu_ns <= limit_ns ? MLY__RESULTS_COMPUTED : MLY__RESULTS_ABSENT;
    return MLY_OK;
}

static bool any_absent(const struct mly__modelled_session *s, const struct mly_tensor *inputs)
{
    for (uint32_t i = 0; i < s->info.input_count; i++)
        if (mly_tensor_is_absent(&inputs[i]))
            return true;
    return false;
}

/* Why there are no results, as a clause. */
static void explain(const struct mly__modelled_session *s,
                    const struct mly__modelled_timing *timing, bool inputs_absent, char *text,
                    size_t size)
{
    if (inputs_absent)
        snprintf(text, size, "its inputs are absent");
    else if (!s->cpu)
        snprintf(text, size, "%s", s->reason);
    else
        snprintf(
            text, size,
            "this box's CPU takes %.3g ms for what is modelled at %.3g ms, of which it may have "
            "half",
            timing->cpu_ns / 1e6, timing->run_ns / 1e6);
}

static enum mly_status declare_absent(struct mly__modelled_session *s,
                                      const struct mly__modelled_timing *timing, bool inputs_absent,
                                      struct mly_tensor *outputs, struct mly_error *err)
{
    for (uint32_t i = 0; i < s->info.output_count; i++) {
        if (s->is_preset[i]) {
            char why[300];
            explain(s, timing, inputs_absent, why, sizeof why);
            return mly_error_set(err, MLY_E_ABSENT,
                                 "%s (modelled) does not compute output '%.200s': %s", s->processor,
                                 s->outputs[i].name, why);
        }
        mly_tensor_fini(&outputs[i]);
        outputs[i].dtype = s->outputs[i].dtype;
        outputs[i].shape = timing->shapes[s->info.input_count + i];
    }
    return MLY_OK;
}

static enum mly_status make_results(struct mly__modelled_session *s,
                                    struct mly__modelled_timing *timing,
                                    const struct mly_tensor *inputs, struct mly_tensor *outputs,
                                    bool *computed, struct mly_error *err)
{
    const bool inputs_absent = any_absent(s, inputs);
    enum mly_status status = MLY_OK;
    *computed = s->cpu && !inputs_absent &&
                (timing->results != MLY__RESULTS_ABSENT || s->results == MLY_RESULTS_ALWAYS);
    if (*computed)
        status = compute(s, timing, inputs, outputs, err);
    if (status == MLY_OK && (!*computed || (timing->results == MLY__RESULTS_ABSENT &&
                                            s->results != MLY_RESULTS_ALWAYS)))
        status = declare_absent(s, timing, inputs_absent, outputs, err);
    return status;
}

/* --- 4 --- */

static int64_t begin_on_device(const struct mly__modelled_session *s, int64_t begun_ns)
{
    if (s->end_ns == 0 || begun_ns - s->returned_ns > HANDOVER_NS)
        return begun_ns;
    return s->end_ns > begun_ns - LATE_NS_MAX ? s->end_ns : begun_ns - LATE_NS_MAX;
}

/*
 * The device has done the run by end_ns, unless the CPU took longer for its results: the next one then
 * begins when it is asked for.
 */
static void note_end(struct mly__modelled_session *s, const struct mly__modelled_timing *timing,
                     int64_t end_ns, bool late)
{
    s->runs++;
    s->info.slowed += late;
    s->info.modelled_energy_j += timing->energy_j;
    s->loaded = true;
    s->end_ns = late ? 0 : end_ns;
    s->returned_ns = mly_now_ns();
}

/* --- 5 --- */

static void sleep_until(struct mly__modelled_session *s, int64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                                .tv_nsec = (long)(at_ns % 1000000000)};
    int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (slack > 0)
        prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    pthread_mutex_lock(&s->lock);
    int error = 0;
    while (!s->cancelled && error == 0)
        error = pthread_cond_timedwait(&s->wake, &s->lock, &at);
    pthread_mutex_unlock(&s->lock);
    if (slack > 0)
        prctl(PR_SET_TIMERSLACK, (unsigned long)slack, 0, 0, 0);
}

/* --- 6 --- */

static void add_copy(struct mly__modelled_session *s, bool out, int64_t offset_ns, double ns,
                     double bytes)
{
    if (bytes > 0)
        s->copies[s->copy_count++] = (struct mly_session_copy){
            .out = out, .offset_ns = offset_ns, .ns = (int64_t)ns, .bytes = (uint64_t)bytes};
}

/* For a run that was asked for at begun_ns. What the device began before that is shown from then on. */
static void note_copies(struct mly__modelled_session *s, const struct mly__modelled_timing *timing,
                        int64_t begun_ns, int64_t end_ns)
{
    int64_t in_ns = end_ns - (int64_t)timing->run_ns - begun_ns;
    if (in_ns < 0)
        in_ns = 0;
    int64_t out_ns = end_ns - (int64_t)timing->output_ns - begun_ns;
    if (out_ns < in_ns + (int64_t)timing->input_ns)
        out_ns = in_ns + (int64_t)timing->input_ns;
    add_copy(s, false, in_ns, timing->input_ns, timing->input_bytes);
    add_copy(s, true, out_ns, timing->output_ns, timing->output_bytes);
}

uint32_t mly__modelled_copies(const mly_session *session, struct mly_session_copy *copies)
{
    const struct mly__modelled_session *s =
        (const struct mly__modelled_session *)(const void *)session;
    for (uint32_t i = 0; i < s->copy_count; i++)
        copies[i] = s->copies[i];
    return s->copy_count;
}

enum mly_status mly__modelled_run(mly_session *session, const struct mly_tensor *inputs,
                                  struct mly_tensor *outputs, struct mly_error *err)
{
    struct mly__modelled_session *s = mly__modelled_session_of(session);
    const int64_t begun_ns = mly_now_ns();
    struct mly__modelled_timing *timing;
    s->copy_count = 0;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < s->info.input_count && status == MLY_OK; i++)
        status = check_input(&s->inputs[i], &inputs[i], err);
    if (status == MLY_OK)
        status = mly__modelled_timing(s, inputs, &timing, err);
    if (status != MLY_OK)
        return status;

    for (uint32_t i = 0; i < s->info.output_count; i++)
        s->is_preset[i] = outputs[i].data != NULL;
    bool computed = false;
    begin(s);
    status = make_results(s, timing, inputs, outputs, &computed, err);
    if (status == MLY_OK) {
        const int64_t takes_ns = (int64_t)(timing->run_ns + (s->loaded ? 0 : timing->first_ns));
        const int64_t end_ns = begin_on_device(s, begun_ns) + takes_ns;
        const bool late = computed && mly_now_ns() - begun_ns > takes_ns;
        sleep_until(s, end_ns);
        note_copies(s, timing, begun_ns, end_ns);
        note_end(s, timing, end_ns, late);
    }
    const bool cancelled = end(s);
    if (status != MLY_OK || cancelled)
        s->end_ns = 0;
    if (cancelled && status != MLY_E_CANCELLED) {
        if (status == MLY_OK)
            drop_results(s, outputs);
        return mly_error_set(err, MLY_E_CANCELLED, "the run was cancelled");
    }
    return status;
}

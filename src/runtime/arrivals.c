/* Arrival processes: what users write, and the times that come of it. */
#include "runtime/arrivals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

/* Later than any run; leaves room for sums. */
#define FOREVER_NS 9e18

/* --- what users write --- */

/* A plain decimal number within [min, max] that ends at one of `ends` or the end; NULL if it is none. */
static const char *read_number(const char *text, double min, double max, const char *ends,
                               double *out)
{
    size_t length = strspn(text, "0123456789.eE+-");
    char *end = NULL;
    if (length == 0 || text[0] < '0' || text[0] > '9')
        return NULL;
    double value = strtod(text, &end);
    if (end != text + length || !(value >= min && value <= max) ||
        (*end != '\0' && !strchr(ends, *end)))
        return NULL;
    *out = value;
    return end;
}

static enum mly_status read_in_flight(const char *text, struct mly_arrivals *out,
                                      struct mly_error *err)
{
    double number = 0;
    const char *end = read_number(text, 1, MLY_ARRIVALS_IN_FLIGHT_MAX, "", &number);
    if (!end || number != floor(number))
        return mly_error_set(
            err, MLY_E_INVALID,
            "arrivals 'closed:%.40s': requests in flight are a whole number from 1 "
            "to %u, such as closed:8",
            text, MLY_ARRIVALS_IN_FLIGHT_MAX);
    out->in_flight = (uint32_t)number;
    return MLY_OK;
}

static enum mly_status read_rate(const char *text, struct mly_arrivals *out, struct mly_error *err)
{
    const char *end = read_number(text, 1e-6, MLY_ARRIVALS_RATE_MAX, "", &out->rate_per_s);
    if (!end)
        return mly_error_set(
            err, MLY_E_INVALID,
            "arrivals '%s:%.40s': requests per second are a number from 1e-6 to %g",
            out->kind == MLY_ARRIVALS_POISSON ? "poisson" : "constant", text,
            MLY_ARRIVALS_RATE_MAX);
    return MLY_OK;
}

static enum mly_status read_states(const char *text, struct mly_arrivals *out,
                                   struct mly_error *err)
{
    const char *at = text;
    double seconds[2] = {0};
    for (int i = 0; i < 2 && at; i++) {
        at = read_number(at, 0, MLY_ARRIVALS_RATE_MAX, "/", &out->states[i].rate_per_s);
        at = at && *at == '/' ? read_number(at + 1, 1e-6, 1e6, i == 0 ? "," : "", &seconds[i])
                              : NULL;
        out->states[i].mean_ns = seconds[i] * 1e9;
        if (at && i == 0)
            at = *at == ',' ? at + 1 : NULL;
    }
    if (!at || out->states[0].rate_per_s + out->states[1].rate_per_s <= 0)
        return mly_error_set(
            err, MLY_E_INVALID,
            "arrivals 'bursty:%.60s': wanted are two of requests per second and mean "
            "seconds, of which one rate may be 0, such as bursty:50/2,400/0.5",
            text);
    return MLY_OK;
}

static enum mly_status read_trace(const char *path, struct mly_arrivals *out, struct mly_error *err)
{
    char *text = NULL;
    size_t length = 0;
    if (*path == '\0')
        return mly_error_set(err, MLY_E_INVALID, "arrivals 'trace:': a file is missing");
    enum mly_status status = mly_file_read(path, MLY_ARRIVALS_TRACE_BYTES_MAX, &text, &length, err);
    if (status == MLY_OK)
        status = mly_arrivals_parse_trace(path, text, length, out, err);
    mly_free(text);
    return status;
}

static const struct {
    const char *name;
    enum mly_arrival_kind kind;
    enum mly_status (*read)(const char *text, struct mly_arrivals *out, struct mly_error *err);
} kinds[] = {
    {"closed:", MLY_ARRIVALS_CLOSED, read_in_flight},
    {"constant:", MLY_ARRIVALS_CONSTANT, read_rate},
    {"poisson:", MLY_ARRIVALS_POISSON, read_rate},
    {"bursty:", MLY_ARRIVALS_BURSTY, read_states},
    {"trace:", MLY_ARRIVALS_TRACE, read_trace},
};

enum mly_status mly_arrivals_parse(const char *text, struct mly_arrivals *out,
                                   struct mly_error *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].name);
        if (strncmp(text, kinds[i].name, length) != 0)
            continue;
        struct mly_arrivals arrivals = {.kind = kinds[i].kind};
        enum mly_status status = kinds[i].read(text + length, &arrivals, err);
        if (status == MLY_OK)
            *out = arrivals;
        return status;
    }
    return mly_error_set(err, MLY_E_INVALID,
                         "arrivals '%.60s': wanted is closed:N, constant:RATE, poisson:RATE, "
                         "bursty:RATE/SECONDS,RATE/SECONDS or trace:FILE",
                         text);
}

void mly_arrivals_fini(struct mly_arrivals *arrivals)
{
    mly_free(arrivals->times_ns);
    *arrivals = (struct mly_arrivals){0};
}

char *mly_arrivals_describe(const struct mly_arrivals *a, char buffer[MLY_ARRIVALS_TEXT_BYTES])
{
    const size_t size = MLY_ARRIVALS_TEXT_BYTES;
    switch (a->kind) {
    case MLY_ARRIVALS_CLOSED:
        snprintf(buffer, size, "closed loop, %u in flight", a->in_flight);
        break;
    case MLY_ARRIVALS_CONSTANT:
        snprintf(buffer, size, "constant, %.6g requests/s", a->rate_per_s);
        break;
    case MLY_ARRIVALS_POISSON:
        snprintf(buffer, size, "poisson, %.6g requests/s", a->rate_per_s);
        break;
    case MLY_ARRIVALS_BURSTY:
        snprintf(buffer, size, "bursty, %.6g requests/s for %.4g s and %.6g for %.4g s (means)",
                 a->states[0].rate_per_s, a->states[0].mean_ns / 1e9, a->states[1].rate_per_s,
                 a->states[1].mean_ns / 1e9);
        break;
    case MLY_ARRIVALS_TRACE:
        snprintf(buffer, size, "trace of %zu requests, %.6g requests/s", a->count,
                 mly_arrivals_rate_per_s(a));
        break;
    }
    return buffer;
}

double mly_arrivals_rate_per_s(const struct mly_arrivals *a)
{
    switch (a->kind) {
    case MLY_ARRIVALS_CONSTANT:
    case MLY_ARRIVALS_POISSON:
        return a->rate_per_s;
    case MLY_ARRIVALS_BURSTY:
        return (a->states[0].rate_per_s * a->states[0].mean_ns +
                a->states[1].rate_per_s * a->states[1].mean_ns) /
               (a->states[0].mean_ns + a->states[1].mean_ns);
    case MLY_ARRIVALS_TRACE:
        return a->count > 1 && a->times_ns[a->count - 1] > 0
                   ? (double)(a->count - 1) * 1e9 / (double)a->times_ns[a->count - 1]
                   : 0;
    case MLY_ARRIVALS_CLOSED:
        break;
    }
    return 0;
}

/* --- times --- */

void mly_arrival_stream_init(struct mly_arrival_stream *stream, const struct mly_arrivals *arrivals,
                             uint64_t seed)
{
    *stream = (struct mly_arrival_stream){.arrivals = arrivals};
    mly_random_init(&stream->random, seed);
    if (arrivals->kind == MLY_ARRIVALS_BURSTY)
        stream->until_ns = arrivals->states[0].mean_ns * mly_random_exponential(&stream->random);
}

/* What is left of the wait when the state changes is drawn anew: exponential times have no memory. */
static double next_of_bursts(struct mly_arrival_stream *stream)
{
    for (;;) {
        double rate = stream->arrivals->states[stream->state].rate_per_s;
        if (rate > 0) {
            double at = stream->at_ns + 1e9 / rate * mly_random_exponential(&stream->random);
            if (at <= stream->until_ns || at > FOREVER_NS)
                return at;
        }
        stream->at_ns = stream->until_ns;
        stream->state ^= 1;
        stream->until_ns += stream->arrivals->states[stream->state].mean_ns *
                            mly_random_exponential(&stream->random);
    }
}

int64_t mly_arrival_stream_next(struct mly_arrival_stream *stream)
{
    const struct mly_arrivals *a = stream->arrivals;
    const uint64_t index = stream->index++;
    switch (a->kind) {
    case MLY_ARRIVALS_CLOSED:
        return INT64_MAX;
    case MLY_ARRIVALS_TRACE:
        return index < a->count ? a->times_ns[index] : INT64_MAX;
    case MLY_ARRIVALS_CONSTANT:
        stream->at_ns = (double)index * (1e9 / a->rate_per_s);
        break;
    case MLY_ARRIVALS_POISSON:
        stream->at_ns += 1e9 / a->rate_per_s * mly_random_exponential(&stream->random);
        break;
    case MLY_ARRIVALS_BURSTY:
        stream->at_ns = next_of_bursts(stream);
        break;
    }
    return stream->at_ns < FOREVER_NS ? (int64_t)stream->at_ns : INT64_MAX;
}

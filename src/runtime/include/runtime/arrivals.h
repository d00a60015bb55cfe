/*
 * When requests arrive: a description as users write it, and the times that it makes. A stream of
 * times depends on the description and the seed alone, so that the same requests can be sent to a
 * real engine and to a simulated one.
 */
#ifndef MLY_RUNTIME_ARRIVALS_H
#define MLY_RUNTIME_ARRIVALS_H

#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

#include "base/random.h"

enum mly_arrival_kind {
    MLY_ARRIVALS_CLOSED,   /* a fixed number in flight: one finishes, the next is sent */
    MLY_ARRIVALS_CONSTANT, /* evenly spaced */
    MLY_ARRIVALS_POISSON,
    MLY_ARRIVALS_BURSTY, /* a Poisson process whose rate changes between two states, each of which
                            lasts an exponential time (MMPP of two states) */
    MLY_ARRIVALS_TRACE   /* times from a file */
};

/* Zeroed is empty. */
struct mly_arrivals {
    enum mly_arrival_kind kind;
    uint32_t in_flight; /* closed */
    double rate_per_s;  /* constant, poisson: requests, not samples */
    struct {
        double rate_per_s; /* may be 0 in one of them */
        double mean_ns;    /* how long it lasts */
    } states[2];           /* bursty; the first is the one that it begins in */
    int64_t *times_ns;     /* trace: [count], ascending, counted from the first, which is 0 */
    size_t count;
};

#define MLY_ARRIVALS_RATE_MAX 1e9
#define MLY_ARRIVALS_IN_FLIGHT_MAX 1000000u
#define MLY_ARRIVALS_TRACE_BYTES_MAX ((size_t)256 << 20)
#define MLY_ARRIVALS_TRACE_COUNT_MAX ((size_t)1 << 24)

/*
 * "closed:8", "constant:200", "poisson:200", "bursty:50/2,400/0.5" (50 requests per second for 2 s on
 * average, then 400 for 0.5 s), "trace:FILE". *out is the caller's (mly_arrivals_fini).
 * Errors: MLY_E_INVALID says what is wrong in the text; those of reading and parsing a trace.
 */
enum mly_status mly_arrivals_parse(const char *text, struct mly_arrivals *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
/*
 * A trace from text: a line per request with its time in seconds, or a table (comma, semicolon or
 * tab between columns) of which the column `time` or `timestamp` is used, the first where there is no
 * heading. Empty lines and those that begin with # are skipped. name is for messages.
 * Errors: MLY_E_FORMAT with line and rule (no number, before the last one, over 9e9 s, no such
 * column, no time at all); MLY_E_LIMIT; MLY_E_NO_MEMORY.
 */
enum mly_status mly_arrivals_parse_trace(const char *name, const char *text, size_t length,
                                         struct mly_arrivals *out,
                                         struct mly_error *err) MLY_MUST_CHECK;
void mly_arrivals_fini(struct mly_arrivals *arrivals);
/* "poisson, 200 requests/s". Returns buffer. */
#define MLY_ARRIVALS_TEXT_BYTES 128
char *mly_arrivals_describe(const struct mly_arrivals *arrivals,
                            char buffer[MLY_ARRIVALS_TEXT_BYTES]);
/* Requests per second in the long run; 0 for closed ones, and for a trace of one. */
double mly_arrivals_rate_per_s(const struct mly_arrivals *arrivals);

/* Times, one after the other. */
struct mly_arrival_stream {
    const struct mly_arrivals *arrivals; /* borrowed */
    struct mly_random random;
    uint64_t index;  /* of the next one */
    double at_ns;    /* of the last one, or of the last change of state */
    unsigned state;  /* bursty */
    double until_ns; /* bursty: when the state ends */
};
void mly_arrival_stream_init(struct mly_arrival_stream *stream, const struct mly_arrivals *arrivals,
                             uint64_t seed);
/*
 * Time of the next request, counted from the start; never before the last. INT64_MAX when there is
 * none any more: after the last of a trace, always for closed ones.
 */
int64_t mly_arrival_stream_next(struct mly_arrival_stream *stream);

#endif

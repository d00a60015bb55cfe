/* The monotonic clock, virtual clocks, CPU time and UTC text. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"

struct mly_clock {
    bool is_virtual;
    _Atomic int64_t now_ns; /* of a virtual clock */
};

static mly_clock real_clock;

static int64_t read_ns(clockid_t id)
{
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

mly_clock *mly_clock_real(void)
{
    return &real_clock;
}

mly_clock *mly_clock_create_virtual(int64_t start_ns)
{
    mly_clock *clock = mly_alloc(sizeof *clock);
    if (!clock)
        return NULL;
    clock->is_virtual = true;
    atomic_init(&clock->now_ns, start_ns);
    return clock;
}

void mly_clock_destroy(mly_clock *clock)
{
    if (clock != &real_clock)
        mly_free(clock);
}

int64_t mly_clock_now_ns(const mly_clock *clock)
{
    return clock->is_virtual ? atomic_load(&clock->now_ns) : mly_now_ns();
}

void mly_clock_advance_to(mly_clock *clock, int64_t at_ns)
{
    if (!clock->is_virtual)
        return;
    int64_t now = atomic_load(&clock->now_ns);
    while (now < at_ns && !atomic_compare_exchange_weak(&clock->now_ns, &now, at_ns))
        continue;
}

int64_t mly_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t mly_cpu_time_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

char *mly_utc_now(char buffer[MLY_UTC_TEXT_BYTES])
{
    time_t now = time(NULL);
    struct tm parts = {0};
    gmtime_r(&now, &parts);
    if (strftime(buffer, MLY_UTC_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(buffer, MLY_UTC_TEXT_BYTES, "0000-00-00T00:00:00Z");
    return buffer;
}

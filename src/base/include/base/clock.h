/* Clocks: monotonic real time, or a virtual time that only moves when told to. */
#ifndef MLY_BASE_CLOCK_H
#define MLY_BASE_CLOCK_H

#include <stdint.h>

typedef struct mly_clock mly_clock;

/* The process's monotonic clock; never destroyed. Thread-safe. */
mly_clock *mly_clock_real(void);
/* A virtual clock that starts at start_ns; NULL when memory is short. */
mly_clock *mly_clock_create_virtual(int64_t start_ns);
void mly_clock_destroy(mly_clock *clock);
int64_t mly_clock_now_ns(const mly_clock *clock);
/* Moves a virtual clock forward to at_ns (never backward; ignored on the real one). */
void mly_clock_advance_to(mly_clock *clock, int64_t at_ns);
/* Shorthand for mly_clock_now_ns(mly_clock_real()). */
int64_t mly_now_ns(void);
/* CPU time used by this process so far, user and system. */
int64_t mly_cpu_time_ns(void);
/* UTC as "2026-11-21T11:17:00Z". */
#define MLY_UTC_TEXT_BYTES 24
char *mly_utc_now(char buffer[MLY_UTC_TEXT_BYTES]);

#endif

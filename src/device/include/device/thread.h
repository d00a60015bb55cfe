/* Pinning threads, whether CPUs are all there are, and the noise of the box. */
#ifndef MLY_DEVICE_THREAD_H
#define MLY_DEVICE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/status.h>

/*
 * Pins the calling thread to one logical CPU (OS index). MLY_E_ABSENT, and no change, if the CPU is
 * gone or not allowed. Thread-safe.
 */
enum mly_status mly_thread_pin(uint32_t cpu, struct mly_error *err) MLY_MUST_CHECK;
/*
 * Allows the calling thread to run on all CPUs of the list and no others; MLY_E_ABSENT, and no
 * change, if one of them is gone or not allowed; MLY_E_INVALID for an empty list. Thread-safe.
 */
enum mly_status mly_thread_pin_set(const uint32_t *cpus, uint32_t count,
                                   struct mly_error *err) MLY_MUST_CHECK;

/*
 * True if these CPUs, with those that share a core with one of them, are all that are switched on in
 * this box: what runs on all cores then leaves them alone. False where the kernel does not tell.
 */
bool mly_cpus_are_whole_box(const uint32_t *cpus, uint32_t count);

/*
 * Noise: a fixed piece of arithmetic (about 1 ms) is timed many times on every given CPU at once.
 * relative_spread is (p90 - p10) / median over all samples; slowdown is median / fastest;
 * steal_fraction is the share of time that the hypervisor took (/proc/stat, counted in 10 ms), -1
 * when unknown. CPUs of different kinds count as noise: measure each kind by itself.
 */
struct mly_noise {
    double relative_spread;
    double slowdown;
    double steal_fraction;
    uint32_t samples;
};

/*
 * count is 1 to 4096, the duration 1 ns to 600 s (MLY_E_INVALID); MLY_E_ABSENT if a CPU cannot be
 * had. Starts count threads and blocks for about the duration; the calling thread stays as it is.
 */
enum mly_status mly_noise_measure(const uint32_t *cpus, uint32_t count, int64_t duration_ns,
                                  struct mly_noise *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

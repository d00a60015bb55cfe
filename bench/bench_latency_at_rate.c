/*
 * How near the planners' latency at a rate is to the virtual executor's: plans of all forms, by load and batch.
 *
 *   bench_latency_at_rate [--quick]
 *
 * Printed: estimate over simulation, in per cent more or less, of the mean time from a full batch to its end,
 * when samples come at random. Nothing is measured: it is the same on every box.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/load_scenes.h"

int main(int argument_count, char **arguments)
{
    const bool quick = argument_count > 1 && strcmp(arguments[1], "--quick") == 0;
    const uint32_t count = quick ? 20000 : 200000;
    struct mly_error err = {0};
    printf(
        "Latency at a rate: the estimate against %u batches on the virtual clock, in %%; modelled\n"
        "%-44s %5s",
        count, "times of processors, or parts", "batch");
    for (size_t l = 0; l < load_scene_load_count; l++)
        printf(" %4.0f %%", load_scene_loads[l] * 100);
    printf("  of what it can take\n");
    for (size_t s = 0; s < load_scene_count; s++) {
        for (uint32_t batch = 1; batch <= 32; batch *= batch == 16 ? 2 : 4) {
            printf("%-44s %5u", batch == 1 ? load_scenes[s].name : "", batch);
            for (size_t l = 0; l < load_scene_load_count; l++) {
                const double load = load_scene_loads[l];
                double estimate = 0, simulated = 0;
                if (load_scene_estimate(&load_scenes[s], batch, load, &estimate, &err) ||
                    load_scene_simulate(&load_scenes[s], batch, load, count, &simulated, &err)) {
                    fprintf(stderr, "bench_latency_at_rate: %s\n", err.message);
                    return 1;
                }
                printf(" %+6.1f", (estimate / simulated - 1) * 100);
            }
            printf("\n");
            fflush(stdout);
        }
    }
    return 0;
}

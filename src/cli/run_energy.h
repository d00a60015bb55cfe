/* Energy and temperature of a run, with what the box takes when idle subtracted. */
#ifndef MLY_CLI_RUN_ENERGY_H
#define MLY_CLI_RUN_ENERGY_H

#include "device/power.h"
#include "internal.h"
#include "run_processors.h"

/* Zeroed is empty. */
struct run_energy {
    mly_sensors *sensors;          /* NULL: nobody asked */
    const struct mly_sensor *list; /* [count], borrowed from sensors */
    size_t count;
    bool *chosen;                    /* [count] adds up to the box */
    struct mly_reading *idle, *busy; /* [count] */
    mly_meter *meter;                /* while the run is on */
};

/* wanted: ids of sensors to add up, or NULL; errors as of mly_sensors_choose, and
 * MLY_E_NO_MEMORY. Free with run_energy_fini, after a failure too. */
enum mly_status run_energy_open(const mly_machine *machine, const char *wanted,
                                struct run_energy *out, struct mly_error *err) MLY_MUST_CHECK;
/* Meters the box for that long without doing anything. MLY_E_CANCELLED when interrupted. */
enum mly_status run_energy_rest(struct run_energy *energy, int64_t duration_ns,
                                struct mly_error *err) MLY_MUST_CHECK;
enum mly_status run_energy_begin(struct run_energy *energy, struct mly_error *err) MLY_MUST_CHECK;
void run_energy_end(struct run_energy *energy);
/* What several metered stretches of one side of a comparison took together. Zeroed is empty. */
struct run_energy_use {
    uint32_t sources; /* sensors that were added up */
    const char *
        reason; /* why it is not known; NULL: it is, if there are sources. Borrowed from the energy */
    double energy_j, above_idle_j, seconds;
    uint64_t samples;
};
/* Adds the stretch from the last begin to the last end, in which so many samples were run here. */
void run_energy_add(const struct run_energy *energy, uint64_t samples, struct run_energy_use *use);
/* Cells "J/sample" and "above idle" of a side's row. */
void run_energy_cells(const struct run_energy_use *use, struct cli_table *table);
/* Under a comparison's table: how it was measured, or why it was not. */
void run_energy_print_comparison(const struct run_energy *energy);
/* The object "energy" of one side; and of the comparison. */
void run_energy_put_use(const struct run_energy_use *use, struct mly_json_writer *json);
void run_energy_put_comparison(const struct run_energy *energy, struct mly_json_writer *json);

/*
 * What was measured over a run of so many samples, and what was not and why. That is this box's: what
 * processors that are not here would take stands beside it, and is called modelled.
 */
void run_energy_print(const struct run_energy *energy, const struct run_modelled_energy *modelled,
                      uint64_t samples);
/* The same as the object "energy". */
void run_energy_put(const struct run_energy *energy, const struct run_modelled_energy *modelled,
                    uint64_t samples, struct mly_json_writer *json);
void run_energy_fini(struct run_energy *energy);

#endif

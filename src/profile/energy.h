/* Energy of measuring rounds, where the box has sensors for it. */
#ifndef MLY_PROFILE_ENERGY_H
#define MLY_PROFILE_ENERGY_H

#include "device/power.h"

/* Zeroed: there are no sensors, and nothing is measured. */
struct profile_energy {
    mly_sensors *sensors;
    size_t count;
    bool *chosen;                 /* [count] adds up to the box */
    struct mly_reading *readings; /* [count] scratch */
};

/* Sensors that cannot be had are none: measuring goes on without. */
void profile_energy_open(const mly_machine *machine, struct profile_energy *out);
void profile_energy_close(struct profile_energy *energy);
/* NULL: nothing will be measured. */
mly_meter *profile_energy_begin(struct profile_energy *energy);
/* All that the box took since begin, in J; 0: not known. meter may be NULL. */
double profile_energy_end(struct profile_energy *energy, mly_meter *meter);

#endif

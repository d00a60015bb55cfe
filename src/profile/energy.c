/* Energy of measuring rounds: what adds up to the box, read before and after each. */
#include "energy.h"

#include "base/alloc.h"
#include "base/log.h"

void profile_energy_open(const mly_machine *machine, struct profile_energy *out)
{
    struct mly_error why = {0};
    struct profile_energy energy = {0};
    bool any = false;
    *out = energy;
    enum mly_status status = mly_sensors_open(machine, &energy.sensors, &why);
    if (status == MLY_OK) {
        mly_sensors_list(energy.sensors, &energy.count);
        energy.chosen = mly_alloc_array(energy.count, sizeof *energy.chosen);
        energy.readings = mly_alloc_array(energy.count, sizeof *energy.readings);
        if (!energy.chosen || !energy.readings)
            status = mly_error_set(&why, MLY_E_NO_MEMORY, "no memory for sensors");
    }
    if (status == MLY_OK)
        status = mly_sensors_choose(energy.sensors, NULL, energy.chosen, &why);
    for (size_t i = 0; status == MLY_OK && i < energy.count; i++)
        any = any || energy.chosen[i];
    if (status != MLY_OK)
        mly_log(MLY_LOG_INFO, "energy is not measured: %s", why.message);
    if (any)
        *out = energy;
    else
        profile_energy_close(&energy);
}

void profile_energy_close(struct profile_energy *energy)
{
    mly_sensors_close(energy->sensors);
    mly_free(energy->chosen);
    mly_free(energy->readings);
    *energy = (struct profile_energy){0};
}

mly_meter *profile_energy_begin(struct profile_energy *energy)
{
    mly_meter *meter = NULL;
    if (!energy->sensors || mly_meter_start(energy->sensors, &meter, NULL) != MLY_OK)
        return NULL;
    return meter;
}

double profile_energy_end(struct profile_energy *energy, mly_meter *meter)
{
    double sum_j = 0;
    if (!meter)
        return 0;
    mly_meter_stop(meter, energy->readings, energy->count);
    for (size_t i = 0; i < energy->count; i++) {
        if (!energy->chosen[i])
            continue;
        if (!energy->readings[i].measured)
            return 0;
        sum_j += energy->readings[i].energy_j;
    }
    return sum_j;
}

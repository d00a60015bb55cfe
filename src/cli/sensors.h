/* Sensors of energy and temperature as `motley devices` shows them. */
#ifndef MLY_CLI_SENSORS_H
#define MLY_CLI_SENSORS_H

#include "device/power.h"
#include "internal.h"

/* A table of all sensors with what they say now, and of what is absent and why; many temperatures
 * are cut. */
void cli_sensors_print(mly_sensors *sensors);
/* All of them as the array "sensors". */
void cli_sensors_put(mly_sensors *sensors, struct mly_json_writer *json);

#endif

/* Sensors of energy and temperature as `motley devices` shows them. */
#include "sensors.h"

#include <string.h>

/* Rows of temperature in a table; a big server has one per core. */
enum { TEMPERATURES_MAX = 16 };

static const char *const quantities[] = {[MLY_SENSOR_ENERGY] = "energy",
                                         [MLY_SENSOR_POWER] = "power",
                                         [MLY_SENSOR_TEMPERATURE] = "temperature"};
static const char *const scopes[] = {[MLY_SENSOR_PART] = "part",
                                     [MLY_SENSOR_OTHER] = "other",
                                     [MLY_SENSOR_WHOLE] = "whole",
                                     [MLY_SENSOR_RAIL] = "rail"};

/* "absent" alone is a row for a kind that is not here; it tells no quantity. */
static bool is_absent(const struct mly_sensor *sensor)
{
    return strncmp(sensor->reason, "absent: ", strlen("absent: ")) == 0;
}

/* What it says now; counters say nothing by themselves. */
static void print_value(mly_sensors *sensors, size_t index, const struct mly_sensor *sensor,
                        struct cli_table *table)
{
    double value;
    if (!sensor->usable || sensor->quantity == MLY_SENSOR_ENERGY ||
        mly_sensors_read(sensors, index, &value, NULL) != MLY_OK)
        cli_table_cell(table, "%s", "");
    else if (sensor->quantity == MLY_SENSOR_POWER)
        cli_table_cell(table, "%.2f W", value);
    else
        cli_table_cell(table, "%.1f C", value);
}

void cli_sensors_print(mly_sensors *sensors)
{
    size_t count, temperatures = 0;
    const struct mly_sensor *list = mly_sensors_list(sensors, &count);
    struct cli_table table;
    cli_table_init(&table, "sensor|measures|state|>now|description");
    for (size_t i = 0; i < count; i++) {
        const struct mly_sensor *sensor = &list[i];
        if (!is_absent(sensor) && sensor->quantity == MLY_SENSOR_TEMPERATURE &&
            temperatures++ >= TEMPERATURES_MAX)
            continue;
        cli_table_cell(&table, "%s", sensor->id);
        cli_table_cell(&table, "%s", is_absent(sensor) ? "" : quantities[sensor->quantity]);
        cli_table_cell(&table, "%s",
                       sensor->usable      ? "usable"
                       : is_absent(sensor) ? "absent"
                                           : "unusable");
        print_value(sensors, i, sensor, &table);
        cli_table_cell(&table, "%s",
                       sensor->usable      ? sensor->description
                       : is_absent(sensor) ? sensor->reason + strlen("absent: ")
                                           : sensor->reason);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    if (temperatures > TEMPERATURES_MAX)
        printf("(%zu more temperatures: --json lists them)\n", temperatures - TEMPERATURES_MAX);
}

void cli_sensors_put(mly_sensors *sensors, struct mly_json_writer *json)
{
    size_t count;
    const struct mly_sensor *list = mly_sensors_list(sensors, &count);
    mly_json_begin_array(json, "sensors");
    for (size_t i = 0; i < count; i++) {
        const struct mly_sensor *sensor = &list[i];
        double value;
        bool has_value = sensor->usable && mly_sensors_read(sensors, i, &value, NULL) == MLY_OK;
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "id", sensor->id);
        mly_json_put_string(json, "measures",
                            is_absent(sensor) ? NULL : quantities[sensor->quantity]);
        mly_json_put_string(json, "scope", is_absent(sensor) ? NULL : scopes[sensor->scope]);
        mly_json_put_bool(json, "usable", sensor->usable);
        mly_json_put_string(json, "reason", sensor->usable ? NULL : sensor->reason);
        mly_json_put_string(json, "description", sensor->description);
        if (has_value)
            mly_json_put_number(json, "value", value);
        else
            mly_json_put_null(json, "value");
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

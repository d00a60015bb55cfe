/*
 * Energy counters of CPUs: RAPL, as the kernel's powercap shows it.
 *
 * Zones are folders of /sys/class/powercap: "intel-rapl:0" is a package, "intel-rapl:0:1" a part of
 * it. AMD's CPUs have the same names. DRAM is a zone of a package, but not of its energy.
 * Source: Linux, Documentation/power/powercap/powercap.rst; Intel SDM 3B, 15.10 (domains).
 */
#include "device/power_internal.h"

#include <stdio.h>
#include <string.h>

#include "device/internal.h"

#define FOLDER "/sys/class/powercap"
#define MAX_ZONES 128

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What "intel-rapl:0:1" is part of: "intel-rapl:0"; false for a zone that is part of none. */
static bool parent_of(const char *zone, char parent[MLY__NAME_BYTES])
{
    snprintf(parent, MLY__NAME_BYTES, "%s", zone);
    char *last = strrchr(parent, ':');
    if (!last || strchr(parent, ':') == last)
        return false;
    *last = '\0';
    return true;
}

static void zone_name(const mly_sensors *sensors, const char *zone, char name[32])
{
    char path[MLY__SENSOR_PATH_BYTES];
    snprintf(path, sizeof path, FOLDER "/%s/name", zone);
    mly__read_name(sensors->root, path, zone, name, 32);
}

static void say_what_to_do(struct mly_sensor *sensor)
{
    size_t length = strlen(sensor->reason);
    if (strstr(sensor->reason, "may not be read"))
        snprintf(sensor->reason + length, sizeof sensor->reason - length,
                 " (since Linux 5.10 only root may: sudo chmod a+r " FOLDER "/*/energy_uj, or run "
                 "as root)");
}

static void add_zone(mly_sensors *sensors, const char *zone)
{
    char parent[MLY__NAME_BYTES], name[32], parent_name[32] = "", path[MLY__SENSOR_PATH_BYTES];
    struct mly__sensor *sensor = mly__sensors_add(sensors);
    if (!sensor)
        return;
    struct mly_sensor *shown = &sensor->shown;
    bool is_part = parent_of(zone, parent);
    bool is_second = begins(zone, "intel-rapl-mmio"); /* the same counters by another way */
    zone_name(sensors, zone, name);
    if (is_part)
        zone_name(sensors, parent, parent_name);
    snprintf(shown->id, sizeof shown->id, "%s:%s%s%s", is_second ? "rapl-mmio" : "rapl",
             parent_name, is_part ? "/" : "", name);
    snprintf(shown->description, sizeof shown->description, "%s%s%s (RAPL)", name,
             is_part ? " of " : "", parent_name);
    shown->quantity = MLY_SENSOR_ENERGY;
    shown->scope = MLY_SENSOR_OTHER;
    if (!is_second && (is_part ? strcmp(name, "dram") == 0 : begins(name, "package")))
        shown->scope = MLY_SENSOR_PART;
    else if (!is_second && !is_part && strcmp(name, "psys") == 0)
        shown->scope = MLY_SENSOR_WHOLE;
    sensor->way = MLY__SENSOR_FILE;
    sensor->unit = 1e-6;
    snprintf(sensor->path, sizeof sensor->path, FOLDER "/%s/energy_uj", zone);
    snprintf(path, sizeof path, FOLDER "/%s/max_energy_range_uj", zone);
    if (mly__read_number(sensors->root, path, &sensor->range, NULL) != MLY_OK || sensor->range < 0)
        sensor->range = 0;
    mly__sensor_try(sensors, sensor);
    say_what_to_do(shown);
}

void mly__sensors_find_rapl(mly_sensors *sensors)
{
    char zones[MAX_ZONES][MLY__NAME_BYTES];
    size_t count = mly__read_names(sensors->root, FOLDER, "intel-rapl", zones, MAX_ZONES);
    size_t before = sensors->count;
    for (size_t i = 0; i < count; i++)
        if (strchr(zones[i], ':')) /* "intel-rapl" itself is what the zones belong to */
            add_zone(sensors, zones[i]);
    if (sensors->count == before)
        mly__sensors_add_absent(sensors, "rapl",
                                "absent: no RAPL zones in " FOLDER " (virtual machines and ARM "
                                "boards have none; else load the kernel module intel_rapl_msr)");
}

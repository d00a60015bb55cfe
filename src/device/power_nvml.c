/*
 * Energy and temperature of NVIDIA GPUs, by the driver's management library, which is loaded at run
 * time and never linked. Source of the functions' signatures and units: NVIDIA NVML API reference.
 */
#include "device/power_internal.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "device/internal.h"

#define NVML_SUCCESS 0
#define NVML_TEMPERATURE_GPU 0
#define MAX_DEVICES 64

/* ISO C has no conversion from an object's address to a function's; POSIX promises that the bytes
 * are the same. */
static void find(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
}

static bool load(mly_sensors *sensors)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    struct mly__nvml *nvml = &sensors->nvml;
    find(library, "nvmlInit_v2", &nvml->init);
    find(library, "nvmlShutdown", &nvml->shutdown);
    find(library, "nvmlDeviceGetCount_v2", &nvml->count);
    find(library, "nvmlDeviceGetHandleByIndex_v2", &nvml->handle);
    find(library, "nvmlDeviceGetName", &nvml->name);
    find(library, "nvmlDeviceGetTotalEnergyConsumption", &nvml->energy_mj);
    find(library, "nvmlDeviceGetPowerUsage", &nvml->power_mw);
    find(library, "nvmlDeviceGetTemperature", &nvml->temperature_c);
    find(library, "nvmlErrorString", &nvml->error_text);
    sensors->nvml_library = library;
    return true;
}

static enum mly_status failed(const struct mly__nvml *nvml, const char *call, int result,
                              struct mly_error *err)
{
    const char *text = nvml->error_text ? nvml->error_text(result) : NULL;
    return mly_error_set(err, MLY_E_IO, "%s: NVML error %d%s%.80s", call, result, text ? ", " : "",
                         text ? text : "");
}

static enum mly_status lacks(const char *call, struct mly_error *err)
{
    return mly_error_set(err, MLY_E_IO, "libnvidia-ml.so.1 lacks %s", call);
}

enum mly_status mly__nvml_read(const mly_sensors *sensors, const struct mly__sensor *sensor,
                               int64_t *raw, struct mly_error *err)
{
    const struct mly__nvml *nvml = &sensors->nvml;
    unsigned long long mj = 0;
    unsigned number = 0;
    int result = NVML_SUCCESS;
    const char *call = NULL;
    bool there = false;
    switch (sensor->shown.quantity) {
    case MLY_SENSOR_ENERGY:
        call = "nvmlDeviceGetTotalEnergyConsumption";
        there = nvml->energy_mj != NULL;
        if (there)
            result = nvml->energy_mj(sensor->handle, &mj);
        if (mj > INT64_MAX)
            return mly_error_set(err, MLY_E_IO, "%s: %llu mJ are out of any range", call, mj);
        break;
    case MLY_SENSOR_POWER:
        call = "nvmlDeviceGetPowerUsage";
        there = nvml->power_mw != NULL;
        if (there)
            result = nvml->power_mw(sensor->handle, &number);
        break;
    case MLY_SENSOR_TEMPERATURE:
        call = "nvmlDeviceGetTemperature";
        there = nvml->temperature_c != NULL;
        if (there)
            result = nvml->temperature_c(sensor->handle, NVML_TEMPERATURE_GPU, &number);
        break;
    }
    if (!there)
        return lacks(call, err);
    if (result != NVML_SUCCESS)
        return failed(nvml, call, result, err);
    *raw = sensor->shown.quantity == MLY_SENSOR_ENERGY ? (int64_t)mj : (int64_t)number;
    return MLY_OK;
}

/* False if it is there but does not answer; then the row is not usable and says why. */
static bool add(mly_sensors *sensors, unsigned index, void *handle, const char *name,
                enum mly_sensor_quantity quantity)
{
    struct mly__sensor *sensor = mly__sensors_add(sensors);
    if (!sensor)
        return false;
    struct mly_sensor *shown = &sensor->shown;
    bool is_temperature = quantity == MLY_SENSOR_TEMPERATURE;
    snprintf(shown->id, sizeof shown->id, "nvml:%u%s", index, is_temperature ? "/temperature" : "");
    snprintf(shown->description, sizeof shown->description, "%.80s (NVML)", name);
    shown->quantity = quantity;
    shown->scope = MLY_SENSOR_PART;
    sensor->way = MLY__SENSOR_NVML;
    sensor->handle = handle;
    sensor->unit = is_temperature ? 1 : 1e-3; /* mJ, mW */
    mly__sensor_try(sensors, sensor);
    return shown->usable;
}

static void add_device(mly_sensors *sensors, unsigned index)
{
    const struct mly__nvml *nvml = &sensors->nvml;
    char name[96] = "NVIDIA GPU", id[32], reason[160];
    void *handle = NULL;
    struct mly_error why = {0};
    int result = nvml->handle(index, &handle);
    if (result != NVML_SUCCESS) {
        (void)failed(nvml, "nvmlDeviceGetHandleByIndex_v2", result, &why);
        snprintf(id, sizeof id, "nvml:%u", index);
        snprintf(reason, sizeof reason, "%.150s", why.message);
        mly__sensors_add_absent(sensors, id, reason);
        return;
    }
    if (nvml->name)
        (void)nvml->name(handle, name, (unsigned)sizeof name);
    name[sizeof name - 1] = '\0';
    /* Counters exist from Volta on; before, power is all there is: the same row, then. */
    if (!add(sensors, index, handle, name, MLY_SENSOR_ENERGY) && sensors->count > 0 &&
        !sensors->out_of_memory) {
        sensors->count--;
        (void)add(sensors, index, handle, name, MLY_SENSOR_POWER);
    }
    (void)add(sensors, index, handle, name, MLY_SENSOR_TEMPERATURE);
}

void mly__sensors_find_nvml(mly_sensors *sensors, const struct mly__sensors_source *source)
{
    const struct mly__nvml *nvml = &sensors->nvml;
    char reason[160];
    if (source->nvml) {
        sensors->nvml = *source->nvml;
    } else if (!source->load_nvml || !load(sensors)) {
        mly__sensors_add_absent(
            sensors, "nvml",
            mly__pci_has(sensors->root, "0x10de", "0x03")
                ? "absent: libnvidia-ml.so.1 not found (an NVIDIA GPU is on the PCI bus: install "
                  "its driver)"
                : "absent: libnvidia-ml.so.1 not found (no NVIDIA driver)");
        return;
    }
    if (!nvml->init || !nvml->count || !nvml->handle) {
        mly__sensors_add_absent(sensors, "nvml",
                                "absent: libnvidia-ml.so.1 lacks nvmlInit_v2, "
                                "nvmlDeviceGetCount_v2 or nvmlDeviceGetHandleByIndex_v2");
        return;
    }
    unsigned count = 0;
    struct mly_error why = {0};
    int result = nvml->init();
    sensors->nvml_started = result == NVML_SUCCESS;
    if (result != NVML_SUCCESS)
        (void)failed(nvml, "nvmlInit_v2", result, &why);
    else if ((result = nvml->count(&count)) != NVML_SUCCESS)
        (void)failed(nvml, "nvmlDeviceGetCount_v2", result, &why);
    else if (count == 0)
        (void)mly_error_set(&why, MLY_E_ABSENT, "the NVIDIA driver shows no GPU to this process");
    if (why.message[0]) {
        snprintf(reason, sizeof reason, "absent: %.140s", why.message);
        mly__sensors_add_absent(sensors, "nvml", reason);
        return;
    }
    for (unsigned i = 0; i < count && i < MAX_DEVICES; i++)
        add_device(sensors, i);
}

void mly__sensors_end_nvml(mly_sensors *sensors)
{
    if (sensors->nvml_started && sensors->nvml.shutdown)
        (void)sensors->nvml.shutdown();
    if (sensors->nvml_library)
        dlclose(sensors->nvml_library);
}

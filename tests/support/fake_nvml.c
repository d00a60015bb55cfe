/*
 * A stand-in for NVIDIA's management library, as a library of that name: two GPUs, the first with an
 * energy counter that grows by 5 J at every look, the second with power only. Signatures: NVML API
 * reference.
 */
#include <stdio.h>

#define NVML_SUCCESS 0
#define NVML_ERROR_INVALID_ARGUMENT 2
#define NVML_ERROR_NOT_SUPPORTED 3

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned length);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts);
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees);
const char *nvmlErrorString(int result);

static int devices[2];
static int started;
static unsigned long long counter_mj = 1000000;

int nvmlInit_v2(void)
{
    started++;
    return NVML_SUCCESS;
}

int nvmlShutdown(void)
{
    started--;
    return NVML_SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 2;
    return started == 1 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    if (index > 1)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = &devices[index];
    return NVML_SUCCESS;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length)
{
    snprintf(name, length, "Stand-in %d", (int)((int *)device - devices));
    return NVML_SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules)
{
    if (device != &devices[0])
        return NVML_ERROR_NOT_SUPPORTED;
    *millijoules = counter_mj += 5000;
    return NVML_SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts)
{
    *milliwatts = device == &devices[0] ? 70000 : 12500;
    return NVML_SUCCESS;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees)
{
    (void)device;
    *degrees = 41;
    return sensor == 0 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

const char *nvmlErrorString(int result)
{
    return result == NVML_ERROR_NOT_SUPPORTED ? "Not Supported" : "Invalid Argument";
}

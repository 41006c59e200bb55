/* Finding devices, their plain numbers, their memory. */
#include <strings.h>

#include "stub.h"

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER();
    return leave(give_uint(visible_count(), count));
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *out) {
    ENTER();
    if (index >= (unsigned)visible_count())
        return leave(INVALID_ARGUMENT);
    struct device *d = visible_device((int)index);
    if (!d)
        return leave(GPU_IS_LOST);
    const struct fault *f = state_fault("nvmlDeviceGetHandleByIndex_v2", d, 0);
    return leave(f ? (nvmlReturn_t)f->value : give_handle(d, out));
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out) {
    ENTER();
    if (!uuid)
        return leave(INVALID_ARGUMENT);
    struct device *d = state_find(uuid);
    return leave(d ? give_handle(d, out) : NOT_FOUND);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *out) {
    ENTER();
    if (!bus_id)
        return leave(INVALID_ARGUMENT);
    for (int i = 0; i < state_now()->gpu_count; i++) {
        struct device *d = state_now()->gpus[i];
        if (d && strcasecmp(d->bus_id, bus_id) == 0)
            return leave(give_handle(d, out));
    }
    return leave(NOT_FOUND);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length) {
    ENTER_DEVICE(device);
    return leave(give_text(d->name, name, length));
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length) {
    ENTER_DEVICE(device);
    return leave(give_text(d->uuid, uuid, length));
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned length) {
    ENTER_DEVICE(device);
    return leave(give_text(d->serial, serial, length));
}

typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_info;
_Static_assert(sizeof(pci_info) == 68, "nvmlPciInfo_t");

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, pci_info *out) {
    ENTER_DEVICE(device);
    if (!out)
        return leave(INVALID_ARGUMENT);
    if (d->is_mig || !*d->bus_id)
        return leave(NOT_SUPPORTED);
    memset(out, 0, sizeof *out);
    sscanf(d->bus_id, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    snprintf(out->bus_id, sizeof out->bus_id, "%s", d->bus_id);
    snprintf(out->bus_id_legacy, sizeof out->bus_id_legacy, "%04X:%02X:%02X.0",
             out->domain & 0xffff, out->bus & 0xff, out->device & 0xff);
    return leave(SUCCESS);
}

UINT_GETTER(nvmlDeviceGetMinorNumber, minor_number)
UINT_GETTER(nvmlDeviceGetPowerUsage, power_usage)
UINT_GETTER(nvmlDeviceGetEnforcedPowerLimit, power_limit)
UINT_GETTER(nvmlDeviceGetCurrPcieLinkGeneration, pcie_generation)
UINT_GETTER(nvmlDeviceGetCurrPcieLinkWidth, pcie_width)
UINT_GETTER(nvmlDeviceGetMaxPcieLinkGeneration, pcie_generation_max)
UINT_GETTER(nvmlDeviceGetMaxPcieLinkWidth, pcie_width_max)

ULL_GETTER(nvmlDeviceGetTotalEnergyConsumption, energy)
ULL_GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, clocks_event_reasons)
#ifndef VARIANT_R470
ULL_GETTER(nvmlDeviceGetCurrentClocksEventReasons, clocks_event_reasons)
#endif

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor, unsigned *out) {
    ENTER_DEVICE(device);
    return leave(sensor != 0 ? INVALID_ARGUMENT : give_uint(d->temperature, out));
}

static nvmlReturn_t give_clock(unsigned type, long long sm, long long memory, unsigned *out) {
    switch (type) {
    case 1:
        return give_uint(sm, out);
    case 2:
        return give_uint(memory, out);
    case 0: /* graphics */
    case 3: /* video */
        return NOT_SUPPORTED;
    default:
        return INVALID_ARGUMENT;
    }
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned type, unsigned *out) {
    ENTER_DEVICE(device);
    return leave(give_clock(type, d->clock_sm, d->clock_memory, out));
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned type, unsigned *out) {
    ENTER_DEVICE(device);
    return leave(give_clock(type, d->clock_sm_max, d->clock_memory_max, out));
}

typedef struct {
    unsigned gpu, memory;
} utilization;

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, utilization *out) {
    ENTER_DEVICE(device);
    if (!out)
        return leave(INVALID_ARGUMENT);
    if (d->is_mig || d->mig_mode == 1)
        return leave(NOT_SUPPORTED);
    nvmlReturn_t result = give_uint(d->utilization_gpu, &out->gpu);
    return leave(result != SUCCESS ? result : give_uint(d->utilization_memory, &out->memory));
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, unsigned error, unsigned counter,
                                         unsigned long long *out) {
    ENTER_DEVICE(device);
    if (error > 1 || counter > 1)
        return leave(INVALID_ARGUMENT);
    long long value = counter ? (error ? d->ecc_aggregate_uncorrected : d->ecc_aggregate_corrected)
                              : (error ? d->ecc_volatile_uncorrected : d->ecc_volatile_corrected);
    return leave(give_ull(value, out));
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned *corrected,
                                       unsigned *uncorrected, unsigned *pending,
                                       unsigned *failure) {
    ENTER_DEVICE(device);
    nvmlReturn_t result = give_uint(d->remapped_corrected, corrected);
    if (result == SUCCESS)
        result = give_uint(d->remapped_uncorrected, uncorrected);
    if (result == SUCCESS)
        result = give_uint(d->remapped_pending, pending);
    if (result == SUCCESS)
        result = give_uint(d->remapped_failure, failure);
    return leave(result);
}

typedef struct {
    unsigned long long total, free, used;
} memory_v1;

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} memory_v2;
_Static_assert(sizeof(memory_v2) == 0x28, "nvmlMemory_v2_t");

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, memory_v1 *out) {
    ENTER_DEVICE(device);
    if (!out)
        return leave(INVALID_ARGUMENT);
    nvmlReturn_t result = give_ull(d->memory_total, &out->total);
    if (result == SUCCESS)
        result = give_ull(d->memory_free, &out->free);
    /* v1 counts what the driver reserved as used */
    if (result == SUCCESS)
        out->used = out->total - out->free;
    return leave(result);
}

#ifndef VARIANT_R470
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, memory_v2 *out) {
    ENTER_DEVICE(device);
    if (!out)
        return leave(INVALID_ARGUMENT);
    if (out->version != VERSION(memory_v2, 2))
        return leave(ARGUMENT_VERSION_MISMATCH);
    nvmlReturn_t result = give_ull(d->memory_total, &out->total);
    if (result == SUCCESS)
        result = give_ull(d->memory_free, &out->free);
    if (result == SUCCESS)
        result = give_ull(d->memory_used, &out->used);
    if (result == SUCCESS)
        result = give_ull(d->memory_reserved, &out->reserved);
    return leave(result);
}
#endif

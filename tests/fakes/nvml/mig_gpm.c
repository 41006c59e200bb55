/* MIG instances as devices of their own, and GPM. */
#include "stub.h"

#ifndef VARIANT_BARE
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    ENTER_DEVICE(device);
    nvmlReturn_t result = give_uint(d->mig_mode, current);
    return leave(result != SUCCESS ? result : give_uint(d->mig_mode, pending));
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_mig) {
    ENTER_DEVICE(device);
    return leave(give_uint(d->is_mig, is_mig));
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count) {
    ENTER_DEVICE(device);
    return leave(give_uint(d->mig_max == ABSENT || d->mig_mode != 1 ? 0 : d->mig_max, count));
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index,
                                                 nvmlDevice_t *out) {
    ENTER_DEVICE(device);
    if (d->is_mig || index >= MAX_MIGS)
        return leave(INVALID_ARGUMENT);
    if (d->mig_mode != 1)
        return leave(NOT_SUPPORTED);
    return leave(d->migs[index] ? give_handle(d->migs[index], out) : NOT_FOUND);
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *out) {
    ENTER_DEVICE(device);
    return leave(d->is_mig ? give_handle(state_now()->gpus[d->gpu], out) : INVALID_ARGUMENT);
}

UINT_GETTER(nvmlDeviceGetGpuInstanceId, gpu_instance)
UINT_GETTER(nvmlDeviceGetComputeInstanceId, compute_instance)

typedef struct {
    unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mb;
} attributes;

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, attributes *out) {
    ENTER_DEVICE(device);
    if (!out)
        return leave(INVALID_ARGUMENT);
    if (!d->is_mig)
        return leave(NOT_SUPPORTED);
    memset(out, 0, sizeof *out);
    nvmlReturn_t result = give_uint(d->multiprocessors, &out->multiprocessors);
    return leave(result != SUCCESS ? result : give_ull(d->memory_size_mb, &out->memory_mb));
}
#endif

#ifndef VARIANT_R470
#define GPM_METRIC_MAX 477

typedef struct {
    unsigned version, is_supported;
} gpm_support;

struct gpm_sample {
    unsigned long long taken_us; /* 0: allocated, never filled */
    char uuid[TEXT];
    double values[MAX_GPM];
    char present[MAX_GPM];
};

typedef struct {
    unsigned id;
    nvmlReturn_t result;
    double value;
    const char *short_name, *long_name, *unit;
} gpm_metric;
_Static_assert(sizeof(gpm_metric) == 40, "nvmlGpmMetric_t");

typedef struct {
    unsigned version, count;
    struct gpm_sample *first, *second;
    gpm_metric metrics[GPM_METRIC_MAX];
} gpm_request;

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, gpm_support *out) {
    ENTER_DEVICE(device);
    if (!out)
        return leave(INVALID_ARGUMENT);
    if (out->version != 1)
        return leave(ARGUMENT_VERSION_MISMATCH);
    return leave(give_uint(d->gpm_supported, &out->is_supported));
}

nvmlReturn_t nvmlGpmSampleAlloc(struct gpm_sample **out) {
    ENTER();
    if (!out)
        return leave(INVALID_ARGUMENT);
    *out = calloc(1, sizeof **out);
    return leave(*out ? SUCCESS : INVALID_ARGUMENT);
}

nvmlReturn_t nvmlGpmSampleFree(struct gpm_sample *sample) {
    ENTER();
    free(sample);
    return leave(sample ? SUCCESS : INVALID_ARGUMENT);
}

static nvmlReturn_t take(const struct device *d, struct gpm_sample *sample) {
    if (!sample)
        return INVALID_ARGUMENT;
    if (d->gpm_supported != 1)
        return NOT_SUPPORTED;
    sample->taken_us = now_us();
    memcpy(sample->uuid, d->uuid, TEXT);
    memcpy(sample->values, d->gpm, sizeof sample->values);
    memcpy(sample->present, d->gpm_present, sizeof sample->present);
    return SUCCESS;
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, struct gpm_sample *sample) {
    ENTER_DEVICE(device);
    return leave(take(d, sample));
}

nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned instance,
                                 struct gpm_sample *sample) {
    ENTER_DEVICE(device);
    if (d->is_mig)
        return leave(INVALID_ARGUMENT);
    for (int k = 0; k < MAX_MIGS; k++)
        if (d->migs[k] && d->migs[k]->gpu_instance == (long long)instance)
            return leave(take(d->migs[k], sample));
    return leave(NOT_FOUND);
}

nvmlReturn_t nvmlGpmMetricsGet(gpm_request *request) {
    ENTER();
    if (!request || !request->first || !request->second || request->count > GPM_METRIC_MAX)
        return leave(INVALID_ARGUMENT);
    if (request->version != 1)
        return leave(ARGUMENT_VERSION_MISMATCH);
    const struct gpm_sample *a = request->first, *b = request->second;
    if (a == b || !a->taken_us || !b->taken_us || b->taken_us < a->taken_us ||
        strcmp(a->uuid, b->uuid) != 0)
        return leave(INVALID_ARGUMENT);
    /* nvml.h asks for more than 100 ms between samples and does not say what happens otherwise:
     * here a caller in too much of a hurry gets nothing, so that it is noticed. */
    long long apart_ms = (long long)(b->taken_us - a->taken_us) / 1000;
    int too_close = apart_ms < state_now()->gpm_min_interval_ms;
    for (unsigned i = 0; i < request->count; i++) {
        gpm_metric *m = &request->metrics[i];
        m->value = 0;
        m->short_name = m->long_name = m->unit = NULL;
        if (m->id == 0 || m->id >= MAX_GPM)
            m->result = INVALID_ARGUMENT;
        else if (too_close)
            m->result = NO_DATA;
        else if (!b->present[m->id])
            m->result = NOT_SUPPORTED;
        else {
            m->result = SUCCESS;
            m->value = b->values[m->id];
        }
    }
    return leave(SUCCESS);
}
#endif

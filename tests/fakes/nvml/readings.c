/* Field values, the sample rings, processes. */
#include "stub.h"

typedef union {
    double real;
    unsigned ui;
    unsigned long long ull;
} value;

typedef struct {
    unsigned field_id, scope_id;
    int64_t timestamp, latency_us;
    unsigned value_type;
    nvmlReturn_t result;
    value value;
} field_value;
_Static_assert(sizeof(field_value) == 40, "nvmlFieldValue_t");

#ifdef VARIANT_R470
#define HIGHEST_FIELD 163
#else
#define HIGHEST_FIELD (MAX_FIELDS - 1)
#endif

#ifndef VARIANT_BARE
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, field_value *values) {
    ENTER_DEVICE(device);
    if (!values || count <= 0)
        return leave(INVALID_ARGUMENT);
    for (int i = 0; i < count; i++) {
        field_value *f = &values[i];
        f->timestamp = (int64_t)now_us();
        f->latency_us = 1;
        f->value_type = 3; /* unsigned long long */
        f->value.ull = 0;
        if (f->field_id > HIGHEST_FIELD)
            f->result = INVALID_ARGUMENT;
        else if (d->field_errors[f->field_id])
            f->result = d->field_errors[f->field_id];
        else if (d->fields[f->field_id] == ABSENT)
            f->result = NOT_SUPPORTED;
        else {
            f->result = SUCCESS;
            f->value.ull = (unsigned long long)d->fields[f->field_id];
        }
    }
    return leave(SUCCESS);
}

typedef struct {
    unsigned long long timestamp;
    value value;
} ring_sample;
_Static_assert(sizeof(ring_sample) == 16, "nvmlSample_t");

nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, unsigned type,
                                  unsigned long long last_seen, unsigned *value_type,
                                  unsigned *count, ring_sample *out) {
    ENTER_DEVICE(device);
    unsigned found = 0;
    if (!value_type || !count || type > 9)
        return leave(INVALID_ARGUMENT);
    if (d->is_mig || (d->mig_mode == 1 && type >= 1 && type <= 4))
        return leave(NOT_SUPPORTED);
    *value_type = 1; /* unsigned int */
    for (int i = 0; i < d->sample_count; i++) {
        const struct sample *s = &d->samples[i];
        if (s->type != type || s->microseconds <= last_seen)
            continue;
        if (out && found < *count) {
            out[found].timestamp = s->microseconds;
            out[found].value.ull = s->value;
        }
        if (!out || found < *count)
            found++;
    }
    *count = found;
    return leave(found ? SUCCESS : NOT_FOUND);
}
#endif

typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} process_info;
_Static_assert(sizeof(process_info) == 24, "nvmlProcessInfo_v2_t and _v3_t");

static nvmlReturn_t give_processes(const struct device *d, unsigned *count, process_info *out) {
    if (!count)
        return INVALID_ARGUMENT;
    unsigned room = *count;
    *count = (unsigned)d->process_count;
    if (*count == 0)
        return SUCCESS;
    if (!out || room < *count)
        return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < *count; i++) {
        const struct process *p = &d->processes[i];
        out[i] = (process_info){p->pid, (unsigned long long)p->bytes, p->gpu_instance,
                                p->compute_instance};
    }
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned *count,
                                                     process_info *out) {
    ENTER_DEVICE(device);
    return leave(give_processes(d, count, out));
}

#ifndef VARIANT_R470
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                     process_info *out) {
    ENTER_DEVICE(device);
    return leave(give_processes(d, count, out));
}
#endif

typedef struct {
    unsigned pid;
    unsigned long long timestamp;
    unsigned sm, memory, encoder, decoder;
} process_utilization;

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, process_utilization *out,
                                             unsigned *count, unsigned long long last_seen) {
    ENTER_DEVICE(device);
    (void)last_seen;
    if (!count)
        return leave(INVALID_ARGUMENT);
    if (d->is_mig || d->mig_mode == 1)
        return leave(NOT_SUPPORTED);
    if (d->process_count == 0)
        return leave(NOT_FOUND);
    unsigned room = *count;
    *count = (unsigned)d->process_count;
    if (!out || room < *count)
        return leave(INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < *count; i++)
        out[i] = (process_utilization){.pid = d->processes[i].pid,
                                       .timestamp = now_us(),
                                       .sm = d->processes[i].sm,
                                       .memory = d->processes[i].memory};
    return leave(SUCCESS);
}

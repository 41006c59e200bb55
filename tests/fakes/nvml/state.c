/* Reading the state file of the stub driver. The format is described in state.h. */
#include "state.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct state state;
static volatile const uint64_t *version; /* mapped: what $NVML_STUB_STATE.version says */
static uint64_t seen;

struct state *state_now(void) { return &state; }

static struct device *new_device(int gpu, int mig) {
    struct device *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->gpu = gpu;
    d->mig = mig;
    d->is_mig = mig >= 0;
#define X(field) d->field = ABSENT;
    DEVICE_NUMBERS(X)
#undef X
    for (int i = 0; i < MAX_FIELDS; i++)
        d->fields[i] = ABSENT;
    return d;
}

static void clear(void) {
    for (int i = 0; i < MAX_GPUS; i++) {
        if (!state.gpus[i])
            continue;
        for (int k = 0; k < MAX_MIGS; k++)
            free(state.gpus[i]->migs[k]);
        free(state.gpus[i]);
    }
    memset(&state, 0, sizeof state);
    state.driver_loaded = 1;
    state.gpm_min_interval_ms = 100;
}

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static void add_fault(struct fault *list, int *count, const char *value, int is_hang) {
    struct fault f = {.is_hang = is_hang};
    if (*count < MAX_FAULTS && sscanf(value, "%63s %lld", f.function, &f.value) == 2)
        list[(*count)++] = f;
}

static void parse_device(struct device *d, const char *key, const char *value) {
    unsigned id, code;
    unsigned long long when;
    long long number;
    double real;
#define X(field)                                                                                  \
    if (strcmp(key, #field) == 0) {                                                               \
        d->field = strtoll(value, NULL, 0);                                                       \
        return;                                                                                   \
    }
    DEVICE_NUMBERS(X)
#undef X
    if (strcmp(key, "name") == 0)
        copy(d->name, sizeof d->name, value);
    else if (strcmp(key, "uuid") == 0)
        copy(d->uuid, sizeof d->uuid, value);
    else if (strcmp(key, "serial") == 0)
        copy(d->serial, sizeof d->serial, value);
    else if (strcmp(key, "bus_id") == 0)
        copy(d->bus_id, sizeof d->bus_id, value);
    else if (strcmp(key, "field") == 0) {
        if (sscanf(value, "%u %lld", &id, &number) == 2 && id < MAX_FIELDS)
            d->fields[id] = number;
    } else if (strcmp(key, "field_error") == 0) {
        if (sscanf(value, "%u %u", &id, &code) == 2 && id < MAX_FIELDS)
            d->field_errors[id] = (int)code;
    } else if (strcmp(key, "gpm") == 0) {
        if (sscanf(value, "%u %lf", &id, &real) == 2 && id < MAX_GPM) {
            d->gpm[id] = real;
            d->gpm_present[id] = 1;
        }
    } else if (strcmp(key, "process") == 0) {
        struct process p;
        if (d->process_count < MAX_PROCESSES &&
            sscanf(value, "%u %lld %u %u %u %u", &p.pid, &p.bytes, &p.gpu_instance,
                   &p.compute_instance, &p.sm, &p.memory) == 6)
            d->processes[d->process_count++] = p;
    } else if (strcmp(key, "sample") == 0) {
        if (d->sample_count < MAX_SAMPLES && sscanf(value, "%u %llu %u", &id, &when, &code) == 3)
            d->samples[d->sample_count++] = (struct sample){id, when, code};
    } else if (strcmp(key, "fault") == 0 || strcmp(key, "hang") == 0)
        add_fault(d->faults, &d->fault_count, value, key[0] == 'h');
}

/* The number N where `*key` begins with `prefix`N and a point, which it is then moved behind; else
 * -1. Not sscanf, which costs more than all the rest: whoever measures the agent pays for it. */
static int index_after(const char *prefix, const char **key) {
    size_t length = strlen(prefix);
    if (strncmp(*key, prefix, length) != 0)
        return -1;
    char *end;
    long number = strtol(*key + length, &end, 10);
    if (end == *key + length || *end != '.' || number < 0 || number > INT_MAX)
        return -1;
    *key = end + 1;
    return (int)number;
}

static void parse_line(const char *key, const char *value) {
    int gpu = index_after("gpu.", &key);
    if (gpu >= 0 && gpu < MAX_GPUS) {
        if (!state.gpus[gpu])
            state.gpus[gpu] = new_device(gpu, -1);
        if (gpu >= state.gpu_count)
            state.gpu_count = gpu + 1;
        int mig = index_after("mig.", &key);
        if (mig >= 0 && mig < MAX_MIGS) {
            if (!state.gpus[gpu]->migs[mig])
                state.gpus[gpu]->migs[mig] = new_device(gpu, mig);
            parse_device(state.gpus[gpu]->migs[mig], key, value);
        } else
            parse_device(state.gpus[gpu], key, value);
    } else if (strcmp(key, "event") == 0) {
        struct event e;
        if (state.event_count < MAX_EVENTS &&
            sscanf(value, "%llu %95s %lli %lli %u %u", &e.sequence, e.uuid, (long long *)&e.type,
                   (long long *)&e.data, &e.gpu_instance, &e.compute_instance) == 6)
            state.events[state.event_count++] = e;
    } else if (strcmp(key, "fault") == 0 || strcmp(key, "hang") == 0)
        add_fault(state.faults, &state.fault_count, value, key[0] == 'h');
    else if (strcmp(key, "driver_version") == 0)
        copy(state.driver_version, TEXT, value);
    else if (strcmp(key, "nvml_version") == 0)
        copy(state.nvml_version, TEXT, value);
    else if (strcmp(key, "driver_loaded") == 0)
        state.driver_loaded = atoll(value);
    else if (strcmp(key, "driver_generation") == 0)
        state.driver_generation = atoll(value);
    else if (strcmp(key, "cuda_version") == 0)
        state.cuda_version = atoll(value);
    else if (strcmp(key, "call_us") == 0)
        state.call_us = atoll(value);
    else if (strcmp(key, "devices_fixed_at_init") == 0)
        state.devices_fixed_at_init = atoll(value);
    else if (strcmp(key, "gpm_min_interval_ms") == 0)
        state.gpm_min_interval_ms = atoll(value);
}

/* A mapped number instead of stat(): a look at it costs a benchmark nothing. */
static int map_version(const char *path) {
    char name[512];
    snprintf(name, sizeof name, "%s.version", path);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    void *mapped = mmap(NULL, sizeof *version, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED)
        return 0;
    version = mapped;
    return 1;
}

void state_refresh(void) {
    char line[512];
    if (version && *version == seen)
        return;
    const char *path = getenv("NVML_STUB_STATE");
    if (!path || (!version && !map_version(path)))
        return;
    uint64_t now = *version;
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    clear();
    while (fgets(line, sizeof line, file)) {
        char *space = strchr(line, ' ');
        line[strcspn(line, "\n")] = '\0';
        if (!space)
            continue;
        *space = '\0';
        parse_line(line, space + 1);
    }
    fclose(file);
    seen = now;
}

struct device *state_find(const char *uuid) {
    for (int i = 0; i < MAX_GPUS; i++) {
        struct device *d = state.gpus[i];
        if (!d)
            continue;
        if (strcmp(d->uuid, uuid) == 0)
            return d;
        for (int k = 0; k < MAX_MIGS; k++)
            if (d->migs[k] && strcmp(d->migs[k]->uuid, uuid) == 0)
                return d->migs[k];
    }
    return NULL;
}

static const struct fault *search(const struct fault *list, int count, const char *function,
                                  int is_hang) {
    for (int i = 0; i < count; i++)
        if (list[i].is_hang == is_hang && (strcmp(list[i].function, function) == 0 ||
                                           strcmp(list[i].function, "*") == 0))
            return &list[i];
    return NULL;
}

const struct fault *state_fault(const char *function, const struct device *d, int is_hang) {
    const struct fault *f = NULL;
    if (d)
        f = search(d->faults, d->fault_count, function, is_hang);
    if (!f && d && d->is_mig) {
        const struct device *parent = state.gpus[d->gpu];
        f = search(parent->faults, parent->fault_count, function, is_hang);
    }
    return f ? f : search(state.faults, state.fault_count, function, is_hang);
}

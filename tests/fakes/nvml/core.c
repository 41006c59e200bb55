/* Locking, handles, scripted faults, and the functions about the library itself. */
#include <pthread.h>
#include <time.h>

#include "stub.h"

#define MAX_HANDLES 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle handles[MAX_HANDLES];
static int handle_count;
static int references;
static char at_init[MAX_GPUS][TEXT]; /* uuids by index, for devices_fixed_at_init */
static int count_at_init;
static long long generation = -1; /* of the driver this process first met */

void sleep_us(long long us) {
    struct timespec t = {us / 1000000, (us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

unsigned long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000;
}

int handle_is_valid(nvmlDevice_t h) {
    return h >= handles && h < handles + handle_count &&
           ((char *)h - (char *)handles) % (long)sizeof *h == 0;
}

nvmlReturn_t enter(const char *function, nvmlDevice_t h, struct device **d) {
    unsigned long long began = now_us();
    pthread_mutex_lock(&lock);
    for (;;) {
        state_refresh();
        if (d)
            *d = handle_is_valid(h) ? state_find(h->uuid) : NULL;
        const struct fault *hang = state_fault(function, d ? *d : NULL, 1);
        if (!hang || (hang->value >= 0 &&
                      now_us() - began >= (unsigned long long)hang->value * 1000))
            break;
        pthread_mutex_unlock(&lock);
        sleep_us(5000);
        pthread_mutex_lock(&lock);
    }
    if (state_now()->call_us > 0)
        sleep_us(state_now()->call_us);
    nvmlReturn_t result = SUCCESS;
    const struct fault *fault = state_fault(function, d ? *d : NULL, 0);
    if (references == 0)
        result = UNINITIALIZED;
    else if (state_now()->driver_generation != generation)
        result = LIB_RM_VERSION_MISMATCH;
    else if (fault)
        result = (nvmlReturn_t)fault->value;
    else if (d && !handle_is_valid(h))
        result = INVALID_ARGUMENT;
    else if (d && !*d)
        result = strncmp(h->uuid, "MIG-", 4) == 0 ? INVALID_ARGUMENT : GPU_IS_LOST;
    if (result != SUCCESS)
        pthread_mutex_unlock(&lock);
    return result;
}

nvmlReturn_t leave(nvmlReturn_t result) {
    pthread_mutex_unlock(&lock);
    return result;
}

nvmlReturn_t give_uint(long long value, unsigned *out) {
    if (!out)
        return INVALID_ARGUMENT;
    if (value == ABSENT)
        return NOT_SUPPORTED;
    *out = (unsigned)value;
    return SUCCESS;
}

nvmlReturn_t give_ull(long long value, unsigned long long *out) {
    if (!out)
        return INVALID_ARGUMENT;
    if (value == ABSENT)
        return NOT_SUPPORTED;
    *out = (unsigned long long)value;
    return SUCCESS;
}

nvmlReturn_t give_text(const char *text, char *out, unsigned length) {
    if (!out)
        return INVALID_ARGUMENT;
    if (!*text)
        return NOT_SUPPORTED;
    if (strlen(text) + 1 > length)
        return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

nvmlReturn_t give_handle(const struct device *d, nvmlDevice_t *out) {
    if (!out)
        return INVALID_ARGUMENT;
    for (int i = 0; i < handle_count; i++)
        if (strcmp(handles[i].uuid, d->uuid) == 0) {
            *out = &handles[i];
            return SUCCESS;
        }
    if (handle_count == MAX_HANDLES)
        return INSUFFICIENT_SIZE;
    memcpy(handles[handle_count].uuid, d->uuid, TEXT);
    *out = &handles[handle_count++];
    return SUCCESS;
}

nvmlDevice_t handle_of(const char *uuid) {
    for (int i = 0; i < handle_count; i++)
        if (strcmp(handles[i].uuid, uuid) == 0)
            return &handles[i];
    return NULL;
}

int visible_count(void) {
    return state_now()->devices_fixed_at_init ? count_at_init : state_now()->gpu_count;
}

struct device *visible_device(int index) {
    return state_now()->devices_fixed_at_init ? state_find(at_init[index])
                                              : state_now()->gpus[index];
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    pthread_mutex_lock(&lock);
    state_refresh();
    references++; /* so that enter() lets faults and hangs of this function through */
    if (generation < 0 && state_now()->driver_loaded)
        generation = state_now()->driver_generation;
    count_at_init = state_now()->gpu_count;
    for (int i = 0; i < count_at_init; i++)
        snprintf(at_init[i], TEXT, "%s", state_now()->gpus[i] ? state_now()->gpus[i]->uuid : "");
    int loaded = state_now()->driver_loaded != 0;
    pthread_mutex_unlock(&lock);
    nvmlReturn_t result = loaded ? enter(__func__, NULL, NULL) : DRIVER_NOT_LOADED;
    if (result == SUCCESS)
        return leave(SUCCESS);
    pthread_mutex_lock(&lock);
    references--;
    return leave(result);
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    ENTER();
    references--;
    return leave(SUCCESS);
}

const char *nvmlErrorString(nvmlReturn_t code) {
    return code == SUCCESS ? "Success" : "Error of the stub driver";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    ENTER();
    return leave(give_text(state_now()->driver_version, version, length));
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length) {
    ENTER();
    return leave(give_text(state_now()->nvml_version, version, length));
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER();
    if (!version)
        return leave(INVALID_ARGUMENT);
    *version = (int)state_now()->cuda_version;
    return leave(SUCCESS);
}

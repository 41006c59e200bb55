/*
 * A stand-in for libnvidia-ml.so.1: NVML's C interface answered from a state file (state.h).
 *
 * It exists to be loaded by the real nvidia-ml-py through its real ctypes path, so it is strict
 * where the real library is: version words, structure sizes, buffer lengths and handles are
 * checked, and a wrong one gets the code that the real library gives. Structures follow nvml.h
 * of NVML 13. A number missing from the state file answers NOT_SUPPORTED.
 *
 * Old drivers lack symbols. VARIANT_R470 leaves out what came after driver 470 (memory v2,
 * processes v3, clocks event reasons, GPM, newer field values), VARIANT_BARE also field values,
 * samples and MIG.
 */
#ifndef NVML_STUB_H
#define NVML_STUB_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

#if defined(VARIANT_BARE) && !defined(VARIANT_R470)
#define VARIANT_R470
#endif

typedef int nvmlReturn_t;
enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    TIMEOUT = 10,
    GPU_IS_LOST = 15,
    LIB_RM_VERSION_MISMATCH = 18,
    NO_DATA = 21,
    ARGUMENT_VERSION_MISMATCH = 25,
};

/* A handle names a device by uuid, so that it outlives a re-read of the state file. */
struct handle {
    char uuid[TEXT];
};
typedef struct handle *nvmlDevice_t;

#define VERSION(type, number) ((unsigned)(sizeof(type) | ((unsigned)(number) << 24)))

#pragma GCC visibility push(hidden)

void sleep_us(long long us);
unsigned long long now_us(void); /* monotonic */
int handle_is_valid(nvmlDevice_t h);
nvmlDevice_t handle_of(const char *uuid); /* NULL: nobody asked for one yet */

/*
 * Take the lock, wait as long as a scripted hang says, find the device (where `d` is given) and
 * say whether the function may go on. On SUCCESS the lock is held; leave() gives it back.
 */
nvmlReturn_t enter(const char *function, nvmlDevice_t h, struct device **d);
nvmlReturn_t leave(nvmlReturn_t result);

#define ENTER()                                                                                   \
    do {                                                                                          \
        nvmlReturn_t entered_ = enter(__func__, NULL, NULL);                                      \
        if (entered_ != SUCCESS)                                                                  \
            return entered_;                                                                      \
    } while (0)

#define ENTER_DEVICE(handle)                                                                      \
    struct device *d;                                                                             \
    do {                                                                                          \
        nvmlReturn_t entered_ = enter(__func__, handle, &d);                                      \
        if (entered_ != SUCCESS)                                                                  \
            return entered_;                                                                      \
    } while (0)

/* Answer with a number, a text, a handle; ABSENT and empty are NOT_SUPPORTED. */
nvmlReturn_t give_uint(long long value, unsigned *out);
nvmlReturn_t give_ull(long long value, unsigned long long *out);
nvmlReturn_t give_text(const char *text, char *out, unsigned length);
nvmlReturn_t give_handle(const struct device *d, nvmlDevice_t *out);

/* How many GPUs this process sees, and the one with this index: NULL when it is gone. */
int visible_count(void);
struct device *visible_device(int index);

#pragma GCC visibility pop

#define UINT_GETTER(function, field)                                                              \
    nvmlReturn_t function(nvmlDevice_t device, unsigned *out) {                                   \
        ENTER_DEVICE(device);                                                                     \
        return leave(give_uint(d->field, out));                                                   \
    }

#define ULL_GETTER(function, field)                                                               \
    nvmlReturn_t function(nvmlDevice_t device, unsigned long long *out) {                         \
        ENTER_DEVICE(device);                                                                     \
        return leave(give_ull(d->field, out));                                                    \
    }

#endif

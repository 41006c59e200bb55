/*
 * State of the stub driver: what the state file says, as C structures.
 *
 * The file is lines of "key value"; it is read again when the number in the file beside it, whose
 * name ends in ".version" (eight bytes, native), has changed. A number that is not in the file is
 * ABSENT: a function that would report it answers NOT_SUPPORTED, as a real device does. Keys:
 *
 *   driver_loaded 1                         0: nvmlInit answers DRIVER_NOT_LOADED
 *   driver_generation 0                     changed: processes that loaded before get code 18
 *   driver_version|nvml_version TEXT        cuda_version 12080     gpm_min_interval_ms 100
 *   call_us N                               every call takes this long (benches)
 *   devices_fixed_at_init 0                 1: a process sees the GPUs of its nvmlInit for ever
 *   event SEQ UUID TYPE DATA GI CI          one event; SEQ rises
 *   fault FUNCTION CODE                     any device; FUNCTION may be *
 *   hang FUNCTION MILLISECONDS              -1: until the line is gone
 *   gpu.N.<number> V                        see DEVICE_NUMBERS
 *   gpu.N.name|uuid|serial|bus_id TEXT
 *   gpu.N.field ID VALUE | gpu.N.field_error ID CODE | gpu.N.gpm ID VALUE
 *   gpu.N.process PID BYTES GI CI SM MEM    BYTES -1: not available
 *   gpu.N.sample TYPE MICROSECONDS VALUE
 *   gpu.N.fault FUNCTION CODE | gpu.N.hang FUNCTION MILLISECONDS
 *   gpu.N.mig.K.<any of the above>          a MIG instance of GPU N
 */
#ifndef NVML_STUB_STATE_H
#define NVML_STUB_STATE_H

#include <limits.h>

/* Only nvml* leaves the library: nothing else may meet the interpreter's own symbols. */
#pragma GCC visibility push(hidden)

#define ABSENT LLONG_MIN
#define MAX_GPUS 16
#define MAX_MIGS 8
#define MAX_FIELDS 320
#define MAX_GPM 128
#define MAX_PROCESSES 64
#define MAX_SAMPLES 512
#define MAX_FAULTS 32
#define MAX_EVENTS 256
#define TEXT 96

/* Clocks in MHz, power in mW, energy in mJ, temperature in Celsius, memory in bytes: NVML's units. */
#define DEVICE_NUMBERS(X) \
    X(memory_total) X(memory_reserved) X(memory_used) X(memory_free) \
    X(utilization_gpu) X(utilization_memory) X(power_usage) X(power_limit) X(energy) \
    X(temperature) X(clock_sm) X(clock_memory) X(clock_sm_max) X(clock_memory_max) \
    X(clocks_event_reasons) X(pcie_generation) X(pcie_width) X(pcie_generation_max) \
    X(pcie_width_max) X(ecc_volatile_corrected) X(ecc_volatile_uncorrected) \
    X(ecc_aggregate_corrected) X(ecc_aggregate_uncorrected) X(remapped_corrected) \
    X(remapped_uncorrected) X(remapped_pending) X(remapped_failure) X(minor_number) \
    X(gpm_supported) X(mig_mode) X(mig_max) X(gpu_instance) X(compute_instance) \
    X(multiprocessors) X(memory_size_mb)

struct fault {
    char function[64];
    long long value;
    int is_hang;
};

struct process {
    unsigned pid, gpu_instance, compute_instance, sm, memory;
    long long bytes;
};

struct sample {
    unsigned type;
    unsigned long long microseconds;
    unsigned value;
};

struct device {
    int is_mig, gpu, mig;
    char name[TEXT], uuid[TEXT], serial[TEXT], bus_id[32];
#define X(field) long long field;
    DEVICE_NUMBERS(X)
#undef X
    long long fields[MAX_FIELDS];
    int field_errors[MAX_FIELDS];
    double gpm[MAX_GPM];
    char gpm_present[MAX_GPM];
    struct process processes[MAX_PROCESSES];
    int process_count;
    struct sample samples[MAX_SAMPLES];
    int sample_count;
    struct fault faults[MAX_FAULTS];
    int fault_count;
    struct device *migs[MAX_MIGS];
};

struct event {
    unsigned long long sequence, type, data;
    unsigned gpu_instance, compute_instance;
    char uuid[TEXT];
};

struct state {
    long long driver_loaded, driver_generation, cuda_version, call_us, gpm_min_interval_ms;
    long long devices_fixed_at_init;
    char driver_version[TEXT], nvml_version[TEXT];
    struct device *gpus[MAX_GPUS];
    int gpu_count; /* one more than the highest index in the file */
    struct event events[MAX_EVENTS];
    int event_count;
    struct fault faults[MAX_FAULTS];
    int fault_count;
};

/* Re-read the file of $NVML_STUB_STATE if its version changed. The caller holds the lock. */
void state_refresh(void);

/* The current state; valid until the next state_refresh. */
struct state *state_now(void);

/* The device with this uuid, a GPU or a MIG instance, or NULL. */
struct device *state_find(const char *uuid);

/* The fault or hang that applies to `function` on `d` (or on no device), or NULL. */
const struct fault *state_fault(const char *function, const struct device *d, int is_hang);

#pragma GCC visibility pop

#endif

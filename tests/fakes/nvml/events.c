/* Event sets: only what happens after a set was made is delivered. */
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "stub.h"

struct event_set {
    int changes; /* inotify: the state was written */
    unsigned long long seen;
    int count;
    struct {
        char uuid[TEXT];
        unsigned long long mask;
    } devices[MAX_GPUS];
};

typedef struct {
    nvmlDevice_t device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} event_data;

#ifdef VARIANT_R470
#define KNOWN_EVENTS 0x1ffull
#else
#define KNOWN_EVENTS 0xffffull
#endif

nvmlReturn_t nvmlEventSetCreate(struct event_set **out) {
    ENTER();
    if (!out)
        return leave(INVALID_ARGUMENT);
    struct state *s = state_now();
    *out = calloc(1, sizeof **out);
    if (*out) {
        char name[512];
        snprintf(name, sizeof name, "%s.version", getenv("NVML_STUB_STATE"));
        (*out)->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        inotify_add_watch((*out)->changes, name, IN_CLOSE_WRITE);
    }
    if (*out && s->event_count) /* what happened before is not delivered */
        (*out)->seen = s->events[s->event_count - 1].sequence;
    return leave(*out ? SUCCESS : INVALID_ARGUMENT);
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *types) {
    ENTER_DEVICE(device);
    return leave(give_ull(d->is_mig ? ABSENT : (long long)KNOWN_EVENTS, types));
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types,
                                      struct event_set *set) {
    ENTER_DEVICE(device);
    if (!set || types & ~KNOWN_EVENTS)
        return leave(INVALID_ARGUMENT);
    if (d->is_mig)
        return leave(NOT_SUPPORTED);
    if (set->count == MAX_GPUS)
        return leave(INSUFFICIENT_SIZE);
    memcpy(set->devices[set->count].uuid, d->uuid, TEXT);
    set->devices[set->count++].mask = types;
    return leave(SUCCESS);
}

/* Fill `out` with the next event that the set asked for. */
static int next_event(struct event_set *set, event_data *out) {
    struct state *s = state_now();
    for (int i = 0; i < s->event_count; i++) {
        const struct event *e = &s->events[i];
        if (e->sequence <= set->seen)
            continue;
        set->seen = e->sequence;
        for (int k = 0; k < set->count; k++) {
            if (strcmp(set->devices[k].uuid, e->uuid) != 0 || !(set->devices[k].mask & e->type))
                continue;
            out->device = handle_of(e->uuid);
            out->type = e->type;
            out->data = e->data;
            out->gpu_instance = e->gpu_instance;
            out->compute_instance = e->compute_instance;
            return 1;
        }
    }
    return 0;
}

nvmlReturn_t nvmlEventSetWait_v2(struct event_set *set, event_data *out, unsigned timeout_ms) {
    unsigned long long began = now_us();
    char ignored[1024];
    for (;;) {
        ENTER();
        if (!set || !out)
            return leave(INVALID_ARGUMENT);
        if (next_event(set, out))
            return leave(SUCCESS);
        leave(SUCCESS);
        unsigned long long waited = (now_us() - began) / 1000;
        if (waited >= timeout_ms)
            return TIMEOUT;
        /* asleep until then, as in the real library: a wait must cost a benchmark nothing */
        struct pollfd changed = {.fd = set->changes, .events = POLLIN};
        poll(&changed, 1, (int)(timeout_ms - waited));
        while (read(set->changes, ignored, sizeof ignored) > 0)
            ;
    }
}

nvmlReturn_t nvmlEventSetFree(struct event_set *set) {
    ENTER();
    if (set)
        close(set->changes);
    free(set);
    return leave(set ? SUCCESS : INVALID_ARGUMENT);
}

/**
 * @file
 * What the machine has left for a model.
 */
#ifndef APPS_GLINT_MACHINE_H
#define APPS_GLINT_MACHINE_H

#include <stdint.h>

/** Memory that this process could use now without swapping. */
typedef struct gi_machine_memory {
    uint64_t available_bytes; /**< the least of the two below; 0 = the system does not say */
    uint64_t system_bytes;    /**< MemAvailable: free plus what the system can drop */
    uint64_t limit_bytes;     /**< left below the tightest control group limit; UINT64_MAX = none */
} gi_machine_memory;

/**
 * Ask /proc/meminfo and, for cgroup v2 and v1, the group of this process and the groups above it.
 * File cache that a group could drop counts as free. Threads: any.
 */
gi_machine_memory gi_machine_get_memory(void);

#endif

/**
 * @file
 * How many processors there are for this process.
 */
#ifndef GI_BASE_CPUS_H
#define GI_BASE_CPUS_H

/** The CPUs this process may use, by affinity mask and cgroup quota (v2 and v1): 1 to
 * GI_WORKERS_MAX. */
int gi_cpus_usable(void);

#endif

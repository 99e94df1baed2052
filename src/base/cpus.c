/* Containers limit processor time by a quota, which the affinity mask does not show. */
#include "base/cpus.h"

#include "base/workers.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whole CPUs granted by a cgroup quota file, 0 when there is no limit. */
static int quota_cpus(void) {
    long long quota = -1, period = 0;
    char line[64] = {0};
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        char *end = NULL;
        if (fgets(line, sizeof line, f) && strncmp(line, "max", 3) != 0) {
            quota = strtoll(line, &end, 10);
            period = end ? strtoll(end, NULL, 10) : 0;
        }
        fclose(f);
    } else if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re"))) {
        if (fgets(line, sizeof line, f)) quota = strtoll(line, NULL, 10);
        fclose(f);
        if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re"))) {
            if (fgets(line, sizeof line, f)) period = strtoll(line, NULL, 10);
            fclose(f);
        }
    }
    if (quota <= 0 || period <= 0) return 0;
    return (int)((quota + period - 1) / period);
}

int gi_cpus_usable(void) {
    cpu_set_t
        set[8]; /* the call fails where a kernel could have more CPUs than fit: 8192 is most */
    int n = 1;
    if (sched_getaffinity(0, sizeof set, set) == 0) n = CPU_COUNT_S(sizeof set, set);
    const int quota = quota_cpus();
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n > GI_WORKERS_MAX ? GI_WORKERS_MAX : n;
}

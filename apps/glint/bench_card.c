/*
 * Asks the processor, the kernel and the build what they are.
 */
#include "bench_card.h"

#include "base/cpus.h"
#include "revision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* Why figures of this build mean nothing; NULL when they do. */
static const char *build_warning(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "sanitizers are on";
#elif !defined(__OPTIMIZE__)
    return "the build is not optimised";
#else
    return NULL;
#endif
}

/* The first line of a small file, without its newline. */
static bool read_line(const char *path, char *out, size_t out_bytes) {
    FILE *f = fopen(path, "r");
    if (!f) return false;
    const bool ok = fgets(out, (int)out_bytes, f) != NULL;
    fclose(f);
    if (ok) out[strcspn(out, "\n")] = '\0';
    return ok;
}

glint_status gi_bench_card_read(int n_threads, const char *tier_max, gi_bench_card *ret,
                                glint_error *err) {
    gi_bench_card c = {.compiler = COMPILER, .revision = GI_REVISION};
    unsigned mask;
    if (!gi_cpu_mask_parse(tier_max, &mask))
        return gi_fail(err, GLINT_ERR_ARG, "no kernel tier is called \"%.40s\"", tier_max);
    c.cpu_flags = gi_cpu_flags() & mask;
    c.tier = gi_cpu_tier_name(c.cpu_flags);
    gi_cpu_brand(c.cpu);
    c.n_cpus_online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    c.n_cpus_usable = gi_cpus_usable();
    c.n_threads = n_threads ? n_threads : c.n_cpus_usable;
    c.memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (!read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", c.governor,
                   sizeof c.governor))
        memcpy(c.governor, "not shown", sizeof "not shown");
    if (getloadavg(&c.load, 1) != 1) c.load = -1;
    struct utsname u;
    if (uname(&u) == 0)
        snprintf(c.system, sizeof c.system, "%.64s %.64s", u.sysname, u.release);
    else
        memcpy(c.system, "unknown", sizeof "unknown");
    gi_clock_iso8601(c.time);
    *ret = c;
    return GLINT_OK;
}

void gi_bench_card_print(const gi_bench_card *c) {
    printf("%s, kernels %s, %d thread%s, %d of %d CPUs usable, %.1f GiB\n", c->cpu, c->tier,
           c->n_threads, c->n_threads == 1 ? "" : "s", c->n_cpus_usable, c->n_cpus_online,
           (double)c->memory_bytes / (1024.0 * 1024.0 * 1024.0));
    printf("%s, governor %s, load %.2f\n", c->system, c->governor, c->load);
    printf("glint %s at %s, %s, %s\n", GLINT_VERSION, c->revision, c->compiler, c->time);
    if (build_warning()) printf("NOT A MEASUREMENT: %s\n", build_warning());
}

json_t *gi_bench_card_json(const gi_bench_card *c) {
    return json_pack("{ss ss si si si ss sI sf ss ss ss ss ss sb}", "cpu", c->cpu, "tier", c->tier,
                     "threads", c->n_threads, "cpus_usable", c->n_cpus_usable, "cpus_online",
                     c->n_cpus_online, "governor", c->governor, "memory_bytes",
                     (json_int_t)c->memory_bytes, "load", c->load, "system", c->system, "compiler",
                     c->compiler, "glint", GLINT_VERSION, "revision", c->revision, "time", c->time,
                     "optimised", (int)(build_warning() == NULL));
}

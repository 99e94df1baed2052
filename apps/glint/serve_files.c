/*
 * The sum of what each part may have open. It bounds from above what is seen in practice; a
 * descriptor that is not used costs nothing.
 */
#include "serve_files.h"

#include "base/log.h"
#include "base/cpus.h"
#include "fetch/fetcher.h"
#include "image/decoder.h"

#include <sys/resource.h>

enum {
    /* Standard streams, the listening socket, epoll and event descriptors, the audit log (two while
     * it is opened again), files of keys, templates and the model while they are read. */
    FILES_OF_THE_PROCESS = 64,
    /* Its socket; while it starts also the program's end and the memory they share. */
    FILES_OF_A_DECODER = 3,
    /* Beside the connections: the one that is made, and what its name's lookup takes. */
    FILES_OF_REDIS = 4,
};

static int64_t files_beside_connections(const gi_server_settings *g) {
    const int n_cpus = gi_cpus_usable();
    const int n_decoders = n_cpus < GI_DECODER_SLOTS_MAX ? n_cpus : GI_DECODER_SLOTS_MAX;
    int64_t n = FILES_OF_THE_PROCESS + (int64_t)n_decoders * FILES_OF_A_DECODER;
    if (g->fetch.n_hosts > 0) n += gi_fetch_files_max(&g->fetch);
    if (g->store.url) n += g->store.n_connections + FILES_OF_REDIS;
    return n;
}

void gi_serve_files_reserve(gi_server_settings *settings) {
    struct rlimit limit;
    const int64_t asked = settings->connections_max, beside = files_beside_connections(settings);
    const rlim_t want = (rlim_t)(asked + beside);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) return;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    if (limit.rlim_cur >= want) return;
    const int64_t allowed = (int64_t)limit.rlim_cur;
    const int64_t left = allowed > 2 * beside ? allowed - beside : allowed / 2 + 1;
    if (left < asked) settings->connections_max = left;
    gi_log(GI_LOG_WARN, "serve",
           "the system allows %lld open files where %lld may be needed; connections: at most %lld",
           (long long)allowed, (long long)want, (long long)settings->connections_max);
}

/*
 * Reads /proc and /sys. A file that is missing or odd means "no limit known": containers hide any
 * of them, and a wrong guess must not stop anybody.
 */
#include "machine.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "base/parse.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1024 };

/* The number after `key` at the beginning of a line: "MemAvailable:  123 kB", "total_cache 5". */
static bool read_field(const char *path, const char *key, uint64_t *ret) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    char line[LINE_BYTES];
    const size_t n = strlen(key);
    bool found = false;
    while (!found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, n) != 0) continue;
        char *number = line + n + strspn(line + n, " \t");
        number[strspn(number, "0123456789")] = '\0';
        found = gi_parse_u64(number, ret);
    }
    fclose(f);
    return found;
}

/* Room below one group's limit; UINT64_MAX when it has none. */
static uint64_t group_room(const char *dir, const char *limit_name, const char *used_name,
                           const char *cache_key) {
    char path[GI_PATH_BYTES];
    uint64_t limit, used, cache = 0;
    if (gi_path_join(path, sizeof path, dir, limit_name, NULL) != GLINT_OK ||
        !read_field(path, "", &limit)) /* "max" is no number: no limit */
        return UINT64_MAX;
    if (gi_path_join(path, sizeof path, dir, used_name, NULL) != GLINT_OK ||
        !read_field(path, "", &used))
        return UINT64_MAX;
    if (gi_path_join(path, sizeof path, dir, "memory.stat", NULL) == GLINT_OK)
        (void)read_field(path, cache_key, &cache);
    used -= cache < used ? cache : used;
    return limit > used ? limit - used : 0;
}

/* The tightest group from `group` (a path below `mount`) up to the mount. */
static uint64_t tightest(const char *mount, const char *group, const char *limit_name,
                         const char *used_name, const char *cache_key) {
    char dir[GI_PATH_BYTES];
    const int n = snprintf(dir, sizeof dir, "%s%s", mount, group);
    if (n < 0 || (size_t)n >= sizeof dir) return UINT64_MAX;
    uint64_t room = UINT64_MAX;
    const size_t mount_len = strlen(mount);
    for (;;) {
        const uint64_t here = group_room(dir, limit_name, used_name, cache_key);
        if (here < room) room = here;
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < mount_len) return room;
        *slash = '\0';
    }
}

/* /proc/self/cgroup: "0::/path" for version 2, "4:memory:/path" for version 1. */
static uint64_t limit_room(void) {
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return UINT64_MAX;
    uint64_t room = UINT64_MAX;
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        uint64_t here = UINT64_MAX;
        if (controllers[1] == '\0')
            here =
                tightest("/sys/fs/cgroup", group, "memory.max", "memory.current", "inactive_file");
        else if (strstr(controllers, "memory"))
            here = tightest("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes",
                            "memory.usage_in_bytes", "total_inactive_file");
        if (here < room) room = here;
    }
    fclose(f);
    return room;
}

gi_machine_memory gi_machine_get_memory(void) {
    gi_machine_memory m = {.limit_bytes = limit_room()};
    uint64_t kib = 0;
    if (read_field("/proc/meminfo", "MemAvailable:", &kib) && kib <= UINT64_MAX / 1024)
        m.system_bytes = kib * 1024;
    m.available_bytes = m.limit_bytes < m.system_bytes ? m.limit_bytes : m.system_bytes;
    return m;
}

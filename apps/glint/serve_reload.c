/* The one list of what a running server takes over; a restart takes what it does not name. */
#include "serve_reload.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *option;
    gi_serve_reload what;
} RELOADED[] = {
    {"templates", GI_SERVE_RELOAD_FILES},  {"jwt-keys", GI_SERVE_RELOAD_FILES},
    {"api-keys", GI_SERVE_RELOAD_FILES},   {"audit-log", GI_SERVE_RELOAD_FILES},
    {"image-urls", GI_SERVE_RELOAD_VALUE}, {"log-level", GI_SERVE_RELOAD_VALUE},
};

gi_serve_reload gi_serve_reload_of(const char *option) {
    for (size_t i = 0; i < sizeof RELOADED / sizeof RELOADED[0]; i++)
        if (strcmp(RELOADED[i].option, option) == 0) return RELOADED[i].what;
    return GI_SERVE_RELOAD_NOT;
}

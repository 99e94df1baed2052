/**
 * @file
 * What SIGHUP does about each option of `glint serve`.
 */
#ifndef APPS_GLINT_SERVE_RELOAD_H
#define APPS_GLINT_SERVE_RELOAD_H

#include "options.h"

typedef enum gi_serve_reload {
    GI_SERVE_RELOAD_NOT,   /**< it takes a restart */
    GI_SERVE_RELOAD_FILES, /**< the files it names are read or opened again; not its value */
    GI_SERVE_RELOAD_VALUE, /**< the value is taken from the config file again */
} gi_serve_reload;

/** What it does about the option of this name. */
gi_serve_reload gi_serve_reload_of(const char *option);

/**
 * Say in the log what the settings that were read again changed, and warn of each that takes a
 * restart. All three were parsed with the same table.
 *
 * @param started  with which the server was started: what takes a restart is compared with that.
 * @param last     those read before `now`: what is taken over is compared with that.
 */
void gi_serve_reload_tell(const gi_options *started, const gi_options *last, const gi_options *now);

#endif

/**
 * @file
 * What SIGHUP does about each option of `glint serve`.
 */
#ifndef APPS_GLINT_SERVE_RELOAD_H
#define APPS_GLINT_SERVE_RELOAD_H

typedef enum gi_serve_reload {
    GI_SERVE_RELOAD_NOT,   /**< it takes a restart */
    GI_SERVE_RELOAD_FILES, /**< the files it names are read or opened again; not its value */
    GI_SERVE_RELOAD_VALUE, /**< the value is taken from the config file again */
} gi_serve_reload;

/** What it does about the option of this name. */
gi_serve_reload gi_serve_reload_of(const char *option);

#endif

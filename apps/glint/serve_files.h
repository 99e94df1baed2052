/**
 * @file
 * Descriptors for all that a server may have open at once.
 */
#ifndef APPS_GLINT_SERVE_FILES_H
#define APPS_GLINT_SERVE_FILES_H

#include "server/server.h"

/**
 * Raise the soft limit on open files (RLIMIT_NOFILE) to what the settings may take. Where the hard
 * limit forbids that, connections_max is lowered, with a warning in the log: connections must not
 * take the descriptors that their requests need.
 */
void gi_serve_files_reserve(gi_server_settings *settings);

#endif

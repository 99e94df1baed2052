/**
 * @file
 * The routes, as the HTTP layer calls them; gi_server_get_route lists them.
 */
#ifndef GI_SERVER_ROUTES_H
#define GI_SERVER_ROUTES_H

#include "server/server_state.h"

/** How many there are. */
#define GI_ROUTES 12

/** For gi_http_config, with the gi_server as its ctx. */
extern const gi_http_ops gi_routes_ops;

#endif

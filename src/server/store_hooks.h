/**
 * @file
 * What joins the store to those who may not know it: the engine's encoded pictures and the
 * fetcher's files. Both hooks borrow the store.
 */
#ifndef GI_SERVER_STORE_HOOKS_H
#define GI_SERVER_STORE_HOOKS_H

#include <glint/glint.h>

#include "fetch/fetcher.h"
#include "store/store.h"

glint_picture_store gi_store_hook_pictures(gi_store *store);

gi_fetch_store gi_store_hook_fetched(gi_store *store);

#endif

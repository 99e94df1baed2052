/**
 * @file
 * What `glint serve` can say about itself without serving: routes, metrics, limits,
 * options.
 */
#ifndef APPS_GLINT_SERVE_LISTS_H
#define APPS_GLINT_SERVE_LISTS_H

#include "options.h"

/** What to print: the name of a list. */
#define GI_SERVE_LISTS "routes|metrics|limits|options"

/**
 * Print a list to stdout: routes as columns, metrics and limits as the rows of a Markdown table,
 * which docs/operations.md is compared with, options as the sections of docs/configuration.md.
 *
 * @param options of serve, some of which are limits.
 * @return an exit code.
 */
int gi_serve_list(const char *name, const gi_options *options);

#endif

/*
 * `glint serve` over the fake engine: build/tests/server/fake_glint serve [OPTION]...
 *
 * jansson gets its memory where glint does, so that a test can take that away too.
 */
#include "../../apps/glint/command.h"
#include "base/alloc.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    json_set_alloc_funcs(gi_alloc, gi_free);
    if (argc >= 2 && strcmp(argv[1], "serve") == 0) return gi_command_serve(argc - 2, argv + 2);
    fprintf(stderr, "usage: %s serve [OPTION]...\n", argv[0]);
    return GI_EXIT_USAGE;
}

/*
 * `glint serve` over the fake engine: build/tests/server/fake_glint serve [OPTION]...
 */
#include "../../apps/glint/command.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "serve") == 0) return gi_command_serve(argc - 2, argv + 2);
    fprintf(stderr, "usage: %s serve [OPTION]...\n", argv[0]);
    return GI_EXIT_USAGE;
}

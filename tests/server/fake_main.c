/*
 * `glint serve` over the fake engine: build/tests/server/fake_glint serve [OPTION]...
 *
 * jansson and OpenSSL get their memory where glint does, so that a test can take that away too.
 */
#include "../../apps/glint/command.h"
#include "base/alloc.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static void *ssl_alloc(size_t n, const char *file, int line) {
    (void)file;
    (void)line;
    return n ? gi_alloc(n) : NULL;
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line) {
    (void)file;
    (void)line;
    if (n > 0) return gi_realloc_array(p, n, 1);
    gi_free(p);
    return NULL;
}

static void ssl_free(void *p, const char *file, int line) {
    (void)file;
    (void)line;
    gi_free(p);
}

int main(int argc, char **argv) {
    json_set_alloc_funcs(gi_alloc, gi_free);
    CRYPTO_set_mem_functions(ssl_alloc, ssl_realloc, ssl_free);
    if (argc >= 2 && strcmp(argv[1], "serve") == 0) return gi_command_serve(argc - 2, argv + 2);
    fprintf(stderr, "usage: %s serve [OPTION]...\n", argv[0]);
    return GI_EXIT_USAGE;
}

/*
 * The glint program: finds the sub-command and hands over.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const gi_command COMMANDS[] = {
    {"ask", "answers a question about pictures", gi_command_ask},
    {"bench", "how fast this machine is, and a model on it", gi_command_bench},
    {"inspect", "what a checkpoint is, and the memory it needs", gi_command_inspect},
    {"quantize", "rewrites a checkpoint with INT8 weights", gi_command_quantize},
    {"serve", "answers requests over HTTP", gi_command_serve},
    {"token", "makes keys and tokens for the server", gi_command_token},
};

static const gi_command_set SET = {
    .program = "glint",
    .noun = "command",
    .before = "glint answers questions about pictures with a GLM-4V-family model.\n\n"
              "Usage: glint COMMAND [OPTION]...\n\nCommands:\n",
    .after = "\n`glint COMMAND --help` explains a command. `glint --version` prints the version.\n",
    .commands = COMMANDS,
    .n = sizeof COMMANDS / sizeof COMMANDS[0],
};

static bool is_any(const char *word, const char *const words[], size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    static const char *const version[] = {"--version", "-V"};
    static const char *const help[] = {"--help", "-h", "help"};
    if (argc > 1 && is_any(argv[1], version, 2)) {
        printf("glint %s\n", GLINT_VERSION);
        return gi_command_end_output(GI_EXIT_OK);
    }
    if (argc > 1 && is_any(argv[1], help, 3)) { /* `glint help inspect` is `glint inspect --help` */
        char long_help[] = "--help";
        char *words[] = {argc > 2 ? argv[2] : long_help, long_help};
        return gi_command_dispatch(&SET, argc > 2 ? 2 : 1, words);
    }
    return gi_command_dispatch(&SET, argc - 1, argv + 1);
}

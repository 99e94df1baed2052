/*
 * The glint program: finds the sub-command and hands over.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *summary;
    gi_command_fn run;
} COMMANDS[] = {
    {"ask", "answers a question about pictures", gi_command_ask},
    {"bench", "how fast this machine is, and a model on it", gi_command_bench},
    {"inspect", "what a checkpoint is, and the memory it needs", gi_command_inspect},
    {"quantize", "rewrites a checkpoint with INT8 weights", gi_command_quantize},
    {"serve", "answers requests over HTTP", gi_command_serve},
    {"token", "makes keys and tokens for the server", gi_command_token},
};

enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_help(FILE *to) {
    fputs("glint answers questions about pictures with a GLM-4V-family model.\n\n"
          "Usage: glint COMMAND [OPTION]...\n\nCommands:\n",
          to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s%s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fputs("\n`glint COMMAND --help` explains a command. `glint --version` prints the version.\n",
          to);
}

static int unknown_command(const char *word) {
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++) names[i] = COMMANDS[i].name;
    const char *near = gi_options_nearest(word, names, N_COMMANDS);
    glint_error err;
    if (near)
        gi_fail(&err, GLINT_ERR_ARG, "unknown command \"%.60s\"; did you mean \"%s\"?", word, near);
    else
        gi_fail(&err, GLINT_ERR_ARG, "unknown command \"%.60s\"; see glint --help", word);
    fprintf(stderr, "glint: %s\n", err.message);
    return GI_EXIT_USAGE;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return GI_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("glint %s\n", GLINT_VERSION);
        return gi_command_end_output(GI_EXIT_OK);
    }
    /* `glint help inspect` is `glint inspect --help`. */
    const bool help =
        strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (help && argc == 2) {
        print_help(stdout);
        return gi_command_end_output(GI_EXIT_OK);
    }
    char long_help[] = "--help";
    char *help_argv[] = {long_help};
    const char *name = help ? argv[2] : word;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, COMMANDS[i].name) == 0)
            return help ? COMMANDS[i].run(1, help_argv) : COMMANDS[i].run(argc - 2, argv + 2);
    return unknown_command(name);
}

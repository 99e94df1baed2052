/* Refusing is the default: who asks for an audit log means every request. */
#include "audit_args.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(gi_audit_args, member)

static const gi_option ROWS[] = {
    {.name = "Audit:", .kind = GI_OPTION_HEADING},
    {.name = "audit-log",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.path),
     .value = "FILE",
     .help = "append a JSON line for each request,\nwithout contents (docs/operations.md)"},
    {.name = "audit-durable",
     .kind = GI_OPTION_SWITCH,
     .offset = AT(settings.is_durable),
     .help = "have the line on the disk before the\nanswer goes out"},
    {.name = "audit-on-error",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(on_error),
     .value = "WHAT",
     .fallback = "refuse",
     .choices = "refuse|serve",
     .help = "when lines cannot be written: 503, or\nanswer and count"},
    {.name = "audit-timeout-ms",
     .kind = GI_OPTION_INT,
     .offset = AT(settings.timeout_ms),
     .value = "MS",
     .fallback = "5000",
     .min = 100,
     .max = 600000,
     .help = "after which a disk that keeps a line\nwaiting counts as one that fails"},
    {.name = "audit-salt-file",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.salt_file),
     .value = "FILE",
     .help = "16 to 1024 bytes hashed before pictures\nand prompts (default: random at each\n"
             "start)"},
    {.name = "audit-prompt",
     .kind = GI_OPTION_SWITCH,
     .offset = AT(settings.with_prompt),
     .help = "lines have the prompt, too, without\nnumbers and addresses of persons"},
};

gi_option_group gi_audit_args_options(gi_audit_args *a) {
    return (gi_option_group)GI_OPTION_GROUP(ROWS, a);
}

glint_status gi_audit_args_resolve(const gi_audit_args *a, gi_audit_settings *ret,
                                   glint_error *err) {
    const gi_audit_settings *s = &a->settings;
    if (!s->path && (s->is_durable || s->salt_file || s->with_prompt))
        return gi_fail(err, GLINT_ERR_ARG,
                       "--audit-durable, --audit-salt-file and --audit-prompt do nothing without "
                       "--audit-log");
    *ret = *s;
    ret->serves_unrecorded = strcmp(a->on_error, "serve") == 0;
    return GLINT_OK;
}

/**
 * @file
 * The options of the audit log.
 */
#ifndef APPS_GLINT_AUDIT_ARGS_H
#define APPS_GLINT_AUDIT_ARGS_H

#include "options.h"

#include "server/audit.h"

/** Their values. Zero-initialise. */
typedef struct gi_audit_args {
    gi_audit_settings settings;
    const char *on_error;
} gi_audit_args;

/** Their rows, a heading first; values go into `a`. */
gi_option_group gi_audit_args_options(gi_audit_args *a);

/** GLINT_ERR_ARG: an option that does nothing without --audit-log. */
glint_status gi_audit_args_resolve(const gi_audit_args *a, gi_audit_settings *ret,
                                   glint_error *err);

#endif

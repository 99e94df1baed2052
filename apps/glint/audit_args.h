/**
 * @file
 * The options of the audit log.
 */
#ifndef APPS_GLINT_AUDIT_ARGS_H
#define APPS_GLINT_AUDIT_ARGS_H

#include "options.h"

#include "server/audit.h"

/** Rows that gi_audit_args_options appends. */
#define GI_AUDIT_ARGS_OPTIONS 7

/** Their values. Zero-initialise. */
typedef struct gi_audit_args {
    gi_audit_settings settings;
    const char *on_error;
} gi_audit_args;

/** Append the rows, a heading first, to specs; there must be room for GI_AUDIT_ARGS_OPTIONS. */
void gi_audit_args_options(gi_audit_args *a, gi_option *specs, size_t *n_specs);

/** GLINT_ERR_ARG: an option that does nothing without --audit-log. */
glint_status gi_audit_args_resolve(const gi_audit_args *a, gi_audit_settings *ret,
                                   glint_error *err);

#endif

/**
 * @file
 * One line of the audit log: what a record says, as JSON. docs/operations.md lists the members.
 */
#ifndef GI_SERVER_AUDIT_LINE_H
#define GI_SERVER_AUDIT_LINE_H

#include "base/buf.h"
#include "server/auth_principal.h"
#include "server/record.h"

/** Append the line without its end, with the present time. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_audit_line_write(const gi_record *r, const char *id, const gi_principal *who,
                                 gi_buf *ret, glint_error *err);

#endif

/**
 * @file
 * A line of the audit log: what a record says, as JSON. docs/operations.md lists the members.
 */
#ifndef GI_SERVER_AUDIT_LINE_H
#define GI_SERVER_AUDIT_LINE_H

#include "base/buf.h"
#include "server/auth_principal.h"
#include "server/record.h"

/** Which line of a request it is: all have one at their end, streams may have one before. */
typedef enum gi_audit_line_kind { GI_AUDIT_LINE_BEGINS, GI_AUDIT_LINE_ENDS } gi_audit_line_kind;

/** Append the line without its newline, with the present time. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY.
 */
glint_status gi_audit_line_write(const gi_record *r, gi_audit_line_kind kind, const char *id,
                                 const gi_principal *who, gi_buf *ret, glint_error *err);

#endif

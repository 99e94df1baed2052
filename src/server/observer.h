/**
 * @file
 * Whoever watches requests: counts each one as it ends, and has its line in the audit log before
 * its answer goes out.
 *
 * When a line cannot be written the answer is withheld, and requests to the model are refused
 * before they cost anything, until a line is written again; or, with serves_unrecorded, answers go
 * out all the same. The lines of the refusals themselves find out when that is.
 */
#ifndef GI_SERVER_OBSERVER_H
#define GI_SERVER_OBSERVER_H

#include "server/audit.h"
#include "server/audit_salt.h"
#include "server/http.h"
#include "server/metrics.h"

typedef struct gi_observer gi_observer;

/**
 * @param routes    [n_routes] as gi_metrics_create.
 * @param lines_max as gi_audit_open.
 * Errors as gi_audit_open and gi_audit_salt_load.
 */
glint_status gi_observer_create(const gi_audit_settings *audit, size_t lines_max,
                                const char *const *routes, size_t n_routes, gi_observer **ret,
                                glint_error *err);

/** After the HTTP layer is closed. NULL is fine. */
void gi_observer_free(gi_observer *o);

gi_metrics *gi_observer_metrics(gi_observer *o);

/** What to note of requests; NULL when there is no audit log. */
const gi_audit_notes *gi_observer_notes(const gi_observer *o);

/** True while requests must be refused for want of an audit log. */
bool gi_observer_is_blocked(const gi_observer *o);

/** on_stream of gi_http_ops: a durable log has a line of a stream before anybody has a byte of it.
 */
gi_http_beginning gi_observer_on_stream(gi_observer *o, gi_http_request *r);

/** on_answer of gi_http_ops. */
bool gi_observer_on_answer(gi_observer *o, gi_http_request *r, bool may_hold);

/** gi_audit_reopen; does nothing without an audit log. */
glint_status gi_observer_reopen(gi_observer *o, glint_error *err);

/** Fill in what it and the process know. */
void gi_observer_view(gi_observer *o, gi_metrics_view *io_view);

#endif

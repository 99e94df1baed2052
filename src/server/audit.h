/**
 * @file
 * The audit log: a file of JSON lines, one for each request, written before the answer goes out.
 *
 * A thread of its own writes, so that neither the network nor the model ever waits for a disk:
 * whoever has answered hands in the line, and is called back when it is written. Each line is one
 * write(2) to a file opened with O_APPEND. A durable log is synced (fdatasync) before the calls
 * back, once for all lines that came meanwhile.
 *
 * A disk may also keep a write waiting, for ever if need be. After timeout_ms the log hangs: it is
 * unhealthy, and whoever waits for a line is called back as for one that could not be written.
 * Where answers go out without lines (serves_unrecorded) the lines stay and are written when the
 * disk comes back; else they are lost but for the one that was being written. Everything goes on
 * as soon as the disk does, or when the log is opened again as another file.
 *
 * A line that could be written in part only, as when a disk is full, is ended before the next one:
 * a reader can skip it. The same holds for what a crash left at the end of the file.
 */
#ifndef GI_SERVER_AUDIT_H
#define GI_SERVER_AUDIT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest line. */
#define GI_AUDIT_LINE_BYTES_MAX (64 * 1024)

typedef struct gi_audit_settings {
    const char *path;       /**< NULL = there is no audit log */
    const char *salt_file;  /**< NULL = another salt at each start; see audit_salt.h */
    bool is_durable;        /**< synced before an answer goes out */
    bool with_prompt;       /**< lines have the prompt, redacted */
    bool serves_unrecorded; /**< answer although the line cannot be written */
    int64_t timeout_ms;     /**< after which a disk that does not answer hangs */
} gi_audit_settings;

typedef struct gi_audit gi_audit;

/** A line was written, or could not be; `ctx` is that of gi_audit_open. On a thread of the log's;
 * takes its time out of the others'.
 */
typedef void (*gi_audit_done_fn)(void *ctx, void *token, bool ok);

/**
 * Open the file, making it when it is not there (mode 0640), and start the threads.
 * @param settings copied; its strings must stay for good: a thread that hangs may outlive the log.
 * @param lines_max most lines that wait to be written.
 * @return GLINT_ERR_IO, GLINT_ERR_MEMORY.
 */
glint_status gi_audit_open(const gi_audit_settings *settings, size_t lines_max, void *ctx,
                           gi_audit **ret, glint_error *err);

/** Write what waits, close, free. A log that hangs is left to the thread that hangs. NULL is fine.
 */
void gi_audit_close(gi_audit *a);

/** What became of a line that was handed in. */
typedef enum gi_audit_fate {
    GI_AUDIT_LOST,  /**< too many wait, no memory, or the log hangs; counted */
    GI_AUDIT_TAKEN, /**< it will be written if it can; on_done is not called */
    GI_AUDIT_TOLD,  /**< the same, and on_done is called once */
} gi_audit_fate;

/**
 * Hand in a line; its newline is added.
 *
 * @param line  taken over unless it is lost.
 * @param on_done called with the token within twice timeout_ms; NULL = nobody waits.
 * @return GI_AUDIT_TOLD when somebody waits, unless the line is lost or the log hangs.
 * Threads: any. Does not block.
 */
gi_audit_fate gi_audit_push(gi_audit *a, gi_buf *line, gi_audit_done_fn on_done, void *token);

/** Count a line that could not be made. */
void gi_audit_lost(gi_audit *a);

/** Open the file again under its name, which may be another file now; the old one is used until
 * then and when this fails. GLINT_ERR_IO, GLINT_ERR_MEMORY; within twice timeout_ms. Any thread. */
glint_status gi_audit_reopen(gi_audit *a, glint_error *err);

/** The last line was written, in time. Any thread. */
bool gi_audit_is_healthy(const gi_audit *a);

typedef struct gi_audit_stats {
    uint64_t n_lines, n_bytes; /**< written */
    uint64_t n_lost;           /**< could not be written */
    uint64_t n_syncs;
    size_t n_waiting;
} gi_audit_stats;

/** Any thread. */
gi_audit_stats gi_audit_get_stats(gi_audit *a);

#endif

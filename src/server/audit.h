/**
 * @file
 * The audit log: a file of JSON lines, one for each request, written before the answer goes out.
 *
 * A thread of its own writes, so that neither the network nor the model ever waits for a disk:
 * whoever has answered hands in the line, and is called back when it is written. Each line is one
 * write(2) to a file opened with O_APPEND. A durable log is synced (fdatasync) before the calls
 * back, once for all lines that came meanwhile.
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
} gi_audit_settings;

typedef struct gi_audit gi_audit;

/** A line was written, or could not be. On the log's thread; takes its time out of the others'. */
typedef void (*gi_audit_done_fn)(void *ctx, void *token, bool ok);

/**
 * Open the file, making it when it is not there (mode 0640), and start the thread.
 * @param lines_max most lines that wait to be written.
 * @return GLINT_ERR_IO, GLINT_ERR_MEMORY.
 */
glint_status gi_audit_open(const gi_audit_settings *settings, size_t lines_max,
                           gi_audit_done_fn on_done, void *ctx, gi_audit **ret, glint_error *err);

/** Write what waits, close, free. NULL is fine. */
void gi_audit_close(gi_audit *a);

/**
 * Hand in a line; its newline is added.
 *
 * @param line  taken over if it was accepted.
 * @param token for on_done, which is called once; NULL = nobody waits.
 * @return false: too many wait, or no memory. Counted as a line that could not be written.
 * Threads: any. Does not block.
 */
bool gi_audit_push(gi_audit *a, gi_buf *line, void *token);

/** Count a line that could not be made. */
void gi_audit_lost(gi_audit *a);

/** Open the file again under its name, which may be another file now; the old one is used until
 * then and when this fails. GLINT_ERR_IO. Any thread. */
glint_status gi_audit_reopen(gi_audit *a, glint_error *err);

/** The last line was written. Any thread. */
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

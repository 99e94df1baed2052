/**
 * @file
 * The file of an audit log: lines are appended whole, and what is left of a line that could be
 * written in part only is ended before the next one. Every call here may block for as long as a
 * disk, a file server or the reader of a pipe likes: audit.c has a thread for them.
 */
#ifndef GI_SERVER_AUDIT_FILE_H
#define GI_SERVER_AUDIT_FILE_H

#include "base/buf.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct gi_audit_file {
    int fd;
    bool is_cut; /**< the last line has no end */
    dev_t device;
    ino_t inode;
} gi_audit_file;

/** Open for appending; made when it is not there, mode 0640. GLINT_ERR_IO. */
glint_status gi_audit_file_open(const char *path, gi_audit_file *ret, glint_error *err);

void gi_audit_file_close(gi_audit_file *f);

/** True when both are one file under whatever name. */
bool gi_audit_file_is_same(const gi_audit_file *a, const gi_audit_file *b);

/** Append a line that has its newline, with one write(2) unless the system takes only a part.
 * False: see errno. */
bool gi_audit_file_write(gi_audit_file *f, const gi_buf *line);

/** fdatasync; true for what has nothing to be synced. False: see errno. */
bool gi_audit_file_sync(const gi_audit_file *f);

#endif

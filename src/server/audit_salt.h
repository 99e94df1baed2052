/**
 * @file
 * Digests in place of content: SHA-256 over a salt and the bytes, so that whoever reads the audit
 * log without the salt cannot try pictures and texts until one fits, and whoever has it can:
 *
 *     cat salt-file picture.png | sha256sum
 *
 * The salt is the whole content of a file (16..1024 bytes), or random and different at each start.
 */
#ifndef GI_SERVER_AUDIT_SALT_H
#define GI_SERVER_AUDIT_SALT_H

#include "server/asked.h"
#include "server/record.h"

#define GI_AUDIT_SALT_BYTES_MIN 16
#define GI_AUDIT_SALT_BYTES_MAX 1024

typedef struct gi_audit_salt {
    uint8_t bytes[GI_AUDIT_SALT_BYTES_MAX];
    size_t n_bytes;
} gi_audit_salt;

/** @param path NULL: a random one. GLINT_ERR_IO (also: no regular file), GLINT_ERR_FORMAT (size),
 * GLINT_ERR_MEMORY. */
glint_status gi_audit_salt_load(const char *path, gi_audit_salt *ret, glint_error *err);

/** What a log notes of what requests ask for. */
typedef struct gi_audit_notes {
    gi_audit_salt salt;
    bool with_prompt; /**< the redacted text too */
} gi_audit_notes;

/**
 * Note the pictures and texts of a request whose fields and, but for base64, pictures are there.
 * Without memory, or with a picture that is no base64, nothing is noted.
 *
 * The prompt's bytes are those of the field, or of all texts of a conversation in order, a newline
 * behind each. Of the redacted text 4096 bytes are kept.
 * Cost: hashes everything; on the crew's threads only.
 */
void gi_audit_note(const gi_audit_notes *notes, const gi_asked *asked, gi_record *io_record);

#endif

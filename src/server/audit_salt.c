/* OpenSSL's SHA-256 over plain bytes, not base/sha256.h's typed fields: other tools must be able to
 * compute it. */
#include "server/audit_salt.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/utf8.h"
#include "server/redact.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

enum { PROMPT_BYTES_MAX = 4096, RANDOM_SALT_BYTES = 32 };

glint_status gi_audit_salt_load(const char *path, gi_audit_salt *ret, glint_error *err) {
    if (!path) {
        ret->n_bytes = RANDOM_SALT_BYTES;
        if (getrandom(ret->bytes, ret->n_bytes, 0) != RANDOM_SALT_BYTES)
            return gi_fail(err, GLINT_ERR_IO, "audit log: the system has no random bytes");
        return GLINT_OK;
    }
    gi_buf file;
    gi_buf_init(&file, GI_AUDIT_SALT_BYTES_MAX);
    glint_status st = gi_file_read(path, &file, err);
    if (st == GLINT_OK && file.len < GI_AUDIT_SALT_BYTES_MIN) st = GLINT_ERR_LIMIT;
    if (st == GLINT_ERR_LIMIT)
        st = gi_fail(err, GLINT_ERR_FORMAT, "%s: a salt has %d to %d bytes", path,
                     GI_AUDIT_SALT_BYTES_MIN, GI_AUDIT_SALT_BYTES_MAX);
    if (st == GLINT_OK) {
        memcpy(ret->bytes, file.data, file.len);
        ret->n_bytes = file.len;
    }
    gi_buf_wipe(&file);
    return st;
}

/* ---- digests ---- */

typedef struct noting {
    const gi_audit_notes *notes;
    gi_record_digest pictures[GLINT_IMAGES_MAX], prompt;
    EVP_MD_CTX *md;
    gi_buf text;
} noting;

static bool begin(noting *n) {
    return EVP_DigestInit_ex(n->md, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(n->md, n->notes->salt.bytes, n->notes->salt.n_bytes) == 1;
}

static bool end(noting *n, gi_record_digest *d) {
    return EVP_DigestFinal_ex(n->md, d->sha256.bytes, NULL) == 1;
}

static bool note_picture(void *ctx, size_t i, const void *bytes, size_t n_bytes) {
    noting *n = ctx;
    gi_record_digest *d = &n->pictures[i];
    d->n_bytes = n_bytes;
    return begin(n) && EVP_DigestUpdate(n->md, bytes, n_bytes) == 1 && end(n, d);
}

static bool add_text(noting *n, const char *text, size_t n_bytes) {
    n->prompt.n_bytes += n_bytes;
    if (EVP_DigestUpdate(n->md, text, n_bytes) != 1) return false;
    return !n->notes->with_prompt || gi_redact(text, n_bytes, &n->text, NULL) == GLINT_OK;
}

static bool add_turns(noting *n, const gi_chat_turns *turns) {
    for (size_t m = 0; m < turns->n; m++)
        for (size_t i = 0; i < turns->messages[m].n_parts; i++) {
            const glint_part *p = &turns->messages[m].parts[i];
            if (p->image) continue;
            if (!add_text(n, p->text, p->n_text_bytes) || !add_text(n, "\n", 1)) return false;
        }
    return true;
}

static bool note_prompt(noting *n, const gi_asked *asked) {
    const gi_infer_fields *f = &asked->fields;
    if (!begin(n)) return false;
    if (!(asked->turns.n > 0 ? add_turns(n, &asked->turns)
                             : add_text(n, f->prompt.s ? f->prompt.s : "", f->prompt.n)))
        return false;
    return end(n, &n->prompt);
}

/* The beginning of the redacted text, as the record's own. */
static void take_text(noting *n, gi_record *record) {
    if (!n->notes->with_prompt || n->text.len == 0) return;
    size_t n_bytes = n->text.len;
    if (n_bytes > PROMPT_BYTES_MAX)
        n_bytes = gi_utf8_complete_prefix(n->text.data, PROMPT_BYTES_MAX);
    record->prompt_text = gi_alloc(n_bytes);
    if (!record->prompt_text) return;
    memcpy(record->prompt_text, n->text.data, n_bytes);
    record->n_prompt_bytes = n_bytes;
}

void gi_audit_note(const gi_audit_notes *notes, const gi_asked *asked, gi_record *record) {
    if (record->has_digests) return;
    noting n = {.notes = notes, .md = EVP_MD_CTX_new()};
    gi_buf_init(&n.text, 2 * GLINT_PROMPT_BYTES_MAX);
    if (n.md && gi_asked_each_picture(asked, note_picture, &n) && note_prompt(&n, asked)) {
        record->has_digests = true;
        record->n_pictures = asked->fields.n_pictures;
        memcpy(record->pictures, n.pictures, sizeof n.pictures);
        record->prompt = n.prompt;
        take_text(&n, record);
    }
    gi_buf_done(&n.text);
    EVP_MD_CTX_free(n.md);
}

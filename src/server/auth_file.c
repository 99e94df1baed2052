/* Opens only what is an object; what is in it is server/auth_keys.c's. */
#include "server/auth_file.h"

#include "base/filemap.h"

#include <openssl/crypto.h>

glint_status gi_auth_file_open(const char *path, size_t max_bytes, gi_auth_file *ret,
                               glint_error *err) {
    gi_auth_file f = {0};
    gi_buf_init(&f.bytes, max_bytes);
    glint_status st = gi_file_read(path, &f.bytes, err);
    if (st == GLINT_OK) st = gi_json_parse(f.bytes.data, f.bytes.len, path, &f.root, err);
    if (st == GLINT_OK && !json_is_object(f.root))
        st = gi_fail(err, GLINT_ERR_FORMAT, "%s:1: must be a JSON object", path);
    if (st != GLINT_OK) {
        gi_auth_file_close(&f);
        return st;
    }
    f.place = (gi_json_text){
        .what = path, .text = (const char *)f.bytes.data, .n_bytes = f.bytes.len, .root = f.root};
    *ret = f;
    return GLINT_OK;
}

void gi_auth_file_close(gi_auth_file *f) {
    if (f->bytes.data) OPENSSL_cleanse(f->bytes.data, f->bytes.len);
    gi_buf_done(&f->bytes);
    json_decref(f->root);
    f->root = NULL;
}

/**
 * @file
 * A JSON file of keys while it is read; what it held is wiped afterwards.
 */
#ifndef GI_SERVER_AUTH_FILE_H
#define GI_SERVER_AUTH_FILE_H

#include "base/buf.h"
#include "base/json_text.h"

/** An open file. */
typedef struct gi_auth_file {
    gi_buf bytes;
    json_t *root;       /**< an object */
    gi_json_text place; /**< for messages */
} gi_auth_file;

/** Read and parse at most max_bytes. Errors name the file, and the line of broken JSON.
 * @param path must outlive it. */
glint_status gi_auth_file_open(const char *path, size_t max_bytes, gi_auth_file *ret,
                               glint_error *err);

/** Wipe and free; a zeroed one is fine. */
void gi_auth_file_close(gi_auth_file *f);

#endif

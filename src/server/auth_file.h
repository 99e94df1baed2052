/**
 * @file
 * A JSON file of keys while it is read: errors name the file and the line of the entry they are
 * about, and a member nobody asked for is an error.
 */
#ifndef GI_SERVER_AUTH_FILE_H
#define GI_SERVER_AUTH_FILE_H

#include "base/buf.h"
#include "base/json.h"

/** An open file. */
typedef struct gi_auth_file {
    const char *path;
    gi_buf text;
    json_t *root; /**< an object */
} gi_auth_file;

/** Read and parse at most max_bytes. Errors name the file, and the line of broken JSON. */
glint_status gi_auth_file_open(const char *path, size_t max_bytes, gi_auth_file *ret,
                               glint_error *err);

/** Wipe and free; a zeroed one is fine. */
void gi_auth_file_close(gi_auth_file *f);

/**
 * Name an entry: "keys.json:12". `section` is a member of the root, `i` counts the elements of an
 * array or the members of an object in it; the line is the one on which the entry begins.
 */
void gi_auth_file_where(const gi_auth_file *f, const char *section, size_t i, char *out,
                        size_t out_bytes);

/** GLINT_ERR_FORMAT unless all members of obj are among `known`, a list that ends with NULL. */
glint_status gi_auth_file_check_members(const json_t *obj, const char *where,
                                        const char *const *known, glint_error *err);

#endif

/*
 * glint token: credentials to try the server out with. Each prints what the server's files need,
 * ready to be pasted. Nothing secret goes into a file that others may read, nor stays in memory
 * that was given back.
 */
#include "command.h"

#include "base/alloc.h"
#include "server/auth_sign.h"
#include "server/json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 32768, TTL_MAX_S = 10 * 366 * 86400 };

/* One run of the command. The targets of all three kinds; each has its own table. */
typedef struct token_run {
    const char *alg, *kid, *dir;                   /* new-key */
    const char *key, *audience, *issuer, *subject; /* jwt */
    const char *id;                                /* api-key */
    const char *tenant;
    gi_option_list scopes;
    int64_t ttl_s;
} token_run;

static glint_status check_name(const char *option, const char *value, glint_error *err) {
    if (!value) return gi_fail(err, GLINT_ERR_ARG, "%s is missing", option);
    if (gi_auth_is_name(value, strlen(value))) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_ARG, "%s must be 1 to 64 of A-Z a-z 0-9 . _ : @ -", option);
}

static glint_status check_scopes(const gi_option_list *scopes, glint_error *err) {
    for (size_t i = 0; i < scopes->n; i++)
        if (!gi_scope_parse(scopes->values[i], strlen(scopes->values[i])))
            return gi_fail(err, GLINT_ERR_ARG, "--scope is infer or metrics, not \"%.40s\"",
                           scopes->values[i]);
    return GLINT_OK;
}

/* The scopes, or "infer", between `before` and `after`, with `between` in the middle. */
static glint_status push_scopes(const token_run *t, const char *before, const char *between,
                                const char *after, gi_buf *ret, glint_error *err) {
    GI_TRY(gi_buf_puts(ret, before, err));
    if (t->scopes.n == 0) GI_TRY(gi_buf_puts(ret, "infer", err));
    for (size_t i = 0; i < t->scopes.n; i++) {
        if (i > 0) GI_TRY(gi_buf_puts(ret, between, err));
        GI_TRY(gi_buf_puts(ret, t->scopes.values[i], err));
    }
    return gi_buf_puts(ret, after, err);
}

/* ---- new-key ---- */

/* Write a file that did not exist before. */
static glint_status write_new(const char *path, const gi_buf *text, mode_t mode, glint_error *err) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return gi_fail(err, GLINT_ERR_IO, "%s: %s", path, strerror(errno));
    size_t at = 0;
    while (at < text->len) {
        const ssize_t n = write(fd, text->data + at, text->len - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        at += (size_t)n;
    }
    if (close(fd) == 0 && at == text->len) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

static glint_status write_half(const token_run *t, const char *suffix, const gi_buf *text,
                               mode_t mode, char path[GI_PATH_BYTES], glint_error *err) {
    char name[GI_AUTH_NAME_BYTES + 32];
    snprintf(name, sizeof name, "%s%s", t->kid, suffix);
    GI_TRY(gi_path_join(path, GI_PATH_BYTES, t->dir, name, err));
    return write_new(path, text, mode, err);
}

static glint_status make_key(const token_run *t, gi_auth_alg alg, gi_buf *out, glint_error *err) {
    gi_sign_key key = {0};
    gi_buf half;
    char path[GI_PATH_BYTES], public_name[GI_PATH_BYTES];
    gi_buf_init(&half, TEXT_BYTES_MAX);
    glint_status st = gi_sign_key_make(alg, &key, err);
    if (st != GLINT_OK) return st;
    GI_TRY_DONE(gi_sign_key_write(&key, &half, err));
    GI_TRY_DONE(write_half(t, alg == GI_AUTH_HS256 ? "-secret.txt" : "-private.pem", &half, 0600,
                           path, err));
    GI_TRY_DONE(gi_buf_printf(
        out, err,
        "Sign with (keep it secret): %s\nFor --jwt-keys, a file of {\"keys\": [THIS, ...]}:\n",
        path));
    if (alg == GI_AUTH_HS256) {
        GI_TRY_DONE(gi_buf_printf(out, err,
                                  "  {\"kid\":\"%s\",\"alg\":\"HS256\",\"secret\":\"%.*s\"}\n",
                                  t->kid, (int)half.len - 1, (const char *)half.data));
    } else {
        gi_buf_clear(&half);
        GI_TRY_DONE(gi_sign_key_write_public(&key, &half, err));
        GI_TRY_DONE(write_half(t, "-public.pem", &half, 0644, public_name, err));
        const char *slash = strrchr(public_name, '/');
        GI_TRY_DONE(gi_buf_printf(out, err, "  {\"kid\":\"%s\",\"alg\":\"%s\",\"pem\":\"%s\"}\n",
                                  t->kid, gi_auth_alg_name(alg), slash + 1));
    }
done:
    gi_buf_wipe(&half);
    gi_sign_key_done(&key);
    return st;
}

static glint_status make_new_key(token_run *t, gi_buf *out, glint_error *err) {
    GI_TRY(check_name("--kid", t->kid, err));
    return make_key(t, gi_auth_alg_parse(t->alg), out, err);
}

/* ---- jwt ---- */

/* A member whose text comes from outside; nothing without one. */
static glint_status push_member(gi_buf *ret, const char *name, const char *value,
                                glint_error *err) {
    if (!value) return GLINT_OK;
    GI_TRY(gi_buf_printf(ret, err, ",\"%s\":", name));
    return gi_json_out_string(ret, value, strlen(value), err);
}

static glint_status push_claims(const token_run *t, gi_buf *ret, glint_error *err) {
    const long long now_s = time(NULL);
    GI_TRY(gi_buf_printf(ret, err, "{\"iat\":%lld,\"exp\":%lld,\"tenant\":\"%s\"", now_s,
                         now_s + (long long)t->ttl_s, t->tenant));
    GI_TRY(push_scopes(t, ",\"scope\":\"", " ", "\"", ret, err));
    GI_TRY(push_member(ret, "sub", t->subject, err));
    GI_TRY(push_member(ret, "aud", t->audience, err));
    GI_TRY(push_member(ret, "iss", t->issuer, err));
    return gi_buf_puts(ret, "}", err);
}

static glint_status make_jwt(token_run *t, gi_buf *out, glint_error *err) {
    gi_sign_key key = {0};
    gi_buf text, claims;
    GI_TRY(check_name("--tenant", t->tenant, err));
    GI_TRY(check_scopes(&t->scopes, err));
    if (!t->key) return gi_fail(err, GLINT_ERR_ARG, "--key is missing: the file to sign with");
    gi_buf_init(&text, TEXT_BYTES_MAX);
    gi_buf_init(&claims, TEXT_BYTES_MAX);
    glint_error why = {0};
    glint_status st = gi_file_read(t->key, &text, err);
    if (st != GLINT_OK) goto done;
    st = gi_sign_key_read(text.data ? (const char *)text.data : "", text.len, &key, &why);
    if (st != GLINT_OK) {
        gi_fail(err, st, "%s: %s", t->key, why.message);
        goto done;
    }
    GI_TRY_DONE(push_claims(t, &claims, err));
    GI_TRY_DONE(gi_jwt_sign(&key, t->kid, (const char *)claims.data, out, err));
    GI_TRY_DONE(gi_buf_puts(out, "\n", err));
done:
    gi_sign_key_done(&key);
    gi_buf_wipe(&text);
    gi_buf_done(&claims);
    return st;
}

/* ---- api-key ---- */

static glint_status make_api_key(token_run *t, gi_buf *out, glint_error *err) {
    char key[GI_AUTH_API_KEY_CHARS + 1], sha256[2 * GI_AUTH_SHA256_BYTES + 1];
    if (!t->id) t->id = t->tenant;
    GI_TRY(check_name("--tenant", t->tenant, err));
    GI_TRY(check_name("--id", t->id, err));
    GI_TRY(check_scopes(&t->scopes, err));
    GI_TRY(gi_api_key_make(key, sha256, err));
    const glint_status st = gi_buf_printf(
        out, err,
        "The key, shown only now: %s\nFor --api-keys, a file of {\"keys\": [THIS, ...]}:\n"
        "  {\"id\":\"%s\",\"sha256\":\"%s\",\"tenant\":\"%s\"",
        key, t->id, sha256, t->tenant);
    OPENSSL_cleanse(key, sizeof key);
    GI_TRY(st);
    GI_TRY(push_scopes(t, ",\"scopes\":[\"", "\",\"", "\"]", out, err));
    if (t->ttl_s > 0) {
        char when[32];
        struct tm tm;
        const time_t at = time(NULL) + (time_t)t->ttl_s;
        gmtime_r(&at, &tm);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
        GI_TRY(gi_buf_printf(out, err, ",\"expires\":\"%s\"", when));
    }
    return gi_buf_puts(out, "}\n", err);
}

/* ---- options ---- */

#define AT(member) offsetof(token_run, member)

static const gi_option NEW_KEY_ROWS[] = {
    {.name = "kid",
     .kind = GI_OPTION_TEXT,
     .offset = AT(kid),
     .value = "NAME",
     .help = "name of the key, for the server's file and for tokens"},
    {.name = "alg",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(alg),
     .value = "ALG",
     .fallback = "ES256",
     .choices = "HS256|RS256|ES256|EdDSA",
     .help = "algorithm"},
    {.name = "dir",
     .kind = GI_OPTION_TEXT,
     .offset = AT(dir),
     .value = "DIR",
     .fallback = ".",
     .help = "where the files go"},
};

static const gi_option JWT_ROWS[] = {
    {.name = "key",
     .kind = GI_OPTION_TEXT,
     .offset = AT(key),
     .value = "FILE",
     .help = "private key, or secret, to sign with"},
    {.name = "kid",
     .kind = GI_OPTION_TEXT,
     .offset = AT(kid),
     .value = "NAME",
     .help = "name of the key, as in the server's file"},
    {.name = "tenant",
     .kind = GI_OPTION_TEXT,
     .offset = AT(tenant),
     .value = "NAME",
     .help = "whose requests these are"},
    {.name = "scope",
     .kind = GI_OPTION_LIST,
     .offset = AT(scopes),
     .value = "NAME",
     .unset = "infer",
     .help = "infer or metrics"},
    {.name = "ttl-s",
     .kind = GI_OPTION_INT,
     .offset = AT(ttl_s),
     .value = "S",
     .fallback = "3600",
     .min = 1,
     .max = TTL_MAX_S,
     .help = "seconds until it expires"},
    {.name = "audience",
     .kind = GI_OPTION_TEXT,
     .offset = AT(audience),
     .value = "TEXT",
     .help = "for the server's --jwt-audience"},
    {.name = "issuer",
     .kind = GI_OPTION_TEXT,
     .offset = AT(issuer),
     .value = "TEXT",
     .help = "for the server's --jwt-issuer"},
    {.name = "subject",
     .kind = GI_OPTION_TEXT,
     .offset = AT(subject),
     .value = "TEXT",
     .help = "the user"},
};

static const gi_option API_KEY_ROWS[] = {
    {.name = "tenant",
     .kind = GI_OPTION_TEXT,
     .offset = AT(tenant),
     .value = "NAME",
     .help = "whose requests these are"},
    {.name = "id",
     .kind = GI_OPTION_TEXT,
     .offset = AT(id),
     .value = "NAME",
     .unset = "the tenant",
     .help = "name of the key in the log"},
    {.name = "scope",
     .kind = GI_OPTION_LIST,
     .offset = AT(scopes),
     .value = "NAME",
     .unset = "infer",
     .help = "infer or metrics"},
    {.name = "ttl-s",
     .kind = GI_OPTION_INT,
     .offset = AT(ttl_s),
     .value = "S",
     .fallback = "0",
     .min = 0,
     .max = TTL_MAX_S,
     .help = "seconds until it expires; 0 = never"},
};

/* ---- the three kinds ---- */

static const char FOOTER[] =
    "Exit status: 0 done, 1 it could not be printed, 2 wrong use, 3 a file cannot be read or\n"
    "written.\n";

typedef glint_status (*make_fn)(token_run *t, gi_buf *out, glint_error *err);

/* Read the options into `t` and print what `make` makes of them. */
static int run_kind(gi_options *o, token_run *t, make_fn make, int argc, char **argv) {
    int exit_code;
    if (!gi_command_begin(o, argc, argv, &exit_code)) return exit_code;
    glint_error err = {0};
    gi_buf out;
    gi_buf_init(&out, TEXT_BYTES_MAX);
    /* What it gets may be secret, and no copy of it may stay behind as it grows. */
    glint_status st = gi_buf_reserve(&out, TEXT_BYTES_MAX, &err);
    if (st == GLINT_OK) st = make(t, &out, &err);
    if (st != GLINT_OK) {
        exit_code =
            gi_command_fail(o->command, st == GLINT_ERR_ARG ? GI_EXIT_USAGE : GI_EXIT_INPUT, &err);
    } else {
        fwrite(out.data, 1, out.len, stdout);
        exit_code = gi_command_end_output(GI_EXIT_OK);
    }
    gi_buf_wipe(&out);
    gi_options_done(o);
    return exit_code;
}

static int new_key(int argc, char **argv) {
    token_run t = {0};
    gi_options o = {.command = "token new-key",
                    .usage = "glint token new-key --kid NAME [OPTION]...",
                    .about = "Makes a key to sign tokens with: NAME-private.pem and "
                             "NAME-public.pem, or NAME-secret.txt,\n"
                             "and prints the entry for the server's --jwt-keys file.\n",
                    .footer = FOOTER,
                    .groups = {GI_OPTION_GROUP(NEW_KEY_ROWS, &t)}};
    return run_kind(&o, &t, make_new_key, argc, argv);
}

static int jwt(int argc, char **argv) {
    token_run t = {0};
    gi_options o = {.command = "token jwt",
                    .usage = "glint token jwt --key FILE --tenant NAME [OPTION]...",
                    .about =
                        "Prints a JSON Web Token, signed with a key of `glint token new-key`.\n",
                    .footer = FOOTER,
                    .groups = {GI_OPTION_GROUP(JWT_ROWS, &t)}};
    return run_kind(&o, &t, make_jwt, argc, argv);
}

static int api_key(int argc, char **argv) {
    token_run t = {0};
    gi_options o = {.command = "token api-key",
                    .usage = "glint token api-key --tenant NAME [OPTION]...",
                    .about = "Prints a new API key, once, and the entry for the server's "
                             "--api-keys file, which holds only\n"
                             "its hash.\n",
                    .footer = FOOTER,
                    .groups = {GI_OPTION_GROUP(API_KEY_ROWS, &t)}};
    return run_kind(&o, &t, make_api_key, argc, argv);
}

static const gi_command KINDS[] = {
    {"new-key", "a key to sign tokens with", new_key},
    {"jwt", "a token", jwt},
    {"api-key", "an API key", api_key},
};

static const gi_command_set SET = {
    .program = "glint token",
    .noun = "kind",
    .before =
        "Usage: glint token KIND [OPTION]...\n\nMakes credentials for glint serve. Kinds:\n\n",
    .after = "\n`glint token KIND --help` explains a kind.\n",
    .commands = KINDS,
    .n = sizeof KINDS / sizeof KINDS[0],
};

int gi_command_token(int argc, char **argv) {
    return gi_command_dispatch(&SET, argc, argv);
}

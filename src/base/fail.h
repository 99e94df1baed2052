/**
 * @file
 * The one error idiom: functions return a glint_status and fill a caller-given glint_error.
 *
 *     glint_status gi_thing_load(const char *path, gi_thing *ret, glint_error *err) {
 *         if (!path) return gi_fail(err, GLINT_ERR_ARG, "thing: no path given");
 *         GI_TRY(gi_filemap_open(path, &map, err));
 *         ...
 *     done:
 *         gi_filemap_close(&map);
 *         return st;
 *     }
 */
#ifndef GI_BASE_FAIL_H
#define GI_BASE_FAIL_H

#include <glint/error.h>

/**
 * Record a failure and return its code.
 *
 * @param err  where the code and message go; NULL keeps only the returned code.
 * @param code a failure, never GLINT_OK.
 * @param fmt  printf format; the result is cut at GLINT_ERROR_MESSAGE_BYTES on a UTF-8 boundary,
 *             and control characters become '?', so that a hostile file name cannot forge a log
 *             line.
 * @return code.
 */
glint_status gi_fail(glint_error *err, glint_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__ /* shows the static analyser that a failure is what comes back */
#define gi_fail(err, code, ...) (gi_fail((err), (code), __VA_ARGS__), (code))
#endif

/** Name the request field that a failure is about; passes `code` through. `param` must be a
 * constant string. */
static inline glint_status gi_fail_param(glint_error *err, glint_status code, const char *param) {
    if (err && code != GLINT_OK) err->param = param;
    return code;
}

/** Leave the function with the status of `expr` when it is a failure. */
#define GI_TRY(expr)                                                                               \
    do {                                                                                           \
        const glint_status gi_try_status_ = (expr);                                                \
        if (gi_try_status_ != GLINT_OK) return gi_try_status_;                                     \
    } while (0)

/** The same for functions with something to clean up: sets `st` and jumps to `done`. */
#define GI_TRY_DONE(expr)                                                                          \
    do {                                                                                           \
        st = (expr);                                                                               \
        if (st != GLINT_OK) goto done;                                                             \
    } while (0)

/**
 * Assert an invariant of glint's own code. Never used on anything that comes from a file or the
 * network: those get a status.
 */
#define gi_assert(cond) ((cond) ? (void)0 : gi_assert_failed(#cond, __FILE__, __LINE__))

/** Write the failed condition to stderr and abort. */
_Noreturn void gi_assert_failed(const char *cond, const char *file, int line);

#endif

/**
 * @file
 * Status codes and the error record used by every glint call that can fail.
 */
#ifndef GLINT_ERROR_H
#define GLINT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/** Marks the functions that the shared library exports. */
#define GLINT_API __attribute__((visibility("default")))

/** Room for a message and its terminating zero, in bytes. */
#define GLINT_ERROR_MESSAGE_BYTES 384

/**
 * What happened. 0 is success, every failure is negative. A caller acts on the code; the message
 * is for a person and may change between versions.
 */
typedef enum glint_status {
    GLINT_OK = 0,
    GLINT_ERR_ARG = -1,         /**< a value is out of range or missing; the caller can mend it */
    GLINT_ERR_IO = -2,          /**< a file or socket could not be opened, read or written */
    GLINT_ERR_FORMAT = -3,      /**< bytes are not what their format promises */
    GLINT_ERR_UNSUPPORTED = -4, /**< well formed, but not something glint reads or does */
    GLINT_ERR_LIMIT = -5,     /**< larger than a stated limit: size, pixels, tokens, depth, time */
    GLINT_ERR_MEMORY = -6,    /**< memory could not be had */
    GLINT_ERR_CANCELLED = -7, /**< the caller asked to stop */
    GLINT_ERR_DEADLINE = -8,  /**< the request's deadline passed */
    GLINT_ERR_BUSY = -9,      /**< no room now (queue or cache full, draining); try later */
    GLINT_ERR_INTERNAL = -10, /**< a fault of glint itself */
} glint_status;

/** A status with words. Zero-initialised means "no error". */
typedef struct glint_error {
    glint_status code;
    int picture;       /**< which of the request's pictures is at fault, from 1; 0 = none of them */
    const char *param; /**< request field at fault ("image", "prompt", ...), constant; or NULL */
    char message[GLINT_ERROR_MESSAGE_BYTES]; /**< UTF-8, zero-terminated, one line */
} glint_error;

/**
 * The name of a status, for logs: "ok", "bad argument", ...
 *
 * @return a constant string, never NULL, also for values outside the enum.
 * Threads: pure.
 */
GLINT_API const char *glint_status_name(glint_status status);

#ifdef __cplusplus
}
#endif
#endif

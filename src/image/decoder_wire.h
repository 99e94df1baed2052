/**
 * @file
 * What the caller and its decoder processes share: a socket for single messages, and a region of
 * shared memory.
 *
 *     offset 0                   gi_decoder_head, on pages of its own
 *     GI_DECODER_HEAD_BYTES      the encoded picture
 *     gi_decoder_pixels_offset   the pixels
 *
 * The region is created and sized by the caller and sealed, so that no one can shrink it under the
 * other's feet. A child sees it read-only and answers with write calls: on a fresh process, pages
 * mapped for writing cost more than the copy (measured: 5 us a page on a virtual machine).
 * The caller looks at the answer only after the child's end.
 */
#ifndef GI_IMAGE_DECODER_WIRE_H
#define GI_IMAGE_DECODER_WIRE_H

#include "base/checked.h"
#include "image/render.h"

#include <stdbool.h>

/** Descriptors the glint-decoder program starts with: its end of the socket, and the region. */
#define GI_DECODER_SOCKET_FD 3
#define GI_DECODER_REGION_FD 4

/** Room for gi_decoder_head. */
#define GI_DECODER_HEAD_BYTES 4096

/** First bytes of the region. */
typedef struct gi_decoder_head {
    gi_render_request request; /**< in */
    size_t n_bytes;            /**< in: of the encoded picture */
    gi_verdict verdict;        /**< out */
    gi_rendering picture;      /**< out, unless refused; `pixels` means nothing */
} gi_decoder_head;

_Static_assert(sizeof(gi_decoder_head) <= GI_DECODER_HEAD_BYTES, "the head outgrew its pages");

/** Where the pixels of a picture of n encoded bytes begin. */
static inline size_t gi_decoder_pixels_offset(size_t n_bytes) {
    return gi_round_up(GI_DECODER_HEAD_BYTES + n_bytes, GI_DECODER_HEAD_BYTES);
}

/** Messages, one byte each. */
typedef enum gi_decoder_message {
    GI_DECODER_READY = 'r', /**< program to caller, once: started */
    GI_DECODER_GO = 'g',    /**< caller to program: decode what is in the region */
    GI_DECODER_DONE = 'd',  /**< program to caller: the child ended by itself; read the head */
    GI_DECODER_LATE = 'l',  /**< the child was stopped: CPU time or patience used up */
    GI_DECODER_CRASH = 'c', /**< the child died of a signal */
    GI_DECODER_FAULT = 'f', /**< no child could be started and locked in */
} gi_decoder_message;

/** Send one message. False when the other end is gone. */
bool gi_decoder_say(int socket, gi_decoder_message message);

/**
 * Wait for one message, for ever if patience_ms is negative. False when the other end is gone or
 * patience ran out. What is heard is not trusted to be one of the messages.
 */
bool gi_decoder_hear(int socket, int patience_ms, char *ret);

/** Exit statuses of the program and its children. */
enum {
    GI_DECODER_EXIT_EXEC = 126,    /**< the program could not be executed */
    GI_DECODER_EXIT_SECCOMP = 125, /**< system calls cannot be limited here */
    GI_DECODER_EXIT_SETUP = 124,   /**< another limit or the region cannot be had */
};

/** The longest time, CPU waits included, that a picture may take, for a CPU limit. */
static inline uint32_t gi_decoder_patience_ms(uint32_t cpu_ms_max) {
    return cpu_ms_max > 100000 ? 1002000 : 10 * cpu_ms_max + 2000;
}

/** The glint-decoder program: an ELF file. */
extern const unsigned char gi_decoder_program[];
/** Its size. */
extern const size_t gi_decoder_program_bytes;

#endif

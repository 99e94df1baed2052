/**
 * @file
 * Processes that decode pictures, so that a fault in a picture library costs one request.
 *
 *     caller                     glint-decoder (one per slot)     child (one per picture)
 *     ------                     ----------------------------     -----------------------
 *     take a slot
 *     copy bytes to the region
 *     "go" over the socket  -->  wake the child              -->  limits, seccomp
 *     wait                       wait, with a time limit          decode and resize
 *     check the verdict    <--   how the child ended         <--  write the result, exit
 *     make patches from the region
 *     wipe the region            fork the next child
 *     give the slot back
 *
 * The child can write to the region and nothing else, its system calls are that one and those of
 * memory and exit, its memory and CPU time are limited, and it ends with its picture: what one
 * picture does to it, no other picture meets. The glint-decoder program is part of the library
 * (decoder_process.c, embedded) and runs from memory: nothing to install, no version to mismatch,
 * nothing of the caller's memory to inherit.
 */
#ifndef GI_IMAGE_DECODER_H
#define GI_IMAGE_DECODER_H

#include "image/render.h"

/** Most slots of a decoder. */
#define GI_DECODER_SLOTS_MAX 64

/**
 * Start decoder processes and try one on a picture of one pixel.
 *
 * @param n_slots    pictures decoded at once, 1..GI_DECODER_SLOTS_MAX; about one per CPU.
 * @param file_bytes_max the largest encoded picture that will come; sizes the regions (address
 *                   space, not memory).
 * @return GLINT_ERR_ARG, GLINT_ERR_MEMORY, GLINT_ERR_IO (out of descriptors or processes);
 *         GLINT_ERR_UNSUPPORTED when this system lets a process be started neither from memory
 *         (sysctl vm.memfd_noexec) nor from a directory for temporary files, or not be limited
 *         (seccomp): the message says which, and what to do.
 * Threads: any. The program must not wait for children it did not start.
 */
glint_status gi_decoder_create(int n_slots, size_t file_bytes_max, gi_decoder **ret,
                               glint_error *err);

/** Stop the processes and wait for their end. No picture may be in work. NULL is fine. */
void gi_decoder_free(gi_decoder *decoder);

/** What the processes did so far. */
typedef struct gi_decoder_stats {
    uint64_t n_pictures; /**< given to a child */
    uint64_t n_crashes;  /**< children that a picture ended, or that a limit did */
    uint64_t n_restarts; /**< programs started in place of one that died */
} gi_decoder_stats;

/** Any thread. */
gi_decoder_stats gi_decoder_get_stats(gi_decoder *decoder);

/** A picture in a slot's region. */
typedef struct gi_decoder_lease {
    gi_decoder *decoder;
    int i_slot;
    size_t n_bytes;       /**< of the encoded picture */
    gi_rendering picture; /**< pixels lie in the region */
} gi_decoder_lease;

/**
 * gi_render one picture in a slot; waits while all slots are in use.
 *
 * @param ret untouched on failure; the caller calls gi_decoder_release.
 * @return as gi_image_prepare.
 * Threads: any number at once.
 */
glint_status gi_decoder_render(gi_decoder *decoder, const void *bytes, size_t n_bytes,
                               const gi_render_request *request, gi_decoder_lease *ret,
                               glint_error *err);

/** Wipe the pixels and give the slot back. */
void gi_decoder_release(gi_decoder_lease *lease);

#endif

/**
 * @file
 * What whoever plans the work of the vision tower must know of a picture and of its place.
 */
#ifndef GI_ENGINE_PICTURE_STATE_H
#define GI_ENGINE_PICTURE_STATE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * A picture to be encoded; shared by the requests that show the same one. The planner's owner keeps
 * it while n_users > 0 or is_encoding.
 */
typedef struct gi_picture_state {
    size_t n_patches; /**< rows in the vision tower */
    double work;      /**< operations to encode it (gi_vision_ops), above 0 */
    bool is_encoded;  /**< its visual tokens are there */
    /* The planner's; zero at first. */
    bool is_encoding; /**< it is in the batch under way */
    size_t n_users;   /**< requests in the plan that show it */
} gi_picture_state;

/** Where a picture stands in a prompt. */
typedef struct gi_picture_place {
    gi_picture_state *picture;
    size_t first_token, n_tokens;
} gi_picture_place;

#endif

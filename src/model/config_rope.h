/**
 * @file
 * The part of config.json that says how the decoder rotates queries and keys.
 */
#ifndef GI_MODEL_CONFIG_ROPE_H
#define GI_MODEL_CONFIG_ROPE_H

#include "model/config.h"

#include <jansson.h>

/**
 * Read t->rope_theta, t->rotary_dim and t->mrope_section. They lie in rope_parameters
 * (transformers 5), or in rope_scaling and the decoder's settings themselves.
 *
 * @param text the decoder's settings, `what` their name in messages.
 * @param t    head_dim is set.
 * @return GLINT_ERR_FORMAT, GLINT_ERR_UNSUPPORTED (scaled rope).
 */
glint_status gi_config_read_rope(const json_t *text, const char *what, gi_text_config *t,
                                 glint_error *err);

#endif

/*
 * How long masks take while values are written token by token.
 */
#ifndef TESTS_MASK_TIMES_H
#define TESTS_MASK_TIMES_H

#include "grammar/guide.h"

typedef struct mask_times mask_times;

/* With the tokenizer $GLINT_TOKENIZER, or the default model's. Fails the test when it is not there.
 */
mask_times *mask_times_open(void);

/* Write the text under the schema with a fresh guide, encoded as the tokenizer does. Where tokens
 * are forced it takes those. Each mask is timed when it is first wanted and again. */
void mask_times_add(mask_times *m, const gi_schema *schema, const char *text, size_t n);

/* Print the quantiles and free. */
void mask_times_close(mask_times *m);

#endif

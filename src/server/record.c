/* A record lives in its request and dies with it. */
#include "server/record.h"

#include "base/alloc.h"

void gi_record_done(gi_record *r) {
    gi_free(r->prompt_text);
    r->prompt_text = NULL;
}

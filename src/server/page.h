/**
 * @file
 * The page at `/`: the files of web/, which lie in the program. They hold nothing secret and are
 * open to everybody; what the page does goes through the same routes and the same door as any
 * client's requests.
 */
#ifndef GI_SERVER_PAGE_H
#define GI_SERVER_PAGE_H

#include "base/embedded.h"
#include "server/http.h"

/** The file that is served at `/`. */
#define GI_PAGE_INDEX "index.html"

/** The files, compressible ones twice: NAME, then NAME.gz. Ends with a NULL name. */
extern const gi_embedded gi_page_files[];

typedef struct gi_page gi_page;

/** Hash the files, for ETag. GLINT_ERR_MEMORY, GLINT_ERR_UNSUPPORTED. */
glint_status gi_page_create(gi_page **ret, glint_error *err);

/** NULL is fine. After gi_http_close. */
void gi_page_free(gi_page *page);

/** Answer with a file: 200, 304, or 404 when there is none of this name. Any thread. */
void gi_page_serve(const gi_page *page, const char *name, gi_http_request *r);

/** True when a header Accept-Encoding (or NULL) takes gzip. */
bool gi_page_takes_gzip(const char *accept_encoding);

#endif

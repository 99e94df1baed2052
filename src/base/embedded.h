/**
 * @file
 * A file that lies inside the program; tables of them are written by tools/embed.
 */
#ifndef GI_BASE_EMBEDDED_H
#define GI_BASE_EMBEDDED_H

#include <stddef.h>

typedef struct gi_embedded {
    const char *name;          /**< last part of the path; NULL ends a table */
    const unsigned char *data; /**< [size_bytes], then a zero byte */
    size_t size_bytes;
} gi_embedded;

#endif

/**
 * @file
 * Takes what points to a person out of a text, for the audit log:
 *
 *     [phone]   mobile and fixed numbers of China, numbers with a country code, 555-123-4567
 *     [email]   addresses
 *     [id]      Chinese identity cards, 18 digits with a right check digit (GB 11643)
 *     [card]    13 to 19 digits with a right check digit (Luhn)
 *     [gps]     pairs of coordinates with three decimals or more, such numbers behind "lat", "lon",
 *               纬度, 东经 and the like, and degrees with minutes
 *     [number]  20 digits or more in one piece
 *
 * Digits may be full-width and in groups with spaces, hyphens or parentheses between; also with
 * dots or dashes of print, when the groups are those of telephone numbers and cards (138.0013.8000)
 * and not of prices, dates, versions and ranges. What is found may be too much (an order number can
 * look like a card); what is not of these forms stays: names and addresses of houses do. Linear
 * time.
 */
#ifndef GI_SERVER_REDACT_H
#define GI_SERVER_REDACT_H

#include "base/buf.h"

/** Append `text` without these. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_redact(const char *text, size_t n_bytes, gi_buf *ret, glint_error *err);

#endif

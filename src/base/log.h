/**
 * @file
 * Log lines on stderr: `time level area message`. The library logs at debug only; programs use
 * the other levels. What a message is about comes first, as words of the form key=value.
 */
#ifndef GI_BASE_LOG_H
#define GI_BASE_LOG_H

#include <stdbool.h>

typedef enum gi_log_level {
    GI_LOG_DEBUG,
    GI_LOG_INFO,
    GI_LOG_WARN,
    GI_LOG_ERROR,
    GI_LOG_OFF,
} gi_log_level;

/** Lines below this level are dropped. Starts as GI_LOG_WARN. Any thread. */
void gi_log_set_level(gi_log_level level);

/**
 * Lines as JSON objects: time, level, area, message. Words of the form key=value at the beginning
 * of a message become members of their own. Any thread.
 */
void gi_log_set_json(bool is_json);

/** Level from "debug", "info", "warn", "error" or "off"; false, leaving *ret, for anything else. */
bool gi_log_level_parse(const char *name, gi_log_level *ret);

/** Write one line, in one write(2), so that threads do not mix. Control characters become '?'. */
void gi_log(gi_log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif

/**
 * @file
 * Log lines on stderr: `time level area message`. The library logs at debug only; programs use
 * the other levels.
 */
#ifndef GI_BASE_LOG_H
#define GI_BASE_LOG_H

typedef enum gi_log_level {
    GI_LOG_DEBUG,
    GI_LOG_INFO,
    GI_LOG_WARN,
    GI_LOG_ERROR,
    GI_LOG_OFF,
} gi_log_level;

/** Lines below this level are dropped. Starts as GI_LOG_WARN. Any thread. */
void gi_log_set_level(gi_log_level level);

/** Level from "debug", "info", "warn", "error" or "off"; -1 for anything else. */
int gi_log_level_parse(const char *name);

/** Write one line, in one write(2), so that threads do not mix. Control characters become '?'. */
void gi_log(gi_log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif

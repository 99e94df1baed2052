/**
 * @file
 * Every series whose value is read when somebody asks: X(id, name, labels, type, help). Series of
 * one metric stand together and share its help. Times are in seconds, as Prometheus wants them.
 */
#ifndef GI_SERVER_METRICS_TABLE_H
#define GI_SERVER_METRICS_TABLE_H

#define GI_METRICS_SERIES(X)                                                                       \
    X(READY, "glint_ready", "", "gauge", "1 while /ready says 200.")                               \
    X(CONNECTIONS, "glint_connections", "", "gauge", "Open connections.")                          \
    X(CONNECTIONS_TAKEN, "glint_connections_taken_total", "", "counter", "Connections accepted.")  \
    X(CONNECTIONS_REFUSED, "glint_connections_refused_total", "", "counter",                       \
      "Closed at once: their address had enough.")                                                 \
    X(REQUESTS_OPEN, "glint_requests_open", "", "gauge",                                           \
      "Requests whose headers have come and whose answer is not out.")                             \
    X(BYTES_IN, "glint_request_body_bytes_total", "", "counter", "Bytes of bodies received.")      \
    X(BYTES_OUT, "glint_response_body_bytes_total", "", "counter", "Bytes of answers sent.")       \
    X(BODIES_HELD, "glint_request_bodies_bytes", "", "gauge", "Bytes of bodies in memory.")        \
    X(ARRIVED, "glint_requests_in_state", "state=\"arrived\"", "gauge",                            \
      "Inference requests by where they are.")                                                     \
    X(ADMITTING, "glint_requests_in_state", "state=\"admitting\"", "gauge", "")                    \
    X(WAITING, "glint_requests_in_state", "state=\"waiting\"", "gauge", "")                        \
    X(PREPARING, "glint_requests_in_state", "state=\"preparing\"", "gauge", "")                    \
    X(PREPARED, "glint_requests_in_state", "state=\"ready\"", "gauge", "")                         \
    X(RUNNING, "glint_requests_in_state", "state=\"running\"", "gauge", "")                        \
    X(WAIT, "glint_wait_estimate_seconds", "", "gauge",                                            \
      "How long a request that came now would wait before it runs.")                               \
    X(STEPS, "glint_steps_total", "", "counter", "Steps of the model.")                            \
    X(STEP_TIME, "glint_step_running_seconds", "", "gauge",                                        \
      "How long the step of this moment has taken.")                                               \
    X(STEP_ROWS, "glint_step_rows_total", "", "counter",                                           \
      "Tokens fed in all steps; divided by glint_steps_total, the mean batch.")                    \
    X(ANSWER_ROWS, "glint_step_answer_rows_total", "", "counter",                                  \
      "Of these, tokens of answers and not of prompts.")                                           \
    X(PREEMPTIONS, "glint_preemptions_total", "", "counter",                                       \
      "Requests that gave up their KV blocks for others and went on later.")                       \
    X(VISION_BATCHES, "glint_vision_batches_total", "", "counter",                                 \
      "Batches of pictures through the vision tower.")                                             \
    X(PICTURES, "glint_pictures_encoded_total", "", "counter", "Pictures in these.")               \
    X(KV_USED, "glint_kv_blocks", "state=\"used\"", "gauge", "Blocks of the KV cache.")            \
    X(KV_FREE, "glint_kv_blocks", "state=\"free\"", "gauge", "")                                   \
    X(KV_CACHED, "glint_kv_blocks", "state=\"cached\"", "gauge", "")                               \
    X(PREFIX_LOOKUPS, "glint_prefix_cache_lookups_total", "", "counter",                           \
      "Prompts looked up in the prefix cache.")                                                    \
    X(PREFIX_TOKENS, "glint_prefix_cache_hit_tokens_total", "", "counter",                         \
      "Prompt tokens whose keys and values were found there.")                                     \
    X(PREFIX_EVICTIONS, "glint_prefix_cache_evicted_blocks_total", "", "counter",                  \
      "Blocks that were given up there.")                                                          \
    X(PICTURE_HITS, "glint_cache_hits_total", "cache=\"picture\"", "counter",                      \
      "Look-ups that found something.")                                                            \
    X(ANSWER_HITS, "glint_cache_hits_total", "cache=\"answer\"", "counter", "")                    \
    X(URL_HITS, "glint_cache_hits_total", "cache=\"url\"", "counter", "")                          \
    X(PICTURE_MISSES, "glint_cache_misses_total", "cache=\"picture\"", "counter",                  \
      "Look-ups that found nothing.")                                                              \
    X(ANSWER_MISSES, "glint_cache_misses_total", "cache=\"answer\"", "counter", "")                \
    X(URL_MISSES, "glint_cache_misses_total", "cache=\"url\"", "counter", "")                      \
    X(PICTURE_BYTES, "glint_cache_bytes", "cache=\"picture\"", "gauge", "What a cache holds.")     \
    X(ANSWER_BYTES, "glint_cache_bytes", "cache=\"answer\"", "gauge", "")                          \
    X(URL_BYTES, "glint_cache_bytes", "cache=\"url\"", "gauge", "")                                \
    X(PICTURE_EVICTIONS, "glint_cache_evictions_total", "cache=\"picture\"", "counter",            \
      "What had to go to make room.")                                                              \
    X(ANSWER_EVICTIONS, "glint_cache_evictions_total", "cache=\"answer\"", "counter", "")          \
    X(URL_EVICTIONS, "glint_cache_evictions_total", "cache=\"url\"", "counter", "")                \
    X(DECODER_PICTURES, "glint_decoder_pictures_total", "", "counter",                             \
      "Pictures given to decoder processes.")                                                      \
    X(DECODER_CRASHES, "glint_decoder_crashes_total", "", "counter",                               \
      "Decoder processes that a picture ended: a crash, or a limit on time or memory.")            \
    X(DECODER_RESTARTS, "glint_decoder_restarts_total", "", "counter",                             \
      "Decoder programs started again after the first of each slot.")                              \
    X(FETCH_ON, "glint_fetch_on", "", "gauge", "1 while pictures by URL are fetched.")             \
    X(FETCHES, "glint_fetches_total", "", "counter",                                               \
      "Pictures by URL that were asked for, refused ones included.")                               \
    X(FETCH_JOINED, "glint_fetches_joined_total", "", "counter",                                   \
      "Of these, joined to a fetch under way.")                                                    \
    X(FETCH_FAILED, "glint_fetch_failures_total", "", "counter", "Of these, failed or refused.")   \
    X(FETCH_TRANSFERS, "glint_fetch_transfers_total", "", "counter",                               \
      "Transfers over the network.")                                                               \
    X(FETCH_BYTES, "glint_fetch_bytes", "", "gauge",                                               \
      "Fetched bytes in memory: arriving, held and kept.")                                         \
    X(REDIS_UP, "glint_redis_up", "", "gauge",                                                     \
      "1 while Redis is asked: its circuit breaker is closed.")                                    \
    X(REDIS_OPENED, "glint_redis_breaker_opened_total", "", "counter", "How often that opened.")   \
    X(REDIS_CONNECTIONS, "glint_redis_connections", "", "gauge", "Connections to Redis.")          \
    X(REDIS_HITS_ANSWER, "glint_redis_hits_total", "kind=\"answer\"", "counter",                   \
      "Values found in Redis, and good.")                                                          \
    X(REDIS_HITS_PICTURE, "glint_redis_hits_total", "kind=\"picture\"", "counter", "")             \
    X(REDIS_HITS_FETCHED, "glint_redis_hits_total", "kind=\"fetched\"", "counter", "")             \
    X(REDIS_HITS_LIMIT, "glint_redis_hits_total", "kind=\"limit\"", "counter", "")                 \
    X(REDIS_MISSES_ANSWER, "glint_redis_misses_total", "kind=\"answer\"", "counter",               \
      "Look-ups in Redis without a good value, for whatever reason.")                              \
    X(REDIS_MISSES_PICTURE, "glint_redis_misses_total", "kind=\"picture\"", "counter", "")         \
    X(REDIS_MISSES_FETCHED, "glint_redis_misses_total", "kind=\"fetched\"", "counter", "")         \
    X(REDIS_MISSES_LIMIT, "glint_redis_misses_total", "kind=\"limit\"", "counter", "")             \
    X(REDIS_STORED_ANSWER, "glint_redis_stored_total", "kind=\"answer\"", "counter",               \
      "Values stored in Redis.")                                                                   \
    X(REDIS_STORED_PICTURE, "glint_redis_stored_total", "kind=\"picture\"", "counter", "")         \
    X(REDIS_STORED_FETCHED, "glint_redis_stored_total", "kind=\"fetched\"", "counter", "")         \
    X(REDIS_STORED_LIMIT, "glint_redis_stored_total", "kind=\"limit\"", "counter", "")             \
    X(REDIS_REFUSED_ANSWER, "glint_redis_refused_total", "kind=\"answer\"", "counter",             \
      "Values in Redis that glint did not write like this.")                                       \
    X(REDIS_REFUSED_PICTURE, "glint_redis_refused_total", "kind=\"picture\"", "counter", "")       \
    X(REDIS_REFUSED_FETCHED, "glint_redis_refused_total", "kind=\"fetched\"", "counter", "")       \
    X(REDIS_REFUSED_LIMIT, "glint_redis_refused_total", "kind=\"limit\"", "counter", "")           \
    X(REDIS_ERRORS, "glint_redis_errors_total", "", "counter",                                     \
      "Times Redis said no, or nothing that makes sense.")                                         \
    X(REDIS_TIMEOUTS, "glint_redis_timeouts_total", "", "counter", "Times it was too slow.")       \
    X(REDIS_SKIPPED, "glint_redis_skipped_total", "", "counter",                                   \
      "Times it was not asked: left alone, or all connections in use.")                            \
    X(REDIS_DROPPED, "glint_redis_dropped_total", "", "counter", "Values that were not stored.")   \
    X(REDIS_ROUNDS_FAILED, "glint_redis_limit_rounds_failed_total", "", "counter",                 \
      "Rounds of limits that other servers did not hear of.")                                      \
    X(REDIS_QUEUE, "glint_redis_queue_bytes", "", "gauge", "Bytes that wait to be stored.")        \
    X(AUDIT_LINES, "glint_audit_lines_total", "", "counter", "Lines written to the audit log.")    \
    X(AUDIT_BYTES, "glint_audit_bytes_total", "", "counter", "Bytes of these.")                    \
    X(AUDIT_LOST, "glint_audit_lost_lines_total", "", "counter", "Lines that could not be.")       \
    X(AUDIT_SYNCS, "glint_audit_syncs_total", "", "counter", "fdatasync(2) of the audit log.")     \
    X(AUDIT_WAITING, "glint_audit_waiting_lines", "", "gauge", "Lines that wait to be written.")   \
    X(AUDIT_OK, "glint_audit_ok", "", "gauge", "1 while the last line could be written.")          \
    X(RELOADS_OK, "glint_reloads_total", "outcome=\"ok\"", "counter", "Reloads by SIGHUP.")        \
    X(RELOADS_FAILED, "glint_reloads_total", "outcome=\"failed\"", "counter", "")                  \
    X(MODEL_PARAMETERS, "glint_model_parameters", "", "gauge", "Parameters of the model.")         \
    X(MODEL_BYTES, "glint_model_weights_bytes", "", "gauge", "Weights, mapped or held.")           \
    X(START_TIME, "process_start_time_seconds", "", "gauge",                                       \
      "When the process started, in seconds since 1970.")                                          \
    X(CPU, "process_cpu_seconds_total", "", "counter", "CPU time, user and system.")               \
    X(RSS, "process_resident_memory_bytes", "", "gauge", "Memory in use.")                         \
    X(FDS, "process_open_fds", "", "gauge", "Open file descriptors.")                              \
    X(FDS_MAX, "process_max_fds", "", "gauge", "Most of them.")

typedef enum gi_series {
#define GI_METRICS_ENUM(id, name, labels, type, help) GI_SERIES_##id,
    GI_METRICS_SERIES(GI_METRICS_ENUM)
#undef GI_METRICS_ENUM
        GI_SERIES_COUNT
} gi_series;

#endif

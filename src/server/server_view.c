/* Reading only: each part has its own counters and locks. */
#include "server/server_view.h"

#include "engine/engine_stats.h"

static void view_http(const gi_http *http, double *values) {
    const gi_http_stats s = gi_http_get_stats(http);
    values[GI_SERIES_CONNECTIONS] = (double)s.n_connections;
    values[GI_SERIES_CONNECTIONS_TAKEN] = (double)s.n_connections_taken;
    values[GI_SERIES_CONNECTIONS_REFUSED] = (double)s.n_connections_refused;
    values[GI_SERIES_REQUESTS_OPEN] = (double)s.n_requests;
    values[GI_SERIES_BYTES_IN] = (double)s.body_bytes_in;
    values[GI_SERIES_BYTES_OUT] = (double)s.body_bytes_out;
    values[GI_SERIES_BODIES_HELD] = (double)s.body_bytes_held;
}

static void view_sched(const gi_sched_stats *s, double *values) {
    for (size_t i = 0; i < GI_SCHED_LISTS; i++) values[GI_SERIES_ARRIVED + i] = (double)s->n[i];
    values[GI_SERIES_WAIT] = s->wait_estimate_ms / 1e3;
    values[GI_SERIES_STEPS] = (double)s->plan.n_steps;
    values[GI_SERIES_STEP_ROWS] = (double)s->plan.n_rows;
    values[GI_SERIES_ANSWER_ROWS] = (double)s->plan.n_answer_rows;
    values[GI_SERIES_PREEMPTIONS] = (double)s->plan.n_preempted;
    values[GI_SERIES_VISION_BATCHES] = (double)s->plan.n_vision_batches;
    values[GI_SERIES_PICTURES] = (double)s->plan.n_pictures;
    values[GI_SERIES_KV_FREE] = (double)s->kv_blocks_free;
    values[GI_SERIES_KV_CACHED] = (double)s->kv_blocks_cached;
    values[GI_SERIES_KV_USED] = (double)(s->kv_blocks - s->kv_blocks_free - s->kv_blocks_cached);
    values[GI_SERIES_PREFIX_LOOKUPS] = (double)s->kv.n_lookups;
    values[GI_SERIES_PREFIX_TOKENS] = (double)s->kv.n_hit_tokens;
    values[GI_SERIES_PREFIX_EVICTIONS] = (double)s->kv.n_evictions;
}

_Static_assert(GI_SERIES_RUNNING - GI_SERIES_ARRIVED == GI_SCHED_RUNNING - GI_SCHED_ARRIVED,
               "the series of states stand in the order of gi_sched_state");

static void view_model(const gi_server_parts *p, gi_metrics_view *view) {
    double *values = view->values;
    const glint_engine_info *info = glint_engine_get_info(p->engine);
    const gi_engine_stats engine = gi_engine_get_stats(p->engine);
    gi_sched_stats sched;
    gi_cache_stats answers;
    gi_infer_get_stats(p->infer, &sched, &answers);
    view_sched(&sched, values);
    values[GI_SERIES_STEP_TIME] = gi_infer_step_ms(p->infer) / 1e3;
    values[GI_SERIES_PICTURE_HITS] = (double)engine.pictures.n_hits;
    values[GI_SERIES_PICTURE_MISSES] = (double)engine.pictures.n_misses;
    values[GI_SERIES_PICTURE_BYTES] = (double)engine.pictures.n_bytes;
    values[GI_SERIES_PICTURE_EVICTIONS] = (double)engine.pictures.n_evictions;
    values[GI_SERIES_ANSWER_HITS] = (double)answers.n_hits;
    values[GI_SERIES_ANSWER_MISSES] = (double)answers.n_misses;
    values[GI_SERIES_ANSWER_BYTES] = (double)answers.n_bytes;
    values[GI_SERIES_ANSWER_EVICTIONS] = (double)answers.n_evictions;
    values[GI_SERIES_DECODER_PICTURES] = (double)engine.decoding.n_pictures;
    values[GI_SERIES_DECODER_CRASHES] = (double)engine.decoding.n_crashes;
    values[GI_SERIES_DECODER_RESTARTS] = (double)engine.decoding.n_restarts;
    values[GI_SERIES_MODEL_PARAMETERS] = (double)info->n_params;
    values[GI_SERIES_MODEL_BYTES] = (double)info->weight_bytes;
    view->model = info->model_name;
    view->device = info->device;
}

static void view_fetcher(gi_fetcher *fetcher, double *values) {
    const gi_fetch_stats s = gi_fetcher_get_stats(fetcher);
    values[GI_SERIES_URL_HITS] = (double)s.n_kept_used;
    values[GI_SERIES_URL_MISSES] = (double)s.n_kept_missed;
    values[GI_SERIES_URL_BYTES] = (double)s.kept_bytes;
    values[GI_SERIES_URL_EVICTIONS] = (double)s.n_kept_evicted;
    values[GI_SERIES_FETCH_ON] = !gi_fetcher_is_off(fetcher);
    values[GI_SERIES_FETCHES] = (double)s.n_begun;
    values[GI_SERIES_FETCH_JOINED] = (double)s.n_joined;
    values[GI_SERIES_FETCH_FAILED] = (double)s.n_failed;
    values[GI_SERIES_FETCH_TRANSFERS] = (double)s.n_transfers;
    values[GI_SERIES_FETCH_BYTES] = (double)s.used_bytes;
}

static void view_store(gi_store *store, double *values) {
    const gi_store_stats s = gi_store_get_stats(store);
    for (size_t k = GI_STORE_ANSWER; k < GI_STORE_KINDS; k++) {
        const gi_store_kind_stats *of = &s.kinds[k];
        const size_t i = k - GI_STORE_ANSWER;
        values[GI_SERIES_REDIS_HITS_ANSWER + i] = (double)of->n_hits;
        values[GI_SERIES_REDIS_MISSES_ANSWER + i] = (double)of->n_misses;
        values[GI_SERIES_REDIS_STORED_ANSWER + i] = (double)of->n_stored;
        values[GI_SERIES_REDIS_REFUSED_ANSWER + i] = (double)of->n_refused;
    }
    values[GI_SERIES_REDIS_UP] = s.pool.state == GI_BREAKER_CLOSED;
    values[GI_SERIES_REDIS_OPENED] = (double)s.pool.n_opened;
    values[GI_SERIES_REDIS_CONNECTIONS] = (double)s.pool.n_connections;
    values[GI_SERIES_REDIS_ERRORS] = (double)s.n_errors;
    values[GI_SERIES_REDIS_TIMEOUTS] = (double)s.n_timeouts;
    values[GI_SERIES_REDIS_SKIPPED] = (double)s.n_skipped;
    values[GI_SERIES_REDIS_DROPPED] = (double)s.n_dropped;
    values[GI_SERIES_REDIS_ROUNDS_FAILED] = (double)s.n_tally_failures;
    values[GI_SERIES_REDIS_QUEUE] = (double)s.queue_bytes;
}

_Static_assert(GI_SERIES_REDIS_HITS_LIMIT - GI_SERIES_REDIS_HITS_ANSWER ==
                   GI_STORE_LIMIT - GI_STORE_ANSWER,
               "the series of kinds stand in the order of gi_store_kind");

void gi_server_view(const gi_server_parts *parts, gi_metrics_reason reasons[GI_SERVER_REASONS_MAX],
                    gi_metrics_view *view) {
    if (parts->http) view_http(parts->http, view->values);
    if (parts->fetcher) view_fetcher(parts->fetcher, view->values);
    if (parts->store) view_store(parts->store, view->values);
    if (parts->infer) view_model(parts, view);
    view->version = glint_version();
    view->auth_failures = reasons;
    while (view->n_auth_failures < GI_SERVER_REASONS_MAX &&
           gi_access_get_failures(parts->access, view->n_auth_failures,
                                  &reasons[view->n_auth_failures].reason,
                                  &reasons[view->n_auth_failures].n))
        view->n_auth_failures++;
}

/*
 * The tables. Nothing else in the server knows a field's range or default; a test holds docs/api.md
 * to these words.
 */
#include "server/fields.h"

#define AT(member) offsetof(gi_infer_fields, member)

static const gi_field INFER_ROWS[] = {
    {"image", GI_FIELD_PICTURE, 0, 0, AT(pictures), 0, "none",
     "A picture: a URL of a host the server allows, base64, or a data:image/...;base64, URI. In a "
     "form: a file part; may be repeated."},
    {"images", GI_FIELD_PICTURES, 0, GLINT_IMAGES_MAX, AT(pictures), 0, "none",
     "Several pictures, in the order the prompt speaks of them."},
    {"prompt", GI_FIELD_TEXT, 0, GLINT_PROMPT_BYTES_MAX, AT(prompt), 0, "the task's own",
     "What to answer about the pictures."},
    {"task", GI_FIELD_NAME, 1, 64, AT(task), 0, "\"audit\"",
     "Which template to use: audit, ask, describe, ocr, extract, or another of the server's."},
    {"max_tokens", GI_FIELD_INT, 1, GLINT_MAX_TOKENS_MAX, AT(max_tokens), 0, "the task's",
     "Most tokens of the answer."},
    {"temperature", GI_FIELD_NUMBER, 0, 2, AT(temperature), 0, "0",
     "0 takes the most likely token each time; more makes answers vary."},
    {"top_p", GI_FIELD_NUMBER, 1e-6, 1, AT(top_p), 0, "1",
     "With a temperature: sample among the likeliest tokens that together have this probability."},
    {"top_k", GI_FIELD_INT, 0, 1000000, AT(top_k), 0, "0",
     "With a temperature: sample among this many likeliest tokens; 0 = all."},
    {"seed", GI_FIELD_INT, 0, GI_FIELD_INT_MAX, AT(seed), 0, "0",
     "With a temperature: the same seed gives the same answer."},
    {"stop", GI_FIELD_NAMES, 1, GLINT_STOP_BYTES_MAX, AT(stops), 0, "none",
     "A string, or up to 8, at which the answer ends; not part of the answer."},
    {"max_side", GI_FIELD_INT, 28, 16384, AT(max_side_px), GI_FIELD_LIMIT_SIDE, "the server's",
     "Longest side, in pixels, a picture is scaled down to."},
    {"schema", GI_FIELD_SCHEMA, 0, GI_SCHEMA_BYTES_MAX, AT(schema), 0, "none",
     "JSON schema that the answer will meet, in place of the task's; see schema.md."},
    {"timeout_ms", GI_FIELD_INT, 1, 3600000, AT(timeout_ms), GI_FIELD_LIMIT_TIMEOUT, "the server's",
     "Give up after this many milliseconds."},
    {"stream", GI_FIELD_BOOL, 0, 0, AT(stream), 0, "false",
     "Send the answer as it comes, as server-sent events."},
    {"cache", GI_FIELD_BOOL, 0, 0, AT(cache), 0, "true",
     "Whether work done for earlier requests may be used again, and this one's kept."},
};

static const gi_infer_fields INFER_DEFAULTS = {
    .prompt = {.s = ""}, .task = "audit", .top_p = 1, .cache = true, .n_choices = 1};

const gi_field_table gi_infer_table = {INFER_ROWS, sizeof INFER_ROWS / sizeof INFER_ROWS[0],
                                       &INFER_DEFAULTS};

static const gi_field CHAT_ROWS[] = {
    {"model", GI_FIELD_NAME, 1, 256, AT(model), 0, "the one there is",
     "A name from GET /v1/models."},
    {"messages", GI_FIELD_MESSAGES, 1, GLINT_MESSAGES_MAX, AT(messages), 0, "required",
     "The conversation; see below."},
    {"max_completion_tokens", GI_FIELD_INT, 1, GLINT_MAX_TOKENS_MAX, AT(max_tokens), 0, "1024",
     "Most tokens of an answer."},
    {"max_tokens", GI_FIELD_INT, 1, GLINT_MAX_TOKENS_MAX, AT(max_tokens), 0, "1024",
     "The older name of max_completion_tokens; give one of them."},
    {"temperature", GI_FIELD_NUMBER, 0, 2, AT(temperature), 0, "1",
     "0 takes the most likely token each time; more makes answers vary."},
    {"top_p", GI_FIELD_NUMBER, 1e-6, 1, AT(top_p), 0, "1",
     "Sample among the likeliest tokens that together have this probability."},
    {"top_k", GI_FIELD_INT, 0, 1000000, AT(top_k), 0, "0",
     "Sample among this many likeliest tokens; 0 = all."},
    {"seed", GI_FIELD_INT, -GI_FIELD_INT_MAX, GI_FIELD_INT_MAX, AT(seed), 0, "random",
     "The same seed gives the same answers. The i-th of n answers uses seed + i."},
    {"n", GI_FIELD_INT, 1, GI_CHOICES_MAX, AT(n_choices), 0, "1", "How many answers to give."},
    {"stop", GI_FIELD_NAMES, 1, GLINT_STOP_BYTES_MAX, AT(stops), 0, "none",
     "A string, or up to 8, at which an answer ends; not part of the answer."},
    {"stream", GI_FIELD_BOOL, 0, 0, AT(stream), 0, "false",
     "Send the answers as they come, as server-sent events."},
    {"stream_options", GI_FIELD_STREAM_OPTIONS, 0, 0, AT(include_usage), 0, "none",
     "{\"include_usage\": true}: a last event with the token counts."},
    {"response_format", GI_FIELD_FORMAT, 0, GI_SCHEMA_BYTES_MAX, AT(schema), 0,
     "{\"type\": \"text\"}", "Its type is text, json_object or json_schema; see schema.md."},
    {"logprobs", GI_FIELD_BOOL, 0, 0, AT(logprobs), 0, "false",
     "Give each token's probability, as a logarithm."},
    {"top_logprobs", GI_FIELD_INT, 0, GLINT_TOP_LOGPROBS_MAX, AT(top_logprobs), 0, "0",
     "With logprobs: so many of the likeliest tokens in place of each."},
    {"max_side", GI_FIELD_INT, 28, 16384, AT(max_side_px), GI_FIELD_LIMIT_SIDE, "the server's",
     "Longest side, in pixels, a picture is scaled down to."},
    {"timeout_ms", GI_FIELD_INT, 1, 3600000, AT(timeout_ms), GI_FIELD_LIMIT_TIMEOUT, "the server's",
     "Give up after this many milliseconds."},
    {"frequency_penalty", GI_FIELD_ONLY, 0, 0, 0, 0, "0", "Only 0."},
    {"presence_penalty", GI_FIELD_ONLY, 0, 0, 0, 0, "0", "Only 0."},
    {"logit_bias", GI_FIELD_ONLY, 0, 0, 0, 0, "{}", "Only empty."},
    {"tools", GI_FIELD_ONLY, 0, 0, 0, 0, "[]", "Only empty."},
    {"tool_choice", GI_FIELD_ONLY, 0, 0, 0, 0, "\"none\"", "Only none."},
    {"modalities", GI_FIELD_ONLY, 0, 0, 0, 0, "[\"text\"]", "Only text."},
    {"reasoning_effort", GI_FIELD_ONLY, 0, 0, 0, 0, "\"none\"", "Only none."},
    {"parallel_tool_calls", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored: there are no tools."},
    {"metadata", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored."},
    {"prediction", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored: it would only save time."},
    {"prompt_cache_key", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored."},
    {"prompt_cache_retention", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored."},
    {"safety_identifier", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored."},
    {"service_tier", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored."},
    {"store", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored: nothing is stored."},
    {"user", GI_FIELD_IGNORED, 0, 0, 0, 0, "none", "Ignored."},
};

static const gi_infer_fields CHAT_DEFAULTS = {.prompt = {.s = ""},
                                              .max_tokens = 1024,
                                              .temperature = 1,
                                              .top_p = 1,
                                              .seed = GI_SEED_RANDOM,
                                              .cache = true,
                                              .n_choices = 1};

const gi_field_table gi_chat_table = {CHAT_ROWS, sizeof CHAT_ROWS / sizeof CHAT_ROWS[0],
                                      &CHAT_DEFAULTS, .is_chat = true};

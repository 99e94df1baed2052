/**
 * @file
 * glint: answer questions about pictures with a GLM-4V-family model.
 *
 *     glint_engine *engine;
 *     glint_engine_open(&(glint_engine_options){.model_dir = "models/default"}, &engine, &err);
 *
 *     glint_image image = {.bytes = file, .n_bytes = n};
 *     glint_request request = {.images = &image, .n_images = 1, .task = "audit", .prompt = text};
 *     glint_job *job;
 *     glint_job_create(engine, &request, &job, &err);        // any thread: picture, tokens
 *     glint_job_run(job, on_text, ctx, &err);                // one at a time per engine
 *     puts(glint_job_result(job)->text);
 *     glint_job_free(job);
 *     glint_engine_close(engine);
 *
 * Words used throughout: a *job* is one request on its way through the engine; *prefill* runs the
 * prompt through the decoder at once, *decode* one token at a time; the *vision tower* turns a
 * picture's patches into visual tokens; a *KV block* holds the keys and values of some tokens.
 */
#ifndef GLINT_GLINT_H
#define GLINT_GLINT_H

#include <glint/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most pictures in one request. */
#define GLINT_IMAGES_MAX       8
/** Most bytes of prompt text in one request. */
#define GLINT_PROMPT_BYTES_MAX (1024 * 1024)
/** Most tokens one request may ask for. */
#define GLINT_MAX_TOKENS_MAX   4096
/** Most alternatives listed for a token. */
#define GLINT_TOP_LOGPROBS_MAX 20
/** Most stop strings in one request, and the longest of them in bytes. */
#define GLINT_STOPS_MAX        8
#define GLINT_STOP_BYTES_MAX   256

/** A loaded model bound to a device and a KV cache. */
typedef struct glint_engine glint_engine;

/** One request on its way through the engine. */
typedef struct glint_job glint_job;

/** Number formats of the products. Sums, norms and softmax are F32 in all of them. */
typedef enum glint_dtype {
    GLINT_DTYPE_AUTO, /**< what glint quantize wrote as it is, else BF16 */
    GLINT_DTYPE_F32,  /**< the reference path: F32 activations over the checkpoint's own weights,
                           which stay in the mapped file */
    GLINT_DTYPE_BF16, /**< BF16 weights and activations in both towers */
    GLINT_DTYPE_INT8, /**< decoder: INT8 weights (a scale per output) and activations (a scale per
                           token); vision tower: BF16 */
    GLINT_DTYPE_INT8_ALL, /**< the vision tower's products in INT8 too; docs/quantization.md says
                               what that costs */
} glint_dtype;

/**
 * A place outside of the engine where encoded pictures are kept, for other processes perhaps. It
 * need not be reliable, but it must return what was stored under a key or nothing: the engine
 * checks sizes, not contents. A key covers picture, size, tenant and all that its encoding depends
 * on in the engine.
 */
typedef struct glint_picture_store {
    /**
     * Look for what was stored. Called by glint_job_create on its thread, which waits.
     * @param ret_bytes [*ret_n_bytes] readable until `done` is called with *ret_handle.
     */
    bool (*find)(void *ctx, const uint8_t key[32], const void **ret_bytes, size_t *ret_n_bytes,
                 void **ret_handle);
    /** What `find` found is not read any more. Called once for each that returned true, on the
     * same thread. */
    void (*done)(void *ctx, void *handle);
    /** Store a copy. Called on a thread that the engine has for this alone: it may take its time;
     * pictures that come meanwhile are not stored when there are many. */
    void (*put)(void *ctx, const uint8_t key[32], const void *bytes, size_t n_bytes);
    size_t bytes_max; /**< larger pictures are neither looked for nor stored */
    void *ctx;
} glint_picture_store;

/**
 * How to open an engine. Zero means "default" in every field but model_dir.
 */
typedef struct glint_engine_options {
    const char *model_dir;    /**< Hugging Face directory, as published */
    const char *template_dir; /**< more task templates (*.json); NULL = only the built-in ones */
    int n_threads;            /**< 1..256; 0 = the CPUs this process may use */
    int context_tokens_max;   /**< longest prompt + answer; 0 = min(model's own, 8192) */
    int sequences_max;        /**< jobs that a scheduler may run together, 1..256; 0 = 1 */
    int kv_tokens_max;        /**< tokens in the KV cache, all jobs together, at least
                                   context_tokens_max; 0 = that, or 1024 for each sequence */
    int max_side_px;          /**< longest picture side after the cap, 28..16384; 0 = 1024 */
    int picture_cache_mib;    /**< memory for encoded pictures, so that the same picture with a
                                   new question is not encoded again; 0 = 64, -1 = none */
    const glint_picture_store *picture_store; /**< copied; NULL = none */
    bool no_forced_tokens; /**< ask the model for tokens that a schema leaves no choice about,
                                too: slower, the same answers; for comparison */
    bool no_prefix_cache;  /**< do not keep the keys and values of finished prompts for those
                                that begin the same */
    glint_dtype dtype;     /**< 0 = GLINT_DTYPE_AUTO */
    glint_dtype kv_dtype;  /**< of the KV cache: AUTO and BF16 = BF16, INT8; F32 goes with F32 */
    const char *cpu_mask;  /**< best kernel tier allowed ("ref", "avx2", ...); NULL = any */
    /** Called while loading with a fraction 0..1 and what is being done; may be NULL. */
    void (*on_progress)(void *ctx, double fraction, const char *what);
    void *progress_ctx;
} glint_engine_options;

/** What is loaded. Strings live as long as the engine. */
typedef struct glint_engine_info {
    const char *model_name; /**< last part of the directory's path */
    const char *device;     /**< "cpu (avx512, 2 threads)" */
    uint64_t n_params;      /**< parameters in both towers */
    uint64_t weight_bytes;  /**< bytes of weights mapped or held */
    uint64_t kv_bytes;      /**< bytes of the KV cache */
    int context_tokens_max; /**< longest prompt + answer, in tokens */
    int sequences_max;      /**< jobs that a scheduler may run together */
    int kv_tokens_max;      /**< tokens in the KV cache */
    int vocab_size;         /**< tokens in the vocabulary */
} glint_engine_info;

/**
 * Load a model.
 *
 * @param options read during the call only.
 * @param ret     the engine; the caller closes it. Untouched on failure.
 * @return GLINT_ERR_ARG, _IO, _FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY; the message names the file
 *         and, for weights, the tensor, what was found and what was expected.
 * Threads: any. Cost: maps the weights; milliseconds for the default model.
 */
GLINT_API glint_status glint_engine_open(const glint_engine_options *options, glint_engine **ret,
                                         glint_error *err);

/** Free an engine. All its jobs must have been freed. NULL is fine. */
GLINT_API void glint_engine_close(glint_engine *engine);

/** What is loaded; valid until the engine is closed. Any thread. */
GLINT_API const glint_engine_info *glint_engine_get_info(const glint_engine *engine);

/** The tasks (templates) of an engine, as they were at one moment. Immutable, counted. */
typedef struct glint_tasks glint_tasks;

/** The engine's tasks now: a reference, to be let go of before the engine is closed. Any thread. */
GLINT_API glint_tasks *glint_engine_tasks(glint_engine *engine);

/** Let go. NULL is fine. Any thread. */
GLINT_API void glint_tasks_unref(glint_tasks *tasks);

/**
 * Read the directory of templates again. Jobs made from now on use what is there; those made
 * before keep what they were made with. When anything is wrong nothing changes.
 *
 * @return GLINT_ERR_IO, _FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY; the message names file and line.
 * Threads: any, one at a time.
 */
GLINT_API glint_status glint_engine_reload_tasks(glint_engine *engine, glint_error *err);

/** 64 hex digits, equal only where the same request is answered by the same version, checkpoint,
 * number formats, kernels and templates. Lives as long as the tasks. */
GLINT_API const char *glint_tasks_fingerprint(const glint_tasks *tasks);

/** A task (template), for people who choose one. Strings live as long as the tasks. */
typedef struct glint_task_info {
    const char *name;
    const char *description;      /**< one line */
    const char *default_prompt;   /**< asked when the request's prompt is empty; NULL = none */
    const char *const *languages; /**< [n_languages] BCP 47 tags it is written for */
    size_t n_languages;
    int max_tokens; /**< of an answer, when the request says nothing */
    bool is_data;   /**< answers are JSON of the task's schema, not text */
} glint_task_info;

/** The i-th task, built-in ones first; false past the last, *ret is then untouched. */
GLINT_API bool glint_tasks_get(const glint_tasks *tasks, size_t i, glint_task_info *ret);

/** An encoded picture: JPEG, PNG, WebP or GIF (first frame), recognised by content. */
typedef struct glint_image {
    const void *bytes; /**< borrowed during glint_job_create */
    size_t n_bytes;
} glint_image;

/** Most turns of a conversation, and pieces of text in all of them. */
#define GLINT_MESSAGES_MAX 256
#define GLINT_PARTS_MAX    4096

/** Who says something. */
typedef enum glint_role { GLINT_ROLE_SYSTEM, GLINT_ROLE_USER, GLINT_ROLE_ASSISTANT } glint_role;

/** A piece of a turn: a picture, or else text. */
typedef struct glint_part {
    const glint_image *image; /**< only in a user's turn; NULL = text */
    const char *text;         /**< UTF-8, n_text_bytes long */
    size_t n_text_bytes;
} glint_part;

/** A turn of a conversation. */
typedef struct glint_message {
    glint_role role;
    const glint_part *parts; /**< [n_parts] */
    size_t n_parts;
} glint_message;

/**
 * A question about pictures. Zero means "default" in every field but prompt, which may also be
 * empty when the task's template has a prompt of its own.
 */
typedef struct glint_request {
    const glint_image *images; /**< [n_images], in prompt order, before the text */
    size_t n_images;           /**< 0..GLINT_IMAGES_MAX */
    const char *prompt;       /**< UTF-8, n_prompt_bytes long (0 with a pointer: zero-terminated) */
    size_t n_prompt_bytes;    /**< at most GLINT_PROMPT_BYTES_MAX */
    const char *task;         /**< template name; NULL = "audit" */
    const glint_tasks *tasks; /**< of this engine, where that is looked for; NULL = its own now */
    /** [n_messages] a conversation in place of images, prompt and task: no template is put around
     * it. Its pictures and bytes of text count as those of images and prompt do. NULL = none. */
    const glint_message *messages;
    size_t n_messages; /**< 0..GLINT_MESSAGES_MAX */
    /** JSON schema that the answer must meet, in place of the task's; docs/schema.md says what it
     * may hold. NULL = none; n_schema_bytes long. */
    const char *schema_json;
    size_t n_schema_bytes;
    int max_tokens;           /**< 1..GLINT_MAX_TOKENS_MAX; 0 = the template's, or 1024 */
    double temperature;       /**< 0 = greedy, else up to 2 */
    double top_p;             /**< (0, 1]; 0 = 1 */
    int top_k;                /**< 0 = no limit */
    uint64_t seed;            /**< used when temperature > 0 */
    const char *const *stops; /**< [n_stops] UTF-8 strings that end the answer */
    size_t n_stops;           /**< 0..GLINT_STOPS_MAX */
    int max_side_px;          /**< longest picture side; 0 = the engine's */
    double timeout_ms;        /**< from glint_job_create on; 0 = none */
    bool logprobs;            /**< list the answer's tokens with their probabilities */
    int top_logprobs;         /**< and so many of the likeliest in place of each, 0..
                                   GLINT_TOP_LOGPROBS_MAX */
    const char *tenant;       /**< work is shared by requests of one tenant only; NULL = "" */
    bool no_cache;            /**< neither use nor leave anything in a cache */
    bool thinking;            /**< let a thinking model think; off by default */
} glint_request;

/** A token and how likely it was: the natural logarithm of its probability under the model, before
 * temperature, limits and schema. */
typedef struct glint_token {
    const char *bytes; /**< [n_bytes], perhaps part of a character; the engine's */
    size_t n_bytes;
    double logprob;
} glint_token;

/** Why an answer ended. */
typedef enum glint_finish {
    GLINT_FINISH_NONE,    /**< not run, or failed */
    GLINT_FINISH_STOP,    /**< the model ended it, or a stop string came */
    GLINT_FINISH_LENGTH,  /**< max_tokens or the context's end */
    GLINT_FINISH_INVALID, /**< ended, but is not the shape the task asks for */
} glint_finish;

/** Where the time went, in milliseconds. */
typedef struct glint_timing {
    double decode_image_ms; /**< bytes to pixels, all pictures */
    double preprocess_ms;   /**< resize, normalise, patchify, tokenise */
    double encode_ms;       /**< vision tower */
    double prefill_ms;      /**< prompt through the decoder, to the first token */
    double decode_ms;       /**< the other tokens */
} glint_timing;

/** Token counts of a job. */
typedef struct glint_usage {
    int prompt_tokens;     /**< all prompt tokens, visual ones included */
    int image_tokens;      /**< visual tokens among them */
    int completion_tokens; /**< tokens of the answer, forced ones included, end token not */
    int forced_tokens;     /**< tokens a schema left no choice about */
    int cached_tokens;     /**< prompt tokens whose keys and values were reused */
} glint_usage;

/** An answer. Strings are UTF-8, belong to the job and are valid until it is freed. */
typedef struct glint_result {
    const char *text; /**< the answer, thinking and box markers taken out; never NULL */
    size_t n_text_bytes;
    const char *reasoning; /**< what a thinking model thought, or NULL */
    const char *data_json; /**< the answer as JSON, if the task has a schema and it fits it; or
                                NULL */
    double confidence;     /**< 0..1: the probability of the verdict among those the task allows;
                                without one, the geometric mean of the tokens' probabilities */
    glint_finish finish;
    glint_usage usage;
    glint_timing timing;
    const glint_token *tokens;     /**< [n_tokens] of the answer when asked for; forced ones have
                                        logprob 0; or NULL */
    const glint_token *top_tokens; /**< [n_tokens][n_top], likeliest first */
    size_t n_tokens, n_top;
} glint_result;

/**
 * Check a request, decode and prepare its pictures, and tokenise its prompt.
 *
 * @param request read during the call only.
 * @param ret     the job; the caller frees it. Untouched on failure.
 * @return GLINT_ERR_ARG (a value out of range, unknown task, invalid UTF-8, a schema that is none),
 *         GLINT_ERR_UNSUPPORTED (bytes that are no picture glint reads, a schema's keyword),
 * GLINT_ERR_FORMAT (a broken picture), GLINT_ERR_LIMIT (picture size, aspect or decode budget;
 * prompt longer than the context), GLINT_ERR_MEMORY. Messages never contain a library's text.
 * Threads: any number at once.
 */
GLINT_API glint_status glint_job_create(glint_engine *engine, const glint_request *request,
                                        glint_job **ret, glint_error *err);

/**
 * Called with each new piece of answer text, whole UTF-8 characters only, valid during the call.
 * glint_job_result has the tokens up to then, where they were asked for.
 * Return false to stop the job (GLINT_ERR_CANCELLED).
 */
typedef bool (*glint_text_fn)(void *ctx, const char *piece, size_t n_bytes);

/**
 * Run a job to its end.
 *
 * @param on_text may be NULL.
 * @return GLINT_ERR_CANCELLED, GLINT_ERR_DEADLINE, GLINT_ERR_MEMORY; GLINT_ERR_BUSY when another
 *         job of this engine is running; GLINT_ERR_ARG when it already ran.
 * Threads: one job at a time per engine.
 */
GLINT_API glint_status glint_job_run(glint_job *job, glint_text_fn on_text, void *ctx,
                                     glint_error *err);

/** Ask a job to stop at the next token. Any thread, any time before glint_job_free. */
GLINT_API void glint_job_cancel(glint_job *job);

/** The result so far; complete after glint_job_run succeeded. Valid until the job is freed. */
GLINT_API const glint_result *glint_job_result(const glint_job *job);

/** Free a job that is not running. NULL is fine. */
GLINT_API void glint_job_free(glint_job *job);

/** The version of the library: "0.1.0". Any thread. */
GLINT_API const char *glint_version(void);

#ifdef __cplusplus
}
#endif
#endif

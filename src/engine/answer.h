/**
 * @file
 * From generated token ids to the answer, as they come: reasoning and text told apart, markers
 * taken out, stop strings obeyed, whole UTF-8 characters only.
 *
 *     gi_answer_create(&options, &answer, &err);
 *     while (gi_answer_push(answer, next_token(), &piece, &n)) on_text(piece, n);
 *     gi_answer_finish(answer, schema, &finish, &piece, &n, &err);
 *
 * The pieces of a job are the bytes of its final text, in order: a byte is given out only when no
 * later token can take it back (it might begin a stop string or a marker, or lie in a character
 * that is not complete). Bytes that are not UTF-8 become U+FFFD. Special tokens are never shown.
 */
#ifndef GI_ENGINE_ANSWER_H
#define GI_ENGINE_ANSWER_H

#include <glint/glint.h>

#include "grammar/schema.h"
#include "text/chat.h"

/** Where the next token belongs. */
typedef enum gi_answer_phase {
    GI_ANSWER_START,     /**< nothing yet; a model that may think has not decided */
    GI_ANSWER_REASONING, /**< between <think> and </think> */
    GI_ANSWER_TEXT,      /**< the answer itself */
    GI_ANSWER_ENDED,     /**< a stop string or </answer> came */
} gi_answer_phase;

typedef struct gi_answer_options {
    const gi_chat *chat;      /**< borrowed while the answer is used */
    bool thinking;            /**< as given to gi_chat_encode */
    int max_tokens;           /**< tokens that will be pushed at most; memory is taken for them */
    const char *const *stops; /**< [n_stops] copied */
    size_t n_stops;
} gi_answer_options;

typedef struct gi_answer gi_answer;

/** GLINT_ERR_ARG (an empty or overlong stop string, max_tokens out of range), GLINT_ERR_MEMORY. */
glint_status gi_answer_create(const gi_answer_options *options, gi_answer **ret, glint_error *err);

/** Free. NULL is fine. */
void gi_answer_free(gi_answer *a);

/**
 * Take one generated token (not the end token). Allocates nothing, cannot fail.
 *
 * @param ret_piece   text that is now certain, *ret_n_bytes long (0: none yet); valid until
 *                    gi_answer_free, as is all text given out.
 * @return true while the answer goes on; false when it ended and no more tokens are wanted.
 */
bool gi_answer_push(gi_answer *a, int32_t id, const char **ret_piece, size_t *ret_n_bytes);

/**
 * Where the next token belongs. All but those of GI_ANSWER_REASONING count for the confidence.
 */
gi_answer_phase gi_answer_get_phase(const gi_answer *a);

/**
 * End the answer: gives out the rest of the text, and, when `schema` is not NULL, reads it as JSON
 * (white space and a ```json fence around it are fine) and checks it.
 *
 * @param io_finish why generation ended. GLINT_FINISH_STOP becomes GLINT_FINISH_INVALID when the
 *                  text does not fit; GLINT_FINISH_LENGTH stays.
 * @return GLINT_ERR_MEMORY only; an answer that does not fit is not an error.
 */
glint_status gi_answer_finish(gi_answer *a, const gi_schema *schema, glint_finish *io_finish,
                              const char **ret_piece, size_t *ret_n_bytes, glint_error *err);

/** The text so far, zero-terminated, never NULL. ret_n_bytes may be NULL. */
const char *gi_answer_text(const gi_answer *a, size_t *ret_n_bytes);

/** What the model thought, zero-terminated, or NULL when it did not. */
const char *gi_answer_reasoning(const gi_answer *a);

/** The answer as compact JSON, members in the answer's order, or NULL; set by gi_answer_finish. */
const char *gi_answer_data_json(const gi_answer *a);

#endif

/*
 * Opening engines and running jobs for the tests in this folder, through glint.h alone.
 */
#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

#include "../cm.h"

#include <glint/glint.h>

#define RIG_DEFAULT "models/default"          /* answers questions */
#define RIG_TINY    "tests/golden/tiny/model" /* random weights, fast */

/* The sample listing's question in the model card, and its answer. */
#define RIG_SAMPLE "models/default/sample-listing.png"
extern const char RIG_SAMPLE_PROMPT[], RIG_SAMPLE_ANSWER[];

/* Absolute path of a file under the source tree; the last eight results stay valid. */
const char *rig_path(const char *relative);

/* The bytes of a file under the source tree, read once and kept until rig_done. */
glint_image rig_image(const char *relative);
void rig_done(void);

/* An engine that opens; model_dir is relative to the source tree. */
glint_engine *rig_open(const char *model_dir, glint_engine_options options);

/* A job that can be made. */
glint_job *rig_create(glint_engine *engine, const glint_request *request);

/* A finished job, copied out. */
typedef struct rig_answer {
    glint_status status;
    glint_error err;
    char text[1 << 16], streamed[1 << 16];
    size_t n_text_bytes, n_streamed_bytes;
    int n_pieces;
    int stop_at_piece; /* in: on_text returns false at this piece; 0 = never */
    bool has_data;
    char data[1 << 12];
    double confidence;
    glint_finish finish;
    glint_usage usage;
    glint_timing timing;
} rig_answer;

/* Run a job with streaming and free it. `ret` is filled in except for stop_at_piece. */
void rig_run(glint_job *job, rig_answer *ret);

/* Create and run; fails the test unless the job succeeds. */
void rig_ask(glint_engine *engine, const glint_request *request, rig_answer *ret);

/* Equal in everything but the times. */
void rig_assert_same(const rig_answer *a, const rig_answer *b);

#endif

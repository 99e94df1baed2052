/*
 * A small automaton follows the answer's bytes through JSON, just closely enough to know when the
 * value of one property of the outermost object is being written:
 *
 *     OUTSIDE --{--> WANT_KEY --"--> KEY --field"--> COLON --:--> WANT_LABEL --"--> LABEL --"-->
 * DECIDED ^              \--other--> OTHER_KEY --"--> SKIP (values, nested brackets)
 *                       \------------------------- , ----------------/
 *
 * A property name or label written with escapes is not recognised: it counts as another name, or
 * as none of the labels. OVER is where a document ends up that has no such property.
 */
#include "grammar/confidence.h"

#include <math.h>
#include <string.h>

enum {
    OUTSIDE,
    WANT_KEY,
    KEY,
    OTHER_KEY,
    OTHER_KEY_ESCAPE,
    COLON,
    WANT_LABEL,
    LABEL,
    DECIDED,
    SKIP,
    SKIP_STRING,
    SKIP_ESCAPE,
    OVER,
};

static uint64_t all_labels(const gi_confidence *c) {
    return c->n_labels >= 64 ? UINT64_MAX : ((uint64_t)1 << c->n_labels) - 1;
}

/* The labels that go on with `byte`, or end where the quote comes. */
static uint64_t labels_with(const gi_confidence *c, const gi_label_scan *s, uint8_t byte) {
    uint64_t left = 0;
    for (size_t i = 0; i < c->n_labels; i++) {
        if (!(s->labels >> i & 1)) continue;
        const char next = c->labels[i][s->n_matched]; /* zero at its end; never past it */
        if ((uint8_t)next == (byte == '"' ? 0 : byte) && byte != 0) left |= (uint64_t)1 << i;
    }
    return left;
}

static uint8_t label_byte(const gi_confidence *c, gi_label_scan *s, uint8_t byte) {
    s->labels = byte == '\\' ? 0 : labels_with(c, s, byte);
    s->n_matched++;
    if (s->labels == 0) return OVER;
    return byte == '"' ? DECIDED : LABEL;
}

static uint8_t key_byte(const gi_confidence *c, gi_label_scan *s, uint8_t byte) {
    const char next = c->field[s->n_matched];
    if (byte == '"') return next == '\0' ? COLON : SKIP;
    if (byte == '\\') return OTHER_KEY_ESCAPE;
    if (next == '\0' || (uint8_t)next != byte) return OTHER_KEY;
    s->n_matched++;
    return KEY;
}

static uint8_t skip_byte(gi_label_scan *s, uint8_t byte) {
    if (byte == '"') return SKIP_STRING;
    if (byte == ',' && s->depth == 1) return WANT_KEY;
    if (byte == '{' || byte == '[') s->depth++;
    if (byte == '}' || byte == ']') s->depth--;
    return s->depth > 0 ? SKIP : OVER;
}

static void take_byte(const gi_confidence *c, gi_label_scan *s, uint8_t byte) {
    const bool space = byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
    switch (s->state) {
    case OUTSIDE:
        if (byte == '{') {
            s->state = WANT_KEY;
            s->depth = 1;
        }
        break;
    case WANT_KEY:
        s->n_matched = 0;
        if (!space) s->state = byte == '"' ? KEY : OVER;
        break;
    case KEY:
        s->state = key_byte(c, s, byte);
        break;
    case OTHER_KEY:
        if (byte == '"') s->state = SKIP;
        if (byte == '\\') s->state = OTHER_KEY_ESCAPE;
        break;
    case OTHER_KEY_ESCAPE:
        s->state = OTHER_KEY;
        break;
    case COLON:
        if (!space) s->state = byte == ':' ? WANT_LABEL : OVER;
        break;
    case WANT_LABEL:
        s->n_matched = 0;
        if (!space) s->state = byte == '"' ? LABEL : OVER;
        break;
    case LABEL:
        s->state = label_byte(c, s, byte);
        break;
    case SKIP:
        s->state = skip_byte(s, byte);
        break;
    case SKIP_STRING:
        if (byte == '"') s->state = SKIP;
        if (byte == '\\') s->state = SKIP_ESCAPE;
        break;
    case SKIP_ESCAPE:
        s->state = SKIP_STRING;
        break;
    default:
        break; /* DECIDED, OVER: nothing leads out */
    }
    if (s->state == OVER) s->labels = 0;
}

/* Follow a token's bytes; special tokens stand for no text. */
static void take_token(const gi_confidence *c, gi_label_scan *s, int32_t id) {
    size_t n = 0;
    const uint8_t *bytes = gi_tokenizer_bytes(c->tokenizer, id, &n);
    if (gi_tokenizer_is_special(c->tokenizer, id)) return;
    for (size_t i = 0; i < n && s->state != DECIDED && s->state != OVER; i++)
        take_byte(c, s, bytes[i]);
}

void gi_confidence_init_text(gi_confidence *c, const gi_tokenizer *tokenizer) {
    *c = (gi_confidence){.tokenizer = tokenizer};
}

void gi_confidence_init_labels(gi_confidence *c, const gi_tokenizer *tokenizer, const char *field,
                               const char *const *labels, size_t n_labels) {
    gi_assert(n_labels >= 1 && n_labels <= GI_LABELS_MAX);
    *c = (gi_confidence){
        .tokenizer = tokenizer, .field = field, .labels = labels, .n_labels = n_labels};
    c->scan.labels = all_labels(c);
}

/* A sum of exponentials kept relative to the largest one. */
typedef struct exp_sum {
    double max, sum;
} exp_sum;

static void exp_sum_add(exp_sum *e, double x) {
    if (!isfinite(x)) return; /* a masked token has no probability */
    if (x > e->max) {
        e->sum = e->sum * exp(e->max - x) + 1;
        e->max = x;
    } else {
        e->sum += exp(x - e->max);
    }
}

static double exp_sum_log(const exp_sum *e) {
    return log(e->sum) + e->max;
}

/* log of the fraction by which `chosen` narrowed the labels to `after`; see confidence.h. */
static double log_narrowing(const gi_confidence *c, const float *logits, size_t n_logits,
                            uint64_t after) {
    exp_sum inside = {-HUGE_VAL, 0}, decided = {-HUGE_VAL, 0};
    for (size_t id = 0; id < n_logits; id++) {
        gi_label_scan tried = c->scan;
        take_token(c, &tried, (int32_t)id);
        const uint64_t labels = tried.labels;
        if (labels == 0 || labels == c->scan.labels) continue;
        const bool is_inside = (labels & ~after) == 0;
        if (!is_inside && (labels & after) != 0) continue;
        exp_sum_add(&decided, (double)logits[id]);
        if (is_inside) exp_sum_add(&inside, (double)logits[id]);
    }
    return exp_sum_log(&inside) - exp_sum_log(&decided);
}

static double log_probability(const float *logits, size_t n_logits, int32_t chosen) {
    float max = -INFINITY;
    for (size_t i = 0; i < n_logits; i++)
        if (logits[i] > max) max = logits[i];
    double sum = 0;
    for (size_t i = 0; i < n_logits; i++) sum += (double)expf(logits[i] - max);
    return (double)(logits[chosen] - max) - log(sum);
}

void gi_confidence_step(gi_confidence *c, const float *logits, size_t n_logits, int32_t chosen) {
    if (chosen < 0 || (size_t)chosen >= n_logits) return;
    if (!c->field) {
        if (!logits) return;
        c->log_p += log_probability(logits, n_logits, chosen);
        c->n_steps++;
        return;
    }
    gi_label_scan after = c->scan;
    take_token(c, &after, chosen);
    if (logits && after.labels != 0 && after.labels != c->scan.labels)
        c->log_p += log_narrowing(c, logits, n_logits, after.labels);
    c->scan = after;
}

double gi_confidence_value(const gi_confidence *c) {
    double p = 0;
    if (c->field && c->scan.state == DECIDED) p = exp(c->log_p);
    if (!c->field && c->n_steps > 0) p = exp(c->log_p / (double)c->n_steps);
    return p >= 0 && p <= 1 ? p : p > 1 ? 1 : 0;
}

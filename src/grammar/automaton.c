/*
 * Each kind of thread is a place in the text of a value:
 *
 *     VALUE            before a value of `rule`
 *     BYTES            within a number, word or listed value; a: state
 *     STRING           within a string; a, b, c: gi_string_at
 *     OPEN             behind { or [
 *     NAME             within a listed name; a: node of the tree of names
 *     OTHER            within another name; a: regex state, b: reader state, c: node + 1 or 0
 *     COLON, COLON_GAP behind the quote of another name; then before the space
 *     AFTER            behind a member or item
 *     COMMA, COMMA_GAP behind the comma; before the space
 *     DONE             behind the whole
 */
#include "grammar/automaton.h"

#include "grammar/schema_parts.h"

#include <string.h>

typedef enum kind {
    VALUE,
    BYTES,
    STRING,
    OPEN,
    NAME,
    OTHER,
    COLON,
    COLON_GAP,
    AFTER,
    COMMA,
    COMMA_GAP,
    DONE,
} kind;

/* One call of gi_automaton_step. */
typedef struct stepper {
    const gi_schema *s;
    gi_cells *cells;
    gi_thread *out;
    size_t n, max;
} stepper;

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

gi_thread gi_automaton_begin(const gi_schema *s) {
    return (gi_thread){.kind = VALUE, .rule = s->root};
}

static const gi_rule *rule_of(const stepper *x, const gi_thread *t) {
    return &x->s->rules[t->rule];
}

static bool fits(const gi_schema *s, uint32_t used, uint32_t rule) {
    const uint32_t cost = s->rules[rule].cost;
    return cost != GI_COST_NEVER && used + cost <= GI_COST_MAX;
}

bool gi_automaton_is_same(const gi_thread *a, const gi_thread *b) {
    return a->kind == b->kind && a->rule == b->rule && a->stack == b->stack && a->a == b->a &&
           a->b == b->b && a->c == b->c && a->k == b->k && a->count == b->count &&
           a->seen == b->seen && a->name == b->name;
}

static void emit(stepper *x, const gi_thread *t) {
    for (size_t i = 0; i < x->n; i++)
        if (gi_automaton_is_same(&x->out[i], t)) return;
    if (x->n < x->max) x->out[x->n++] = *t;
}

/* The value is complete: back to what it stands in. */
static gi_thread leave(const stepper *x, const gi_thread *t) {
    if (t->stack == 0) return (gi_thread){.kind = DONE};
    const gi_cell *c = &x->cells->cells[t->stack - 1];
    return (gi_thread){.kind = AFTER,
                       .stack = c->parent,
                       .rule = c->rule,
                       .k = c->k,
                       .count = c->count,
                       .seen = c->seen,
                       .used = c->used};
}

static uint64_t key_of_cell(const gi_cells *cells, uint32_t cell) {
    return cell ? cells->cells[cell - 1].key : 0;
}

/* Emit the thread before a value of `rule` within the bracket of `t`. */
static void enter(stepper *x, const gi_thread *t, uint32_t rule) {
    gi_cells *cells = x->cells;
    if (cells->n == cells->cap) return;
    gi_cell *c = &cells->cells[cells->n];
    *c = (gi_cell){.parent = t->stack,
                   .rule = t->rule,
                   .k = t->k,
                   .count = t->count,
                   .seen = t->seen,
                   .used = t->used};
    c->key = mix(mix(mix(mix(key_of_cell(cells, t->stack), t->rule), t->k), t->count),
                 key_of_cell(cells, t->seen));
    const gi_thread value = {.kind = VALUE, .stack = ++cells->n, .rule = rule, .used = t->used};
    emit(x, &value);
}

static void read_bytes(stepper *x, gi_thread t, uint32_t state, uint8_t byte) {
    const gi_bytes_rule *r = rule_of(x, &t)->as.bytes;
    const int32_t to = gi_bytes_rule_step(r, state, byte);
    if (to < 0) return;
    t.kind = BYTES;
    t.a = (uint32_t)to;
    if (r->accepts[to] && r->first[to] == r->first[to + 1]) t = leave(x, &t);
    emit(x, &t);
}

static void begin_value(stepper *x, gi_thread t, uint8_t byte) {
    const gi_rule *r = rule_of(x, &t);
    if (!(r->first[byte / 64] >> byte % 64 & 1)) return;
    if (r->kind == GI_RULE_BYTES) {
        read_bytes(x, t, 0, byte);
        return;
    }
    if (r->kind == GI_RULE_STRING) {
        const gi_string_at at = gi_string_begin(r->as.string);
        t.kind = STRING;
        t.a = at.state;
    } else {
        t.kind = OPEN;
        t.used = (uint16_t)(t.used + GI_COST_BRACKET);
    }
    emit(x, &t);
}

static void read_value(stepper *x, const gi_thread *t, uint8_t byte) {
    const gi_rule *r = rule_of(x, t);
    if (r->kind != GI_RULE_CHOICE) {
        begin_value(x, *t, byte);
        return;
    }
    if (!(r->first[byte / 64] >> byte % 64 & 1)) return;
    for (uint32_t i = 0; i < r->as.choice.n; i++) {
        gi_thread branch = *t;
        branch.rule = r->as.choice.branches[i];
        if (fits(x->s, t->used, branch.rule)) begin_value(x, branch, byte);
    }
}

static void read_string(stepper *x, gi_thread t, uint8_t byte) {
    const gi_string_rule *r = rule_of(x, &t)->as.string;
    gi_string_at at = {t.a, t.b, t.c};
    if (byte == '"' && at.part == 0) {
        if (!gi_string_may_end(r, &at)) return;
        t = leave(x, &t);
    } else {
        if (!gi_string_step(r, &at, byte)) return;
        t.a = at.state;
        t.b = at.part;
        t.c = at.count;
    }
    emit(x, &t);
}

/* How many listed properties from `from` on there is room for. */
static uint32_t count_fitting(const stepper *x, const gi_thread *t, const gi_object_rule *o,
                              uint32_t from) {
    uint32_t n = 0;
    for (uint32_t i = from; i < o->n_properties; i++) n += fits(x->s, t->used, o->values[i]);
    return n;
}

static uint32_t count_required(const gi_object_rule *o, uint32_t from) {
    uint32_t n = 0;
    while ((from = o->stop[from]) < o->n_properties) {
        n++;
        from++;
    }
    return n;
}

/* Whether property p may be the next one: what must come later still can. */
static bool may_take(const stepper *x, const gi_thread *t, const gi_object_rule *o, uint32_t p) {
    if (!fits(x->s, t->used, o->values[p])) return false;
    if (o->max != GI_UNLIMITED && t->count + 1 + count_required(o, p + 1) > o->max) return false;
    return o->min <= t->count + 1 || o->extra ||
           t->count + 1 + count_fitting(x, t, o, p + 1) >= o->min;
}

/* Whether a name that is not listed may come next: all required ones are there. */
static bool may_take_other(const stepper *x, const gi_thread *t, const gi_object_rule *o) {
    return o->extra && o->stop[t->k] == o->n_properties && t->count < o->max &&
           fits(x->s, t->used + 1u, o->extra_value);
}

static bool may_continue(const stepper *x, const gi_thread *t, const gi_object_rule *o) {
    if (may_take_other(x, t, o)) return true;
    const uint32_t stop = o->stop[t->k];
    for (uint32_t p = t->k; p <= stop && p < o->n_properties; p++)
        if (may_take(x, t, o, p)) return true;
    return false;
}

static bool may_close(const gi_thread *t, const gi_object_rule *o) {
    return o->stop[t->k] == o->n_properties && t->count >= o->min;
}

/* The opening quote of a name. */
static void begin_name(stepper *x, gi_thread t, const gi_object_rule *o) {
    if (!may_continue(x, &t, o)) return;
    gi_thread other = t;
    t.kind = NAME;
    t.a = 0;
    if (t.k < o->n_properties) emit(x, &t);
    if (!may_take_other(x, &other, o)) return;
    other.kind = OTHER;
    other.a = gi_string_begin(o->extra).state;
    other.c = 1;
    emit(x, &other);
}

static uint32_t find_child(const gi_object_rule *o, uint32_t node, uint8_t byte) {
    uint32_t c = o->names[node].child;
    while (c && o->names[c].byte != byte) c = o->names[c].sibling;
    return c;
}

/* Whether below a node of the tree of names there is a property that may come next. */
static bool leads_on(const stepper *x, const gi_thread *t, const gi_object_rule *o, uint32_t node) {
    const gi_name_node *n = &o->names[node];
    const uint32_t *below = o->below + n->first, stop = o->stop[t->k];
    uint32_t lo = 0, hi = n->n;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (below[mid] < t->k)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < n->n && below[lo] <= stop; lo++)
        if (may_take(x, t, o, below[lo])) return true;
    return false;
}

static void read_name(stepper *x, gi_thread t, uint8_t byte) {
    const gi_object_rule *o = rule_of(x, &t)->as.object;
    const uint32_t node = find_child(o, t.a, byte);
    if (!node || !leads_on(x, &t, o, node)) return;
    const uint32_t p = o->names[node].property;
    t.a = node;
    if (p == UINT32_MAX) {
        emit(x, &t);
        return;
    }
    t.kind = AFTER;
    t.a = 0;
    t.k = p + 1;
    if (o->min > 0 || o->max != GI_UNLIMITED) t.count++;
    enter(x, &t, o->values[p]);
}

static bool is_seen(const stepper *x, const gi_thread *t) {
    for (uint32_t i = t->seen; i; i = x->cells->cells[i - 1].parent)
        if (x->cells->cells[i - 1].name == t->name) return true;
    return false;
}

static void read_other(stepper *x, gi_thread t, uint8_t byte) {
    const gi_object_rule *o = rule_of(x, &t)->as.object;
    gi_string_at at = {t.a, t.b, 0};
    const uint32_t node = t.c ? find_child(o, t.c - 1, byte) : 0;
    if (byte == '"' && at.part == 0) {
        /* a listed name has a node for its closing quote */
        if (node || !gi_string_may_end(o->extra, &at) || is_seen(x, &t)) return;
        t.kind = COLON;
        t.a = t.b = t.c = 0;
    } else {
        if (!gi_string_step(o->extra, &at, byte)) return;
        t.name = mix(t.name + 1, byte);
        t.a = at.state;
        t.b = at.part;
        t.c = node ? node + 1 : 0;
    }
    emit(x, &t);
}

/* Behind another name and its colon: remember the name, then the value. */
static void begin_other_value(stepper *x, gi_thread t) {
    const gi_object_rule *o = rule_of(x, &t)->as.object;
    gi_cells *cells = x->cells;
    if (cells->n == cells->cap) return;
    gi_cell *c = &cells->cells[cells->n];
    *c = (gi_cell){.parent = t.seen, .rule = UINT32_MAX, .name = t.name};
    c->key = mix(key_of_cell(cells, t.seen), t.name);
    t.seen = ++cells->n;
    t.used++;
    t.name = 0;
    t.kind = AFTER;
    t.k = o->n_properties;
    if (o->min > 0 || o->max != GI_UNLIMITED) t.count++;
    enter(x, &t, o->extra_value);
}

static uint32_t item_rule(const gi_array_rule *a, uint32_t i) {
    return i < a->n_prefix ? a->prefix[i] : a->items;
}

/* Item `count` comes next; counts stop where they no longer matter. */
static void begin_item(stepper *x, gi_thread t, const gi_array_rule *a, uint8_t byte, bool read) {
    const uint32_t rule = item_rule(a, t.count);
    const uint32_t enough = a->min > a->n_prefix ? a->min : a->n_prefix;
    if (t.count >= a->max || !fits(x->s, t.used, rule)) return;
    if (a->max != GI_UNLIMITED || t.count < enough) t.count++;
    t.kind = AFTER;
    if (!read) {
        enter(x, &t, rule);
        return;
    }
    /* the item begins with this very byte */
    const size_t from = x->n;
    enter(x, &t, rule);
    if (x->n == from) return;
    const gi_thread item = x->out[--x->n];
    read_value(x, &item, byte);
}

static void read_object(stepper *x, gi_thread t, uint8_t byte) {
    const gi_object_rule *o = rule_of(x, &t)->as.object;
    if (byte == '}' && t.kind != COMMA && may_close(&t, o)) {
        t = leave(x, &t);
        emit(x, &t);
    } else if (byte == '"' && t.kind != AFTER) {
        begin_name(x, t, o);
    } else if (byte == ',' && t.kind == AFTER && may_continue(x, &t, o)) {
        t.kind = x->s->layout == GI_JSON_SPACED ? COMMA_GAP : COMMA;
        emit(x, &t);
    }
}

static void read_array(stepper *x, gi_thread t, uint8_t byte) {
    const gi_array_rule *a = rule_of(x, &t)->as.array;
    if (byte == ']' && t.kind != COMMA && t.count >= a->min) {
        t = leave(x, &t);
        emit(x, &t);
    } else if (t.kind != AFTER) {
        begin_item(x, t, a, byte, true);
    } else if (byte == ',' && t.count < a->max && fits(x->s, t.used, item_rule(a, t.count))) {
        t.kind = x->s->layout == GI_JSON_SPACED ? COMMA_GAP : COMMA;
        emit(x, &t);
    }
}

static void step(stepper *x, gi_thread t, uint8_t byte) {
    switch ((kind)t.kind) {
    case VALUE:
        read_value(x, &t, byte);
        break;
    case BYTES:
        read_bytes(x, t, t.a, byte);
        break;
    case STRING:
        read_string(x, t, byte);
        break;
    case OPEN:
    case AFTER:
    case COMMA:
        if (rule_of(x, &t)->kind == GI_RULE_OBJECT)
            read_object(x, t, byte);
        else
            read_array(x, t, byte);
        break;
    case NAME:
        read_name(x, t, byte);
        break;
    case OTHER:
        read_other(x, t, byte);
        break;
    case COLON:
        if (byte != ':') break;
        t.kind = COLON_GAP;
        if (x->s->layout == GI_JSON_SPACED)
            emit(x, &t);
        else
            begin_other_value(x, t);
        break;
    case COLON_GAP:
        if (byte == ' ') begin_other_value(x, t);
        break;
    case COMMA_GAP:
        t.kind = COMMA;
        if (byte == ' ') emit(x, &t);
        break;
    case DONE:
        break;
    }
}

void gi_automaton_step(const gi_schema *s, gi_cells *cells, const gi_thread *t, uint8_t byte,
                       gi_thread *out, size_t *io_n, size_t max) {
    stepper x = {.s = s, .cells = cells, .out = out, .n = *io_n, .max = max};
    step(&x, *t, byte);
    /* a number may go on, or be over */
    if (t->kind == BYTES && rule_of(&x, t)->as.bytes->accepts[t->a]) step(&x, leave(&x, t), byte);
    *io_n = x.n;
}

bool gi_automaton_is_complete(const gi_schema *s, const gi_thread *t) {
    if (t->kind == DONE) return true;
    return t->kind == BYTES && t->stack == 0 && s->rules[t->rule].as.bytes->accepts[t->a];
}

/* More characters than this at once no token has: beyond it the limit of a string is not felt. */
enum { FAR_CHARS = 512 };

uint64_t gi_automaton_key(const gi_schema *s, const gi_cells *cells, const gi_thread *t) {
    uint32_t c = t->c;
    if (t->kind == STRING) {
        const gi_string_rule *r = s->rules[t->rule].as.string;
        const bool far = r->is_open && r->max != GI_UNLIMITED && c < r->max &&
                         r->max - c > FAR_CHARS && c >= r->min;
        if (far) c = UINT32_MAX;
    }
    uint64_t h = mix(key_of_cell(cells, t->stack), t->kind);
    const uint32_t parts[] = {t->rule, t->k, t->count, t->a, t->b, c, t->used};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) h = mix(h, parts[i]);
    return mix(mix(h, t->name), key_of_cell(cells, t->seen));
}

gi_text_at gi_automaton_text(const gi_schema *s, const gi_thread *t) {
    const gi_rule *rule = &s->rules[t->rule];
    gi_text_at text = {.max_chars = GI_UNLIMITED};
    if (t->kind == STRING) {
        text.rule = rule->as.string;
        text.at = (gi_string_at){t->a, t->b, t->c};
    } else if (t->kind == OTHER) {
        text.rule = rule->as.object->extra;
        text.at = (gi_string_at){t->a, t->b, 0};
    } else {
        return text;
    }
    const gi_string_rule *r = text.rule;
    text.any = gi_string_is_free(r, &text.at) || (r->is_open && text.at.part == 0);
    if (r->max != GI_UNLIMITED) text.max_chars = r->max - text.at.count;
    return text;
}

/* Mark a cell and all below it; how many were new. `marks` is by cell + 1. */
static uint32_t mark(const gi_cells *cells, uint32_t cell, uint32_t *marks) {
    uint32_t n = 0;
    for (uint32_t i = cell; i && !marks[i]; i = cells->cells[i - 1].parent) {
        marks[i] = 1;
        n++;
        for (uint32_t k = cells->cells[i - 1].seen; k && !marks[k];
             k = cells->cells[k - 1].parent) {
            marks[k] = 1;
            n++;
        }
    }
    return n;
}

size_t gi_automaton_compact(gi_cells *cells, gi_thread *threads, size_t n, size_t max_cells,
                            uint32_t *marks) {
    size_t n_cells = 0, kept = 0;
    memset(marks, 0, (cells->n + 1) * sizeof *marks);
    for (; kept < n; kept++) {
        n_cells += mark(cells, threads[kept].stack, marks);
        n_cells += mark(cells, threads[kept].seen, marks);
        if (n_cells > max_cells) break;
    }
    if (kept < n) { /* without the one that was too much */
        memset(marks, 0, (cells->n + 1) * sizeof *marks);
        for (size_t i = 0; i < kept; i++) {
            (void)mark(cells, threads[i].stack, marks);
            (void)mark(cells, threads[i].seen, marks);
        }
    }
    uint32_t to = 0;
    for (uint32_t i = 1; i <= cells->n; i++) {
        if (!marks[i]) continue;
        gi_cell c = cells->cells[i - 1];
        c.parent = marks[c.parent];
        c.seen = marks[c.seen];
        cells->cells[to++] = c;
        marks[i] = to;
    }
    cells->n = to;
    for (size_t i = 0; i < kept; i++) {
        threads[i].stack = marks[threads[i].stack];
        threads[i].seen = marks[threads[i].seen];
    }
    return kept;
}

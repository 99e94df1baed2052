/**
 * @file
 * The grammar of a schema, run byte by byte.
 *
 * A walk is a small set of threads, each with a stack of open objects and arrays. Most schemas
 * need one thread; several live side by side while an anyOf has not been decided. A byte is taken
 * when some thread can take it, and every thread that lives can be brought to an end: a rule is
 * entered only when the room that is left (schema_parts.h, GI_COST_MAX) is enough to complete it.
 * So no walk ends in a corner, and dropping a thread only narrows what may follow. That is what
 * happens beyond GI_THREADS_MAX.
 *
 * Stacks are linked cells in one pool and share their lower ends; stepping only ever adds cells.
 */
#ifndef GI_GRAMMAR_AUTOMATON_H
#define GI_GRAMMAR_AUTOMATON_H

#include "grammar/schema.h"
#include "grammar/string_rule.h"

/** Most threads after a token. */
#define GI_THREADS_MAX 16u

/** A bracket that was left open to write a value within, or a name that an object has had. */
typedef struct gi_cell {
    uint64_t key;    /**< a fingerprint of this and all below */
    uint64_t name;   /**< fingerprint of the name */
    uint32_t parent; /**< cell + 1; 0: none */
    uint32_t rule;   /**< of the object or array; UINT32_MAX: a name */
    uint32_t k, count, seen;
    uint16_t used;
} gi_cell;

/** Bump allocation; the owner decides how much is given back when. */
typedef struct gi_cells {
    gi_cell *cells; /**< [cap] */
    uint32_t n, cap;
} gi_cells;

/** One way to read the bytes so far. */
typedef struct gi_thread {
    uint64_t name;  /**< fingerprint of the name being read */
    uint32_t stack; /**< cell + 1; 0: outermost */
    uint32_t rule;
    uint32_t k;       /**< object: next property */
    uint32_t count;   /**< object: properties so far; array: items so far */
    uint32_t seen;    /**< object: names so far that are not listed: cell + 1 */
    uint32_t a, b, c; /**< state of what is being read */
    uint16_t used;    /**< room taken, this bracket included */
    uint8_t kind;
} gi_thread;

/** The thread at the beginning of a value of the whole schema. */
gi_thread gi_automaton_begin(const gi_schema *s);

/**
 * Take a byte: appends to out[*io_n..max) the threads that `t` becomes, skipping equal ones. A
 * thread that finds no room in `out` or the pool is dropped. Each adds two cells at most.
 */
void gi_automaton_step(const gi_schema *s, gi_cells *cells, const gi_thread *t, uint8_t byte,
                       gi_thread *out, size_t *io_n, size_t max);

/** Whether two threads of one pool are the same. */
bool gi_automaton_is_same(const gi_thread *a, const gi_thread *b);

/** Whether the bytes so far are a whole value. */
bool gi_automaton_is_complete(const gi_schema *s, const gi_thread *t);

/** Equal threads behave alike for ever (up to the odds of a 64-bit collision). */
uint64_t gi_automaton_key(const gi_schema *s, const gi_cells *cells, const gi_thread *t);

/** What may come next of plain string content (gi_vocab_trie). */
typedef struct gi_text_at {
    const gi_string_rule *rule; /**< NULL: the thread is not within a string */
    gi_string_at at;
    bool any;           /**< all of it, up to max_chars characters; else ask the rule */
    uint32_t max_chars; /**< GI_UNLIMITED: no limit */
} gi_text_at;

gi_text_at gi_automaton_text(const gi_schema *s, const gi_thread *t);

/**
 * Keep only the cells that threads[0..n) need, moved to the front; threads beyond what `max_cells`
 * has room for are dropped. Returns how many remain. `marks` [cells->n + 1] is scratch.
 */
size_t gi_automaton_compact(gi_cells *cells, gi_thread *threads, size_t n, size_t max_cells,
                            uint32_t *marks);

#endif

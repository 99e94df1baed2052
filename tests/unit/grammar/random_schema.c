#include "../cm.h"

#include "random_schema.h"

#include <stdbool.h>
#include <stdio.h>

enum { DEPTH_MAX = 4 };

uint32_t random_next(uint64_t *io_seed) {
    *io_seed = *io_seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*io_seed >> 33);
}

typedef struct maker {
    uint64_t *seed;
    gi_buf *out;
} maker;

static unsigned pick(const maker *m, unsigned n) {
    return random_next(m->seed) % n;
}

static void put(const maker *m, const char *text) {
    assert_int_equal(gi_buf_puts(m->out, text, NULL), GLINT_OK);
}

static void put_number(const maker *m, const char *key, int n) {
    assert_int_equal(gi_buf_printf(m->out, NULL, ",\"%s\":%d", key, n), GLINT_OK);
}

static const char *const names[] = {"a",   "ab", "abc",    "result", "reasons", "\\u4e2d",
                                    "x-1", "",   "q\\\"w", "b c",    "name",    "id"};
enum { N_NAMES = sizeof names / sizeof *names };

static void put_schema(const maker *m, int depth);

static void put_enum(const maker *m) {
    static const char *const lists[] = {
        "{\"enum\":[\"pass\",\"review\",\"reject\"]}",
        "{\"enum\":[\"a\",\"ab\",\"abc\",\"\"]}",
        "{\"enum\":[1,12,123,-1,1.5,null,true,\"\\u4e2d\\u56fd\"]}",
        "{\"const\":{\"k\":[1,2,{}],\"v\":\"\\n\"}}",
        "{\"type\":\"string\",\"enum\":[1,\"one\",\"two\"],\"minLength\":2}",
        "{\"const\":\"only\"}"};
    put(m, lists[pick(m, 6)]);
}

static void put_string(const maker *m) {
    static const char *const kinds[] = {"\"pattern\":\"^[a-z]+$\"",
                                        "\"pattern\":\"^(foo|bar|ba[zx]{2,5})?$\"",
                                        "\"pattern\":\"[0-9]{3}\"",
                                        "\"pattern\":\"^[^\\\"\\\\\\\\]*\\n\"",
                                        "\"pattern\":\"^[\\u4e00-\\u9fa5]{1,4}\\\\s?x$\"",
                                        "\"format\":\"date\"",
                                        "\"format\":\"uuid\"",
                                        "\"format\":\"ipv4\"",
                                        "\"description\":\"any\""};
    put(m, "{\"type\":\"string\",");
    put(m, kinds[pick(m, 9)]);
    const int min = (int)pick(m, 6);
    if (pick(m, 3) == 0) put_number(m, "minLength", min);
    if (pick(m, 3) == 0) put_number(m, "maxLength", min + (int)pick(m, 30));
    put(m, "}");
}

static void put_numeric(const maker *m) {
    static const char *const reals[] = {
        "{\"type\":\"number\"}",
        "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
        "{\"type\":\"number\",\"exclusiveMinimum\":-0.001,\"exclusiveMaximum\":1e-3}",
        "{\"type\":\"number\",\"minimum\":-1.25e4}",
        "{\"type\":\"number\",\"maximum\":-0.3}",
        "{\"type\":\"number\",\"exclusiveMinimum\":99.99,\"maximum\":123456.789}"};
    if (pick(m, 2)) {
        put(m, reals[pick(m, 6)]);
        return;
    }
    const int min = (int)pick(m, 3000) - 1500;
    put(m, "{\"type\":\"integer\"");
    if (pick(m, 2)) put_number(m, pick(m, 2) ? "minimum" : "exclusiveMinimum", min);
    if (pick(m, 2))
        put_number(m, pick(m, 2) ? "maximum" : "exclusiveMaximum", min + 8 + (int)pick(m, 20000));
    if (pick(m, 4) == 0) put_number(m, "multipleOf", 1 + (int)pick(m, 8));
    put(m, "}");
}

static void put_array(const maker *m, int depth) {
    put(m, "{\"type\":\"array\",\"items\":");
    put_schema(m, depth + 1);
    const int min = (int)pick(m, 3);
    if (pick(m, 2)) put_number(m, "minItems", min);
    if (pick(m, 2)) put_number(m, "maxItems", min + (int)pick(m, 3));
    if (pick(m, 4) == 0) {
        put(m, ",\"prefixItems\":[");
        put_schema(m, depth + 1);
        put(m, ",");
        put_schema(m, depth + 1);
        put(m, "]");
    }
    put(m, "}");
}

static void put_object(const maker *m, int depth) {
    const unsigned from = pick(m, N_NAMES), n = pick(m, 5);
    put(m, "{\"type\":\"object\",\"properties\":{");
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) put(m, ",");
        put(m, "\"");
        put(m, names[(from + i) % N_NAMES]);
        put(m, "\":");
        put_schema(m, depth + 1);
    }
    put(m, "},\"required\":[");
    bool any = false;
    for (unsigned i = 0; i < n; i++) {
        if (pick(m, 2)) continue;
        put(m, any ? ",\"" : "\"");
        put(m, names[(from + i) % N_NAMES]);
        put(m, "\"");
        any = true;
    }
    put(m, "]");
    const unsigned more = pick(m, 6);
    if (more == 0) put(m, ",\"additionalProperties\":true");
    if (more == 1) put(m, ",\"additionalProperties\":{\"type\":[\"integer\",\"null\"]}");
    if (more == 2) put(m, ",\"patternProperties\":{\"^x-\":{\"type\":\"boolean\"}}");
    if (more == 3) put(m, ",\"additionalProperties\":false");
    if (pick(m, 6) == 0) put_number(m, "minProperties", (int)pick(m, 4));
    if (pick(m, 6) == 0) put_number(m, "maxProperties", 1 + (int)pick(m, 4));
    put(m, "}");
}

static void put_combined(const maker *m, int depth) {
    const unsigned kind = pick(m, 4), n = 2 + pick(m, 2);
    if (kind == 3) {
        put(m, "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"null\"},{\"type\":\"object\"}]}");
        return;
    }
    put(m, kind == 0 ? "{\"allOf\":[" : "{\"anyOf\":[");
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) put(m, ",");
        put_schema(m, depth + 1);
    }
    put(m, "]}");
}

static void put_schema(const maker *m, int depth) {
    switch (pick(m, depth < DEPTH_MAX ? 10 : 6)) {
    case 0:
        put_enum(m);
        break;
    case 1:
        put_string(m);
        break;
    case 2:
        put_numeric(m);
        break;
    case 3:
        put(m, "{\"type\":[\"boolean\",\"null\"]}");
        break;
    case 4:
        put(m, pick(m, 3) ? "{\"$ref\":\"#/$defs/node\"}" : "true");
        break;
    case 5:
        put_enum(m);
        break;
    case 6:
        put_array(m, depth);
        break;
    case 7:
        put_combined(m, depth);
        break;
    default:
        put_object(m, depth);
        break;
    }
}

void random_schema(uint64_t *io_seed, gi_buf *out) {
    const maker m = {io_seed, out};
    for (int i = 0; i < 4; i++) random_next(io_seed);
    put(&m, "{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":"
            "\"integer\"},\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/node\"},{\"type\":\"null\"}]}"
            "},\"required\":[\"v\"]}},\"allOf\":[");
    put_schema(&m, 0);
    put(&m, "]}");
}

/*
 * Two passes: the first counts parts, so that there is one array of them, the second reads. Where
 * in the JSON a mistake lies is kept as two indexes and written out only when there is one.
 */
#include "server/chat_turns.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

typedef struct reading {
    const gi_json_lifted *body;
    gi_infer_fields *fields;
    const glint_image *images;
    gi_chat_turns turns;
    size_t n_parts;
    size_t i_message, i_part;
    bool in_part; /* i_part counts */
    gi_api_error *error;
} reading;

static bool fail(const reading *r, gi_api_code code, const char *member, const char *must) {
    char param[GI_API_PARAM_BYTES];
    int n = snprintf(param, sizeof param, "messages[%zu]", r->i_message);
    if (r->in_part) n += snprintf(param + n, sizeof param - (size_t)n, ".content[%zu]", r->i_part);
    snprintf(param + n, sizeof param - (size_t)n, "%s%.32s", member[0] ? "." : "", member);
    if (!must) return gi_api_fail(r->error, code, param);
    return gi_api_fail_detail(r->error, code, param, "%s must be %s.", param, must);
}

static bool wrong(const reading *r, const char *member, const char *must) {
    return fail(r, GI_API_INVALID_TYPE, member, must);
}

static bool read_role(const reading *r, const json_t *message, glint_role *ret) {
    static const struct {
        const char *name;
        glint_role role;
    } ROLES[] = {{"system", GLINT_ROLE_SYSTEM},
                 {"developer", GLINT_ROLE_SYSTEM},
                 {"user", GLINT_ROLE_USER},
                 {"assistant", GLINT_ROLE_ASSISTANT}};
    const char *name = json_string_value(json_object_get(message, "role"));
    for (size_t i = 0; name && i < sizeof ROLES / sizeof ROLES[0]; i++)
        if (strcmp(ROLES[i].name, name) == 0) {
            *ret = ROLES[i].role;
            return true;
        }
    return fail(r, GI_API_INVALID_VALUE, "role", "system, developer, user or assistant");
}

static glint_part text_part(const reading *r, const json_t *text) {
    const gi_json_span span = gi_json_lift_string(r->body, text);
    return (glint_part){.text = span.s, .n_text_bytes = span.n};
}

static bool read_picture(const reading *r, const json_t *part, glint_part *ret) {
    const json_t *object = json_object_get(part, "image_url");
    const json_t *url = json_object_get(object, "url");
    if (!json_is_string(url)) return wrong(r, "image_url", "an object with a url");
    char param[GI_API_PARAM_BYTES];
    snprintf(param, sizeof param, "messages[%zu].content[%zu].image_url", r->i_message, r->i_part);
    const size_t i = r->fields->n_pictures;
    if (!gi_fields_add_picture(r->fields, gi_json_lift_string(r->body, url), param, r->error))
        return false;
    *ret = (glint_part){.image = &r->images[i]};
    return true;
}

static bool read_part(const reading *r, const json_t *part, glint_role role, glint_part *ret) {
    const char *type = json_string_value(json_object_get(part, "type"));
    if (type && strcmp(type, "text") == 0) {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text)) return wrong(r, "text", "a string");
        *ret = text_part(r, text);
        return true;
    }
    if (!type || strcmp(type, "image_url") != 0)
        return fail(r, GI_API_INVALID_VALUE, "type", "text or image_url");
    if (role != GLINT_ROLE_USER)
        return fail(r, GI_API_INVALID_VALUE, "type", "text: pictures are the user's");
    return read_picture(r, part, ret);
}

static bool read_content(reading *r, const json_t *content, glint_message *to) {
    glint_part *parts = r->turns.parts + r->n_parts;
    to->parts = parts;
    if (json_is_string(content)) {
        parts[to->n_parts++] = text_part(r, content);
    } else if (json_is_array(content)) {
        r->in_part = true;
        for (r->i_part = 0; r->i_part < json_array_size(content); r->i_part++)
            if (!read_part(r, json_array_get(content, r->i_part), to->role, &parts[to->n_parts++]))
                return false;
        r->in_part = false;
    }
    if (to->n_parts == 0) return wrong(r, "content", "a string or an array of parts");
    r->n_parts += to->n_parts;
    return true;
}

/* What is not read must not have said anything. */
static bool check_members(const reading *r, json_t *message) {
    const char *key;
    const json_t *value;
    json_object_foreach(message, key, value) {
        const bool is_known =
            strcmp(key, "role") == 0 || strcmp(key, "content") == 0 || strcmp(key, "name") == 0;
        const bool is_empty =
            json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
        if (!is_known && !is_empty) return fail(r, GI_API_UNKNOWN_FIELD, key, NULL);
    }
    return true;
}

static bool read_message(reading *r, json_t *message) {
    if (!json_is_object(message)) return wrong(r, "", "an object");
    glint_message *to = &r->turns.messages[r->i_message];
    return check_members(r, message) && read_role(r, message, &to->role) &&
           read_content(r, json_object_get(message, "content"), to);
}

static bool make_room(reading *r) {
    const json_t *messages = r->fields->messages, *message;
    size_t n_parts = 0, i;
    json_array_foreach(messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        n_parts += json_is_array(content) ? json_array_size(content) : 1;
    }
    if (n_parts > GLINT_PARTS_MAX)
        return gi_api_fail_detail(r->error, GI_API_INVALID_VALUE, "messages",
                                  "messages may have at most %d parts of content.",
                                  GLINT_PARTS_MAX);
    r->turns.n = json_array_size(messages);
    r->turns.messages = gi_calloc(r->turns.n, sizeof *r->turns.messages);
    r->turns.parts = gi_calloc(n_parts + 1, sizeof *r->turns.parts);
    if (r->turns.messages && r->turns.parts) return true;
    return gi_api_fail(r->error, GI_API_OVERLOADED, NULL);
}

bool gi_chat_turns_read(const gi_json_lifted *body, gi_infer_fields *fields,
                        const glint_image *images, gi_chat_turns *ret, gi_api_error *error) {
    reading r = {.body = body, .fields = fields, .images = images, .error = error};
    bool ok = make_room(&r);
    for (; ok && r.i_message < r.turns.n; r.i_message++)
        ok = read_message(&r, json_array_get(fields->messages, r.i_message));
    if (ok)
        *ret = r.turns;
    else
        gi_chat_turns_done(&r.turns);
    return ok;
}

void gi_chat_turns_done(gi_chat_turns *t) {
    gi_free(t->messages);
    gi_free(t->parts);
    *t = (gi_chat_turns){0};
}

/*
 * glint bench serve: a marked picture is the same picture in other bytes, bodies are what servers
 * read, and answers of both forms are understood.
 */
#include "../cm.h"

#include "../../../apps/glint/bench_serve_body.h"

#include "base/alloc.h"
#include "image/prepare.h"
#include "server/base64.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *root(void) {
    const char *dir = getenv("GLINT_SOURCE_ROOT");
    assert_non_null(dir);
    return dir;
}

static void read_pictures(gi_load_pictures *p, const char *dir, const char *task, bool marked) {
    glint_error err = {0};
    assert_int_equal(gi_load_pictures_read(p, dir, task, marked, &err), GLINT_OK);
}

/* ---- a folder with a JPEG, a PNG, and what is neither ---- */

typedef struct folder {
    char dir[64];
} folder;

static void put_file(const folder *f, const char *name, const void *bytes, size_t n) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void copy_file(const folder *f, const char *from, const char *name) {
    char path[4096];
    gi_buf b;
    gi_buf_init(&b, 1 << 24);
    snprintf(path, sizeof path, "%s/%s", root(), from);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(gi_buf_reserve(&b, 1 << 20, NULL), GLINT_OK);
    b.len = fread(b.data, 1, 1 << 20, file);
    fclose(file);
    put_file(f, name, b.data, b.len);
    gi_buf_done(&b);
}

/* SOI, one APP0, DQT and so on are not needed to mark it: the scan is never decoded here. */
static const uint8_t JPEG[] = {0xff, 0xd8, 0xff, 0xe0, 0, 4, 'J', 'F', 0xff, 0xd9};

static int make_folder(void **state) {
    static folder f;
    snprintf(f.dir, sizeof f.dir, "/tmp/glint-load-XXXXXX");
    if (!mkdtemp(f.dir)) return -1;
    put_file(&f, "b.jpg", JPEG, sizeof JPEG);
    copy_file(&f, "models/default/sample-listing.png", "a.png");
    put_file(&f, "notes.txt", "no picture", 10);
    put_file(&f, "short.png", "\x89PNG", 4);
    *state = &f;
    return 0;
}

static int remove_folder(void **state) {
    const folder *f = *state;
    DIR *d = opendir(f->dir);
    for (const struct dirent *e; (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", f->dir, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    closedir(d);
    return rmdir(f->dir);
}

static void folders_are_read(void **state) {
    const folder *f = *state;
    gi_load_pictures p = {0};
    read_pictures(&p, f->dir, "audit", false);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.items[0].name, "a.png");
    assert_true(p.items[0].is_png && !p.items[1].is_png && !p.has_questions);
    uint8_t back[sizeof JPEG + 2];
    size_t n = 0;
    const gi_buf *b64 = &p.items[1].base64;
    assert_int_equal(gi_base64_decoded_bytes((char *)b64->data, b64->len, &n, NULL), GLINT_OK);
    assert_int_equal(n, sizeof JPEG);
    assert_int_equal(gi_base64_decode((char *)b64->data, b64->len, back, NULL), GLINT_OK);
    assert_memory_equal(back, JPEG, sizeof JPEG);
    gi_load_pictures_done(&p);

    static const char cases[] =
        "[{\"image\":\"b.jpg\",\"task\":\"ocr\",\"prompt\":\"not this\",\"answer\":\"x\"},"
        "{\"image\":\"b.jpg\",\"task\":\"audit\",\"prompt\":\"\\\"q\\\"\\n\","
        "\"answer\":\"{\\\"result\\\":\\\"pass\\\"}\"}]";
    put_file(f, "cases.json", cases, sizeof cases - 1);
    read_pictures(&p, f->dir, "audit", false);
    assert_int_equal(p.n, 1); /* the other one has no case */
    assert_string_equal(p.items[0].question, "\"\\\"q\\\"\\n\"");
    assert_true(p.has_answers);
    gi_load_pictures_done(&p);

    glint_error err = {0};
    assert_int_equal(gi_load_pictures_read(&p, f->dir, "describe", false, &err), GLINT_ERR_IO);
    gi_load_pictures_done(&p);
    assert_int_equal(gi_load_pictures_read(&p, "/no/such", "audit", false, &err), GLINT_ERR_IO);
    gi_load_pictures_done(&p);
    put_file(f, "cases.json", "{}", 2);
    assert_int_equal(gi_load_pictures_read(&p, f->dir, "audit", false, &err), GLINT_ERR_FORMAT);
    gi_load_pictures_done(&p);
    glint_status st = GLINT_ERR_MEMORY;
    put_file(f, "cases.json", cases, sizeof cases - 1);
    for (uint64_t i = 1; st != GLINT_OK; i++) {
        gi_alloc_fail_at(i);
        st = gi_load_pictures_read(&p, f->dir, "audit", true, &err);
        gi_alloc_fail_at(0);
        gi_load_pictures_done(&p);
        assert_true(st == GLINT_OK || st == GLINT_ERR_MEMORY);
        assert_true(i < 1000);
    }
    char path[160];
    snprintf(path, sizeof path, "%s/cases.json", f->dir);
    assert_int_equal(unlink(path), 0);
}

/* ---- marks ---- */

static void jpeg_marks_are_comments(void **state) {
    uint8_t head[GI_LOAD_MARK_BYTES_MAX], other[GI_LOAD_MARK_BYTES_MAX];
    size_t cut = 0;
    bool is_png = true;
    assert_true(gi_load_mark_cut(JPEG, sizeof JPEG, &cut, &is_png));
    assert_false(is_png);
    assert_int_equal(cut, 2);
    const size_t n = gi_load_mark_head(JPEG, false, 0x123456789abu, head);
    assert_int_equal(n % 3, 0);
    assert_memory_equal(head, "\xff\xd8\xff\xfe\0", 5);
    assert_int_equal(4 + head[5], n); /* the segment's length ends where the rest begins */
    assert_memory_equal(head + 6, "glint load 00123456789ab", n - 6);
    assert_int_equal(gi_load_mark_head(JPEG, false, 0x123456789acu, other), n);
    assert_int_not_equal(memcmp(head, other, n), 0);
    assert_false(gi_load_mark_cut((const uint8_t *)"GIF89a", 6, &cut, &is_png));
    assert_false(gi_load_mark_cut(JPEG, 2, &cut, &is_png));
}

/* Decoded by the server's own code: same pixels; libpng checks the new chunk's checksum. */
static void marked_pictures_decode_the_same(void **state) {
    const folder *f = *state;
    const gi_image_spec spec = {14, 2, 2, 6272, 9633792, {0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
    const gi_image_limits limits = gi_image_limits_default();
    gi_load_pictures p = {0};
    copy_file(f, "tests/golden/default/listing_150.png", "c.png");
    read_pictures(&p, f->dir, "audit", true);
    for (size_t i = 0; i < p.n; i++) {
        const gi_load_picture *pic = &p.items[i];
        if (!pic->is_png) continue;
        uint8_t head[GI_LOAD_MARK_BYTES_MAX];
        gi_buf marked;
        gi_buf_init(&marked, 1 << 24);
        const size_t n = gi_load_mark_head(pic->file.data, pic->is_png, 77, head);
        assert_int_equal(n % 3, 0);
        assert_int_equal(gi_buf_push(&marked, head, n, NULL), GLINT_OK);
        assert_int_equal(
            gi_buf_push(&marked, pic->file.data + pic->cut, pic->file.len - pic->cut, NULL),
            GLINT_OK);
        gi_patches a = {0}, b = {0};
        glint_error err = {0};
        assert_int_equal(
            gi_image_prepare(pic->file.data, pic->file.len, &spec, &limits, 448, NULL, &a, &err),
            GLINT_OK);
        assert_int_equal(
            gi_image_prepare(marked.data, marked.len, &spec, &limits, 448, NULL, &b, &err),
            GLINT_OK);
        assert_int_equal(a.grid_w, b.grid_w);
        assert_int_equal(a.grid_h, b.grid_h);
        assert_memory_equal(a.rows, b.rows, sizeof *a.rows * a.grid_w * a.grid_h * 588);
        gi_patches_done(&a);
        gi_patches_done(&b);
        gi_buf_done(&marked);
    }
    gi_load_pictures_done(&p);
}

/* ---- bodies ---- */

static gi_load_recipe recipe_of(const gi_load_pictures *p) {
    return (gi_load_recipe){.pictures = p,
                            .question = "\"why\\n\\u00e9?\"",
                            .task = "audit",
                            .model = "default",
                            .serial = 4096};
}

/* Reads the body in pieces of every size, as libcurl may ask for them. */
static size_t whole(gi_load_body *b, char *out, size_t cap) {
    size_t n = 0;
    for (size_t piece = 1;; piece = piece % 7 + 1) {
        assert_true(n + piece < cap);
        const size_t got = gi_load_body_read(b, out + n, piece);
        if (got == 0) break;
        n += got;
    }
    out[n] = '\0';
    assert_int_equal(n, gi_load_body_bytes(b));
    return n;
}

static json_t *json_of(gi_load_body *b, const gi_load_recipe *r, uint64_t i) {
    static char text[1 << 18];
    assert_int_equal(gi_load_body_make(b, r, i, NULL), GLINT_OK);
    const size_t n = whole(b, text, sizeof text);
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    return root;
}

static const char *member(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    assert_non_null(text);
    return text;
}

static void glint_bodies(void **state) {
    const folder *f = *state;
    gi_load_pictures p = {0};
    gi_load_body b;
    gi_load_body_init(&b);
    read_pictures(&p, f->dir, "audit", true);
    gi_load_recipe r = recipe_of(&p);
    r.vary = r.stream = r.no_cache = true;
    r.max_tokens = 12;
    r.timeout_ms = 300;
    json_t *one = json_of(&b, &r, 1), *again = json_of(&b, &r, 1 + p.n);
    assert_string_equal(member(one, "prompt"), "why\n\xc3\xa9?");
    assert_string_equal(member(one, "task"), "audit");
    assert_int_equal(json_integer_value(json_object_get(one, "max_tokens")), 12);
    assert_int_equal(json_integer_value(json_object_get(one, "timeout_ms")), 300);
    assert_true(json_is_true(json_object_get(one, "stream")));
    assert_true(json_is_false(json_object_get(one, "cache")));
    assert_string_not_equal(member(one, "image"), member(again, "image"));
    uint8_t file[1024];
    const char *text = member(one, "image");
    size_t n = 0;
    assert_int_equal(gi_base64_decoded_bytes(text, strlen(text), &n, NULL), GLINT_OK);
    assert_true(n <= sizeof file);
    assert_int_equal(gi_base64_decode(text, strlen(text), file, NULL), GLINT_OK);
    assert_int_equal(n, 30 + sizeof JPEG - 2);
    assert_memory_equal(file + 30, JPEG + 2, sizeof JPEG - 2);
    json_decref(one);
    json_decref(again);
    gi_load_body_done(&b);
    gi_load_pictures_done(&p);
}

static void same_requests_and_new_questions(void **state) {
    const folder *f = *state;
    gi_load_pictures p = {0};
    gi_load_body b;
    gi_load_body_init(&b);
    read_pictures(&p, f->dir, "audit", false);
    gi_load_recipe r = recipe_of(&p);
    r.same_request = true;
    json_t *one = json_of(&b, &r, 1), *two = json_of(&b, &r, 2);
    assert_true(json_equal(one, two));
    json_decref(one);
    json_decref(two);
    r.same_request = false;
    r.same_picture = true;
    one = json_of(&b, &r, 1);
    two = json_of(&b, &r, 2);
    assert_string_equal(member(one, "image"), member(two, "image"));
    assert_string_not_equal(member(one, "prompt"), member(two, "prompt"));
    assert_non_null(strstr(member(one, "prompt"), "why\n\xc3\xa9?"));
    json_decref(one);
    json_decref(two);
    r.same_picture = false;
    one = json_of(&b, &r, 0);
    two = json_of(&b, &r, p.n);
    assert_true(json_equal(one, two)); /* as they are, in turns */
    json_decref(two);
    two = json_of(&b, &r, 1);
    assert_string_not_equal(member(one, "image"), member(two, "image"));
    json_decref(one);
    json_decref(two);
    gi_load_body_done(&b);
    gi_load_pictures_done(&p);
}

static void openai_bodies(void **state) {
    const folder *f = *state;
    gi_load_pictures p = {0};
    gi_load_body b;
    gi_load_body_init(&b);
    read_pictures(&p, f->dir, "audit", false);
    gi_load_recipe r = recipe_of(&p);
    r.api = GI_LOAD_API_OPENAI;
    r.stream = r.no_cache = true;
    r.max_tokens = 9;
    json_t *root = json_of(&b, &r, 1);
    const json_t *message = json_array_get(json_object_get(root, "messages"), 0);
    const json_t *content = json_object_get(message, "content");
    const json_t *url = json_object_get(json_array_get(content, 0), "image_url");
    static const char begin[] = "data:image/jpeg;base64,/9j/";
    assert_memory_equal(member(url, "url"), begin, sizeof begin - 1);
    assert_string_equal(member(json_array_get(content, 1), "text"), "why\n\xc3\xa9?");
    assert_true(
        json_is_true(json_object_get(json_object_get(root, "stream_options"), "include_usage")));
    assert_true(json_is_false(json_object_get(root, "cache_prompt")));
    json_decref(root);
    gi_load_body_done(&b);
    gi_load_pictures_done(&p);
}

static void forms_hold_the_file(void **state) {
    const folder *f = *state;
    static char text[1 << 12];
    gi_load_pictures p = {0};
    gi_load_body b;
    gi_load_body_init(&b);
    read_pictures(&p, f->dir, "audit", true);
    gi_load_recipe r = recipe_of(&p);
    r.form = r.vary = true;
    r.max_tokens = 5;
    assert_int_equal(gi_load_body_make(&b, &r, 1, NULL), GLINT_OK);
    const size_t n = whole(&b, text, sizeof text);
    char boundary[80];
    snprintf(boundary, sizeof boundary, "--%s", strstr(gi_load_body_type(&r), "boundary=") + 9);
    assert_memory_equal(text, boundary, strlen(boundary));
    assert_non_null(strstr(text, "name=\"prompt\"\r\n\r\nwhy\n\xc3\xa9?\r\n--"));
    assert_non_null(strstr(text, "name=\"max_tokens\"\r\n\r\n5\r\n"));
    const char *file = strstr(text, "Content-Type: image/jpeg\r\n\r\n");
    assert_non_null(file);
    file += strlen("Content-Type: image/jpeg\r\n\r\n");
    assert_memory_equal(file + 30, JPEG + 2, sizeof JPEG - 2);
    assert_memory_equal(file + 30 + sizeof JPEG - 2, "\r\n--", 4);
    assert_memory_equal(text + n - 4, "--\r\n", 4);
    b.at = 3; /* sent again on another connection */
    char rest[8];
    assert_int_equal(gi_load_body_read(&b, rest, sizeof rest), sizeof rest);
    assert_memory_equal(rest, text + 3, sizeof rest);
    glint_status st = GLINT_ERR_MEMORY;
    for (uint64_t i = 1; st != GLINT_OK; i++) {
        gi_load_body_done(&b);
        gi_alloc_fail_at(i);
        st = gi_load_body_make(&b, &r, 1, NULL);
        gi_alloc_fail_at(0);
        assert_true((st == GLINT_OK || st == GLINT_ERR_MEMORY) && i < 1000);
    }
    gi_load_body_done(&b);
    gi_load_pictures_done(&p);
}

/* ---- answers ---- */

static void read_answer(gi_load_answer *a, const char *text) {
    gi_load_answer_clear(a);
    assert_int_equal(gi_load_answer_read(a, text, strlen(text), NULL), GLINT_OK);
}

static void event(gi_load_answer *a, const char *text, double now_ms) {
    assert_int_equal(gi_load_answer_event(a, text, strlen(text), now_ms, NULL), GLINT_OK);
}

static void glint_answers(void **state) {
    gi_load_answer a;
    gi_load_answer_init(&a, GI_LOAD_API_GLINT);
    read_answer(&a, "{\"result\":\"pass\",\"reasons\":[],\"finish_reason\":\"stop\","
                    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":7,\"forced_tokens\":3,"
                    "\"cached_tokens\":2,\"image_tokens\":4},"
                    "\"timing_ms\":{\"queue\":1.5,\"decode\":2,\"total\":8}}");
    assert_true(a.complete && !a.error[0]);
    assert_string_equal(a.finish, "stop");
    assert_true(a.timing_ms[GI_LOAD_QUEUE] == 1.5 && a.timing_ms[GI_LOAD_TOTAL] == 8);
    assert_true(a.timing_ms[GI_LOAD_ENCODE] < 0); /* not told */
    assert_true(a.counts[GI_LOAD_FORCED] == 3 && a.counts[GI_LOAD_CACHED] == 2);
    json_t *want = json_pack("{ss s[]}", "result", "pass", "reasons");
    assert_true(gi_load_answer_is_right(&a, want));
    json_object_set_new(want, "result", json_string("reject"));
    assert_false(gi_load_answer_is_right(&a, want));
    json_decref(want);

    read_answer(&a, "{\"error\":{\"type\":\"rate_limit_error\",\"code\":\"queue_full\"}}");
    assert_string_equal(a.error, "queue_full");
    assert_false(a.complete);
    static const char *const odd[] = {"",   "[]",        "{\"usage\":7}",    "null",
                                      "{",  "{\"x\":1}", "<html>502</html>", "{\"error\":null}",
                                      "[1", "\xff"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        read_answer(&a, odd[i]);
        assert_false(a.complete);
        assert_string_equal(a.error, "");
    }

    gi_load_answer_clear(&a);
    event(&a, "{\"id\":\"x\",\"delta\":\"\"}", 10);
    event(&a, "{\"delta\":\"he\"}", 11);
    event(&a, "{\"delta\":\"llo\"}", 14);
    assert_false(a.complete);
    event(&a, "{\"text\":\"hello\",\"usage\":{\"completion_tokens\":2}}", 15);
    assert_false(a.complete); /* only [DONE] is the end */
    event(&a, "[DONE]", 15);
    assert_true(a.complete && a.n_pieces == 2 && a.first_ms == 11 && a.last_ms == 14);
    event(&a, "{\"error\":{\"code\":\"deadline_exceeded\"}}", 16);
    assert_false(a.complete);
    assert_string_equal(a.error, "deadline_exceeded");
    gi_load_answer_done(&a);
}

static void openai_answers(void **state) {
    gi_load_answer a;
    json_t *want = json_pack("{ss}", "result", "pass");
    gi_load_answer_init(&a, GI_LOAD_API_OPENAI);
    read_answer(&a, "{\"choices\":[{\"message\":{\"content\":\"{\\\"result\\\":\\\"pass\\\"}\"},"
                    "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":5,"
                    "\"completion_tokens\":6,\"prompt_tokens_details\":{\"cached_tokens\":4}},"
                    "\"timings\":{\"prompt_ms\":12.5,\"predicted_ms\":30}}");
    assert_true(a.complete && gi_load_answer_is_right(&a, want));
    assert_string_equal(a.finish, "length");
    assert_true(a.counts[GI_LOAD_CACHED] == 4 && a.timing_ms[GI_LOAD_PREFILL] == 12.5);

    gi_load_answer_clear(&a);
    event(&a, "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}", 1);
    assert_int_equal(a.n_pieces, 0);
    event(&a, "{\"choices\":[{\"delta\":{\"content\":\"{\\\"result\\\":\"}}]}", 2);
    event(&a, "{\"choices\":[{\"delta\":{\"content\":\"\\\"pass\\\"}\"}}]}", 5);
    event(&a, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", 6);
    event(&a, "{\"choices\":[],\"usage\":{\"completion_tokens\":4}}", 6);
    assert_false(a.complete); /* only [DONE] is the end */
    event(&a, "[DONE]", 7);
    assert_true(a.complete && a.n_pieces == 2 && a.first_ms == 2 && a.last_ms == 5);
    assert_true(a.counts[GI_LOAD_COMPLETION] == 4 && gi_load_answer_is_right(&a, want));
    assert_string_equal(a.finish, "stop");

    gi_load_answer_clear(&a);
    event(&a, "{\"error\":{\"code\":500,\"type\":\"server_error\"}}", 1);
    event(&a, "[DONE]", 2);
    assert_false(a.complete);
    assert_string_equal(a.error, "server_error");
    read_answer(&a, "{\"choices\":\"x\"}");
    assert_false(a.complete);
    assert_false(gi_load_answer_is_right(&a, want));
    json_decref(want);
    gi_load_answer_done(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_read),
        cmocka_unit_test(jpeg_marks_are_comments),
        cmocka_unit_test(marked_pictures_decode_the_same),
        cmocka_unit_test(glint_bodies),
        cmocka_unit_test(same_requests_and_new_questions),
        cmocka_unit_test(openai_bodies),
        cmocka_unit_test(forms_hold_the_file),
        cmocka_unit_test(glint_answers),
        cmocka_unit_test(openai_answers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

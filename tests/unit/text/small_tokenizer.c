/* Independent of the reader in src/text, so that the two cannot be wrong together. */
#include "../cm.h"

#include "small_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static FILE *open_file(void) {
    if (!path[0]) {
        const char name[] = "/tmp/glint-tokenizer-XXXXXX";
        memcpy(path, name, sizeof name);
        const int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    return f;
}

const char *small_tokenizer_write_bytes(const void *data, size_t n_bytes) {
    FILE *f = open_file();
    assert_int_equal(fwrite(data, 1, n_bytes, f), n_bytes);
    assert_int_equal(fclose(f), 0);
    return path;
}

void small_tokenizer_remove(void) {
    if (path[0]) unlink(path);
    path[0] = '\0';
}

/* The character that stands for a byte, as a JSON escape. */
static void put_byte_name(FILE *f, int byte) {
    int next = 256, code = byte;
    for (int b = 0; b <= byte; b++) {
        const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        code = printable ? b : next++;
    }
    fprintf(f, "\\u%04X", (unsigned)code);
}

static void put_merge(FILE *f, const char *merge, bool as_array) {
    const char *space = strchr(merge, ' ');
    if (as_array)
        fprintf(f, "[\"%.*s\", \"%s\"]", (int)(space - merge), merge, space + 1);
    else
        fprintf(f, "\"%s\"", merge);
}

static const char *or_else(const char *s, const char *usual) {
    return s ? s : usual;
}

const char *small_tokenizer_write(const small_tokenizer *s) {
    static const char usual_split[] =
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
        "\"\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+\"},\"behavior\":\"Isolated\","
        "\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
        "\"trim_offsets\":true,\"use_regex\":false}]}";
    FILE *f = open_file();
    int id = s->first_byte;
    fprintf(f, "{\n%s\"version\":\"1.0\",\"truncation\":null,\"padding\":null,",
            or_else(s->file_extra, ""));
    fprintf(f, "\"normalizer\":%s,\"post_processor\":%s,\"decoder\":%s,\"pre_tokenizer\":%s,\n",
            or_else(s->normalizer, "null"), or_else(s->post_processor, "null"),
            or_else(s->decoder, "{\"type\":\"ByteLevel\"}"),
            or_else(s->pre_tokenizer, usual_split));
    fprintf(f, "\"model\":{%s\"type\":%s,\"merges\":[%s", or_else(s->model_extra, ""),
            or_else(s->type, "\"BPE\""), or_else(s->merges_extra, ""));
    for (size_t i = 0; s->merges && s->merges[i]; i++) {
        if (i) fputs(", ", f);
        put_merge(f, s->merges[i], s->merges_as_arrays);
    }
    fprintf(f, "],\n\"vocab\":{%s", or_else(s->vocab_extra, ""));
    for (; id < 256; id++) {
        fputs(id > s->first_byte ? ",\"" : "\"", f);
        put_byte_name(f, id);
        fprintf(f, "\":%d", id);
    }
    for (size_t i = 0; s->merges && s->merges[i]; i++, id++) {
        const char *space = strchr(s->merges[i], ' ');
        fprintf(f, ",\"%.*s%s\":%d", (int)(space - s->merges[i]), s->merges[i], space + 1, id);
    }
    fprintf(f, "}},\n\"added_tokens\":[%s", or_else(s->added_extra, ""));
    for (size_t i = 0; s->added && s->added[i]; i++, id++)
        fprintf(f, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true}", i ? "," : "", id,
                s->added[i]);
    fputs("]\n}\n", f);
    assert_int_equal(fclose(f), 0);
    return path;
}

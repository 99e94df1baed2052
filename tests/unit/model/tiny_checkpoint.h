/**
 * @file
 * Writes the smallest GLM-4V checkpoint to a fresh directory, whole or spoiled, for tests. The
 * list of tensors is written down here a second time, with numbers, so that it checks the
 * loader's table and not itself.
 */
#ifndef TESTS_TINY_CHECKPOINT_H
#define TESTS_TINY_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#define TINY_TENSORS_MAX 64

typedef struct tiny_tensor {
    char name[96];
    const char *dtype; /**< "BF16" unless changed */
    uint64_t shape[6]; /* one more than any tensor has: a test adds one */
    size_t n_dims;
} tiny_tensor;

typedef struct tiny_model {
    tiny_tensor tensors[TINY_TENSORS_MAX];
    size_t n;
} tiny_model;

extern const char TINY_CONFIG[];       /**< config.json, transformers 4.57 layout, tied head */
extern const char TINY_GENERATION[];   /**< generation_config.json */
extern const char TINY_PREPROCESSOR[]; /**< preprocessor_config.json */

/** A fresh directory; tiny_dir_remove deletes it with the files in it. */
char *tiny_dir_create(void);
void tiny_dir_remove(char *dir);

/** Write DIR/name. */
void tiny_write(const char *dir, const char *name, const void *bytes, size_t n_bytes);
void tiny_write_text(const char *dir, const char *name, const char *text);

/** The three settings files. */
void tiny_write_settings(const char *dir);

/** All tensors of TINY_CONFIG under their published names. */
void tiny_model_init(tiny_model *m);

/** The tensor of that name; fails the test when there is none. */
tiny_tensor *tiny_find(tiny_model *m, const char *name);

/** Drop a tensor; append one. */
void tiny_drop(tiny_model *m, const char *name);
void tiny_add(tiny_model *m, const char *name, const uint64_t *shape, size_t n_dims);

/** Replace the beginning of every name that starts with `from`. */
void tiny_rename(tiny_model *m, const char *from, const char *to);

/** Write tensors [from, to) as DIR/name; byte i of a tensor's data is i % 251. */
void tiny_write_shard(const char *dir, const char *name, const tiny_model *m, size_t from,
                      size_t to);

/** Write the index for tensors [0, split) in a.safetensors and the rest in b.safetensors. */
void tiny_write_index(const char *dir, const tiny_model *m, size_t split);

#endif

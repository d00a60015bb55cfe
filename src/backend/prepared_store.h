/*
 * The folder of prepared copies: finding, locking, publishing and removing them. No runtime in it; for
 * src/backend only.
 *
 *   prepared/KEY/model.onnx      the optimised model
 *               /weights.bin     its weights, packed as kernels want them (may be missing)
 *               /manifest.json   what the two are and how they must look
 *               /used            its time of modification is that of the last use
 *   prepared/.tmp-XXXXXX/        one in the making, or on its way out
 *   prepared/.lock-KEY           held by the process that makes KEY
 *   prepared/.refused-KEY        why no copy of KEY can be used: it is not tried again
 */
#ifndef MLY_BACKEND_PREPARED_STORE_H
#define MLY_BACKEND_PREPARED_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/prepared.h"
#include "base/hash.h"
#include "model/segment.h"

#define MLY__PREPARED_MODEL "model.onnx"
#define MLY__PREPARED_WEIGHTS "weights.bin"
#define MLY__PREPARED_MANIFEST "manifest.json"
#define MLY__PREPARED_USED "used"
#define MLY__PREPARED_TEMPORARY ".tmp-"
#define MLY__PREPARED_LOCK ".lock-"
#define MLY__PREPARED_REFUSED ".refused-"

/* What a copy depends on: the segment, the runtime, this box's processor, our way of making it.
 * MLY_E_ABSENT if the processor's features cannot be read. */
enum mly_status mly__prepared_key(const mly_model *model, const struct mly_segment *segment,
                                  const char *runtime, bool packed, char key[MLY_HASH_TEXT_BYTES],
                                  struct mly_error *err) MLY_MUST_CHECK;
/* The folder; *out is owned by the caller (mly_free). */
enum mly_status mly__prepared_folder(char **out, struct mly_error *err) MLY_MUST_CHECK;

/* While a key is held, this process does not remove its copy. Released as often as held; NULL is
 * fine. Thread-safe. */
enum mly_status mly__prepared_hold(const char *key, struct mly_error *err) MLY_MUST_CHECK;
void mly__prepared_release(const char *key);
bool mly__prepared_is_held(const char *key);

/* True if the copy is there and looks as it did when it was made. Cost: a few system calls, and
 * reading and hashing its model without weights. */
bool mly__prepared_check(const char *folder, const char *key);
/* Notes that it is used now, if that can be written. */
void mly__prepared_touch(const char *folder, const char *key);
/* Takes it away at once, then frees what it had. A missing one is fine. */
enum mly_status mly__prepared_remove(const char *folder, const char *key,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* Waits until no other process or thread makes that key. */
struct mly__prepared_lock {
    int fd;
    char *path;
};
enum mly_status mly__prepared_lock(const char *folder, const char *key,
                                   struct mly__prepared_lock *out,
                                   struct mly_error *err) MLY_MUST_CHECK;
void mly__prepared_unlock(struct mly__prepared_lock *lock);

/* Notes that the runtime cannot read the copy that it writes of this key, if that can be noted. */
void mly__prepared_refuse(const char *folder, const char *key, const char *reason);
/* MLY_E_BACKEND with that reason, or MLY_OK. */
enum mly_status mly__prepared_refused(const char *folder, const char *key,
                                      struct mly_error *err) MLY_MUST_CHECK;

/* A new folder to make a copy in; *out is owned by the caller (mly_free). */
enum mly_status mly__prepared_begin(const char *folder, char **out,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* Writes the manifest, flushes everything to the disk and gives it its name. */
enum mly_status mly__prepared_publish(const char *folder, const char *key, const char *temporary,
                                      const char *model_name, const char *runtime,
                                      struct mly_error *err) MLY_MUST_CHECK;

/*
 * prepared_align.c: lays the weights in the folder of a copy in the making out anew where the runtime put them at odd
 * places: its kernels read packed weights by instructions that demand alignment, and crash.
 */
enum mly_status mly__prepared_align(const char *temporary, struct mly_error *err) MLY_MUST_CHECK;

/* prepared.c: removes least recently used copies until `extra_bytes` more fit the limit, and what
 * crashes left. MLY_E_LIMIT if so much never fits, MLY_E_NO_SPACE if the disk has no room. */
enum mly_status mly__prepared_make_room(const char *folder, uint64_t extra_bytes,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* prepared.c: the entry of one key; false if there is none. */
bool mly__prepared_describe(const char *folder, const char *key, struct mly_prepared_entry *out);
/* 64 hexadecimal digits. */
bool mly__prepared_is_key(const char *name);

#endif

/* Where the external data of a serialised ONNX model lies, and how it would lie aligned. */
#ifndef MLY_MODEL_ONNX_EXTERNAL_H
#define MLY_MODEL_ONNX_EXTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

struct mly_onnx_move {
    uint64_t from, to, length;
};

struct mly_onnx_layout {
    bool is_aligned; /* as it is: everything else is 0 then */
    void *onnx;      /* the model that refers to the new places */
    size_t onnx_bytes;
    struct mly_onnx_move *moves; /* ascending in both files */
    size_t move_count;
};

/*
 * Plans the file of external data of onnx[0..length) (borrowed) anew, so that every piece begins at
 * a multiple of alignment: tensors, and the packed forms that ONNX Runtime adds to them (entries
 * "prepacked_0" = "KEY|OFFSET;LENGTH;CHECKSUM|…"). *out: free with mly_onnx_layout_fini.
 * MLY_E_FORMAT; MLY_E_UNSUPPORTED if the data lies in several files; MLY_E_LIMIT; MLY_E_NO_MEMORY.
 * Thread-safe.
 */
enum mly_status mly_onnx_layout_align(const void *onnx, size_t length, size_t alignment,
                                      struct mly_onnx_layout *out,
                                      struct mly_error *err) MLY_MUST_CHECK;
void mly_onnx_layout_fini(struct mly_onnx_layout *layout);

#endif

/* Aligned weights for a prepared copy. */
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "model/onnx_external.h"
#include "prepared_store.h"

/* A cache line, and the width of AVX-512. */
#define ALIGNMENT 64

static enum mly_status copy_moved(const struct mly_onnx_layout *layout,
                                  const struct mly_file_map *weights, mly_file_writer *writer,
                                  struct mly_error *err)
{
    static const char padding[ALIGNMENT];
    enum mly_status status = MLY_OK;
    uint64_t end = 0;
    for (size_t i = 0; status == MLY_OK && i < layout->move_count; i++) {
        const struct mly_onnx_move *move = &layout->moves[i];
        if (move->from > weights->length || move->length > weights->length - move->from)
            return mly_error_set(err, MLY_E_BACKEND,
                                 "ONNX Runtime wrote less than its model refers to");
        status = mly_file_writer_write(writer, padding, move->to - end, err);
        if (status == MLY_OK)
            status = mly_file_writer_write(writer, weights->data + move->from, move->length, err);
        end = move->to + move->length;
    }
    return status;
}

static enum mly_status move_weights(const struct mly_onnx_layout *layout, const char *path,
                                    struct mly_error *err)
{
    struct mly_file_map weights = {0};
    mly_file_writer *writer = NULL;
    enum mly_status status = mly_file_map_open(path, &weights, err);
    if (status != MLY_OK)
        return status;
    status = mly_file_writer_create(path, &writer, err);
    if (status == MLY_OK) {
        status = copy_moved(layout, &weights, writer, err);
        if (status == MLY_OK)
            status = mly_file_writer_commit(writer, err);
        else
            mly_file_writer_abort(writer);
    }
    mly_file_map_close(&weights);
    return status;
}

enum mly_status mly__prepared_align(const char *temporary, struct mly_error *err)
{
    struct mly_onnx_layout layout = {0};
    struct mly_file_map model = {0};
    char *model_path = mly_strfmt("%s/" MLY__PREPARED_MODEL, temporary);
    char *weights_path = mly_strfmt("%s/" MLY__PREPARED_WEIGHTS, temporary);
    enum mly_status status = model_path && weights_path
                                 ? mly_file_map_open(model_path, &model, err)
                                 : mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    if (status == MLY_OK)
        status = mly_onnx_layout_align(model.data, model.length, ALIGNMENT, &layout, err);
    if (status == MLY_OK && !layout.is_aligned) {
        status = move_weights(&layout, weights_path, err);
        if (status == MLY_OK)
            status = mly_file_write(model_path, layout.onnx, layout.onnx_bytes, err);
    }
    mly_onnx_layout_fini(&layout);
    mly_file_map_close(&model);
    mly_free(model_path);
    mly_free(weights_path);
    return status;
}

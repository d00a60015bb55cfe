/* ONNX Runtime's API as this layer uses it; for src/backend only. */
#ifndef MLY_BACKEND_ORT_API_H
#define MLY_BACKEND_ORT_API_H

#include <stdbool.h>

#include <motley/status.h>

#include <onnxruntime_c_api.h>

/* Made once, never released: values and sessions of any thread may outlive everything else. */
struct mly__ort {
    const OrtApi *api;
    OrtEnv *env;
    OrtAllocator *allocator; /* for names and lists that the runtime gives */
    OrtMemoryInfo *cpu;
    const char *version;
    /* TensorTypeAndShape_HasShape, since API 24; NULL in an older library. */
    bool (*has_shape)(const OrtTensorTypeAndShapeInfo *info);
};

/* Starts the runtime on the first call. MLY_E_ABSENT with the reason. Thread-safe. */
enum mly_status mly__ort_get(const struct mly__ort **out, struct mly_error *err) MLY_MUST_CHECK;

/*
 * The one place where the runtime's errors become ours: MLY_OK for NULL; else status is released and its message, on one line, is in
 * *err behind "ONNX Runtime: ".
 */
enum mly_status mly__ort_check(const struct mly__ort *ort, OrtStatus *status,
                               struct mly_error *err) MLY_MUST_CHECK;
/* For calls whose failure changes nothing. */
void mly__ort_ignore(const struct mly__ort *ort, OrtStatus *status);

/* NULL is fine in all of these, which the runtime's own do not promise. */
void mly__ort_free(const struct mly__ort *ort, void *p);

#endif

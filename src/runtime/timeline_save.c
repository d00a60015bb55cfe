/* Saving a timeline: the form by the file's extension, the text through a buffer to the file. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "timeline_private.h"

enum { FLUSH_BYTES = 65536, LINE_BYTES = 1024 };

static void flush(struct timeline_sink *sink)
{
    if (sink->status == MLY_OK && sink->buffer.length > 0)
        sink->status =
            mly_file_writer_write(sink->file, sink->buffer.data, sink->buffer.length, sink->err);
    sink->buffer.length = 0;
}

void mly__sink_printf(struct timeline_sink *sink, const char *format, ...)
{
    if (sink->status != MLY_OK)
        return;
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const char *text = line;
    char *longer = NULL;
    if (length >= LINE_BYTES) {
        text = longer = mly_alloc((size_t)length + 1);
        if (longer) {
            va_start(arguments, format);
            vsnprintf(longer, (size_t)length + 1, format, arguments);
            va_end(arguments);
        }
    }
    sink->status = text ? mly_buffer_append(&sink->buffer, text, (size_t)length) : MLY_E_NO_MEMORY;
    mly_free(longer);
    if (sink->status != MLY_OK)
        mly_error_set(sink->err, sink->status, "no memory to write a timeline");
    else if (sink->buffer.length >= FLUSH_BYTES)
        flush(sink);
}

typedef void (*write_fn)(const struct timeline_view *view, struct timeline_sink *sink);

static write_fn form_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    if (dot && strcmp(dot, ".json") == 0)
        return mly__timeline_write_trace;
    if (dot && strcmp(dot, ".svg") == 0)
        return mly__timeline_write_svg;
    return NULL;
}

enum mly_status mly__timeline_check_path(const char *path, struct mly_error *err)
{
    if (form_of(path))
        return MLY_OK;
    return mly_error_set(err, MLY_E_INVALID,
                         "'%s': a timeline is written as .json (Chrome trace) or .svg (picture)",
                         path);
}

enum mly_status mly_timeline_save(mly_timeline *timeline, const char *path, struct mly_error *err)
{
    struct timeline_view view;
    enum mly_status status = mly__timeline_check_path(path, err);
    if (status == MLY_OK)
        status = mly__timeline_view_init(timeline, &view, err);
    if (status != MLY_OK)
        return status;
    struct timeline_sink sink = {.err = err};
    status = mly_file_writer_create(path, &sink.file, err);
    if (status == MLY_OK) {
        form_of(path)(&view, &sink);
        flush(&sink);
        status = sink.status;
        if (status == MLY_OK)
            status = mly_file_writer_commit(sink.file, err);
        else
            mly_file_writer_abort(sink.file);
    }
    mly_buffer_fini(&sink.buffer);
    mly__timeline_view_fini(&view);
    return status;
}

/* The one place that starts ONNX Runtime, and the one where its errors become ours. */
#include "ort_api.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* The table of functions only grows at its end. These are newer than the header that we build with
 * (API 21), and found by their place in the table of the version that brought them. */
#define API_HAS_SHAPE 24
#define API_HAS_SHAPE_BYTE 3120

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER; /* protects started and runtime */
static bool started;
static struct mly__ort runtime;

/* Any thread. What the runtime warns of concerns its developers; its errors come back as statuses
 * too. */
static void ORT_API_CALL log_message(void *user, OrtLoggingLevel severity, const char *category,
                                     const char *id, const char *location, const char *message)
{
    (void)user;
    (void)category;
    (void)id;
    mly_log(severity >= ORT_LOGGING_LEVEL_ERROR ? MLY_LOG_INFO : MLY_LOG_DEBUG,
            "ONNX Runtime: %s (%s)", message, location);
}

static enum mly_status start(struct mly__ort *ort, struct mly_error *err)
{
    /* Before the first call: the runtime reports home by default. */
    if (setenv("ORT_DISABLE_TELEMETRY", "1", 1) != 0)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory to set ORT_DISABLE_TELEMETRY");
    const OrtApiBase *base = OrtGetApiBase();
    ort->version = base->GetVersionString();
    ort->api = base->GetApi(ORT_API_VERSION);
    if (!ort->api)
        return mly_error_set(
            err, MLY_E_ABSENT,
            "ONNX Runtime %s is too old: API version %d is needed; run tools/setup", ort->version,
            ORT_API_VERSION);
    const char *newer = (const char *)base->GetApi(API_HAS_SHAPE);
    if (newer)
        memcpy(&ort->has_shape, newer + API_HAS_SHAPE_BYTE, sizeof ort->has_shape);
    enum mly_status status =
        mly__ort_check(ort,
                       ort->api->CreateEnvWithCustomLogger(
                           log_message, NULL, ORT_LOGGING_LEVEL_WARNING, "motley", &ort->env),
                       err);
    if (status == MLY_OK)
        status =
            mly__ort_check(ort, ort->api->GetAllocatorWithDefaultOptions(&ort->allocator), err);
    if (status == MLY_OK)
        status = mly__ort_check(
            ort, ort->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &ort->cpu),
            err);
    if (status != MLY_OK && ort->env)
        ort->api->ReleaseEnv(ort->env);
    return status;
}

enum mly_status mly__ort_get(const struct mly__ort **out, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    pthread_mutex_lock(&start_lock);
    if (!started) {
        struct mly__ort fresh = {0};
        status = start(&fresh, err);
        if (status == MLY_OK) {
            runtime = fresh;
            started = true;
        }
    }
    pthread_mutex_unlock(&start_lock);
    if (status == MLY_OK)
        *out = &runtime;
    return status;
}

/* What the runtime's codes leave open is told by words of its messages. */
static const struct {
    const char *words;
    enum mly_status status;
} by_words[] = {
    {"is not a registered function/op", MLY_E_UNSUPPORTED},
    {"No Op registered for", MLY_E_UNSUPPORTED},
    {"No opset import for domain", MLY_E_UNSUPPORTED},
    {"is under development and support for this is limited", MLY_E_UNSUPPORTED},
    {"Unsupported model IR version", MLY_E_UNSUPPORTED},
    {"bad_alloc", MLY_E_NO_MEMORY},
    {"Failed to allocate memory", MLY_E_NO_MEMORY},
    {"pthread_create failed", MLY_E_NO_MEMORY},
    {"No space left on device", MLY_E_NO_SPACE},
    {"OrtValue shape verification failed", MLY_E_MISMATCH},
};

static enum mly_status classify(OrtErrorCode code, const char *message)
{
    for (size_t i = 0; i < sizeof by_words / sizeof *by_words; i++)
        if (strstr(message, by_words[i].words))
            return by_words[i].status;
    return code == ORT_NOT_IMPLEMENTED ? MLY_E_UNSUPPORTED : MLY_E_BACKEND;
}

/* What the user may look at, where the runtime only says that it got no memory. */
static const char *advice(const char *message)
{
    return classify(ORT_FAIL, message) == MLY_E_NO_MEMORY
               ? " (no memory: is it limited, by ulimit -v or a control group?)"
               : "";
}

/* "/onnxruntime_src/…/graph.cc:46 void f(const T &) " says nothing to a user: the message without it. */
static void cut_location(char *message)
{
    char *at = strstr(message, "/onnxruntime_src/");
    char *open = at ? strchr(at, '(') : NULL;
    const char *colon = at ? strchr(at, ':') : NULL;
    if (!open || !colon || colon > open || !isdigit((unsigned char)colon[1]))
        return;
    int depth = 0;
    for (char *end = open; *end; end++) {
        depth += (*end == '(') - (*end == ')');
        if (depth == 0 && end[1] == ' ' && strncmp(end + 2, "const", 5) != 0 && end[2] != '[') {
            memmove(at, end + 2, strlen(end + 2) + 1);
            return;
        }
    }
}

/* All on one line. */
static void squeeze_spaces(char *message)
{
    size_t kept = 0;
    for (const char *at = message; *at; at++) {
        const bool space = isspace((unsigned char)*at);
        if (!space || (kept > 0 && message[kept - 1] != ' '))
            message[kept++] = space ? ' ' : *at;
    }
    while (kept > 0 && message[kept - 1] == ' ')
        kept--;
    message[kept] = '\0';
}

enum mly_status mly__ort_check(const struct mly__ort *ort, OrtStatus *status, struct mly_error *err)
{
    if (!status)
        return MLY_OK;
    const char *message = ort->api->GetErrorMessage(status);
    enum mly_status result = mly_error_set(err, classify(ort->api->GetErrorCode(status), message),
                                           "ONNX Runtime: %s%s", message, advice(message));
    ort->api->ReleaseStatus(status);
    if (err) {
        squeeze_spaces(err->message);
        cut_location(err->message);
    }
    return result;
}

void mly__ort_ignore(const struct mly__ort *ort, OrtStatus *status)
{
    if (status)
        ort->api->ReleaseStatus(status);
}

void mly__ort_free(const struct mly__ort *ort, void *p)
{
    if (p)
        mly__ort_ignore(ort, ort->api->AllocatorFree(ort->allocator, p));
}

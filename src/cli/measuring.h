/* What the commands that measure share: sizes of dimensions, progress and remarks. */
#ifndef MLY_CLI_MEASURING_H
#define MLY_CLI_MEASURING_H

#include "internal.h"

/* The row of --dim, for the option's place in the command's values. */
#define CLI_OPTION_DIM(offset)                                                                     \
    {"dim",                                                                                        \
     0,                                                                                            \
     CLI_REPEAT,                                                                                   \
     "NAME=N",                                                                                     \
     "Size of a free dimension other than the batch (default 1), such as width=640; one without "  \
     "a name is called by its input and place: state[1]. May be repeated.",                        \
     NULL,                                                                                         \
     offset,                                                                                       \
     0,                                                                                            \
     0}

/* --dim texts as bindings. Zeroed is empty. */
struct cli_dims {
    struct mly_dim_binding items[CLI_REPEAT_MAX];
    char *names[CLI_REPEAT_MAX];
    size_t count;
};
/* MLY_E_INVALID names the text. Free with cli_dims_fini, after a failure too. */
enum mly_status cli_dims_parse(const struct cli_texts *texts, struct cli_dims *out,
                               struct mly_error *err) MLY_MUST_CHECK;
void cli_dims_fini(struct cli_dims *dims);

/* Progress, and remarks that do not get into its line. The `user` of the callbacks. */
struct cli_measuring {
    const struct cli_common *common;
    struct cli_progress progress;
};
void cli_measuring_begin(struct cli_measuring *measuring, const struct cli_common *common);
/* True until the user interrupts. */
bool cli_measuring_progress(double fraction, const char *text, void *user);
void cli_measuring_remark(const char *text, void *user);
void cli_measuring_end(struct cli_measuring *measuring);

#endif

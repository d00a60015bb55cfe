/* The picture of a graph, for motley inspect --dot. */
#ifndef MLY_CLI_INSPECT_DOT_H
#define MLY_CLI_INSPECT_DOT_H

#include "base/buffer.h"
#include "model/graph.h"

/* Appends a digraph in Graphviz's language. shapes as mly_graph_bind fills them. */
enum mly_status cli_dot_format(const struct mly_graph *graph, const struct mly_shape *shapes,
                               struct mly_buffer *out, struct mly_error *err) MLY_MUST_CHECK;

#endif

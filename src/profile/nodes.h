/* Times of single nodes. */
#ifndef MLY_PROFILE_NODES_H
#define MLY_PROFILE_NODES_H

#include "profiler.h"

/* Can the back end tell the times of nodes, and does the table lack some (or `again`)? */
bool profile_nodes_missing(const struct profiler *p);
/*
 * Runs the whole model on one thread, with the least batch size, with the runtime's own profiling
 * and puts a NODE entry per node of the model into the table. Nodes that the runtime worked out
 * beforehand take no time and have no samples.
 */
enum mly_status profile_nodes(struct profiler *p, struct mly_error *err) MLY_MUST_CHECK;

#endif

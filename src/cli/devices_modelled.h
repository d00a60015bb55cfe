/* motley devices --modelled: what device files say of processors that are not here. */
#ifndef MLY_CLI_DEVICES_MODELLED_H
#define MLY_CLI_DEVICES_MODELLED_H

#include "internal.h"

/* All devices, or one (name, NULL for all) with every constant and its source. Returns the exit
 * status. */
int cli_devices_modelled(const struct cli_common *common, const char *name);

#endif

/* motley devices --modelled: what device files say of processors that are not here. */
#ifndef MLY_CLI_DEVICES_MODELLED_H
#define MLY_CLI_DEVICES_MODELLED_H

#include "internal.h"

struct mly_device_model;

/* All devices, or one (name, NULL for all) with every constant and its source. Returns the exit
 * status. */
int cli_devices_modelled(const struct cli_common *common, const char *name);
/* What the model of a file would take on the device `name`. Returns the exit status. */
int cli_devices_cost(const struct cli_common *common, const char *name, const char *path,
                     uint32_t batch);

/*
 * The device of that name, once all files are read; files that are wrong are remarked. *out is the library's; NULL for name
 * NULL. MLY_E_NOT_FOUND.
 */
enum mly_status cli_device_modelled(const struct cli_common *common, const char *name,
                                    const struct mly_device_model **out,
                                    struct mly_error *err) MLY_MUST_CHECK;

#endif

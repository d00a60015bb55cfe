/* The library's version. */
#include <motley/version.h>

const char *mly_version(void)
{
    return MLY_VERSION;
}

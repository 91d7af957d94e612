/* When the program was built: told by make, so that the same sources give the same program. */
#include "base/version.h"

int64_t version_built_s(void)
{
    return SPX_BUILT;
}

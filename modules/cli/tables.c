/* The functions of an applet's table of options: what several share. */
#include "cli/tables.h"

bool cli_take_once(const char **kept, const char *value, const char *option, struct error *e)
{
    if (*kept)
        return error_set(e, FAILURE_USAGE, "%s is given twice", option);
    *kept = value;
    return true;
}

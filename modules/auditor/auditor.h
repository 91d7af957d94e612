/* The applet audit: what audit files hold, and how they stand to each other. */
#ifndef SPX_AUDITOR_AUDITOR_H
#define SPX_AUDITOR_AUDITOR_H

#include "base/error.h"

/* The applet `spx audit`; returns how it ended, having told why. */
enum failure audit_main(int argc, char **argv);

#endif

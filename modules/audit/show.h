/* An audit's part of --check. */
#ifndef SPX_AUDIT_SHOW_H
#define SPX_AUDIT_SHOW_H

/* Prints the fingerprints of the audit key and of those of others that were seen, to compare; says
 * in the log what cannot be read. path: of the audit, NULL is harmless. */
void audit_show(const char *path);

#endif

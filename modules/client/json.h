/* Values in the objects that the client prints. */
#ifndef SPX_CLIENT_JSON_H
#define SPX_CLIENT_JSON_H

#include <stddef.h>

/* Prints a clean text (text_clean) as a string. */
void json_text(const char *text, size_t len);

#endif

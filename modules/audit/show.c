/* One line for each key, in words that can be read out by telephone. */
#include "audit/show.h"

#include <stdio.h>

#include "audit/heads.h"
#include "base/files.h"
#include "base/log.h"

static void show_peer(const char *role, const char *signer, const char key[FINGERPRINT_TEXT_BYTES])
{
    printf("audit key of %s %s: %s\n", role, signer, key);
}

void audit_show(const char *path)
{
    char own[FINGERPRINT_TEXT_BYTES];
    struct error e = {0};
    if (!path)
        return;
    if (file_lacks_directory(path))
        log_warning("Audit: %s: its directory does not exist, and must at the start", path);
    if (audit_heads_own(path, own, &e))
        printf("audit key %s\n", own[0] ? own : "not made yet: it is at the first start");
    if (!e.failure)
        audit_heads_each(path, show_peer, &e);
    if (e.failure)
        log_warning("%s", e.text);
}

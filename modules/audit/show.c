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
    int fault;
    if (!path)
        return;
    if ((fault = file_directory_fault(path)))
        log_warning("Audit: %s: cannot be made in its directory: %s", path, system_text(fault));
    if (audit_heads_own(path, own, &e))
        printf("audit key %s\n", own[0] ? own : "not made yet: it is at the first start");
    if (!e.failure)
        audit_heads_each(path, show_peer, &e);
    if (e.failure)
        log_warning("%s", e.text);
}

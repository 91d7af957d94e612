/* Datagrams on the agent's socket for calls for help, which any program of its user may send. */
#include <string.h>

#include "agent/call_socket.h"
#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        __builtin_trap();
}

/* A text of a call has nothing that would move a terminal's cursor. */
static void read_call(struct view datagram)
{
    struct call_request call;
    if (!call_request_read(&call, datagram)) {
        require(datagram.len == 0 || datagram.data[0] == 0); /* the end of none */
        return;
    }
    require(call.severity == datagram.data[0]);
    require(call.severity > 0 || call.number > 0 || call.text[0] == '\0');
    require(call.severity == 0 || call.number == 0);
    require(strlen(call.text) <= TEXT_MAX_BYTES);
    for (const char *c = call.text; *c; c++)
        require((unsigned char)*c >= ' ' && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_call(view_of(data, size));
    return 0;
}

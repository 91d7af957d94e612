/* Addresses and their text. Opens no socket. */
#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/bytes.h"
#include "base/text.h"

/* The bytes of an IP address: 4 for IPv4, also when mapped into IPv6, else 16. */
struct ip {
    size_t len; /* 0: not an IP address */
    uint8_t bytes[16];
    bool mapped;
};

static struct ip ip_of(const struct address *a)
{
    struct ip ip = {0};
    if (a->storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &a->storage, sizeof in);
        memcpy(ip.bytes, &in.sin_addr, 4);
        ip.len = 4;
    } else if (a->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &a->storage, sizeof in6);
        ip.mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        ip.len = ip.mapped ? 4 : 16;
        memcpy(ip.bytes, in6.sin6_addr.s6_addr + (ip.mapped ? 12 : 0), ip.len);
    }
    return ip;
}

/* A link-local IPv6 address needs its interface: "%eth0", or "" when there is none. */
static void scope_to_text(char out[IF_NAMESIZE + 1], const struct address *a)
{
    struct sockaddr_in6 in6;
    out[0] = '\0';
    memcpy(&in6, &a->storage, sizeof in6);
    if (in6.sin6_scope_id == 0)
        return;
    out[0] = '%';
    if (!if_indextoname(in6.sin6_scope_id, out + 1))
        snprintf(out + 1, IF_NAMESIZE, "%u", (unsigned)in6.sin6_scope_id);
}

static void unix_to_text(char out[ADDRESS_TEXT_BYTES], const struct address *a)
{
    struct sockaddr_un un = {0};
    size_t header = offsetof(struct sockaddr_un, sun_path);
    size_t len = a->len > header ? a->len - header : 0;
    if (len > sizeof un.sun_path)
        len = sizeof un.sun_path;
    memcpy(&un, &a->storage, header + len);
    bool abstract = len > 1 && un.sun_path[0] == '\0';
    const char *path = un.sun_path + (abstract ? 1 : 0);
    int prefix = snprintf(out, ADDRESS_TEXT_BYTES, "unix:%s", abstract ? "@" : "");
    len = abstract ? len - 1 : strnlen(path, len);
    text_clean(out + prefix, ADDRESS_TEXT_BYTES - (size_t)prefix, view_of(path, len));
}

void address_to_text(char out[ADDRESS_TEXT_BYTES], const struct address *a)
{
    struct ip ip = ip_of(a);
    char host[INET6_ADDRSTRLEN] = "", scope[IF_NAMESIZE + 1];
    if (a->storage.ss_family == AF_UNIX) {
        unix_to_text(out, a);
    } else if (ip.len == 4) {
        inet_ntop(AF_INET, ip.bytes, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_BYTES, "%s:%u", host, (unsigned)address_port(a));
    } else if (ip.len == 16) {
        inet_ntop(AF_INET6, ip.bytes, host, sizeof host);
        scope_to_text(scope, a);
        snprintf(out, ADDRESS_TEXT_BYTES, "[%s%s]:%u", host, scope, (unsigned)address_port(a));
    } else {
        snprintf(out, ADDRESS_TEXT_BYTES, "unknown");
    }
}

/* The index of "eth0" or "2"; 0: there is no such interface. */
static uint32_t scope_from_text(const char *text)
{
    uint64_t index;
    if (*text < '0' || *text > '9')
        return if_nametoindex(text);
    return text_number(&index, view_of_string(text), 1, UINT32_MAX) ? (uint32_t)index : 0;
}

static bool ipv6_from_literal(struct address *a, const char *host, uint16_t port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const char *percent = strchr(host, '%');
    size_t len = percent ? (size_t)(percent - host) : strlen(host);
    char text[INET6_ADDRSTRLEN];
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
        return false;
    if (percent) {
        in6.sin6_scope_id = scope_from_text(percent + 1);
        if (in6.sin6_scope_id == 0)
            return false;
    }
    memset(a, 0, sizeof *a);
    memcpy(&a->storage, &in6, sizeof in6);
    a->len = sizeof in6;
    return true;
}

bool address_from_literal(struct address *a, const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return ipv6_from_literal(a, host, port);
    memset(a, 0, sizeof *a);
    memcpy(&a->storage, &in, sizeof in);
    a->len = sizeof in;
    return true;
}

bool address_from_path(struct address *a, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof un.sun_path)
        return false;
    memcpy(un.sun_path, path, len);
    memset(a, 0, sizeof *a);
    memcpy(&a->storage, &un, sizeof un);
    a->len = sizeof un;
    return true;
}

/* Offset of the port in storage, in network order; 0: this family has none. */
static size_t port_offset(const struct address *a)
{
    if (a->storage.ss_family == AF_INET)
        return offsetof(struct sockaddr_in, sin_port);
    if (a->storage.ss_family == AF_INET6)
        return offsetof(struct sockaddr_in6, sin6_port);
    return 0;
}

uint16_t address_port(const struct address *a)
{
    uint8_t port[2];
    size_t offset = port_offset(a);
    if (offset == 0)
        return 0;
    memcpy(port, (const uint8_t *)&a->storage + offset, sizeof port);
    return load_be16(port);
}

void address_set_port(struct address *a, uint16_t port)
{
    size_t offset = port_offset(a);
    if (offset != 0)
        store_be16((uint8_t *)&a->storage + offset, port);
}

void address_unmap(struct address *a)
{
    struct ip ip = ip_of(a);
    struct sockaddr_in in = {.sin_family = AF_INET};
    if (!ip.mapped)
        return;
    in.sin_port = htons(address_port(a));
    memcpy(&in.sin_addr, ip.bytes, sizeof in.sin_addr);
    memset(a, 0, sizeof *a);
    memcpy(&a->storage, &in, sizeof in);
    a->len = sizeof in;
}

bool address_of_socket(struct address *a, int fd, bool remote)
{
    struct sockaddr *storage = (struct sockaddr *)&a->storage;
    memset(a, 0, sizeof *a);
    a->len = sizeof a->storage;
    return (remote ? getpeername(fd, storage, &a->len) : getsockname(fd, storage, &a->len)) == 0;
}

void address_source(uint8_t out[9], const struct address *a)
{
    struct ip ip = ip_of(a);
    memset(out, 0, 9);
    out[0] = (uint8_t)ip.len;
    memcpy(out + 1, ip.bytes, ip.len < 8 ? ip.len : 8);
}

/* The interface of an IPv6 address; 0: none is said. */
static uint32_t scope_of(const struct address *a)
{
    struct sockaddr_in6 in6;
    if (a->storage.ss_family != AF_INET6)
        return 0;
    memcpy(&in6, &a->storage, sizeof in6);
    return in6.sin6_scope_id;
}

bool address_lacks_interface(const struct address *a)
{
    struct sockaddr_in6 in6;
    if (a->storage.ss_family != AF_INET6)
        return false;
    memcpy(&in6, &a->storage, sizeof in6);
    return in6.sin6_scope_id == 0 &&
           (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&in6.sin6_addr));
}

bool address_in_prefix(const struct address *a, const struct address *prefix, unsigned bits)
{
    if (scope_of(prefix) != 0 && scope_of(prefix) != scope_of(a))
        return false;

    struct ip ip = ip_of(a), network = ip_of(prefix);
    unsigned skipped = network.mapped ? 96 : 0; /* of a mapped prefix its last 32 bits count */

    if (ip.len == 0 || ip.len != network.len || bits < skipped || bits - skipped > 8 * ip.len)
        return false;
    bits -= skipped;
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(ip.bytes, network.bytes, whole) != 0)
        return false;
    return rest == 0 || (ip.bytes[whole] ^ network.bytes[whole]) >> (8 - rest) == 0;
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    struct ip ip = ip_of(a);
    return (ip.len == 4 && ip.bytes[0] == 127) ||
           (ip.len == 16 && memcmp(ip.bytes, loopback6, sizeof loopback6) == 0);
}

bool address_is_unix(const struct address *a)
{
    return a->storage.ss_family == AF_UNIX;
}

bool address_is_any(const struct address *a)
{
    struct ip ip = ip_of(a);
    return ip.len > 0 && bytes_are_zero(ip.bytes, ip.len);
}

bool address_same_host(const struct address *a, const struct address *b)
{
    struct ip x = ip_of(a), y = ip_of(b);
    return x.len > 0 && x.len == y.len && memcmp(x.bytes, y.bytes, x.len) == 0;
}

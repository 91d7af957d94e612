/* Socket addresses: text forms, comparison, sources. */
#ifndef SPX_NET_ADDRESS_H
#define SPX_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

#define ADDRESS_TEXT_BYTES 128

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* "192.0.2.1:22", "[2001:db8::1]:22", "unix:/path"; an IPv4-mapped IPv6 address is shown as IPv4.
 */
void address_to_text(char out[ADDRESS_TEXT_BYTES], const struct address *a);

/* A literal IPv4 or IPv6 address and a port; false: not a literal. */
bool address_from_literal(struct address *a, const char *host, uint16_t port);

/* The address of a UNIX socket by its path; false: empty or too long for one. */
bool address_from_path(struct address *a, const char *path);

/* The port of an IP address; 0 for others, whose port cannot be set. */
uint16_t address_port(const struct address *a);
void address_set_port(struct address *a, uint16_t port);

/* Makes an IPv4-mapped IPv6 address the IPv4 address that it stands for. */
void address_unmap(struct address *a);

/* The local (own) or remote address of a socket; false with errno. */
bool address_of_socket(struct address *a, int fd, bool remote);

/* The source a limit counts by: IPv4 address (also mapped) or IPv6 /64, in 9 bytes (family tag and
 * 8). */
void address_source(uint8_t out[9], const struct address *a);

/* True if the address lies in prefix/bits: of the same family, where mapped IPv4 counts as IPv4,
 * and on the same interface if the prefix has one (fe80::%eth0). */
bool address_in_prefix(const struct address *a, const struct address *prefix, unsigned bits);

/* True for 0.0.0.0 and [::], also mapped. */
bool address_is_any(const struct address *a);

/* True if the IP addresses are the same, whatever the ports (mapped IPv4 is IPv4). */
bool address_same_host(const struct address *a, const struct address *b);

/* True for an IPv6 address that means nothing without an interface, and has none: fe80::1, ff02::1.
 */
bool address_lacks_interface(const struct address *a);

/* True for 127.0.0.0/8 and ::1, also mapped. */
bool address_is_loopback(const struct address *a);

/* True for a UNIX socket's address. */
bool address_is_unix(const struct address *a);

#endif

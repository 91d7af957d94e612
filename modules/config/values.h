/* Values shared by configuration files and command lines: names, hosts with ports, targets,
 * forwards. */
#ifndef SPX_CONFIG_VALUES_H
#define SPX_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/address.h"
#include "wire/limits.h"

#define HOST_TEXT_BYTES \
    256 /* a name of at most 253 characters, a literal address, or "unix:/path" */

#define HOST_NAME_MAX_BYTES 253

/* Every parser returns false after error_set(e, FAILURE_USAGE, …) with a text that quotes the value
 * and says what is expected, without file or line (the caller puts them in front, and chooses the
 * code). */

/* A host to connect to and its port: "host:port", "192.0.2.1:22", "[::1]:22". A dot at the end of a
 * host, here and below, is left out. */
struct host_port {
    char host[HOST_TEXT_BYTES];
    uint16_t port;
};

/* default_port 0: the port must be given. */
bool value_host_port(struct host_port *out, const char *text, uint16_t default_port,
                     struct error *e);

/* An address to listen on: "port", "addr:port", "[::]:port", "*:port" (all addresses); literal
 * addresses and "localhost" only; default_host for a lone port (such as "127.0.0.1"). */
bool value_listen(struct address *out, const char *text, const char *default_host, struct error *e);

/* A target as the wire writes it, "tcp:host:port" ("udp:host:port", "unix:/path" too): checked, and
 * cut up. */
enum target_kind { TARGET_TCP, TARGET_UDP, TARGET_UNIX };
struct target {
    enum target_kind kind;
    struct host_port at; /* for TARGET_UNIX host is the path */
};
bool value_target(struct target *out, const char *text, struct error *e);

/* The wire form; out takes TARGET_TEXT_BYTES. */
#define TARGET_TEXT_BYTES (HOST_TEXT_BYTES + 32)
void target_to_text(char out[TARGET_TEXT_BYTES], const struct target *t);

/* A target that a policy allows: "tcp:HOST:PORTS": HOST a name, a literal address, a prefix
 * ("10.0.0.0/8",
 * "[fd00::]/8") or "*"; PORTS a number, "a-b" or "*". "unix:/path" exactly. */
struct target_pattern {
    enum target_kind kind;
    bool any_host;
    bool has_prefix; /* HOST was an address or a prefix */
    struct address prefix;
    unsigned prefix_bits;
    char name[HOST_TEXT_BYTES]; /* otherwise; with a prefix, of target_pattern_both: a name whose
                                   addresses have to be in it */
    uint16_t port_first, port_last;
    bool any_port; /* "udp:HOST:PORTS any-port": answers may come from any port of the host */
};
bool value_target_pattern(struct target_pattern *out, const char *text, struct error *e);

/* Where listening is allowed, a pattern of its kind: "ADDRESS:PORTS" (ADDRESS a literal address, a
 * prefix or "*") is of TARGET_TCP, "unix:/path" of TARGET_UNIX. */
bool value_listen_pattern(struct target_pattern *out, const char *text, struct error *e);

/* The pattern's verdict on the target before its name is looked up. A pattern of addresses may
 * allow any name; one of loopback alone only names that the machine knows by itself, and no name
 * server need be asked. */
enum permission { PERMIT_NEVER, PERMIT_KNOWN_HERE, PERMIT_PERHAPS };
enum permission target_pattern_permits(const struct target_pattern *p, const struct target *t);

/* True if the pattern allows connecting to this address for this target. */
bool target_pattern_allows(const struct target_pattern *p, const struct target *t,
                           const struct address *a);

/* True if it allows every host, or every address: more than one usually means. */
bool target_pattern_is_wide(const struct target_pattern *p);

/* As a file has it; of where listening is allowed without its kind. out takes TARGET_TEXT_BYTES. */
void target_pattern_to_text(char out[TARGET_TEXT_BYTES], const struct target_pattern *p,
                            bool listening);

/* The pattern of what both allow. False: that is nothing. */
bool target_pattern_both(struct target_pattern *out, const struct target_pattern *a,
                         const struct target_pattern *b);

/* True if two allow the same. */
bool target_pattern_same(const struct target_pattern *a, const struct target_pattern *b);

/* True if both are the same port of the same host, as it is written. */
bool host_port_same(const struct host_port *a, const struct host_port *b);

/* A forward: one -L, -D, -R or -U of the client. */
enum forward_kind { FORWARD_LOCAL, FORWARD_DYNAMIC, FORWARD_REMOTE, FORWARD_UDP };
struct forward {
    enum forward_kind kind;
    struct address listen; /* here; with FORWARD_REMOTE at the agent */
    bool both_loopbacks;   /* "localhost", here: on ::1 too, where there is one */
    struct target target; /* from the agent; with FORWARD_REMOTE from here; not for FORWARD_DYNAMIC,
                             where the application names it */
};

/* [ADDR:]PORT:HOST:PORT, IPv6 in brackets, "*" or empty ADDR for all addresses; default ADDR
 * 127.0.0.1; listening port 0: the system chooses. FORWARD_LOCAL and FORWARD_REMOTE also take
 * the absolute path of a UNIX socket in place of [ADDR:]PORT (without a colon in it), of HOST:PORT,
 * or of both; FORWARD_DYNAMIC has nothing after [ADDR:]PORT. */
bool value_forward(struct forward *out, enum forward_kind kind, const char *text, struct error *e);

/* The same with the option in front, as a configuration file has it: "-L 8080:localhost:80". */
bool value_forward_option(struct forward *out, const char *text, struct error *e);

/* A name of an agent or user: 1 to 64 of a-z 0-9 . _ -, first a letter or digit, no two dots in a
 * row (PROTOCOL.md section 6). */
bool value_name(char out[NAME_TEXT_BYTES], const char *text, struct error *e);

/* A pattern over names: the same characters and '*' and '?'. */
bool value_name_pattern(char out[NAME_TEXT_BYTES], const char *text, struct error *e);

/* Calls each for every item of "a, b , c" (white space stripped); an empty item is an error. */
bool value_list(const char *text, bool (*each)(void *arg, const char *item, struct error *e),
                void *arg, struct error *e);

/* The numbers that a value may have. */
enum number_unit { PLAIN_NUMBER, SECONDS };
struct number_range {
    uint32_t low, high;
    enum number_unit unit;
};

/* A decimal number in the range. One of SECONDS may have a unit after it, "90 s", "10min", "2 h",
 * "1 d", and is given in seconds; without a unit it is seconds. */
bool value_number(uint32_t *out, const char *text, const struct number_range *range,
                  struct error *e);

#endif

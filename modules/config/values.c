/* Parsers of values, and comparison and text of what they make. None reads a file or asks the
 * network. */
#include "config/values.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/text.h"
#include "config/lines.h"

#define HOST_LABEL_MAX_BYTES 63
#define ANY_ADDRESS "::"
#define LOOPBACK "127.0.0.1"
#define ANY_PORT "any-port"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_host_character(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

static bool parse_number(uint64_t *out, const char *text, uint64_t low, uint64_t high)
{
    return text_number(out, view_of_string(text), low, high);
}

/* Cuts a unit of time off the end of text. 1 without one, which is seconds. */
static uint32_t cut_unit(char *text)
{
    static const struct {
        const char *unit;
        uint32_t seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    char *end = text + strspn(text, "0123456789");
    const char *unit = strip_space(end);

    for (size_t i = 0; end > text && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            *end = '\0';
            return units[i].seconds;
        }
    }
    return 1;
}

static bool parse_in_range(uint32_t *out, const char *text, const struct number_range *range)
{
    char number[32];
    uint32_t unit = 1;
    uint64_t v;
    if ((size_t)snprintf(number, sizeof number, "%s", text) >= sizeof number)
        return false;
    if (range->unit == SECONDS)
        unit = cut_unit(number);
    if (!parse_number(&v, number, 0, UINT32_MAX) || v * unit < range->low || v * unit > range->high)
        return false;
    *out = (uint32_t)(v * unit);
    return true;
}

bool value_number(uint32_t *out, const char *text, const struct number_range *range,
                  struct error *e)
{
    if (parse_in_range(out, text, range))
        return true;
    return error_set(e, FAILURE_USAGE, "'%s' is not a number %sfrom %u to %u%s", text,
                     range->unit == SECONDS ? "of seconds " : "", (unsigned)range->low,
                     (unsigned)range->high,
                     range->unit == SECONDS ? "; s, min, h or d may follow it" : "");
}

static bool parse_port(uint16_t *out, const char *text, uint16_t low)
{
    uint64_t v;
    if (!parse_number(&v, text, low, UINT16_MAX))
        return false;
    *out = (uint16_t)v;
    return true;
}

/* Hosts. */

/* True if a label is a number to old resolvers ("10", "0x7f"): a name that ends so would
 * be an address in disguise. */
static bool is_numeric_label(const char *label)
{
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return strspn(label + 2, "0123456789abcdefABCDEF") == strlen(label + 2);
    return strspn(label, "0123456789") == strlen(label);
}

/* Letters, digits, '-' and '_' in labels of 1 to 63 characters; no dot at the end. */
static bool is_host_name(const char *host)
{
    const char *label = host;
    if (strlen(host) > HOST_NAME_MAX_BYTES || *host == '-')
        return false;
    for (;;) {
        size_t len = 0;
        while (is_host_character(label[len]))
            len++;
        if (len == 0 || len > HOST_LABEL_MAX_BYTES)
            return false;
        if (label[len] == '\0')
            return !is_numeric_label(label);
        if (label[len] != '.')
            return false;
        label += len + 1;
    }
}

static bool is_interface_name(const char *name)
{
    size_t len = 0;
    while (is_host_character(name[len]) || name[len] == '.')
        len++;
    return len > 0 && len < IF_NAMESIZE && name[len] == '\0';
}

/* A literal IPv6 address; the interface of "fe80::1%eth0" need not be one of this machine. */
static bool is_ipv6_literal(const char *host)
{
    char text[HOST_TEXT_BYTES];
    struct address a;
    char *percent;
    snprintf(text, sizeof text, "%s", host);
    percent = strchr(text, '%');
    if (percent) {
        *percent++ = '\0';
        if (!is_interface_name(percent))
            return false;
    }
    return strchr(text, ':') && address_from_literal(&a, text, 0);
}

static bool is_host(const char *host, bool bracketed)
{
    struct address a;
    if (bracketed)
        return is_ipv6_literal(host);
    return is_host_name(host) || (!strchr(host, ':') && address_from_literal(&a, host, 0));
}

/* "host", "[host]" at the start of a text, up to ':', '/' or the end. A dot at the end of a name
 * says that it is absolute, as every name here, and is left out. */
struct cut_host {
    char host[HOST_TEXT_BYTES];
    bool bracketed;
    const char *rest;
};

static bool cut_host(struct cut_host *out, const char *text)
{
    out->bracketed = *text == '[';
    if (out->bracketed)
        text++;
    size_t len = strcspn(text, out->bracketed ? "]" : ":/");
    if (len >= sizeof out->host || (out->bracketed && text[len] != ']'))
        return false;
    out->rest = text + len + (out->bracketed ? 1 : 0);
    if (len > 1 && text[len - 1] == '.' && is_host_character(text[len - 2]))
        len--;
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    return true;
}

/* Without the texts of errors: host and port, or false. */
static bool parse_host_port(struct host_port *out, const char *text, uint16_t default_port)
{
    struct cut_host cut;
    if (!cut_host(&cut, text) || !is_host(cut.host, cut.bracketed))
        return false;
    snprintf(out->host, sizeof out->host, "%s", cut.host);
    out->port = default_port;
    if (*cut.rest == '\0')
        return default_port != 0;
    return *cut.rest == ':' && parse_port(&out->port, cut.rest + 1, 1);
}

bool value_host_port(struct host_port *out, const char *text, uint16_t default_port,
                     struct error *e)
{
    if (parse_host_port(out, text, default_port))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "'%s' is not %s (a name or an address, IPv6 in brackets: [2001:db8::1]:22; "
                     "the port from 1 to 65535)",
                     text, default_port ? "HOST or HOST:PORT" : "HOST:PORT");
}

/* Listening. */

static bool listen_address(struct address *out, const char *host, bool bracketed, uint16_t port)
{
    if (bracketed)
        return strchr(host, ':') && address_from_literal(out, host, port);
    if (*host == '\0' || strcmp(host, "*") == 0)
        host = ANY_ADDRESS;
    else if (strcasecmp(host, "localhost") == 0)
        host = LOOPBACK;
    return address_from_literal(out, host, port);
}

bool value_listen(struct address *out, const char *text, const char *default_host, struct error *e)
{
    struct cut_host cut;
    uint16_t port;
    if (parse_port(&port, text, 0) && address_from_literal(out, default_host, port))
        return true;
    if (cut_host(&cut, text) && *cut.rest == ':' && parse_port(&port, cut.rest + 1, 0) &&
        listen_address(out, cut.host, cut.bracketed, port))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "'%s' is not an address to listen on: PORT, ADDRESS:PORT, [IPV6]:PORT or "
                     "*:PORT, the address in numbers or localhost",
                     text);
}

/* Targets. */

static const char *const kind_words[] = {
    [TARGET_TCP] = "tcp:",
    [TARGET_UDP] = "udp:",
    [TARGET_UNIX] = "unix:",
};

/* Takes "tcp:", "udp:" or "unix:" off the front; NULL: it is none of them. */
static const char *cut_kind(enum target_kind *kind, const char *text)
{
    for (unsigned k = TARGET_TCP; k <= TARGET_UNIX; k++) {
        size_t len = strlen(kind_words[k]);
        if (strncmp(text, kind_words[k], len) == 0) {
            *kind = (enum target_kind)k;
            return text + len;
        }
    }
    return NULL;
}

static bool parse_unix_path(char out[HOST_TEXT_BYTES], const char *path)
{
    if (*path != '/' || strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return false;
    snprintf(out, HOST_TEXT_BYTES, "%s", path);
    return true;
}

static bool parse_target(struct target *out, const char *text)
{
    const char *rest = cut_kind(&out->kind, text);
    out->at.port = 0;
    if (!rest)
        return false;
    if (out->kind == TARGET_UNIX)
        return parse_unix_path(out->at.host, rest);
    return parse_host_port(&out->at, rest, 0);
}

bool value_target(struct target *out, const char *text, struct error *e)
{
    if (parse_target(out, text))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "'%s' is not a target: tcp:HOST:PORT, udp:HOST:PORT or unix:/PATH (IPv6 in "
                     "brackets, a path under 108 bytes)",
                     text);
}

void target_to_text(char out[TARGET_TEXT_BYTES], const struct target *t)
{
    const char *host = t->at.host;
    bool brackets = strchr(host, ':') != NULL;
    if (t->kind == TARGET_UNIX)
        snprintf(out, TARGET_TEXT_BYTES, "unix:%s", host);
    else
        snprintf(out, TARGET_TEXT_BYTES, "%s%s%s%s:%u", kind_words[t->kind], brackets ? "[" : "",
                 host, brackets ? "]" : "", (unsigned)t->at.port);
}

/* "*", "22" or "8000-8099". */
static bool parse_ports(struct target_pattern *out, const char *text)
{
    const char *dash = strchr(text, '-');
    char first[6];
    out->port_first = 1;
    out->port_last = UINT16_MAX;
    if (strcmp(text, "*") == 0)
        return true;
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    if (len >= sizeof first)
        return false;
    memcpy(first, text, len);
    first[len] = '\0';
    return parse_port(&out->port_first, first, 1) &&
           parse_port(&out->port_last, dash ? dash + 1 : first, 1) &&
           out->port_first <= out->port_last;
}

/* "/8" and what follows it, or nothing: then all bits of the address count. *rest: what follows. */
static bool parse_prefix_bits(struct target_pattern *out, const char **rest)
{
    unsigned most = out->prefix.storage.ss_family == AF_INET ? 32 : 128;
    char digits[4];
    uint64_t bits;
    out->prefix_bits = most;
    if (**rest != '/')
        return true;
    size_t len = strcspn(*rest + 1, ":");
    if (len >= sizeof digits)
        return false;
    memcpy(digits, *rest + 1, len);
    digits[len] = '\0';
    *rest += 1 + len;
    if (!parse_number(&bits, digits, 0, most))
        return false;
    out->prefix_bits = (unsigned)bits;
    return true;
}

static bool parse_pattern_host(struct target_pattern *out, const char **text)
{
    struct cut_host cut;
    if (!cut_host(&cut, *text))
        return false;
    *text = cut.rest;
    out->any_host = !cut.bracketed && strcmp(cut.host, "*") == 0;
    if (out->any_host)
        return true;
    if (cut.bracketed && !strchr(cut.host, ':'))
        return false;
    out->has_prefix = address_from_literal(&out->prefix, cut.host, 0);
    if (out->has_prefix)
        return parse_prefix_bits(out, text);
    memcpy(out->name, cut.host, sizeof out->name);
    return !cut.bracketed && is_host_name(cut.host);
}

static bool parse_target_pattern(struct target_pattern *out, const char *text)
{
    memset(out, 0, sizeof *out);
    text = cut_kind(&out->kind, text);
    if (!text)
        return false;
    if (out->kind == TARGET_UNIX)
        return parse_unix_path(out->name, text);
    return parse_pattern_host(out, &text) && *text == ':' && parse_ports(out, text + 1);
}

/* " any-port" may follow a pattern of UDP. */
static bool parse_allowed_target(struct target_pattern *out, const char *text)
{
    static const char word[] = ANY_PORT;
    char pattern[2 * HOST_TEXT_BYTES];
    size_t len = strlen(text), at = len < sizeof word ? 0 : len - (sizeof word - 1);
    if (at == 0 || len >= sizeof pattern || strcmp(text + at, word) != 0 ||
        (text[at - 1] != ' ' && text[at - 1] != '\t'))
        return parse_target_pattern(out, text);
    memcpy(pattern, text, at);
    pattern[at] = '\0';
    if (!parse_target_pattern(out, strip_space(pattern)))
        return false;
    out->any_port = true;
    return out->kind == TARGET_UDP;
}

/* A link-local prefix holds the addresses of one interface. */
static bool check_interface(const struct target_pattern *p, const char *text, struct error *e)
{
    if (!p->has_prefix || p->prefix_bits < 10 || !address_lacks_interface(&p->prefix))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "'%s' is link-local and needs an interface, such as [fe80::1%%eth0]", text);
}

bool value_target_pattern(struct target_pattern *out, const char *text, struct error *e)
{
    if (parse_allowed_target(out, text))
        return check_interface(out, text, e);
    return error_set(
        e, FAILURE_USAGE,
        "'%s' is not a target to allow: tcp:HOST:PORTS or udp:HOST:PORTS (HOST a name, "
        "an address, 10.0.0.0/8, [fd00::]/8 or *; PORTS 22, 8000-8099 or *) or "
        "unix:/PATH",
        text);
}

static bool parse_listen_pattern(struct target_pattern *out, const char *text)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, kind_words[TARGET_UNIX], strlen(kind_words[TARGET_UNIX])) == 0)
        return parse_target_pattern(out, text);
    out->kind = TARGET_TCP;
    return parse_pattern_host(out, &text) && (out->any_host || out->has_prefix) && *text == ':' &&
           parse_ports(out, text + 1);
}

bool value_listen_pattern(struct target_pattern *out, const char *text, struct error *e)
{
    if (parse_listen_pattern(out, text))
        return check_interface(out, text, e);
    return error_set(
        e, FAILURE_USAGE,
        "'%s' is not where listening can be allowed: ADDRESS:PORTS (ADDRESS in numbers, "
        "127.0.0.0/8, [fd00::]/8 or *; PORTS 8080, 8000-8099 or *) or unix:/PATH",
        text);
}

/* The parts that need no address: kind, port, path. */
static bool kind_and_port_agree(const struct target_pattern *p, const struct target *t)
{
    if (p->kind != t->kind)
        return false;
    return p->kind == TARGET_UNIX || (t->at.port >= p->port_first && t->at.port <= p->port_last);
}

static bool same_name(const struct target_pattern *p, const struct target *t)
{
    if (p->kind == TARGET_UNIX)
        return strcmp(p->name, t->at.host) == 0;
    return strcasecmp(p->name, t->at.host) == 0;
}

/* All of the pattern's addresses are this machine's own: 127.0.0.0/8, also mapped, and ::1. */
static bool is_loopback(const struct target_pattern *p)
{
    struct address a = p->prefix;
    unsigned least = a.storage.ss_family == AF_INET ? 8 : 104;
    address_unmap(&a);
    if (a.storage.ss_family == AF_INET6)
        least = 128;
    return p->prefix_bits >= least && address_is_loopback(&a);
}

/* True if a pattern with a name is one of this target's; of addresses it is not asked here. */
static bool name_agrees(const struct target_pattern *p, const struct target *t)
{
    return p->name[0] == '\0' || same_name(p, t);
}

enum permission target_pattern_permits(const struct target_pattern *p, const struct target *t)
{
    struct address a;
    if (!kind_and_port_agree(p, t) || !name_agrees(p, t))
        return PERMIT_NEVER;
    if (p->has_prefix && address_from_literal(&a, t->at.host, t->at.port))
        return address_in_prefix(&a, &p->prefix, p->prefix_bits) ? PERMIT_PERHAPS : PERMIT_NEVER;
    return p->has_prefix && is_loopback(p) ? PERMIT_KNOWN_HERE : PERMIT_PERHAPS;
}

bool target_pattern_allows(const struct target_pattern *p, const struct target *t,
                           const struct address *a)
{
    return kind_and_port_agree(p, t) && name_agrees(p, t) &&
           (!p->has_prefix || address_in_prefix(a, &p->prefix, p->prefix_bits));
}

bool target_pattern_is_wide(const struct target_pattern *p)
{
    return p->any_host || (p->has_prefix && p->prefix_bits == 0);
}

/* With brackets around IPv6, and the length unless it is a whole address. */
static void prefix_to_text(char *out, size_t size, const struct target_pattern *p)
{
    char text[ADDRESS_TEXT_BYTES];
    unsigned whole = p->prefix.storage.ss_family == AF_INET ? 32 : 128;
    address_to_text(text, &p->prefix);
    int len = (int)(strrchr(text, ':') - text); /* without the port */
    if (p->prefix_bits == whole)
        snprintf(out, size, "%.*s", len, text);
    else
        snprintf(out, size, "%.*s/%u", len, text, p->prefix_bits);
}

static void ports_to_text(char *out, size_t size, const struct target_pattern *p)
{
    if (p->port_first == 1 && p->port_last == UINT16_MAX)
        snprintf(out, size, "*");
    else if (p->port_first == p->port_last)
        snprintf(out, size, "%u", (unsigned)p->port_first);
    else
        snprintf(out, size, "%u-%u", (unsigned)p->port_first, (unsigned)p->port_last);
}

void target_pattern_to_text(char out[TARGET_TEXT_BYTES], const struct target_pattern *p,
                            bool listening)
{
    char host[HOST_TEXT_BYTES], ports[12];
    bool is_unix = p->kind == TARGET_UNIX;
    snprintf(host, sizeof host, "%s", p->any_host ? "*" : p->name);
    if (p->has_prefix && p->name[0] == '\0')
        prefix_to_text(host, sizeof host, p);
    ports_to_text(ports, sizeof ports, p);
    snprintf(out, TARGET_TEXT_BYTES, "%s%s%s%s%s", listening && !is_unix ? "" : kind_words[p->kind],
             host, is_unix ? "" : ":", is_unix ? "" : ports, p->any_port ? " " ANY_PORT : "");
}

/* Forwards. */

static const struct {
    const char *option, *form;
    enum target_kind target;
    bool paths; /* UNIX sockets too */
} forwards[] = {
    [FORWARD_LOCAL] = {"-L", "[ADDRESS:]PORT:HOST:PORT", TARGET_TCP, true},
    [FORWARD_DYNAMIC] = {"-D", "[ADDRESS:]PORT", TARGET_TCP, false},
    [FORWARD_REMOTE] = {"-R", "[ADDRESS:]PORT:HOST:PORT", TARGET_TCP, true},
    [FORWARD_UDP] = {"-U", "[ADDRESS:]PORT:HOST:PORT", TARGET_UDP, false},
};
#define FORWARD_KINDS (sizeof forwards / sizeof forwards[0])

/* Cuts "[ADDR:]PORT:" off the front into listen; NULL: it is not there. */
static const char *cut_listen(struct address *listen, const char *text)
{
    struct cut_host first, second;
    uint16_t port;
    if (!cut_host(&first, text) || *first.rest != ':')
        return NULL;
    if (!first.bracketed && parse_port(&port, first.host, 0))
        return address_from_literal(listen, LOOPBACK, port) ? first.rest + 1 : NULL;
    if (!cut_host(&second, first.rest + 1) || *second.rest != ':' || second.bracketed ||
        !parse_port(&port, second.host, 0) ||
        !listen_address(listen, first.host, first.bracketed, port))
        return NULL;
    return second.rest + 1;
}

/* The same for "/path:". */
static const char *cut_listen_path(struct address *listen, const char *text)
{
    char path[HOST_TEXT_BYTES];
    size_t len = strcspn(text, ":");
    if (text[len] != ':' || len >= sizeof path)
        return NULL;
    memcpy(path, text, len);
    path[len] = '\0';
    return address_from_path(listen, path) ? text + len + 1 : NULL;
}

static bool names_localhost(const char *text)
{
    struct cut_host cut;
    return cut_host(&cut, text) && !cut.bracketed && strcasecmp(cut.host, "localhost") == 0;
}

static bool parse_forward(struct forward *out, enum forward_kind kind, const char *text)
{
    bool paths = forwards[kind].paths;
    struct error ignored;
    memset(out, 0, sizeof *out);
    out->kind = kind;
    out->both_loopbacks = kind != FORWARD_REMOTE && names_localhost(text);
    if (kind == FORWARD_DYNAMIC)
        return value_listen(&out->listen, text, LOOPBACK, &ignored);
    text = paths && *text == '/' ? cut_listen_path(&out->listen, text)
                                 : cut_listen(&out->listen, text);
    if (!text)
        return false;
    out->target.kind = paths && *text == '/' ? TARGET_UNIX : forwards[kind].target;
    if (out->target.kind == TARGET_UNIX)
        return parse_unix_path(out->target.at.host, text);
    return parse_host_port(&out->target.at, text, 0);
}

bool value_forward(struct forward *out, enum forward_kind kind, const char *text, struct error *e)
{
    if (parse_forward(out, kind, text))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "'%s' is not %s (IPv6 in brackets, * or nothing before the first colon for "
                     "all addresses%s)",
                     text, forwards[kind].form,
                     forwards[kind].paths
                         ? "; /PATH of a UNIX socket instead of [ADDRESS:]PORT or HOST:PORT"
                         : "");
}

bool value_forward_option(struct forward *out, const char *text, struct error *e)
{
    for (unsigned k = 0; k < FORWARD_KINDS; k++) {
        size_t len = strlen(forwards[k].option);
        if (strncmp(text, forwards[k].option, len) == 0)
            return value_forward(out, (enum forward_kind)k, text + len + strspn(text + len, " \t"),
                                 e);
    }
    return error_set(e, FAILURE_USAGE,
                     "'%s' is not a forward: -L, -D, -R or -U with its value, such as "
                     "-L 8080:localhost:80",
                     text);
}

/* Names. */

static bool parse_name(char out[NAME_TEXT_BYTES], const char *text, bool pattern)
{
    size_t len = strlen(text);
    if (len == 0 || len >= NAME_TEXT_BYTES || strchr("._-", *text) || strstr(text, ".."))
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        bool wild = pattern && (*c == '*' || *c == '?');
        if (!is_lower(*c) && !is_digit(*c) && !wild && !strchr("._-", *c))
            return false;
    }
    memcpy(out, text, len + 1);
    return true;
}

bool value_name(char out[NAME_TEXT_BYTES], const char *text, struct error *e)
{
    if (parse_name(out, text, false))
        return true;
    return error_set(
        e, FAILURE_USAGE,
        "'%s' is not a name: 1 to 64 of a-z 0-9 . _ -, first a letter or digit, no two "
        "dots in a row",
        text);
}

bool value_name_pattern(char out[NAME_TEXT_BYTES], const char *text, struct error *e)
{
    if (parse_name(out, text, true))
        return true;
    return error_set(e, FAILURE_USAGE,
                     "'%s' is not a pattern of names: 1 to 64 of a-z 0-9 . _ - and * (any "
                     "characters) and ? (any one)",
                     text);
}

/* Lists. */

bool value_list(const char *text, bool (*each)(void *arg, const char *item, struct error *e),
                void *arg, struct error *e)
{
    char *copy = strdup(text);
    bool good = true;
    if (!copy)
        return error_no_memory(e);
    for (char *next = copy; good && next;) {
        char *item = next, *comma = strchr(item, ',');
        next = comma ? comma + 1 : NULL;
        if (comma)
            *comma = '\0';
        item = strip_space(item);
        if (*item == '\0')
            good =
                error_set(e, FAILURE_USAGE,
                          "'%s' has an empty item; expected items with commas between them", text);
        else
            good = each(arg, item, e);
    }
    free(copy);
    return good;
}

bool host_port_same(const struct host_port *a, const struct host_port *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Of an IPv4 prefix also where it is written as one of IPv6. */
static unsigned prefix_length(const struct target_pattern *p)
{
    struct address a = p->prefix;
    address_unmap(&a);
    if (a.storage.ss_family == p->prefix.storage.ss_family)
        return p->prefix_bits;
    return p->prefix_bits > 96 ? p->prefix_bits - 96 : 0;
}

/* The addresses of both: of two prefixes one is in the other, or they have none in common. */
static bool both_prefixes(struct target_pattern *out, const struct target_pattern *a,
                          const struct target_pattern *b)
{
    const struct target_pattern *inner = a, *outer = b;
    if (a->has_prefix && b->has_prefix && prefix_length(a) < prefix_length(b)) {
        inner = b;
        outer = a;
    }
    if (!inner->has_prefix)
        inner = outer;
    out->has_prefix = inner->has_prefix;
    out->prefix = inner->prefix;
    out->prefix_bits = inner->prefix_bits;
    return !a->has_prefix || !b->has_prefix ||
           address_in_prefix(&inner->prefix, &outer->prefix, outer->prefix_bits);
}

static bool both_names(struct target_pattern *out, const struct target_pattern *a,
                       const struct target_pattern *b)
{
    memcpy(out->name, a->name[0] ? a->name : b->name, sizeof out->name);
    if (a->name[0] == '\0' || b->name[0] == '\0')
        return true;
    return out->kind == TARGET_UNIX ? strcmp(a->name, b->name) == 0
                                    : strcasecmp(a->name, b->name) == 0;
}

bool target_pattern_both(struct target_pattern *out, const struct target_pattern *a,
                         const struct target_pattern *b)
{
    memset(out, 0, sizeof *out);
    out->kind = a->kind;
    out->any_host = a->any_host && b->any_host;
    out->any_port = a->any_port && b->any_port;
    out->port_first = a->port_first > b->port_first ? a->port_first : b->port_first;
    out->port_last = a->port_last < b->port_last ? a->port_last : b->port_last;
    return a->kind == b->kind && out->port_first <= out->port_last && both_names(out, a, b) &&
           both_prefixes(out, a, b);
}

bool target_pattern_same(const struct target_pattern *a, const struct target_pattern *b)
{
    char address_a[ADDRESS_TEXT_BYTES] = "", address_b[ADDRESS_TEXT_BYTES] = "";
    if (a->kind != b->kind || a->any_host != b->any_host || a->has_prefix != b->has_prefix ||
        a->port_first != b->port_first || a->port_last != b->port_last ||
        a->any_port != b->any_port)
        return false;
    if (!a->any_host && strcmp(a->name, b->name) != 0)
        return false;
    if (!a->has_prefix)
        return true;
    address_to_text(address_a, &a->prefix);
    address_to_text(address_b, &b->prefix);
    return a->prefix_bits == b->prefix_bits && strcmp(address_a, address_b) == 0;
}

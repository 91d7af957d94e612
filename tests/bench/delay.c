/* Three network namespaces, client - relay - agent, joined by two links that delay, in place of
 * netem, which kernels may lack. A link is a TUN device in either namespace and this program
 * between them: whole packets wait, so that the kernels' own TCP counts its handshake's round trip,
 * its windows and its losses as on a real path.
 *
 *   delay ONE_WAY_MS MBIT CONGESTION_CONTROL
 *
 * Says "client FD", "relay FD", "agent FD" and "ready": /proc/PID/fd/FD is each one's namespace.
 * They and the links live as long as this process. client 10.9.1.1 - 10.9.1.2 relay 10.9.2.2
 * - 10.9.2.3 agent. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX (65536 + 64)
#define QUEUE_NS 50000000U /* what a direction's bottleneck holds before it drops, as time */
#define READS_AN_EVENT 32
#define NS_A_S 1000000000U

struct packet {
    struct packet *next;
    uint64_t due_ns;
    size_t len;
    unsigned char bytes[];
};

/* One way of a link: read from one device, written to the other when it is due. */
struct direction {
    int from, to;
    uint64_t free_ns; /* when the bottleneck has sent what it was given */
    struct packet *first, *last;
};

static uint64_t delay_ns, bits_a_s;

static void __attribute__((noreturn)) give_up(const char *what)
{
    fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_A_S + (uint64_t)t.tv_nsec;
}

/* ---- Namespaces and devices. ---- */

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        give_up(path);
    close(fd);
}

static void control(int fd, unsigned long request, struct ifreq *r, const char *what)
{
    if (ioctl(fd, request, r) < 0)
        give_up(what);
}

static void bring_up(const char *device, const char *address)
{
    struct ifreq r = {0};
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", device);
    if (address) {
        inet_pton(AF_INET, address, &a.sin_addr);
        memcpy(&r.ifr_addr, &a, sizeof a);
        control(fd, SIOCSIFADDR, &r, "SIOCSIFADDR");
        inet_pton(AF_INET, "255.255.255.0", &a.sin_addr);
        memcpy(&r.ifr_netmask, &a, sizeof a);
        control(fd, SIOCSIFNETMASK, &r, "SIOCSIFNETMASK");
    }
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    control(fd, SIOCSIFFLAGS, &r, "SIOCSIFFLAGS");
    close(fd);
}

static int new_namespace(const char *name, const char *congestion_control)
{
    if (unshare(CLONE_NEWNET) < 0)
        give_up("unshare");
    bring_up("lo", NULL);
    write_file("/proc/sys/net/ipv4/tcp_congestion_control", congestion_control);
    int fd = open("/proc/self/ns/net", O_RDONLY);
    if (fd < 0)
        give_up("/proc/self/ns/net");
    printf("%s %d\n", name, fd);
    return fd;
}

/* A TUN device in the namespace; segmentation and checksums are left to the receiving side, as a
 * network card would do them. */
static int new_device(int namespace, const char *name, const char *address)
{
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    if (setns(namespace, CLONE_NEWNET) < 0)
        give_up("setns");
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        give_up("/dev/net/tun");
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    control(fd, TUNSETIFF, &r, "TUNSETIFF");
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
        give_up("TUNSETOFFLOAD");
    bring_up(name, address);
    return fd;
}

/* ---- Packets. ---- */

static void take(struct direction *d, const unsigned char *bytes, size_t len)
{
    uint64_t now = now_ns(), start = d->free_ns > now ? d->free_ns : now;
    struct packet *p;
    if (start - now > QUEUE_NS)
        return; /* the bottleneck's queue is full */
    p = malloc(sizeof *p + len);
    if (!p)
        return;
    d->free_ns = start + (uint64_t)len * 8 * NS_A_S / bits_a_s;
    *p = (struct packet){.due_ns = d->free_ns + delay_ns, .len = len};
    memcpy(p->bytes, bytes, len);
    if (d->last)
        d->last->next = p;
    else
        d->first = p;
    d->last = p;
}

static void read_some(struct direction *d)
{
    static unsigned char bytes[PACKET_MAX];
    for (int i = 0; i < READS_AN_EVENT; i++) {
        ssize_t n = read(d->from, bytes, sizeof bytes);
        if (n <= 0)
            return;
        take(d, bytes, (size_t)n);
    }
}

/* Delivers what is due; a packet that the device does not take is lost. */
static void deliver(struct direction *d, uint64_t now)
{
    struct packet *p;
    while ((p = d->first) != NULL && p->due_ns <= now) {
        d->first = p->next;
        if (!d->first)
            d->last = NULL;
        if (write(d->to, p->bytes, p->len) < 0 && errno != EAGAIN && errno != EIO)
            give_up("write");
        free(p);
    }
}

static void __attribute__((noreturn)) carry(struct direction *directions, size_t count)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &directions[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, directions[i].from, &e) < 0)
            give_up("epoll_ctl");
    }
    for (;;) {
        struct epoll_event events[8];
        uint64_t now = now_ns(), due = now + NS_A_S, wait;
        for (size_t i = 0; i < count; i++)
            if (directions[i].first && directions[i].first->due_ns < due)
                due = directions[i].first->due_ns;
        wait = due > now ? due - now : 0;
        struct timespec limit = {.tv_sec = (time_t)(wait / NS_A_S),
                                 .tv_nsec = (long)(wait % NS_A_S)};
        int n = epoll_pwait2(epoll, events, 8, &limit, NULL);
        for (int i = 0; i < n; i++)
            read_some(events[i].data.ptr);
        now = now_ns();
        for (size_t i = 0; i < count; i++)
            deliver(&directions[i], now);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: delay ONE_WAY_MS MBIT CONGESTION_CONTROL\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    delay_ns = strtoull(argv[1], NULL, 10) * 1000000;
    bits_a_s = strtoull(argv[2], NULL, 10) * 1000000;
    int client = new_namespace("client", argv[3]), relay = new_namespace("relay", argv[3]);
    int agent = new_namespace("agent", argv[3]);
    const int ends[4] = {
        new_device(client, "relay", "10.9.1.1"), new_device(relay, "client", "10.9.1.2"),
        new_device(relay, "agent", "10.9.2.2"), new_device(agent, "relay", "10.9.2.3")};
    struct direction directions[] = {{.from = ends[0], .to = ends[1]},
                                     {.from = ends[1], .to = ends[0]},
                                     {.from = ends[2], .to = ends[3]},
                                     {.from = ends[3], .to = ends[2]}};
    printf("ready\n");
    fflush(stdout);
    carry(directions, sizeof directions / sizeof *directions);
}

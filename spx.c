/* spx: one binary for all roles. The applet table: argv[0] or the first word picks one. */
#include <ares_version.h>
#include <errno.h>
#include <fcntl.h>
#include <http_parser.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent.h"
#include "auditor/auditor.h"
#include "authority/authority.h"
#include "base/exits.h"
#include "base/files.h"
#include "base/log.h"
#include "base/version.h"
#include "cli/complete.h"
#include "cli/nearest.h"
#include "client/client.h"
#include "crypto/primitives.h"
#include "events/runner.h"
#include "guard/guard.h"
#include "key/key.h"
#include "net/descriptors.h"
#include "relay/relay.h"

struct applet {
    const char *name;
    enum failure (*main)(int argc, char **argv);
    const char *help;
};

static const struct applet applets[] = {
    {"client", client_main, "reach services at an agent through a relay"},
    {"relay", relay_main, "the place where clients and agents meet"},
    {"agent", agent_main, "serve a storage system's services"},
    {"key", key_main, "make keys and show public keys"},
    {"permit", permit_main, "issue permits, and show and check them"},
    {"audit", audit_main, "verify, show and compare audits"},
};

/* Without an applet. */
static const struct {
    const char *name, *help;
} options[] = {{"--version", "show the versions"}, {"--help", "show the applets"}};

#define OPTION_COUNT (sizeof options / sizeof options[0])
#define APPLET_COUNT (sizeof applets / sizeof applets[0])

static const struct applet *find_applet(const char *name)
{
    if (strncmp(name, "spx-", 4) == 0)
        name += 4;
    for (size_t i = 0; i < APPLET_COUNT; i++)
        if (strcmp(applets[i].name, name) == 0)
            return &applets[i];
    return NULL;
}

static void print_help(FILE *out)
{
    fputs("usage: spx APPLET [options]\n\n", out);
    for (size_t i = 0; i < APPLET_COUNT; i++)
        fprintf(out, "  %-8s %s\n", applets[i].name, applets[i].help);
    fputs("\n  --version, --help\n  --version -v: also what the system has to guard a process\n\n"
          "'spx APPLET --help' tells more. A link to the program named spx-APPLET or APPLET is\n"
          "that applet.\n",
          out);
}

static enum failure print_version(bool verbose)
{
    printf("spx %s\ncommit %s\nBearSSL %s\nc-ares %s\nhttp_parser %d.%d.%d\ncompiler %s\n"
           "AES instructions %s\n",
           SPX_VERSION, SPX_COMMIT, SPX_BEARSSL, ARES_VERSION_STR, HTTP_PARSER_VERSION_MAJOR,
           HTTP_PARSER_VERSION_MINOR, HTTP_PARSER_VERSION_PATCH, SPX_COMPILER,
           crypto_has_aes() ? "in use" : "not in use");
    if (verbose)
        guard_print_available();
    return FAILURE_NONE;
}

/* A role's own files and sockets must not become its standard streams. */
static void fill_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* For every role: no core dumps (they would hold keys), no end by a closed pipe or
 * a question for the status, enough descriptors. */
static void prepare_process(void)
{
    struct rlimit limit = {0, 0};
    setrlimit(RLIMIT_CORE, &limit);
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* until a role heeds it, or for good */
    if (!descriptors_raise_limit())
        log_warning("cannot raise the limit of open files: %s", system_text(errno));
}

static enum failure unknown_word(const char *word)
{
    bool is_long = strncmp(word, "--", 2) == 0, is_option = *word == '-';
    struct nearest n = {.word = is_long ? word + 2 : word};
    char text[NEAREST_TEXT_BYTES];
    for (size_t i = 0; i < APPLET_COUNT && !is_option; i++)
        nearest_offer(&n, applets[i].name);
    for (size_t i = 0; i < OPTION_COUNT && is_long; i++)
        nearest_offer(&n, options[i].name + 2);
    nearest_text(text, &n, is_option ? "option" : "command", is_long ? "--" : "");
    fprintf(stderr, "spx: %s\nTry 'spx --help'.\n", text);
    return FAILURE_USAGE;
}

/* For shells: "spx --complete APPLET WORD..." is "spx APPLET --complete WORD..."; without words the
 * applet is completed. */
static enum failure complete(int argc, char **argv)
{
    const struct applet *applet = argc > 3 ? find_applet(argv[2]) : NULL;
    const char *prefix = argc > 2 ? argv[2] : "";
    if (applet) {
        argv[2] = argv[1];
        return applet->main(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < APPLET_COUNT && argc <= 3; i++)
        cli_offer(prefix, applets[i].name, applets[i].help);
    for (size_t i = 0; i < OPTION_COUNT && argc <= 3 && *prefix == '-'; i++)
        cli_offer(prefix, options[i].name, options[i].help);
    return FAILURE_NONE;
}

static bool is_either(const char *word, const char *brief, const char *whole)
{
    return strcmp(word, brief) == 0 || strcmp(word, whole) == 0;
}

static enum failure choose(int argc, char **argv)
{
    const char *slash = strrchr(argc > 0 ? argv[0] : "spx", '/');
    const struct applet *applet = find_applet(slash ? slash + 1 : argc > 0 ? argv[0] : "spx");
    if (applet)
        return applet->main(argc, argv);
    if (argc > 1 && (applet = find_applet(argv[1])) != NULL)
        return applet->main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], COMPLETE_WORD) == 0)
        return complete(argc, argv);
    if (argc == 3 && strcmp(argv[1], RUNNER_WORD) == 0)
        return runner_main(argv[2]);
    if (argc > 1 && is_either(argv[1], "-V", "--version"))
        return print_version(argc > 2 && is_either(argv[2], "-v", "--verbose"));
    if (argc > 1 && is_either(argv[1], "-h", "--help")) {
        print_help(stdout);
        return FAILURE_NONE;
    }
    if (argc > 1)
        return unknown_word(argv[1]);
    print_help(stderr);
    return FAILURE_USAGE;
}

/* The exit code tells if standard output could not be written, unless the reason was told. */
static enum failure finish_output(enum failure failure)
{
    struct error e = {0};
    if (failure != FAILURE_NONE || output_flush(&e))
        return failure;
    fprintf(stderr, "spx: %s\n", e.text);
    return e.failure;
}

int main(int argc, char **argv)
{
    enum failure failure;
    fill_standard_streams();
    prepare_process();
    /* SPX_PORTABLE: tests of the code for processors without AES instructions. */
    if (!crypto_start(getenv("SPX_PORTABLE") != NULL)) {
        fputs("spx: cryptographic self-test failed: wrong results from BearSSL: rebuild with the "
              "BearSSL version that the README names\n",
              stderr);
        return exit_code(FAILURE_OTHER);
    }
    failure = choose(argc, argv);
    return exit_code(finish_output(failure));
}

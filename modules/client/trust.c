/* Only the engineer says which key an agent has; a relay's list is shown, not believed. */
#include "client/trust.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/known_agents.h"

bool trust_find(const struct client_config *c, const char *config_path, const char *agent,
                struct trusted_key *found, struct error *e)
{
    *found = (struct trusted_key){.file = c->known_agents};
    for (size_t i = 0; i < c->agent_count; i++) {
        const struct client_agent *a = &c->agents[i];
        if (a->has_key && strcmp(a->name, agent) == 0) {
            *found =
                (struct trusted_key){.file = config_path, .line = a->key_line, .in_config = true};
            memcpy(found->key, a->public_key, KEY_BYTES);
            return true;
        }
    }
    return known_agents_find(c->known_agents, agent, found->key, &found->line, e) && found->line;
}

/* A path as one word of a shell's; cut if it does not fit. */
static void quote(char *out, size_t size, const char *path)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-";
    size_t len = 0;
    if (path[strspn(path, plain)] == '\0') {
        snprintf(out, size, "%s", path);
        return;
    }
    out[len++] = '\'';
    for (; *path != '\0' && len + 6 < size; path++)
        len += (size_t)snprintf(out + len, size - len, *path == '\'' ? "'\\''" : "%c", *path);
    snprintf(out + len, size - len, "'");
}

void trust_remedy(char out[TRUST_REMEDY_BYTES], const struct trusted_key *known,
                  const uint8_t listed[KEY_BYTES])
{
    char file[300], key[KEY_TEXT_BYTES];
    quote(file, sizeof file, known->file);
    key_to_text(key, listed);
    if (!known->line)
        snprintf(out, TRUST_REMEDY_BYTES,
                 "which was confirmed for this session only: connect again");
    else if (known->in_config)
        snprintf(
            out, TRUST_REMEDY_BYTES,
            "which stands at %.300s:%u; if the agent's owner confirms the new key, replace it: "
            "sed -i '%us|=.*|= %s|' %s",
            known->file, known->line, known->line, key, file);
    else
        snprintf(out, TRUST_REMEDY_BYTES,
                 "which stands at %.300s:%u; if the agent's owner confirms the new key, remove the "
                 "old one and connect again: sed -i %ud %s",
                 known->file, known->line, known->line, file);
}

/* "yes" or "no" from the terminal; anything else is asked again. */
static bool ask(FILE *in, FILE *out, const char *agent, const char *fingerprint)
{
    char line[64];
    fprintf(
        out,
        "The agent %s is not known yet. The relay lists this key for it:\n  %s\n"
        "Compare it with the one that the agent's owner tells you ('spx agent --check' shows it "
        "there).\nIs it the same? (yes/no) ",
        agent, fingerprint);
    fflush(out);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strcmp(line, "yes") == 0)
            return true;
        if (strcmp(line, "no") == 0)
            return false;
        fputs("Type 'yes' or 'no': ", out);
        fflush(out);
    }
    return false;
}

/* A file that cannot be written is no reason to keep the engineer from the agent. */
static void remember(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES])
{
    struct error e = {0};
    char text[KEY_TEXT_BYTES];
    if (known_agents_add(c->known_agents, agent, key, &e)) {
        log_info("the key of %s is known from now on: it stands in %s", agent, c->known_agents);
        return;
    }
    key_to_text(text, key);
    log_warning("the key of %s counts for this session only: %s; to be asked no more, name "
                "another file with KnownAgents in [Client], or add PublicKey = %s to an [Agent] "
                "section with Name = %s",
                agent, e.text, text, agent);
}

/* The loop that asked the relay has left its signals blocked. Nothing is begun yet: they end the
 * process, as Ctrl-C at a question should. */
static void heed_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void keep(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES],
                 struct trusted_key *trusted)
{
    struct error ignored = {0};
    remember(c, agent, key);
    if (!trust_find(c, NULL, agent, trusted, &ignored))
        memcpy(trusted->key, key, KEY_BYTES);
}

bool trust_confirm(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES],
                   struct trusted_key *trusted, struct error *e)
{
    char fingerprint[FINGERPRINT_TEXT_BYTES], text[KEY_TEXT_BYTES];
    FILE *in = fopen("/dev/tty", "re"), *out = fopen("/dev/tty", "we");
    bool terminal = in && out, yes;
    key_fingerprint(fingerprint, key);
    key_to_text(text, key);
    heed_signals();
    yes = terminal && ask(in, out, agent, fingerprint);
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    if (!terminal)
        return error_set(
            e, FAILURE_NOT_AUTHENTICATED,
            "agent %s: its key is not known yet, and there is no terminal to ask on; the relay "
            "lists the key %s (%s): if the agent's owner confirms it, connect once on a terminal, "
            "or "
            "add an [Agent] section to the configuration",
            agent, text, fingerprint);
    if (!yes)
        return error_set(e, FAILURE_NOT_AUTHENTICATED, "agent %s: its key was not confirmed",
                         agent);
    keep(c, agent, key, trusted);
    return true;
}

void trust_vouched(const struct client_config *c, const char *agent, const uint8_t key[KEY_BYTES],
                   const char *authority, struct trusted_key *trusted)
{
    log_info("the authority %s vouches for the key of %s", authority, agent);
    heed_signals();
    keep(c, agent, key, trusted);
}

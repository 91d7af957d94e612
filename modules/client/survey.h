/* Asking every relay of the configuration at the same time for agents, by LIST or WATCH. */
#ifndef SPX_CLIENT_SURVEY_H
#define SPX_CLIENT_SURVEY_H

#include "config/config.h"
#include "hop/hop.h"

struct loop;
struct survey;

/* relay: its place in the configuration. Called from the loop; must not free the survey. */
struct survey_events {
    void (*on_agent)(void *arg, size_t relay, const struct agent_entry *entry);
    /* The list is complete; with watch, changes follow. */
    void (*on_complete)(void *arg, size_t relay);
    /* The relay was not reached, refuses or was lost; error names it. With watch it is asked again
     * after a pause, and then says all anew. */
    void (*on_failed)(void *arg, size_t relay, const struct wire_error *error);
};

#define SURVEY_ALL SIZE_MAX

struct survey_request {
    const struct client_config *config; /* this and the next two are the caller's, as long as it
                                           lasts */
    const struct hop_party *party;
    const char *query;
    bool watch;
    size_t without; /* a relay that is not asked; SURVEY_ALL: each is */
    const struct survey_events *events;
    void *arg;
};

/* NULL without memory. */
struct survey *survey_new(struct loop *loop, const struct survey_request *request);

/* Ends it at any stage. NULL is harmless. */
void survey_free(struct survey *s);

#endif

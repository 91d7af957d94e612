/* A role's control socket: who may come in, and how many. What is asked on a connection is the
 * affair of control/request.h. */
#ifndef SPX_CONTROL_SERVER_H
#define SPX_CONTROL_SERVER_H

#include <sys/types.h>

#include "control/request.h"

/* Connections at the same time, of all users and of one. The last of all are for root and the
 * process's own user: nobody else keeps them out. */
#define CONTROL_CONNECTIONS 48
#define CONTROL_CONNECTIONS_KEPT 16
#define CONTROL_CONNECTIONS_PER_USER 12

struct control_server;

struct control_settings {
    const char *path;
    bool has_group; /* its members may connect too; otherwise root and the process's own user */
    gid_t group;
    const struct control_verb *verbs; /* ended by one without a name; they outlive the server */
    void *owner;
};

/* Listens on the path, with mode 0600 or 0660. A socket that a killed process left behind is
 * replaced, one in use is not. NULL: e says why, without naming the path. */
struct control_server *control_server_new(struct loop *loop,
                                          const struct control_settings *settings, struct error *e);

/* Ends all connections, with what their sockets take at once of the answers, and removes the
 * socket. NULL is harmless. */
void control_server_free(struct control_server *s);

/* True if this path leads to the socket. NULL: there is none. */
bool control_server_is(const struct control_server *s, const char *path);

/* True if anybody watches; sends them a line, with its newline. NULL: nobody does. */
bool control_server_is_watched(const struct control_server *s);
void control_server_tell(struct control_server *s, struct view line);

#endif

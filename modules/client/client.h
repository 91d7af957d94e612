/* The client role: the connection process under the engineer's control. */
#ifndef SPX_CLIENT_CLIENT_H
#define SPX_CLIENT_CLIENT_H

/* The applet `spx client`; returns the exit code. */
int client_main(int argc, char **argv);

#endif

/* The agent role: the service process on or beside the storage system's service processor. */
#ifndef SPX_AGENT_AGENT_H
#define SPX_AGENT_AGENT_H

/* The applet `spx agent`; returns the exit code. */
int agent_main(int argc, char **argv);

#endif

/* Inside modules/hop only: what the files of the engine call of each other, one file a phase. */
#ifndef SPX_HOP_PHASES_H
#define SPX_HOP_PHASES_H

#include "hop/hop.h"

/* Limits of what a peer whose key is not proven can make the hop collect (section 6). */
#define HELLO_UNIT_MAX HANDSHAKE_MESSAGE1_MAX
#define WELCOME_MAX HANDSHAKE_NOISE_MAX
#define FIRST_RECORD_MAX HANDSHAKE_NOISE_MAX

/* hop_life.c */

/* HOP_WAIT_HELLO -> HOP_SILENT: forgets what came. */
void hop_go_silent(struct hop *h);

/* Both ciphers are there: frees the handshake and goes to the state. False: the hop has failed. */
bool hop_split(struct hop *h, enum hop_state next);

/* Ends with what the peer said; its text is cleaned. */
void hop_refused(struct hop *h, enum code code, struct view text, uint32_t retry_s);

/* The keepalive from a configured or told number of seconds, within its limits. */
void hop_set_keepalive(struct hop *h, unsigned seconds);

/* hop_input.c */

/* Initiator: what has answered is no spx peer. who: what it is; NULL: that is not known. Returns
 * false. */
bool hop_fail_strange(struct hop *h, const char *who);

/* hop_handshake.c */

/* Responder: a whole first message with a right mac1, of a known or an unknown suite. */
void hop_read_hello(struct hop *h, struct view message);

/* Responder, HOP_READING -> HOP_SILENT: no honest initiator's first message. The owner is told. */
void hop_reject_hello(struct hop *h);

/* Initiator: the answer without its length: Noise message 2, or a list of suites. */
void hop_read_welcome(struct hop *h, struct view message);

/* hop_messages.c */

/* A whole record without its length, longer than a tag; decrypts in it. */
void hop_read_record(struct hop *h, uint8_t *record, size_t len);

/* Encrypts the own INFO into out. */
bool hop_send_info(struct hop *h);

/* Encrypts a PING into out. */
void hop_send_ping(struct hop *h, uint64_t now_us);

#endif

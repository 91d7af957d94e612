/* Bounded reading and writing of message fields: a field is read whole or the reader fails, and
 * stays failed. */
#ifndef SPX_WIRE_READER_H
#define SPX_WIRE_READER_H

#include "base/bytes.h"
#include "wire/codes.h"

struct reader {
    const uint8_t *data;
    size_t left;
    bool failed;
};

/* A reader at the first of these bytes, which outlive it. */
struct reader reader_of(struct view bytes);

/* Each returns 0 (or an empty view) once the reader has failed. */
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* A number (2) that has no name here stays what it is: its text is "unknown code". */
enum code read_code(struct reader *r);
enum reset_code read_reset_code(struct reader *r);
void read_bytes(struct reader *r, void *out, size_t len); /* zeros when failed */
struct view read_view(struct reader *r, size_t len);
struct view read_rest(struct reader *r);

/* length (2) and that many bytes of valid UTF-8, at most max. */
struct view read_string(struct reader *r, size_t max);

/* length (2) and that many bytes, at most max. */
struct view read_blob(struct reader *r, size_t max);

/* Extensions up to the end: type (2), length (2), value. Unknown ones are skipped unless the type's
 * top bit is set: then *unsupported is set to the type and the reader fails. All are unknown. */
void read_extensions(struct reader *r, uint16_t *unsupported);

/* The same where some types are known: sets their values, empty where one is missing. One that
 * comes twice, or is empty: the reader fails. */
struct extension {
    uint16_t type;
    struct view value;
};
void read_extensions_for(struct reader *r, struct extension *known, size_t count,
                         uint16_t *unsupported);

/* True if every field was there and nothing is left. */
bool reader_done(const struct reader *r);

/* A writer into a caller's buffer: too much sets failed and writes nothing more. */
struct writer {
    uint8_t *data;
    size_t len, size;
    bool failed;
};

/* A writer into a buffer of the caller's; what does not fit fails it, once for all. */
struct writer writer_of(void *buffer, size_t size);
void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_code(struct writer *w, enum code code);
void write_reset_code(struct writer *w, enum reset_code code);
void write_bytes(struct writer *w, struct view v);
/* length (2) and the bytes: fails above 65,535. */
void write_string(struct writer *w, struct view v);

/* The number of bytes written; 0 if they did not all fit. */
size_t writer_len(const struct writer *w);

#endif

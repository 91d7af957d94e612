/* Intrusive circular doubly-linked list. A head is a struct list too. */
#ifndef SPX_BASE_LIST_H
#define SPX_BASE_LIST_H

#include <stdbool.h>

#include "base/container.h"

struct list {
    struct list *prev, *next;
};

/* Makes a head empty, or a link be on no list. */
static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* True if a link (initialised) is on a list. */
static inline bool list_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Takes the link off its list; harmless when it is on none. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Moves the link to the end of a list, from wherever it is. */
static inline void list_move(struct list *head, struct list *link)
{
    list_remove(link);
    list_append(head, link);
}

/* Walks a list; the current link may be removed in the body. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a name being declared takes none */
#define list_each(it, head)                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif

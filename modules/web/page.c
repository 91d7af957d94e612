/* The assembler takes the files in as they are. */
#include "web/page.h"

/* Bytes of modules/web/page/FILE under NAME. */
#define TAKE_IN(name, file)                                                                    \
    __asm__(".section .rodata\n" #name "_begin: .incbin \"modules/web/page/" file "\"\n" #name \
            "_end:\n.previous\n");                                                             \
    extern const uint8_t name##_begin[], name##_end[];                                         \
    static struct view name(void)                                                              \
    {                                                                                          \
        return view_of(name##_begin, (uintptr_t)name##_end - (uintptr_t)name##_begin);         \
    }

TAKE_IN(page_html, "page.html")
TAKE_IN(page_css, "page.css")
TAKE_IN(page_js, "page.js")
TAKE_IN(page_icon, "icon.svg")

const struct page_file page_files[] = {
    {"/", "text/html; charset=utf-8", page_html},
    {"/page.css", "text/css; charset=utf-8", page_css},
    {"/page.js", "text/javascript; charset=utf-8", page_js},
    {"/icon.svg", "image/svg+xml", page_icon},
    {0},
};

/* UTF-8 decoding, and the table of characters that must not be shown. */
#include "base/unicode.h"

size_t utf8_next(struct view text, uint32_t *point)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.data[0];
    size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len == 0 || first >= 0xf8 || len > text.len)
        return 0;
    *point = len == 1 ? first : first & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (text.data[i] & 0x3f);
    }
    if (*point < smallest[len] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
        return 0;
    return len;
}

/* In order. From the Unicode Character Database 15.0: Default_Ignorable_Code_Point
 * (DerivedCoreProperties.txt), Bidi_Control (PropList.txt), and the general categories Cc, Zl, Zp
 * and Cf (UnicodeData.txt) but for Prepended_Concatenation_Mark, which are seen. */
static const struct {
    uint32_t first, last;
} misleading[] = {
    {0x0000, 0x001f},   /* C0 controls */
    {0x007f, 0x009f},   /* DEL, C1 controls */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x034f, 0x034f},   /* combining grapheme joiner */
    {0x061c, 0x061c},   /* Arabic letter mark */
    {0x070f, 0x070f},   /* Syriac abbreviation mark, which shows only beside other characters */
    {0x115f, 0x1160},   /* Hangul fillers */
    {0x17b4, 0x17b5},   /* Khmer inherent vowels */
    {0x180b, 0x180f},   /* Mongolian selectors and vowel separator */
    {0x200b, 0x200f},   /* zero width space, joiners, directional marks */
    {0x2028, 0x202e},   /* line and paragraph separators, directional embeddings and overrides */
    {0x2060, 0x206f},   /* word joiner, invisible operators, directional isolates */
    {0x2800, 0x2800},   /* braille pattern blank: no property says it, but it shows nothing */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xfe00, 0xfe0f},   /* variation selectors */
    {0xfeff, 0xfeff},   /* zero width no-break space, the byte order mark */
    {0xffa0, 0xffa0},   /* halfwidth Hangul filler */
    {0xfff0, 0xfffb},   /* unassigned, interlinear annotation */
    {0x13430, 0x1343f}, /* Egyptian hieroglyph format controls */
    {0x1bca0, 0x1bca3}, /* shorthand format controls */
    {0x1d173, 0x1d17a}, /* musical symbols' beams, ties, slurs and phrases */
    {0xe0000, 0xe0fff}, /* tags, variation selectors supplement */
};

bool unicode_misleads(uint32_t point)
{
    size_t low = 0, high = sizeof misleading / sizeof misleading[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (point > misleading[middle].last)
            low = middle + 1;
        else if (point < misleading[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

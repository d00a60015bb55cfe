/* UTF-8: what a table is keyed by must come back from its file unchanged. */
#include <stdint.h>

#include "internal.h"

/* Length of the character at p, or 0 if its bytes are not UTF-8 (no overlong forms, no surrogates).
 */
static unsigned character_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    const unsigned length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0xc0 || p[0] > 0xf7)
        return 0;
    uint32_t code = p[0] & (0x7fu >> length);
    for (unsigned i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    return code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0
                                                                                         : length;
}

bool mly__cost_is_utf8(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        const unsigned length = character_length(p);
        if (!length)
            return false;
        p += length;
    }
    return true;
}

void mly__cost_make_utf8(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p;) {
        const unsigned length = character_length(p);
        if (!length)
            *p = '?';
        p += length ? length : 1;
    }
}

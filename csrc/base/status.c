/* Messages: one sentence, always terminated, cut at a whole UTF-8 character when it is too long. */
#include "base/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Drops an incomplete UTF-8 sequence at the end of text[0..length). */
static void trim_utf8(char *text, size_t length) {
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < need) text[start - 1] = '\0';
}

pn_status pn_fail(pn_error *err, pn_status status, const char *format, ...) {
    if (!err) return status;
    err->status = status;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (n < 0) err->text[0] = '\0';
    if (n >= (int)sizeof err->text) trim_utf8(err->text, sizeof err->text - 1);
    return status;
}

void pn_error_prefix(pn_error *err, const char *prefix) {
    if (!err || !prefix) return;
    size_t room = sizeof err->text - 1, front = strlen(prefix), back = strlen(err->text);
    bool cut = front + back > room;
    if (front > room) front = room;
    if (back > room - front) back = room - front;
    memmove(err->text + front, err->text, back);
    memcpy(err->text, prefix, front);
    err->text[front + back] = '\0';
    if (cut) trim_utf8(err->text, front + back);
}

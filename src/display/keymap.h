/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of keys: as QMP spells them ("ctrl", "ret"), as X11 numbers what is printed on them
 * (keysyms, which RFB sends), and as text. A key is a scan code of set 1, with bit 7 set when it
 * has prefix E0; characters are those of a US keyboard. Pure functions.
 */
#ifndef DISPLAY_KEYMAP_H
#define DISPLAY_KEYMAP_H

#include "base/base.h"

enum { KEY_SHIFT = 0x2a, KEY_SHIFT_R = 0x36, KEY_RET = 0x1c };

/** key_from_name() - "ctrl", "alt", "delete", "f1", "a", ...; 0 when there is no such key. */
uint8_t key_from_name(const char *name);
/** key_from_char() - the key that types ASCII character @c; 0 when none does.
 * @ret_shift: whether Shift has to be held. */
uint8_t key_from_char(unsigned c, bool *ret_shift);
/** key_from_keysym() - likewise for an X11 keysym; *ret_plain is false for keys that type no
 * character, for which Shift doesn't matter. */
uint8_t key_from_keysym(uint32_t sym, bool *ret_shift, bool *ret_plain);

#endif

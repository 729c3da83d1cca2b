/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys. Scan codes: IBM PS/2 Hardware Interface Technical Reference, "Keyboard", set 1
 * of a 102-key keyboard. Keysyms: X11 protocol, appendix A. Names: QMP's QKeyCode.
 */
#include "display/keymap.h"

#include <ctype.h>
#include <string.h>

struct key {
	const char *name; /* QMP; NULL: only a keysym */
	uint32_t sym;
	uint8_t code;
};

/* clang-format off */
static const struct key keys[] = {
	{"esc", 0xff1b, 0x01}, {"backspace", 0xff08, 0x0e}, {"tab", 0xff09, 0x0f}, {NULL, 0xfe20, 0x0f},
	{"ret", 0xff0d, 0x1c}, {NULL, 0xff0a, 0x1c}, {"ctrl", 0xffe3, 0x1d}, {"shift", 0xffe1, 0x2a},
	{"shift_r", 0xffe2, 0x36}, {"alt", 0xffe9, 0x38}, {NULL, 0xffe7, 0x38}, {"caps_lock", 0xffe5, 0x3a},
	{"ctrl_r", 0xffe4, 0x9d}, {"alt_r", 0xffea, 0xb8}, {NULL, 0xfe03, 0xb8}, {NULL, 0xff7e, 0xb8},
	{"meta_l", 0xffeb, 0xdb}, {"meta_r", 0xffec, 0xdc}, {"menu", 0xff67, 0xdd}, {"compose", 0xff20, 0xdd},
	{NULL, 0xffe8, 0xb8},
	{"f1", 0xffbe, 0x3b}, {"f2", 0xffbf, 0x3c}, {"f3", 0xffc0, 0x3d}, {"f4", 0xffc1, 0x3e},
	{"f5", 0xffc2, 0x3f}, {"f6", 0xffc3, 0x40}, {"f7", 0xffc4, 0x41}, {"f8", 0xffc5, 0x42},
	{"f9", 0xffc6, 0x43}, {"f10", 0xffc7, 0x44}, {"f11", 0xffc8, 0x57}, {"f12", 0xffc9, 0x58},
	{"num_lock", 0xff7f, 0x45}, {"scroll_lock", 0xff14, 0x46}, {"pause", 0xff13, 0xc6},
	{NULL, 0xff6b, 0xc6}, {"print", 0xff61, 0xb7}, {"sysrq", 0xff15, 0xb7},
	{"home", 0xff50, 0xc7}, {"up", 0xff52, 0xc8}, {"pgup", 0xff55, 0xc9}, {"left", 0xff51, 0xcb},
	{"right", 0xff53, 0xcd}, {"end", 0xff57, 0xcf}, {"down", 0xff54, 0xd0}, {"pgdn", 0xff56, 0xd1},
	{"insert", 0xff63, 0xd2}, {"delete", 0xffff, 0xd3},
	{"kp_divide", 0xffaf, 0xb5}, {"kp_multiply", 0xffaa, 0x37}, {"kp_subtract", 0xffad, 0x4a},
	{"kp_add", 0xffab, 0x4e}, {"kp_enter", 0xff8d, 0x9c}, {"kp_decimal", 0xffae, 0x53},
	{"kp_0", 0xffb0, 0x52}, {"kp_1", 0xffb1, 0x4f}, {"kp_2", 0xffb2, 0x50}, {"kp_3", 0xffb3, 0x51},
	{"kp_4", 0xffb4, 0x4b}, {"kp_5", 0xffb5, 0x4c}, {"kp_6", 0xffb6, 0x4d}, {"kp_7", 0xffb7, 0x47},
	{"kp_8", 0xffb8, 0x48}, {"kp_9", 0xffb9, 0x49},
	/* the keypad without Num Lock */
	{NULL, 0xff95, 0x47}, {NULL, 0xff97, 0x48}, {NULL, 0xff9a, 0x49}, {NULL, 0xff96, 0x4b},
	{NULL, 0xff9d, 0x4c}, {NULL, 0xff98, 0x4d}, {NULL, 0xff9c, 0x4f}, {NULL, 0xff99, 0x50},
	{NULL, 0xff9b, 0x51}, {NULL, 0xff9e, 0x52}, {NULL, 0xff9f, 0x53},
	{"less", 0, 0x56}, {"spc", ' ', 0x39}, {"minus", '-', 0x0c}, {"equal", '=', 0x0d},
	{"bracket_left", '[', 0x1a}, {"bracket_right", ']', 0x1b}, {"semicolon", ';', 0x27},
	{"apostrophe", '\'', 0x28}, {"grave_accent", '`', 0x29}, {"backslash", '\\', 0x2b},
	{"comma", ',', 0x33}, {"dot", '.', 0x34}, {"slash", '/', 0x35}, {"asterisk", 0, 0x37},
	/* other names people write */
	{"enter", 0, 0x1c}, {"return", 0, 0x1c}, {"escape", 0, 0x01}, {"del", 0, 0xd3},
	{"control", 0, 0x1d}, {"space", 0, 0x39}, {"win", 0, 0xdb}, {"super", 0, 0xdb},
	{"pageup", 0, 0xc9}, {"pagedown", 0, 0xd1},
};

/* Rows of characters from the scan code on: plain, with Shift. */
static const struct {
	uint8_t first;
	const char *plain, *shifted;
} rows[] = {
	{0x02, "1234567890-=", "!@#$%^&*()_+"}, {0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"}, {0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
};
/* clang-format on */

uint8_t key_from_char(unsigned c, bool *ret_shift)
{
	*ret_shift = false;
	if (c == ' ')
		return 0x39;
	if (c == '\n' || c == '\r')
		return KEY_RET;
	if (c == '\t')
		return 0x0f;
	if (c == '\b')
		return 0x0e;
	if (c == 0x1b)
		return 0x01;
	for (unsigned i = 0; c > ' ' && c < 0x7f && i < ARRAY_SIZE(rows); i++) {
		const char *at = strchr(rows[i].plain, (int)c);

		if (at)
			return (uint8_t)(rows[i].first + (at - rows[i].plain));
		at = strchr(rows[i].shifted, (int)c);
		if (at) {
			*ret_shift = true;
			return (uint8_t)(rows[i].first + (at - rows[i].shifted));
		}
	}
	return 0;
}

uint8_t key_from_name(const char *name)
{
	bool shift;
	uint8_t code;

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].name && !strcasecmp(keys[i].name, name))
			return keys[i].code;
	if (!name[0] || name[1])
		return 0;
	code = key_from_char((unsigned)tolower((unsigned char)name[0]), &shift);
	return shift ? 0 : code;
}

uint8_t key_from_keysym(uint32_t sym, bool *ret_shift, bool *ret_plain)
{
	*ret_shift = false;
	*ret_plain = sym > 0x1f && sym < 0x7f;
	if (*ret_plain)
		return key_from_char(sym, ret_shift);
	for (unsigned i = 0; sym && i < ARRAY_SIZE(keys); i++)
		if (keys[i].sym == sym)
			return keys[i].code;
	return 0;
}

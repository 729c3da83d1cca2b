/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec on the HDA link: a stereo line out and a stereo line in. High Definition Audio
 * Specification, revision 1.0a, chapter 7.
 *
 *   0 root · 1 audio function group · 2 DAC -> 3 pin, line out (green, rear) ·
 *   5 pin, line in (blue, rear) -> 4 ADC
 *
 * UNMODELLED: jack detection (the pins say so), digital converters, processing, GPIO, unsolicited
 * responses (nothing ever happens that would cause one).
 */
#include "device/sound/hda.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"

enum { ROOT, GROUP, DAC, PIN_OUT, ADC, PIN_IN };

/* Parameters (7.3.4). */
enum {
	P_VENDOR = 0x00,
	P_REVISION = 0x02,
	P_SUBNODES = 0x04,
	P_GROUP_TYPE = 0x05,
	P_GROUP_CAPS = 0x08,
	P_WIDGET_CAPS = 0x09,
	P_PCM = 0x0a,
	P_FORMATS = 0x0b,
	P_PIN_CAPS = 0x0c,
	P_AMP_IN = 0x0d,
	P_CONNECTIONS = 0x0e,
	P_POWER_STATES = 0x0f,
	P_AMP_OUT = 0x12,
};

#define VENDOR   0x1af40022u /* a duplex codec that drivers treat as generic */
#define AMP_CAPS 0x80034a4au /* mute, 1 dB a step, 74 steps, the highest is 0 dB */
#define PCM_CAPS 0x001e07ffu /* 8 to 192 kHz; 16, 20, 24, 32 bits */
#define POWER_D  0x0000000fu /* D0 to D3 */
enum {
	AMP_UNITY = 0x4a,
	MUTE = 0x80,
	PIN_OUT_ENABLE = 0x40,
	PIN_IN_ENABLE = 0x20,
	FORMAT_48K_STEREO = 0x0011
};

static const struct {
	uint8_t node, param;
	uint32_t value;
} params[] = {
	{ROOT, P_VENDOR, VENDOR},
	{ROOT, P_REVISION, 0x00100101},
	{ROOT, P_SUBNODES, 0x00010001},
	{GROUP, P_SUBNODES, 0x00020004},
	{GROUP, P_GROUP_TYPE, 0x00000001},
	{GROUP, P_GROUP_CAPS, 0x00000808},
	{GROUP, P_PCM, PCM_CAPS},
	{GROUP, P_FORMATS, 1},
	{GROUP, P_AMP_IN, AMP_CAPS},
	{GROUP, P_AMP_OUT, AMP_CAPS},
	{GROUP, P_POWER_STATES, POWER_D},
	{DAC, P_WIDGET_CAPS, 0x0000041d}, /* stereo, out amplifier, own formats, power */
	{DAC, P_PCM, PCM_CAPS},
	{DAC, P_FORMATS, 1},
	{DAC, P_AMP_OUT, AMP_CAPS},
	{DAC, P_POWER_STATES, POWER_D},
	{PIN_OUT, P_WIDGET_CAPS, 0x00400501},
	{PIN_OUT, P_PIN_CAPS, 0x00000010},
	{PIN_OUT, P_CONNECTIONS, 1},
	{PIN_OUT, P_POWER_STATES, POWER_D},
	{ADC, P_WIDGET_CAPS, 0x0010051b},
	{ADC, P_PCM, PCM_CAPS},
	{ADC, P_FORMATS, 1},
	{ADC, P_AMP_IN, AMP_CAPS},
	{ADC, P_CONNECTIONS, 1},
	{ADC, P_POWER_STATES, POWER_D},
	{PIN_IN, P_WIDGET_CAPS, 0x00400401},
	{PIN_IN, P_PIN_CAPS, 0x00000020},
	{PIN_IN, P_POWER_STATES, POWER_D},
};

void hda_codec_reset(struct hda_codec_regs *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < HDA_CONVERTERS; i++) {
		c->conv[i].format = FORMAT_48K_STEREO;
		c->conv[i].amp[0] = c->conv[i].amp[1] = AMP_UNITY;
	}
	c->config[0] = 0x01014110; /* jack at the rear, line out, 1/8", green, not sensed */
	c->config[1] = 0x01813120; /* line in, blue */
	c->subsystem = VENDOR;
	c->pin[0] = PIN_OUT_ENABLE;
	c->pin[1] = PIN_IN_ENABLE;
}

static uint32_t gain(uint8_t amp)
{
	if (amp & MUTE)
		return 0;
	return (uint32_t)(pow(10, ((double)(amp & 0x7f) - AMP_UNITY) / 20) * AUDIO_UNITY);
}

uint32_t hda_codec_loudness(const struct hda_codec_regs *c, unsigned right)
{
	return c->pin[0] & PIN_OUT_ENABLE ? gain(c->conv[HDA_DAC].amp[right]) : 0;
}

uint32_t hda_codec_sensitivity(const struct hda_codec_regs *c, unsigned right)
{
	return c->pin[1] & PIN_IN_ENABLE ? gain(c->conv[HDA_ADC].amp[right]) : 0;
}

static uint32_t get_param(unsigned node, unsigned param)
{
	for (unsigned i = 0; i < ARRAY_SIZE(params); i++)
		if (params[i].node == node && params[i].param == param)
			return params[i].value;
	return 0;
}

static struct hda_converter_regs *converter(struct hda_codec_regs *c, unsigned node)
{
	return node == DAC ? &c->conv[HDA_DAC] : node == ADC ? &c->conv[HDA_ADC] : NULL;
}

static bool is_pin(unsigned node)
{
	return node == PIN_OUT || node == PIN_IN;
}

/* 7.3.3.7: bit 15 output, 14 input, 13 left, 12 right, 7 mute, 6:0 gain. */
static void set_amp(struct hda_converter_regs *v, unsigned node, uint32_t p)
{
	if (!v || !(p & (node == DAC ? 0x8000u : 0x4000u)))
		return;
	for (unsigned side = 0; side < 2; side++)
		if (p & (side ? 0x1000u : 0x2000u))
			v->amp[side] = (uint8_t)((p & MUTE) | MIN(p & 0x7f, (uint32_t)AMP_UNITY));
}

/* Verbs of four bits with 16 bits of payload. */
static uint32_t long_verb(struct hda_codec_regs *c, unsigned node, unsigned verb, uint32_t p)
{
	struct hda_converter_regs *v = converter(c, node);

	switch (verb) {
	case 0x2:
		if (v)
			v->format = (uint16_t)(p & 0x7fff);
		return 0;
	case 0x3: set_amp(v, node, p); return 0;
	case 0xa: return v ? v->format : 0;
	case 0xb: return v ? v->amp[p & 0x2000 ? 0 : 1] : 0;
	default: return 0;
	}
}

static void set_config(struct hda_codec_regs *c, unsigned node, unsigned byte, uint8_t p)
{
	uint32_t *v = is_pin(node)    ? &c->config[node == PIN_IN]
		      : node == GROUP ? &c->subsystem
				      : NULL;

	if (v)
		*v = (*v & ~(0xffu << byte * 8)) | (uint32_t)p << byte * 8;
}

static uint32_t get_verb(const struct hda_codec_regs *c, unsigned node, unsigned verb, uint8_t p)
{
	const struct hda_converter_regs *v = converter((struct hda_codec_regs *)c, node);
	bool pin = is_pin(node), in = node == PIN_IN;

	switch (verb) {
	case 0xf00: return get_param(node, p);
	case 0xf02: return p ? 0 : node == PIN_OUT ? DAC : node == ADC ? PIN_IN : 0;
	case 0xf05: return c->power[node] | c->power[node] << 4;
	case 0xf06: return v ? v->stream : 0;
	case 0xf07: return pin ? c->pin[in] : 0;
	case 0xf08: return pin ? c->unsol[in] : 0;
	case 0xf1c: return pin ? c->config[in] : 0;
	case 0xf20: return node == GROUP ? c->subsystem : 0;
	default: return 0;
	}
}

static void set_verb(struct hda_codec_regs *c, unsigned node, unsigned verb, uint8_t p)
{
	struct hda_converter_regs *v = converter(c, node);

	switch (verb) {
	case 0x705: c->power[node] = p & 3; break;
	case 0x706:
		if (v)
			v->stream = p;
		break;
	case 0x707:
		if (is_pin(node))
			c->pin[node == PIN_IN] = p & (node == PIN_IN ? 0x20 : 0x40);
		break;
	case 0x708:
		if (is_pin(node))
			c->unsol[node == PIN_IN] = p & 0xbf;
		break;
	case 0x71c:
	case 0x71d:
	case 0x71e:
	case 0x71f: set_config(c, node, verb - 0x71c, p); break;
	case 0x720:
	case 0x721:
	case 0x722:
	case 0x723:
		if (node == GROUP)
			set_config(c, node, verb - 0x720, p);
		break;
	case 0x7ff:
		if (node == GROUP)
			hda_codec_reset(c);
		break;
	default: break;
	}
}

uint32_t hda_codec_verb(struct hda_codec_regs *c, uint32_t cmd)
{
	unsigned node = cmd >> 20 & 0x7f, verb = cmd >> 8 & 0xfff;

	if (node >= HDA_NODES)
		return 0;
	if ((verb >> 8) != 0x7 && (verb >> 8) != 0xf)
		return long_verb(c, node, verb >> 8, cmd & 0xffff);
	if (verb >= 0xf00)
		return get_verb(c, node, verb, (uint8_t)cmd);
	set_verb(c, node, verb, (uint8_t)cmd);
	return 0;
}

/* clang-format off */
static const struct state_field converter_fields[] = {
	STATE_VAL(struct hda_converter_regs, format, .max = 0x7fff),
	STATE_VAL(struct hda_converter_regs, stream),
	STATE_BYTES_OF(struct hda_converter_regs, amp),
	STATE_PAD(struct hda_converter_regs, pad_),
	STATE_END};

const struct state_field hda_codec_fields[] = {
	STATE_STRUCTS(struct hda_codec_regs, conv, converter_fields),
	STATE_ARRAY(struct hda_codec_regs, config),
	STATE_VAL(struct hda_codec_regs, subsystem),
	STATE_BYTES_OF(struct hda_codec_regs, pin),
	STATE_ARRAY(struct hda_codec_regs, power, .max = 3),
	STATE_BYTES_OF(struct hda_codec_regs, unsol),
	STATE_PAD(struct hda_codec_regs, pad_),
	STATE_END};
/* clang-format on */

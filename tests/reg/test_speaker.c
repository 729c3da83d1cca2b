/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's loudspeaker: what is heard of counter 2 and port 61h. "AT": IBM PC/AT Technical
 * Reference, system board, "Speaker".
 */
#include "device/timer/i8254.h"
#include "ear.h"

static struct i8254 *speaker_new(struct harness *h, struct ear *e)
{
	struct i8254 *pit = (struct i8254 *)dev_new(&i8254_class, "pit", &h->sv);

	ear_open(e, h);
	pit->audio = e->audio;
	harness_irq(h, &pit->irq, 0);
	harness_realize(h, &pit->dev);
	return pit;
}

static void play(struct harness *h, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++)
		harness_step(h, NS_PER_MS);
}

static void tone(struct harness *h, unsigned count)
{
	outb(h, 0x43, 0xb6);
	outb(h, 0x42, (uint8_t)count);
	outb(h, 0x42, (uint8_t)(count >> 8));
}

/* AT: 1193182 / count Hz while both bits are set. */
static void test_square(void **state)
{
	struct harness *h = harness_new();
	struct ear e;
	struct i8254 *pit = speaker_new(h, &e);

	tone(h, 1193);
	outb(h, 0x61, 0x03);
	play(h, 300);
	harness_check_state_roundtrip(&pit->dev);
	outb(h, 0x61, 0x00);
	play(h, 500);
	harness_free(h);
	ear_listen(&e);
	assert_true(ear_hz(&e, 0) > 995 && ear_hz(&e, 0) < 1005);
	assert_true(ear_peak(&e, 0) > 4000);
	/* 300 ms of tone, then 200 to 210 ms of quiet, then nothing */
	assert_in_range(e.n, AUDIO_RATE * 49 / 100, AUDIO_RATE * 56 / 100);
	ear_done(&e);
}

static void test_gate(void **state)
{
	struct harness *h = harness_new();
	struct ear e;

	speaker_new(h, &e);
	tone(h, 1193);
	outb(h, 0x61, 0x01); /* counts, but is not let through */
	play(h, 100);
	outb(h, 0x61, 0x02); /* let through, but OUT stands still */
	play(h, 100);
	harness_free(h);
	ear_listen(&e);
	assert_true(ear_hz(&e, 0) == 0);
	ear_done(&e);
}

/* The bit itself as the output: a 500 Hz square by software. */
static void test_bit(void **state)
{
	struct harness *h = harness_new();
	struct ear e;

	speaker_new(h, &e);
	for (unsigned i = 0; i < 300; i++) {
		outb(h, 0x61, i & 1 ? 0x02 : 0x00);
		play(h, 1);
	}
	harness_free(h);
	ear_listen(&e);
	/* OUT of a counter in mode 0 that was never loaded is low: silence */
	assert_true(ear_hz(&e, 0) == 0);
	ear_done(&e);
	h = harness_new();
	speaker_new(h, &e);
	outb(h, 0x43, 0xb6); /* mode 3: OUT is high */
	for (unsigned i = 0; i < 300; i++) {
		outb(h, 0x61, i & 1 ? 0x02 : 0x00);
		play(h, 1);
	}
	harness_free(h);
	ear_listen(&e);
	assert_true(ear_hz(&e, 0) > 490 && ear_hz(&e, 0) < 510);
	ear_done(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_square),
					   cmocka_unit_test(test_gate), cmocka_unit_test(test_bit)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

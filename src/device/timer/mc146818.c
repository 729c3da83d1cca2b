/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Motorola MC146818A real-time clock with the PC's 128 bytes of battery-backed CMOS memory.
 *
 * Documents: Motorola MC146818A data sheet (1988, "DS"); IBM PC/AT Technical Reference for ports
 * 70h/71h, the NMI mask and the use of the memory; the century byte 32h as PCs have it since.
 *
 * Time is not counted but computed: RTC time = the clock's wall time + offset_ns, in nanoseconds
 * since 1970-01-01 00:00:00 of whatever zone the guest keeps. Setting the time changes the offset.
 * While the guest holds the clock (B.SET, or the divider in reset: A.DV = 11x) the time bytes live
 * in ram[] as written; letting go converts them. The fraction of the second runs on under SET. A
 * guest may also write single time bytes of a running clock: that one field changes and the
 * fraction of the second stays.
 *
 *   update cycle   the last 1984 us of each second; UIP rises 244 us before it (DS, table 5 and
 *                  figure 14); at the end of it the new second shows and UF is set
 *   interrupts     PF, AF, UF are collected lazily when C is read; a timer is armed only for flags
 *                  that are enabled in B and not set yet
 *
 * Weekday (06h) is a register of its own in the chip: the distance from the computed one is kept.
 *
 * Registers A..D, time and memory survive every reset, RESET clears the enables and flags (DS,
 * "RESET"). The first power-on of a machine finds 32.768 kHz, 24-hour BCD mode, battery valid.
 *
 * UNMODELLED: periodic flags while the clock is held, square-wave output, daylight saving (B.DSE
 * reads back only), the other time-base frequencies (DV = 000, 001 keep good time), illegal time
 * values (they are normalised).
 */
#include "device/timer/mc146818.h"

#include <errno.h>

#include "base/bits.h"
#include "device/ticks.h"

enum { R_SEC, R_SEC_ALARM, R_MIN, R_MIN_ALARM, R_HOUR, R_HOUR_ALARM };
enum { R_WDAY = 6, R_DAY, R_MONTH, R_YEAR, R_A, R_B, R_C, R_D };

enum { A_RS = 0x0f, A_DV_RESET = 0x60, A_UIP = 0x80 };
enum { B_24H = 0x02, B_BINARY = 0x04, B_SQWE = 0x08, B_UIE = 0x10, B_AIE = 0x20, B_PIE = 0x40 };
enum { B_SET = 0x80, B_ENABLES = B_UIE | B_AIE | B_PIE };
enum { C_UF = 0x10, C_AF = 0x20, C_PF = 0x40, C_IRQF = 0x80, C_FLAGS = C_UF | C_AF | C_PF };
enum { D_VRT = 0x80 };
enum { HOUR_PM = 0x80, ALARM_ANY = 0xc0 };

#define UPDATE_NS  (1984 * NS_PER_US) /* tUC at 32.768 kHz (DS, table 5) */
#define BEFORE_NS  (244 * NS_PER_US)  /* tBUC */
#define HALF_NS    (NS_PER_SEC / 2)   /* DS: the first update comes 500 ms after divider reset */
#define CRYSTAL_HZ 32768u
#define DAY_SECS   86400
#define MAX_SECS   9200000000ull /* the year 2261: nanoseconds fit 63 bits */

static struct mc146818 *to_rtc(struct dev *d)
{
	return CONTAINER_OF(d, struct mc146818, dev);
}

/* ------------------------------------------------------------------ calendar */

struct calendar {
	int64_t year;
	unsigned month, day, hour, min, sec; /* 1..12, 1..31 */
};

/* Days since 1970-01-01 of the proleptic Gregorian calendar. Counts in years that begin in March,
 * so that the leap day is the last of its year. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
	int64_t m = month - 1, y = year + m / 12, mar, era, yoe;

	m %= 12;
	y -= m < 2;
	mar = (m + 10) % 12;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * mar + 2) / 5 + day - 1 -
	       719468;
}

static struct calendar date_of_secs(uint64_t secs)
{
	int64_t z = (int64_t)(secs / DAY_SECS) + 719468, era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mar = (5 * doy + 2) / 153;
	unsigned month = (unsigned)(mar < 10 ? mar + 3 : mar - 9),
		 rest = (unsigned)(secs % DAY_SECS);

	return (struct calendar){
		.year = yoe + era * 400 + (month <= 2),
		.month = month,
		.day = (unsigned)(doy - (153 * mar + 2) / 5 + 1),
		.hour = rest / 3600,
		.min = rest / 60 % 60,
		.sec = rest % 60,
	};
}

/* 1970-01-01 was a Thursday; DS: Sunday is 1. */
static unsigned weekday_of_secs(uint64_t secs)
{
	return (unsigned)((secs / DAY_SECS + 4) % 7);
}

/* ------------------------------------------------------------------ time */

static bool rtc_held(const struct mc146818 *rtc)
{
	return (rtc->s.b & B_SET) || (rtc->s.a & A_DV_RESET) == A_DV_RESET;
}

/* Where the divider chain would be. */
static uint64_t rtc_running(const struct mc146818 *rtc)
{
	return clock_wall_ns(rtc->dev.sv->clock) + (uint64_t)rtc->s.offset_ns;
}

static uint64_t rtc_now(const struct mc146818 *rtc)
{
	return rtc_held(rtc) ? rtc->s.held_ns : rtc_running(rtc);
}

/* Guest time of RTC time @ns (which is not in the past). */
static ns_t rtc_to_guest(const struct mc146818 *rtc, uint64_t ns)
{
	uint64_t now = rtc_now(rtc);

	return clock_now(rtc->dev.sv->clock) + (ns > now ? ns - now : 0);
}

static void rtc_set_now(struct mc146818 *rtc, uint64_t ns)
{
	rtc->s.offset_ns = (int64_t)(ns - clock_wall_ns(rtc->dev.sv->clock));
	rtc->s.flags_ns = ns;
}

static uint8_t encode(const struct mc146818 *rtc, unsigned v)
{
	return (uint8_t)(rtc->s.b & B_BINARY ? v : (v / 10 % 10) << 4 | v % 10);
}

static unsigned decode(const struct mc146818 *rtc, uint8_t v)
{
	return rtc->s.b & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(const struct mc146818 *rtc, unsigned hour)
{
	if (rtc->s.b & B_24H)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct mc146818 *rtc, uint8_t v)
{
	if (rtc->s.b & B_24H)
		return decode(rtc, v);
	return decode(rtc, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static bool is_time_byte(unsigned index)
{
	return index == CMOS_CENTURY || (index <= R_YEAR && index != R_SEC_ALARM &&
					 index != R_MIN_ALARM && index != R_HOUR_ALARM);
}

/* Write RTC time @ns into the time bytes, as the registers show it. */
static void time_to_bytes(struct mc146818 *rtc, uint64_t ns)
{
	uint64_t secs = ns / NS_PER_SEC;
	struct calendar t = date_of_secs(secs);
	uint8_t *ram = rtc->s.ram;

	ram[R_SEC] = encode(rtc, t.sec);
	ram[R_MIN] = encode(rtc, t.min);
	ram[R_HOUR] = encode_hour(rtc, t.hour);
	ram[R_WDAY] = encode(rtc, (weekday_of_secs(secs) + rtc->s.weekday) % 7 + 1);
	ram[R_DAY] = encode(rtc, t.day);
	ram[R_MONTH] = encode(rtc, t.month);
	ram[R_YEAR] = encode(rtc, (unsigned)(t.year % 100));
	ram[CMOS_CENTURY] = encode(rtc, (unsigned)(t.year / 100 % 100));
}

/* RTC time that the time bytes stand for, with the fraction @frac_ns; before 1970 becomes 1970. */
static uint64_t bytes_to_time(struct mc146818 *rtc, uint64_t frac_ns)
{
	const uint8_t *ram = rtc->s.ram;
	unsigned month = decode(rtc, ram[R_MONTH]), day = decode(rtc, ram[R_DAY]);
	int64_t year = decode(rtc, ram[CMOS_CENTURY]) * 100 + decode(rtc, ram[R_YEAR]);
	int64_t secs = days_of_date(year, month ? month : 1, day ? day : 1) * DAY_SECS;

	secs += decode_hour(rtc, ram[R_HOUR]) * 3600 + decode(rtc, ram[R_MIN]) * 60 +
		decode(rtc, ram[R_SEC]);
	secs = secs < 0 ? 0 : MIN(secs, (int64_t)MAX_SECS);
	/* The weekday register keeps its distance from the date's. */
	rtc->s.weekday =
		(uint8_t)((decode(rtc, ram[R_WDAY]) + 6 + 7 - weekday_of_secs((uint64_t)secs)) % 7);
	return (uint64_t)secs * NS_PER_SEC + frac_ns;
}

/* ------------------------------------------------------------------ flags and interrupts */

/* Periodic rate in crystal periods; 0 = none (DS, table 4, for 32.768 kHz). */
static unsigned periodic_cycles(const struct mc146818 *rtc)
{
	unsigned rs = rtc->s.a & A_RS;

	if (rs == 0)
		return 0;
	return rs <= 2 ? 64u << rs : 1u << (rs - 1);
}

static uint64_t next_periodic(const struct mc146818 *rtc, uint64_t from_ns)
{
	unsigned cycles = periodic_cycles(rtc);

	if (!cycles)
		return UINT64_MAX;
	return ticks_to_ns((ticks_at(from_ns, CRYSTAL_HZ) / cycles + 1) * cycles, CRYSTAL_HZ);
}

static uint64_t next_update(uint64_t from_ns)
{
	return (from_ns / NS_PER_SEC + 1) * NS_PER_SEC;
}

/* First update after @from_ns whose time matches the alarm bytes, or UINT64_MAX. */
static uint64_t next_alarm(const struct mc146818 *rtc, uint64_t from_ns)
{
	const uint8_t *ram = rtc->s.ram;
	uint64_t secs = from_ns / NS_PER_SEC + 1;

	/* Each step ends a second, a minute or an hour that does not match: < 60 + 60 + 25. */
	for (unsigned step = 0; step < 160; step++) {
		unsigned day = (unsigned)(secs % DAY_SECS);

		if (ram[R_HOUR_ALARM] < ALARM_ANY &&
		    ram[R_HOUR_ALARM] != encode_hour(rtc, day / 3600))
			secs += 3600 - day % 3600;
		else if (ram[R_MIN_ALARM] < ALARM_ANY &&
			 ram[R_MIN_ALARM] != encode(rtc, day / 60 % 60))
			secs += 60 - day % 60;
		else if (ram[R_SEC_ALARM] < ALARM_ANY && ram[R_SEC_ALARM] != encode(rtc, day % 60))
			secs++;
		else
			return secs * NS_PER_SEC;
	}
	return UINT64_MAX;
}

/* Collect the flags that the time up to now has set. */
static void rtc_sync(struct mc146818 *rtc)
{
	uint64_t now = rtc_now(rtc), from = rtc->s.flags_ns;

	if (rtc_held(rtc) || now <= from)
		return;
	if (next_periodic(rtc, from) <= now)
		rtc->s.c |= C_PF;
	if (next_update(from) <= now)
		rtc->s.c |= C_UF;
	if (!(rtc->s.c & C_AF) && next_alarm(rtc, from) <= now)
		rtc->s.c |= C_AF;
	rtc->s.flags_ns = now;
}

/* Drive IRQ8 and arm the timer for the next flag that would interrupt. */
static void rtc_drive(struct mc146818 *rtc)
{
	uint8_t waiting;
	uint64_t at = UINT64_MAX;

	irq_set(&rtc->irq, (rtc->s.b & rtc->s.c & B_ENABLES) && !rtc->s.irq_off);
	waiting = rtc->s.b & B_ENABLES & ~rtc->s.c;
	if (!rtc_held(rtc)) {
		if (waiting & B_PIE)
			at = MIN(at, next_periodic(rtc, rtc->s.flags_ns));
		if (waiting & B_UIE)
			at = MIN(at, next_update(rtc->s.flags_ns));
		if (waiting & B_AIE)
			at = MIN(at, next_alarm(rtc, rtc->s.flags_ns));
	}
	if (at == UINT64_MAX)
		vtimer_cancel(&rtc->timer);
	else
		vtimer_arm(&rtc->timer, rtc_to_guest(rtc, at));
}

static void rtc_update(struct mc146818 *rtc)
{
	rtc_sync(rtc);
	rtc_drive(rtc);
}

static void rtc_timer(void *ctx)
{
	rtc_update(ctx);
}

/* ------------------------------------------------------------------ registers */

static uint8_t rtc_read_a(const struct mc146818 *rtc)
{
	uint64_t in_second = rtc_now(rtc) % NS_PER_SEC;
	bool uip = !rtc_held(rtc) && in_second >= NS_PER_SEC - UPDATE_NS - BEFORE_NS;

	return rtc->s.a | (uip ? A_UIP : 0);
}

static uint8_t rtc_read_c(struct mc146818 *rtc)
{
	uint8_t c;

	rtc_sync(rtc);
	c = rtc->s.c | (rtc->s.b & rtc->s.c & B_ENABLES ? C_IRQF : 0);
	rtc->s.c = 0;
	/* Not rtc_update(): a flag that time sets meanwhile must find the line low, or IRQ8 would
	 * never fall and an edge-triggered controller never see another interrupt. */
	rtc_drive(rtc);
	return c;
}

static uint64_t rtc_read(struct dev *d, uint64_t off, unsigned size)
{
	struct mc146818 *rtc = to_rtc(d);

	if (!(off & 1))
		return 0xff; /* port 70h is write-only */
	switch (rtc->s.index) {
	case R_A: return rtc_read_a(rtc);
	case R_B: return rtc->s.b;
	case R_C: return rtc_read_c(rtc);
	case R_D: return D_VRT;
	default: break;
	}
	if (is_time_byte(rtc->s.index) && !rtc_held(rtc))
		time_to_bytes(rtc, rtc_now(rtc));
	return rtc->s.ram[rtc->s.index];
}

/* Registers A and B: they may stop the clock or let it go. */
static void rtc_write_ab(struct mc146818 *rtc, uint8_t a, uint8_t b)
{
	bool was_held = rtc_held(rtc), was_reset = (rtc->s.a & A_DV_RESET) == A_DV_RESET;
	uint64_t now = rtc_now(rtc);

	rtc_sync(rtc);
	if (!was_held)
		time_to_bytes(rtc, now); /* in the format that B has selected up to now */
	if (b & B_SET)
		b &= (uint8_t)~B_UIE; /* DS, "SET": clears UIE */
	rtc->s.held_ns = now;
	rtc->s.a = a & (uint8_t)~A_UIP;
	rtc->s.b = b;
	if (was_held && !rtc_held(rtc)) {
		uint64_t frac = was_reset ? HALF_NS : rtc_running(rtc) % NS_PER_SEC;

		rtc_set_now(rtc, bytes_to_time(rtc, frac));
	}
	rtc_update(rtc);
}

static void rtc_write_time(struct mc146818 *rtc, unsigned index, uint8_t val)
{
	uint64_t now = rtc_now(rtc);

	if (rtc_held(rtc)) {
		rtc->s.ram[index] = val;
		return;
	}
	rtc_sync(rtc);
	time_to_bytes(rtc, now);
	rtc->s.ram[index] = val;
	rtc_set_now(rtc, bytes_to_time(rtc, now % NS_PER_SEC));
	rtc_update(rtc);
}

static void rtc_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct mc146818 *rtc = to_rtc(d);
	uint8_t v = (uint8_t)val;

	if (!(off & 1)) {
		rtc->s.index = v & 0x7f;
		rtc->s.nmi_masked = v & 0x80;
		irq_set(&rtc->nmi_mask, rtc->s.nmi_masked);
		return;
	}
	switch (rtc->s.index) {
	case R_SEC_ALARM:
	case R_MIN_ALARM:
	case R_HOUR_ALARM:
		rtc_sync(rtc);
		rtc->s.ram[rtc->s.index] = v;
		rtc_update(rtc);
		break;
	case R_A: rtc_write_ab(rtc, v, rtc->s.b); break;
	case R_B: rtc_write_ab(rtc, rtc->s.a, v); break;
	case R_C:
	case R_D: break; /* read-only (DS, "Registers C and D") */
	default:
		if (is_time_byte(rtc->s.index))
			rtc_write_time(rtc, rtc->s.index, v);
		else
			rtc->s.ram[rtc->s.index] = v;
		break;
	}
}

void mc146818_set_cmos(struct mc146818 *rtc, unsigned index, uint8_t val)
{
	check(index > R_D && index < MC146818_BYTES && index != CMOS_CENTURY);
	rtc->s.ram[index] = val;
}

uint8_t mc146818_get_cmos(const struct mc146818 *rtc, unsigned index)
{
	check(index > R_D && index < MC146818_BYTES && index != CMOS_CENTURY);
	return rtc->s.ram[index];
}

void mc146818_set_legacy(void *ctx, unsigned pin, bool level)
{
	struct mc146818 *rtc = ctx;

	rtc->s.irq_off = level;
	rtc_update(rtc);
}

/* ------------------------------------------------------------------ life cycle */

static int rtc_realize(struct dev *d, struct error *err)
{
	struct mc146818 *rtc = to_rtc(d);

	vtimer_init(&rtc->timer, d->sv->clock, rtc_timer, rtc);
	rtc->s.a = 0x26; /* 32.768 kHz, 1024 Hz */
	rtc->s.b = B_24H;
	rtc->s.flags_ns = rtc_now(rtc);
	return 0;
}

static void rtc_unrealize(struct dev *d)
{
	struct mc146818 *rtc = to_rtc(d);

	if (rtc->timer.clock)
		vtimer_cancel(&rtc->timer);
}

static void rtc_reset(struct dev *d, enum dev_reset kind)
{
	struct mc146818 *rtc = to_rtc(d);

	rtc->s.index = 0;
	rtc->s.nmi_masked = false;
	rtc->s.b &= (uint8_t) ~(B_ENABLES | B_SQWE);
	rtc->s.c = 0;
	rtc->s.flags_ns = rtc_now(rtc);
	irq_set(&rtc->nmi_mask, false);
	rtc_update(rtc);
}

static int rtc_loaded(struct dev *d, struct error *err)
{
	struct mc146818 *rtc = to_rtc(d);

	if (rtc_now(rtc) / NS_PER_SEC > 2 * MAX_SECS - DAY_SECS)
		return error_set(err, -EINVAL, "%s: offset_ns: time is out of range", d->id);
	rtc->s.flags_ns = MIN(rtc->s.flags_ns, rtc_now(rtc));
	rtc->s.c &= C_FLAGS; /* .max lets others through */
	irq_set(&rtc->nmi_mask, rtc->s.nmi_masked);
	rtc_drive(rtc);
	return 0;
}

/* clang-format off */
static const struct state_field rtc_fields[] = {
	STATE_BYTES_OF(struct mc146818_regs, ram),
	STATE_VAL(struct mc146818_regs, offset_ns),
	STATE_VAL(struct mc146818_regs, held_ns),
	STATE_VAL(struct mc146818_regs, flags_ns),
	STATE_VAL(struct mc146818_regs, index, .max = 0x7f),
	STATE_VAL(struct mc146818_regs, a, .max = 0x7f),
	STATE_VAL(struct mc146818_regs, b),
	STATE_VAL(struct mc146818_regs, c, .max = C_FLAGS),
	STATE_VAL(struct mc146818_regs, weekday, .max = 6),
	STATE_VAL(struct mc146818_regs, nmi_masked),
	STATE_VAL(struct mc146818_regs, irq_off),
	STATE_PAD(struct mc146818_regs, pad_),
	STATE_END};

static const struct state_desc rtc_state =
	STATE_DESC("mc146818", 1, struct mc146818_regs, rtc_fields);

static const struct dev_region rtc_regions[] = {
	{"rtc", DEV_PIO, 0x70, 2, WIDTH_124, WIDTH_1, rtc_read, rtc_write},
	{0}};
/* clang-format on */

const struct dev_class mc146818_class = {
	.name = "mc146818",
	.summary = "real-time clock and CMOS memory",
	.spec = "Motorola MC146818A, 1988",
	.size = sizeof(struct mc146818),
	.regs_offset = offsetof(struct mc146818, s),
	.regions = rtc_regions,
	.state = &rtc_state,
	.realize = rtc_realize,
	.unrealize = rtc_unrealize,
	.reset = rtc_reset,
	.loaded = rtc_loaded,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * National Semiconductor PC16550D universal asynchronous receiver/transmitter with FIFOs.
 *
 * Documents: National PC16550D data sheet (June 1995, "DS"); IBM PC/AT Technical Reference for the
 * 1.8432 MHz crystal and the gating of INTR by the modem control output OUT2.
 *
 *   0 RBR/THR, DLL   1 IER, DLM   2 IIR/FCR   3 LCR   4 MCR   5 LSR   6 MSR   7 SCR
 *
 * Transmission takes no time: a byte written to THR goes to the back end at once, THRE and TEMT
 * stay set and the transmitter-empty interrupt follows the write. When the back end takes no more,
 * bytes wait in the FIFO (16, or 1 without FIFO mode), THRE stays clear and the guest waits: its
 * output is never lost and never piles up on the host. Bytes are received as fast as there is
 * room, so overrun happens in loopback only. The programmed speed counts for one thing: the
 * character timeout comes four character times after the last access to a receiver FIFO that is
 * below its trigger level (DS, 8.4.1).
 *
 * Interrupt line: IIR says an interrupt is pending and MCR.OUT2 is set and loopback is off. The
 * line falls and rises again when one source is acknowledged and the next becomes pending by the
 * same access.
 *
 * Invariants: rx_n, tx_n <= 16; without FIFO mode <= 1 (except for bytes that were waiting when the
 * mode changed: none, the change empties both).
 *
 * UNMODELLED: parity and framing errors outside loopback never occur; speeds, parity and stop bits
 * of the back end are not set; DMA pins RXRDY/TXRDY are not connected on a PC.
 */
#include "device/char/uart16550.h"

#include <errno.h>

#include "base/bits.h"

enum { R_DATA, R_IER, R_IIR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR };

enum { IER_RDA = 0x01, IER_THRE = 0x02, IER_RLS = 0x04, IER_MS = 0x08, IER_MASK = 0x0f };
enum { IIR_NONE = 0x01, IIR_MS = 0x00, IIR_THRE = 0x02, IIR_RDA = 0x04, IIR_RLS = 0x06 };
enum { IIR_TIMEOUT = 0x0c, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04, FCR_DMA = 0x08 };
enum { FCR_KEPT = 0xc9 };
enum { LCR_STOP = 0x04, LCR_PARITY = 0x08, LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_MASK = 31 };
enum {
	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_PE = 0x04,
	LSR_FE = 0x08,
	LSR_BI = 0x10,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,
	LSR_FIFO_ERR = 0x80,
	LSR_CHAR_ERRS = LSR_PE | LSR_FE | LSR_BI,
	LSR_ERRS = LSR_OE | LSR_CHAR_ERRS,
};
enum { MSR_DELTAS = 0x0f, MSR_TERI = 0x04, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40 };
enum { MSR_DCD = 0x80, MSR_CABLE = MSR_CTS | MSR_DSR | MSR_DCD };

/* Receiver FIFO trigger levels (DS, 8.5, bits 7:6). */
static const uint8_t trigger_levels[4] = {1, 4, 8, 14};

#define CRYSTAL_HZ 1843200ull

static struct uart16550 *to_uart(struct dev *d)
{
	return CONTAINER_OF(d, struct uart16550, dev);
}

static bool fifo_mode(const struct uart16550 *u)
{
	return u->s.fcr & FCR_ENABLE;
}

static unsigned fifo_size(const struct uart16550 *u)
{
	return fifo_mode(u) ? UART16550_FIFO : 1;
}

static unsigned rx_trigger(const struct uart16550 *u)
{
	return fifo_mode(u) ? trigger_levels[u->s.fcr >> 6] : 1;
}

/* The highest-priority pending and enabled interrupt (DS, table IV). */
static uint8_t uart_iir(const struct uart16550 *u)
{
	if ((u->s.ier & IER_RLS) && u->s.lsr_err)
		return IIR_RLS;
	if ((u->s.ier & IER_RDA) && u->s.rx_n >= rx_trigger(u))
		return IIR_RDA;
	if ((u->s.ier & IER_RDA) && u->s.timeout)
		return IIR_TIMEOUT;
	if ((u->s.ier & IER_THRE) && u->s.thre_pending)
		return IIR_THRE;
	if ((u->s.ier & IER_MS) && (u->s.msr & MSR_DELTAS))
		return IIR_MS;
	return IIR_NONE;
}

static void uart_update_irq(struct uart16550 *u)
{
	bool gate = (u->s.mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	irq_set(&u->irq, gate && uart_iir(u) != IIR_NONE);
}

/* One character on the line: start, data, parity, stop bits; 16 clocks a bit. In half bits. */
static ns_t char_time(const struct uart16550 *u)
{
	unsigned data = 5 + (u->s.lcr & 3), half_bits = 2 * (1 + data + 1);
	uint64_t divisor = u->s.divisor ? u->s.divisor : 0x10000;

	if (u->s.lcr & LCR_PARITY)
		half_bits += 2;
	if (u->s.lcr & LCR_STOP)
		half_bits += data == 5 ? 1 : 2;
	return half_bits * 8 * divisor * NS_PER_SEC / CRYSTAL_HZ;
}

/* The receiver FIFO was written or read: the character timeout starts again (DS, 8.4.1). */
static void rx_touched(struct uart16550 *u)
{
	u->s.timeout = false;
	if (fifo_mode(u) && u->s.rx_n) {
		u->s.timeout_at = clock_now(u->dev.sv->clock) + 4 * char_time(u);
		vtimer_arm(&u->timer, u->s.timeout_at);
	} else {
		u->s.timeout_at = 0;
		vtimer_cancel(&u->timer);
	}
}

static void uart_timer(void *ctx)
{
	struct uart16550 *u = ctx;

	u->s.timeout_at = 0;
	u->s.timeout = u->s.rx_n != 0;
	uart_update_irq(u);
}

/* DS, 8.6.3: errors show when their character is at the top of the FIFO. */
static void rx_reveal(struct uart16550 *u)
{
	if (u->s.rx_n) {
		u->s.lsr_err |= u->s.rx_err[0];
		u->s.rx_err[0] = 0;
	}
}

static void rx_push(struct uart16550 *u, uint8_t byte, uint8_t errors)
{
	if (u->s.rx_n >= fifo_size(u)) {
		u->s.lsr_err |= LSR_OE;
		if (fifo_mode(u))
			return; /* the shift register is overwritten, the FIFO is not */
		u->s.rx_n = 0;
	}
	u->s.rx[u->s.rx_n] = byte;
	u->s.rx_err[u->s.rx_n] = errors;
	u->s.rx_n++;
	if (u->s.rx_n == 1)
		rx_reveal(u);
	rx_touched(u);
}

static uint8_t rx_pop(struct uart16550 *u)
{
	if (!u->s.rx_n)
		return u->s.rbr;
	u->s.rbr = u->s.rx[0];
	u->s.rx_n--;
	memmove(u->s.rx, u->s.rx + 1, u->s.rx_n);
	memmove(u->s.rx_err, u->s.rx_err + 1, u->s.rx_n);
	rx_reveal(u);
	rx_touched(u);
	return u->s.rbr;
}

static void rx_clear(struct uart16550 *u)
{
	u->s.rx_n = 0;
	rx_touched(u);
}

static size_t uart_can_receive(void *ctx)
{
	struct uart16550 *u = ctx;

	if (u->s.mcr & MCR_LOOP)
		return 0; /* SIN is disconnected */
	return u->s.rx_n < fifo_size(u) ? fifo_size(u) - u->s.rx_n : 0;
}

static void uart_receive(void *ctx, const uint8_t *buf, size_t len)
{
	struct uart16550 *u = ctx;

	for (size_t i = 0; i < len; i++)
		rx_push(u, buf[i], 0);
	uart_update_irq(u);
}

void uart16550_receive_break(struct uart16550 *u)
{
	if (u->s.mcr & MCR_LOOP)
		return;
	rx_push(u, 0, LSR_BI); /* DS, 8.3 bit 4: one zero character in the FIFO */
	uart_update_irq(u);
}

static void uart_poll_input(struct uart16550 *u)
{
	if (u->chr && uart_can_receive(u))
		chr_poll_input(u->chr);
}

/* Give waiting bytes to the back end; the transmitter-empty interrupt follows the last. */
static void tx_flush(struct uart16550 *u)
{
	size_t n = u->s.tx_n;

	if (!n)
		return;
	if (u->chr)
		n = MIN(chr_write(u->chr, u->s.tx, u->s.tx_n), n);
	u->s.tx_n = (uint8_t)(u->s.tx_n - n);
	memmove(u->s.tx, u->s.tx + n, u->s.tx_n);
	if (!u->s.tx_n)
		u->s.thre_pending = true;
}

static void uart_writable(void *ctx)
{
	struct uart16550 *u = ctx;

	tx_flush(u);
	uart_update_irq(u);
}

static void thr_write(struct uart16550 *u, uint8_t byte)
{
	u->s.thre_pending = false;
	uart_update_irq(u); /* the line falls before it rises for the emptied FIFO */
	if (u->s.mcr & MCR_LOOP) {
		rx_push(u, byte & (uint8_t)(0xff >> (3 - (u->s.lcr & 3))), 0);
		u->s.thre_pending = !u->s.tx_n;
		return;
	}
	if (u->s.tx_n >= fifo_size(u)) {
		guest_error(&u->dev, "THR written while the transmitter is full; byte lost");
		u->s.tx[u->s.tx_n - 1] = byte;
		return;
	}
	u->s.tx[u->s.tx_n++] = byte;
	tx_flush(u);
}

/* Modem inputs in MSR bit positions: the cable, or the outputs in loopback (DS, 8.7 bit 4). */
static uint8_t modem_inputs(const struct uart16550 *u)
{
	uint8_t m = u->s.mcr;

	if (!(m & MCR_LOOP))
		return MSR_CABLE;
	return (uint8_t)((m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) |
			 (m & MCR_OUT1 ? MSR_RI : 0) | (m & MCR_OUT2 ? MSR_DCD : 0));
}

static void msr_update(struct uart16550 *u)
{
	uint8_t old = u->s.msr & 0xf0, now = modem_inputs(u);
	uint8_t delta = (uint8_t)((old ^ now) >> 4);

	if (now & MSR_RI)
		delta &= (uint8_t)~MSR_TERI; /* TERI is the trailing edge only */
	u->s.msr = now | (u->s.msr & MSR_DELTAS) | delta;
}

static void fcr_write(struct uart16550 *u, uint8_t val)
{
	if ((val ^ u->s.fcr) & FCR_ENABLE)
		val |= FCR_CLEAR_RX | FCR_CLEAR_TX; /* DS, 8.5 bit 0 */
	/* DS, 8.5: the other bits are only programmed when bit 0 is 1. */
	u->s.fcr = val & FCR_ENABLE ? val & FCR_KEPT : 0;
	if (val & FCR_CLEAR_RX)
		rx_clear(u);
	if ((val & FCR_CLEAR_TX) && u->s.tx_n) {
		u->s.tx_n = 0;
		u->s.thre_pending = true;
	}
}

static uint8_t lsr_read(struct uart16550 *u)
{
	uint8_t v = u->s.lsr_err;

	if (u->s.rx_n)
		v |= LSR_DR;
	if (!u->s.tx_n)
		v |= LSR_THRE | LSR_TEMT;
	for (unsigned i = 0; fifo_mode(u) && i < u->s.rx_n; i++) {
		if (u->s.rx_err[i])
			v |= LSR_FIFO_ERR;
	}
	if (fifo_mode(u) && (u->s.lsr_err & LSR_CHAR_ERRS))
		v |= LSR_FIFO_ERR;
	u->s.lsr_err = 0;
	return v;
}

static uint8_t iir_read(struct uart16550 *u)
{
	uint8_t iir = uart_iir(u);

	if (iir == IIR_THRE)
		u->s.thre_pending = false; /* DS, table IV: reading IIR if it is the source */
	return iir | (fifo_mode(u) ? IIR_FIFOS : 0);
}

static uint64_t uart_read(struct dev *d, uint64_t off, unsigned size)
{
	struct uart16550 *u = to_uart(d);
	bool dlab = u->s.lcr & LCR_DLAB;
	uint8_t v = 0;

	switch (off) {
	case R_DATA:
		v = dlab ? (uint8_t)u->s.divisor : rx_pop(u);
		uart_update_irq(u);
		if (!dlab)
			uart_poll_input(u);
		return v;
	case R_IER: return dlab ? u->s.divisor >> 8 : u->s.ier;
	case R_IIR: v = iir_read(u); break;
	case R_LCR: return u->s.lcr;
	case R_MCR: return u->s.mcr;
	case R_LSR: v = lsr_read(u); break;
	case R_MSR:
		v = u->s.msr;
		u->s.msr &= (uint8_t)~MSR_DELTAS;
		break;
	case R_SCR: return u->s.scr;
	}
	uart_update_irq(u);
	return v;
}

static void ier_write(struct uart16550 *u, uint8_t val)
{
	/* Enabling the interrupt of an empty transmitter gives one at once (DS, 8.4 "THRE"). */
	if ((val & ~u->s.ier & IER_THRE) && !u->s.tx_n)
		u->s.thre_pending = true;
	u->s.ier = val & IER_MASK;
}

static void uart_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct uart16550 *u = to_uart(d);
	bool dlab = u->s.lcr & LCR_DLAB;
	uint8_t v = (uint8_t)val;

	switch (off) {
	case R_DATA:
		if (dlab)
			u->s.divisor = (u->s.divisor & 0xff00) | v;
		else
			thr_write(u, v);
		break;
	case R_IER:
		if (dlab)
			u->s.divisor = (uint16_t)((u->s.divisor & 0xff) | v << 8);
		else
			ier_write(u, v);
		break;
	case R_IIR: fcr_write(u, v); break;
	case R_LCR: u->s.lcr = v; break;
	case R_MCR:
		u->s.mcr = v & MCR_MASK;
		msr_update(u);
		break;
	case R_LSR: break; /* "read only: writing is for factory testing" (DS, 8.3) */
	case R_MSR: break;
	case R_SCR: u->s.scr = v; break;
	}
	uart_update_irq(u);
	if (off == R_IIR || off == R_MCR)
		uart_poll_input(u);
}

static int uart_realize(struct dev *d, struct error *err)
{
	struct uart16550 *u = to_uart(d);

	vtimer_init(&u->timer, d->sv->clock, uart_timer, u);
	vtimer_init(&u->flush, d->sv->clock, uart_writable, u);
	if (u->chr)
		chr_set_handler(u->chr, &(struct chr_handler){.can_receive = uart_can_receive,
							      .receive = uart_receive,
							      .writable = uart_writable,
							      .ctx = u});
	return 0;
}

static void uart_unrealize(struct dev *d)
{
	struct uart16550 *u = to_uart(d);

	if (u->timer.clock) {
		vtimer_cancel(&u->timer);
		vtimer_cancel(&u->flush);
	}
	if (u->chr)
		chr_set_handler(u->chr, NULL);
}

/* DS, table I: reset configuration. Receiver buffer, scratch and divisor are not reset by MR; a
 * cold start finds them zero. */
static void uart_reset(struct dev *d, enum dev_reset kind)
{
	struct uart16550 *u = to_uart(d);
	struct uart16550_regs old = u->s;

	u->s = (struct uart16550_regs){.msr = MSR_CABLE};
	if (kind != DEV_RESET_COLD) {
		u->s.scr = old.scr;
		u->s.divisor = old.divisor;
	}
	vtimer_cancel(&u->timer);
	uart_update_irq(u);
	uart_poll_input(u);
}

static int uart_loaded(struct dev *d, struct error *err)
{
	struct uart16550 *u = to_uart(d);

	if (u->s.rx_n > fifo_size(u) || u->s.tx_n > fifo_size(u))
		return error_set(err, -EINVAL, "%s: %u/%u bytes in FIFOs of %u", d->id, u->s.rx_n,
				 u->s.tx_n, fifo_size(u));
	for (unsigned i = 0; i < UART16550_FIFO; i++)
		u->s.rx_err[i] &= LSR_CHAR_ERRS;
	u->s.lsr_err &= LSR_ERRS; /* .max lets others through */
	if (u->s.timeout_at)
		vtimer_arm(&u->timer, u->s.timeout_at);
	else
		vtimer_cancel(&u->timer);
	/* Bytes that waited for the old back end go to the new one when the clock runs. */
	if (u->s.tx_n)
		vtimer_arm(&u->flush, clock_now(d->sv->clock));
	uart_update_irq(u);
	uart_poll_input(u); /* asks the loop to come, does not receive */
	return 0;
}

/* clang-format off */
static const struct state_field uart_fields[] = {
	STATE_BYTES_OF(struct uart16550_regs, rx),
	STATE_BYTES_OF(struct uart16550_regs, rx_err),
	STATE_BYTES_OF(struct uart16550_regs, tx),
	STATE_VAL(struct uart16550_regs, rx_n, .max = UART16550_FIFO),
	STATE_VAL(struct uart16550_regs, tx_n, .max = UART16550_FIFO),
	STATE_VAL(struct uart16550_regs, ier, .max = IER_MASK),
	STATE_VAL(struct uart16550_regs, lcr),
	STATE_VAL(struct uart16550_regs, mcr, .max = MCR_MASK),
	STATE_VAL(struct uart16550_regs, scr),
	STATE_VAL(struct uart16550_regs, fcr, .max = FCR_KEPT),
	STATE_VAL(struct uart16550_regs, lsr_err, .max = LSR_ERRS),
	STATE_VAL(struct uart16550_regs, msr),
	STATE_VAL(struct uart16550_regs, rbr),
	STATE_VAL(struct uart16550_regs, divisor),
	STATE_VAL(struct uart16550_regs, thre_pending),
	STATE_VAL(struct uart16550_regs, timeout),
	STATE_PAD(struct uart16550_regs, pad_),
	STATE_VAL(struct uart16550_regs, timeout_at),
	STATE_END};

static const struct state_desc uart_state =
	STATE_DESC("uart16550", 1, struct uart16550_regs, uart_fields);

static const struct dev_region uart_regions[] = {
	{"uart", DEV_PIO, 0, 8, WIDTH_124, WIDTH_1, uart_read, uart_write},
	{0}};
/* clang-format on */

const struct dev_class uart16550_class = {
	.name = "uart16550",
	.summary = "serial port",
	.spec = "National PC16550D, June 1995",
	.size = sizeof(struct uart16550),
	.regs_offset = offsetof(struct uart16550, s),
	.regions = uart_regions,
	.state = &uart_state,
	.realize = uart_realize,
	.unrealize = uart_unrealize,
	.reset = uart_reset,
	.loaded = uart_loaded,
};

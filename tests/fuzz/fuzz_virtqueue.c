/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues against a guest that writes anything, at any time: after each read of guest memory by
 * the device (mem_read, wrapped by the linker) the input may change bytes of the rings, so that a
 * second look at the same place sees something else. Split, packed, indirect, event index.
 *
 * Input: 16 bytes of set-up; an image of the first bytes of the ring page; then operations. What
 * must hold is checked here: buffers inside RAM, lengths that add up, bounds on segments and
 * elements in flight, one report of a broken ring.
 */
#include "device/virtio/virtqueue.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __real_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len);
int __wrap_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len);

enum { RAM = 1 << 20, RINGS = 0x4000, HELD = 32 };

struct input {
	const uint8_t *p;
	size_t left;
};

/* One per process: the wrapped function has no context. */
static struct {
	struct mem_space *mem;
	struct ram_block *ram;
	struct virtq q;
	struct virtq_regs regs;
	struct input mutations; /* from the end of the input */
	bool mutate;
	unsigned broken;
} g;

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

int __wrap_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len)
{
	int r = __real_mem_read(space, from, to, len);

	if (g.mutate && g.mutations.left >= 4) {
		uint8_t how = take(&g.mutations);
		/* Often the very bytes that were just read, sometimes others of the rings. */
		gpa_t at = how & 1 ? from + take(&g.mutations) % 16
				   : take(&g.mutations) * 64u + take(&g.mutations) % 64;
		uint8_t v = take(&g.mutations);
		if (how & 2 && at < RAM)
			g.ram->host[at] = how & 4 ? v : g.ram->host[at] ^ v;
	}
	return r;
}

static void on_broken(void *ctx, struct virtq *q, const char *why)
{
	check(q == &g.q && why[0]);
	g.broken++;
}

static void set_up(void)
{
	struct mem_mapping *map;
	struct error err = {0};

	if (g.mem)
		return;
	check(mem_space_new(&g.mem, &err) == 0);
	check(mem_ram_new(g.mem, "ram", RAM, &g.ram, &err) == 0);
	/* Two mappings with a hole between: buffers that cross are split, or refused. */
	check(mem_map_ram(g.mem, "a", 0, g.ram, 0, RAM / 2, false, MEM_PRIO_RAM, &map, &err) == 0);
	check(mem_map_ram(g.mem, "b", RAM / 2 + 0x10000, g.ram, RAM / 2, RAM / 2 - 0x10000, false,
			  MEM_PRIO_RAM, &map, &err) == 0);
	check(mem_map_ram(g.mem, "c", RAM / 2 + 0x1000, g.ram, 0x8000, 0x4000, false, MEM_PRIO_RAM,
			  &map, &err) == 0);
	check(vq_init(&g.q, 0, VQ_SIZE_MAX, g.mem, &g.regs) == 0);
	g.q.broken = on_broken;
}

static void check_elem(struct vq_elem *e)
{
	uint64_t sum[2] = {0, 0}, seg[2] = {0, 0};

	check(e->n_rd + e->n_wr <= VQ_IOV_MAX);
	for (unsigned i = 0; i < e->n_rd + e->n_wr; i++) {
		const uint8_t *host = e->iov[i].iov_base;
		check(host >= g.ram->host && e->iov[i].iov_len <= RAM &&
		      host + e->iov[i].iov_len <= g.ram->host + RAM);
		sum[i >= e->n_rd] += e->iov[i].iov_len;
		seg[i >= e->n_rd] += e->seg[i].len;
	}
	check(sum[0] == e->rd_len && sum[1] == e->wr_len);
	check(seg[0] == e->rd_len && seg[1] == e->wr_len);
}

static void use(struct vq_elem *e, struct input *in)
{
	struct vq_cursor rd = vq_reader(e), wr = vq_writer(e);
	uint8_t buf[300];
	size_t n;

	check_elem(e);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t before = rd.left;
		n = vq_read(&rd, buf, take(in));
		check(rd.left == before - n);
	}
	if (vq_read_exact(&rd, buf, sizeof(buf)) == 0)
		check(rd.left <= e->rd_len - sizeof(buf));
	n = vq_write(&wr, buf, take(in));
	check(wr.left == e->wr_len - n);
	(void)!vq_write_exact(&wr, buf, take(in));
	if (e->n_wr)
		*vq_last_byte(e) = 1;
	if (take(in) & 1) {
		const struct iovec *iov;
		uint64_t len = MIN(wr.left, (uint64_t)take(in) * 16), sum = 0;
		int k = vq_take_iov(e, &wr, len, &iov);
		check(k >= 0);
		for (int i = 0; i < k; i++)
			sum += iov[i].iov_len;
		check(sum == len);
		check(vq_take_iov(e, &rd, rd.left + 1, &iov) < 0);
	}
}

static void operate(struct input *in)
{
	struct vq_elem *held[HELD], *e;
	unsigned n = 0;
	uint64_t written[HELD];

	for (unsigned ops = 0; ops < 200 && in->left; ops++) {
		uint8_t op = take(in), arg = take(in);
		switch (op % 10) {
		case 0:
		case 1:
		case 2:
			g.q.budget = 1 + arg % 64;
			while (n < HELD && (e = vq_pop(&g.q))) {
				use(e, in);
				held[n++] = e;
				if (arg & 0x80)
					break;
			}
			break;
		case 3:
			if (n) {
				unsigned pick = arg % n--;
				e = held[pick];
				held[pick] = held[n];
				vq_push(e, (uint64_t)take(in) << (arg & 31));
			}
			break;
		case 4:
			g.q.budget = 1;
			e = vq_pop(&g.q);
			if (e)
				vq_unpop(e);
			break;
		case 5:
			for (unsigned i = 0; i < n; i++)
				written[i] = take(in);
			vq_push_batch(held, written, n);
			n = 0;
			break;
		case 6: (void)vq_should_notify(&g.q); break;
		case 7:
			if (arg & 1)
				vq_kick_off(&g.q);
			else
				(void)vq_kick_on(&g.q);
			(void)vq_empty(&g.q);
			break;
		case 8: /* the guest works on the rings: mostly the two indices and flags */
			g.ram->host[(arg & 1   ? 0x1000
				     : arg & 2 ? 0x2000
					       : 0) +
				    take(in) % 32] = take(in);
			g.ram->host[0x1002] += arg >> 4;
			break;
		default: /* reset with elements in hand */
			if (arg % 8 == 0) {
				vq_reset(&g.q);
				g.broken = 0;
			}
			break;
		}
		check(vq_inflight(&g.q) <= VQ_SIZE_MAX && g.q.n_free <= VQ_SIZE_MAX);
		check(g.broken <= 1);
	}
	while (n)
		vq_push(held[--n], 1);
}

/* What a snapshot may say is in flight is as untrusted as the ring. */
static void restore(bool packed, uint8_t seed)
{
	struct vq_elem *e;

	vq_reset(&g.q);
	g.broken = 0;
	g.regs.size = (uint16_t)(packed ? 1 + seed % 255 : 1 << seed % 9);
	g.regs.driver = 0x1000;
	g.regs.device = 0x2000;
	for (unsigned i = 0; i < 8; i++)
		g.regs.inflight[i * seed % VQ_SIZE_MAX] = (uint16_t)(i * seed % 300);
	if (vq_enable(&g.q, packed, false, true) < 0)
		return;
	vq_rewind(&g.q);
	for (unsigned i = 0; i < VQ_SIZE_MAX; i++) {
		e = vq_pop_inflight(&g.q, i);
		if (e) {
			check_elem(e);
			vq_push(e, 1);
		}
	}
	check(vq_inflight(&g.q) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	size_t image;
	uint8_t flags, sz;
	bool packed;

	set_up();
	if (size < 32)
		return 0;
	vq_reset(&g.q);
	g.broken = 0;
	memset(g.ram->host, 0, RINGS + 0x1000);
	flags = take(&in);
	packed = flags & 1;
	sz = take(&in);
	g.regs.size = packed ? 1 + sz : (uint16_t)(1u << sz % 9);
	g.regs.desc = flags & 8 ? (gpa_t)take(&in) << 12 : 0;
	g.regs.driver = flags & 16 ? (gpa_t)take(&in) << 12 : 0x1000;
	g.regs.device = flags & 32 ? (gpa_t)take(&in) << 12 : 0x2000;
	g.regs.avail = g.regs.used = packed ? 0 : (uint16_t)(take(&in) << 8 | take(&in));
	if (flags & 64) /* a plausible driver: indices ahead of the device */
		st_le16(g.ram->host + 0x1002, (uint16_t)(g.regs.avail + take(&in) % 32));
	image = MIN((size_t)take(&in) * 16, in.left / 2);
	for (size_t i = 0; i < image; i++) {
		/* Addresses of 16-byte descriptors are kept low, so that many are in RAM. */
		uint8_t v = take(&in);
		g.ram->host[i] = i % 16 >= 3 && i % 16 < 8 && (flags & 128) ? 0 : v;
	}
	for (unsigned i = 0; i < 32 && !packed; i++)
		g.ram->host[0x1004 + i] = i & 1 ? 0 : take(&in);
	/* The last quarter is what changes under the device's feet. */
	g.mutations = (struct input){in.p + in.left - in.left / 4, in.left / 4};
	in.left -= in.left / 4;
	if (vq_enable(&g.q, packed, flags & 2, flags & 4) == 0) {
		g.mutate = true;
		operate(&in);
		g.mutate = false;
	}
	if (flags & 2)
		restore(packed, sz);
	vq_reset(&g.q);
	check(vq_inflight(&g.q) == 0 && g.q.n_free == VQ_SIZE_MAX);
	return 0;
}

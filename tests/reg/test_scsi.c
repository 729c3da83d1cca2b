/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI commands without a transport (device/storage/scsi.h). "SPC": SPC-4; "SBC": SBC-3; "MMC":
 * MMC-5.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/storage/scsi.h"
#include "fake_block.h"
#include "harness.h"

#define DISK_SIZE (1 * MIB)

struct rig {
	struct scsi_lu lu;
	struct scsi_lu_regs r;
	struct block *b;
	struct scsi_cmd c;
	uint8_t buf[SCSI_BUF];
	struct block_req br;
	int result;
	bool ended;
};

static struct rig *rig_new(enum scsi_kind kind)
{
	struct rig *g = xnew(struct rig);
	struct error err = {0};

	g->b = fake_block_new(DISK_SIZE);
	g->lu = (struct scsi_lu){.kind = kind, .block = g->b, .serial = "S123"};
	assert_int_equal(scsi_lu_init(&g->lu, &g->r, &err), 0);
	scsi_lu_reset(&g->lu, true);
	return g;
}

static void rig_free(struct rig *g)
{
	fake_block_free(g->b);
	free(g);
}

static void done(struct block_req *br, int result)
{
	struct rig *g = br->ctx;

	g->result = result;
	g->ended = true;
}

/* Carry the requests of a SCSI_WORK command out. */
static void work(struct rig *g)
{
	int result = 0;

	g->br = (struct block_req){.done = done, .ctx = g};
	while (scsi_work(&g->lu, &g->c, result, &g->br)) {
		g->ended = false;
		block_submit(g->b, &g->br);
		fake_block_run(g->b, 1, false);
		assert_true(g->ended);
		result = g->result;
	}
}

/* A command from its CDB; @params: what it wants from the initiator. */
static void run(struct rig *g, const uint8_t *cdb, const uint8_t *params, uint32_t len)
{
	memset(&g->c, 0, sizeof(g->c));
	memcpy(g->c.cdb, cdb, SCSI_CDB_MAX);
	g->c.buf = g->buf;
	scsi_start(&g->lu, &g->c);
	if (g->c.act == SCSI_PARAMS) {
		assert_true(g->c.len == len);
		memcpy(g->buf, params, len);
		scsi_params(&g->lu, &g->c);
	}
	if (g->c.act == SCSI_WORK)
		work(g);
	scsi_keep_sense(&g->lu, &g->c);
}

struct row {
	uint8_t cdb[16];
	enum scsi_act act;
	uint32_t len; /* REPLY: bytes; READ, WRITE: blocks */
	unsigned at;  /* REPLY: this byte of the answer ... */
	uint8_t want; /* is this */
	uint8_t key, asc;
	const char *cite;
};

static void rows(struct rig *g, const struct row *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *w = &t[i];
		uint32_t len;

		run(g, w->cdb, NULL, 0);
		len = g->c.act == SCSI_REPLY ? g->c.len
					     : (uint32_t)(g->c.bytes / scsi_block_size(&g->lu));
		if (g->c.act != w->act || g->c.key != w->key || g->c.asc != w->asc ||
		    (w->len && len != w->len) || (w->act == SCSI_REPLY && g->buf[w->at] != w->want))
			fail_msg("row %zu (%s): act %d key %x asc %02x len %u byte %02x", i,
				 w->cite, g->c.act, g->c.key, g->c.asc, len, g->buf[w->at]);
	}
}

static void test_disk(void **state)
{
	static const struct row t[] = {
		/* clang-format off */
		{{0x00}, SCSI_END, .cite = "SPC 6.47: ready"},
		{{0x12, [4] = 36}, SCSI_REPLY, 36, 0, 0x00, .cite = "SPC 6.6.2: direct access"},
		{{0x12, [4] = 36}, SCSI_REPLY, 36, 3, 0x02, .cite = "SPC 6.6.2: format 2"},
		{{0x12, [4] = 5}, SCSI_REPLY, 5, 4, 31, .cite = "SPC 4.3.5.6: cut to the allocation length"},
		{{0x12, 0, 1, [4] = 36}, SCSI_END, .key = 5, .asc = 0x24, .cite = "SPC 6.6.1: page without EVPD"},
		{{0x12, 1, 0, [4] = 99}, SCSI_REPLY, 10, 9, 0xb2, .cite = "SPC 7.8.15: list of pages"},
		{{0x12, 1, 0x80, [4] = 99}, SCSI_REPLY, 8, 4, 'S', .cite = "SPC 7.8.17: serial number"},
		{{0x12, 1, 0x83, [4] = 99}, SCSI_REPLY, 20, 5, 0x01, .cite = "SPC 7.8.6: T10 vendor ID"},
		{{0x12, 1, 0xb0, [4] = 99}, SCSI_REPLY, 64, 4, 1, .cite = "SBC 6.6.4: WSNZ"},
		{{0x12, 1, 0xb0, [4] = 99}, SCSI_REPLY, 64, 27, SCSI_RANGES_MAX, .cite = "SBC 6.6.4: descriptors of UNMAP"},
		{{0x12, 1, 0xb1, [4] = 99}, SCSI_REPLY, 64, 5, 1, .cite = "SBC 6.6.3: non-rotating"},
		{{0x12, 1, 0xb2, [4] = 99}, SCSI_REPLY, 8, 5, 0xe4, .cite = "SBC 6.6.7: LBPU, LBPWS, LBPWS10, LBPRZ"},
		{{0x12, 1, 0xb9, [4] = 99}, SCSI_END, .key = 5, .asc = 0x24, .cite = "SPC 6.6.1: no such page"},
		{{0x25}, SCSI_REPLY, 8, 2, 0x07, .cite = "SBC 5.15: last block 7ffh"},
		{{0x25}, SCSI_REPLY, 8, 6, 0x02, .cite = "SBC 5.15: 512 bytes"},
		{{0x9e, 0x10, [13] = 32}, SCSI_REPLY, 32, 14, 0xc0, .cite = "SBC 5.16: LBPME, LBPRZ"},
		{{0x9e, 0x11, [13] = 32}, SCSI_END, .key = 5, .asc = 0x24, .cite = "SBC 5.16: other service action"},
		{{0x08, 0, 0, 1, 0}, SCSI_READ, 256, .cite = "SBC 5.10: 0 is 256 blocks"},
		{{0x0a, 0, 0, 1, 2}, SCSI_WRITE, 2, .cite = "SBC 5.34"},
		{{0x28, [4] = 7, [5] = 0xff, [8] = 1}, SCSI_READ, 1, .cite = "SBC 5.11: the last block"},
		{{0x28, [4] = 8, [8] = 1}, SCSI_END, .key = 5, .asc = 0x21, .cite = "SBC 4.22: out of range"},
		{{0x28, [4] = 8, [8] = 0}, SCSI_END, .cite = "SBC 5.11: no block at the end"},
		{{0x28, 0x20, [8] = 1}, SCSI_END, .key = 5, .asc = 0x24, .cite = "SBC 5.11: RDPROTECT"},
		{{0x2a, 8, [8] = 1}, SCSI_WRITE, 1, .cite = "SBC 5.35: FUA"},
		{{0xa8, [9] = 9}, SCSI_READ, 9, .cite = "SBC 5.12"},
		{{0xaa, [9] = 9}, SCSI_WRITE, 9, .cite = "SBC 5.36"},
		{{0x88, [13] = 9}, SCSI_READ, 9, .cite = "SBC 5.13"},
		{{0x8a, [13] = 9}, SCSI_WRITE, 9, .cite = "SBC 5.37"},
		{{0x88, [2] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [13] = 9}, SCSI_END, .key = 5, .asc = 0x21, .cite = "SBC 5.13"},
		{{0x2f, [8] = 4}, SCSI_END, .cite = "SBC 5.25: VERIFY"},
		{{0x2f, 2, [8] = 4}, SCSI_END, .key = 5, .asc = 0x24, .cite = "not modelled: BYTCHK"},
		{{0x35}, SCSI_END, .cite = "SBC 5.22"},
		{{0x1a, 0, 0x08, [4] = 64}, SCSI_REPLY, 32, 14, 0x04, .cite = "SBC 6.5.5: WCE"},
		{{0x1a, 8, 0x3f, [4] = 255}, SCSI_REPLY, 48, 2, 0x10, .cite = "SBC 6.5.1: DPOFUA"},
		{{0x5a, 0, 0x08, [8] = 64}, SCSI_REPLY, 36, 7, 8, .cite = "SPC 7.5.5: block descriptor"},
		{{0x1a, 0, 0x15, [4] = 64}, SCSI_END, .key = 5, .asc = 0x24, .cite = "SPC 6.11: no such page"},
		{{0x1a, 0, 0xc8, [4] = 64}, SCSI_END, .key = 5, .asc = 0x39, .cite = "SPC 6.11: saved values"},
		{{0xa0, [9] = 16}, SCSI_REPLY, 16, 3, 8, .cite = "SPC 6.33: one logical unit"},
		{{0xa0, [9] = 8}, SCSI_END, .key = 5, .asc = 0x24, .cite = "SPC 6.33: 16 bytes at least"},
		{{0xa3, 0x0c, 1, 0x93, [9] = 64}, SCSI_REPLY, 20, 1, 3, .cite = "SPC 6.35: WRITE SAME (16) is there"},
		{{0xa3, 0x0c, 1, 0x89, [9] = 64}, SCSI_REPLY, 4, 1, 1, .cite = "SPC 6.35: COMPARE AND WRITE isn't"},
		{{0x03, [4] = 18}, SCSI_REPLY, 18, 0, 0x70, .cite = "SPC 6.39"},
		{{0xff}, SCSI_END, .key = 5, .asc = 0x20, .cite = "SPC annex F"},
		{{0x03, [4] = 18}, SCSI_REPLY, 18, 12, 0x20, .cite = "SPC 6.39: of the command before"},
		{{0x1e, [4] = 1}, SCSI_END, .cite = "SBC 5.9: nothing to lock"},
		/* clang-format on */
	};
	struct rig *g = rig_new(SCSI_DISK);

	(void)state;
	rows(g, t, ARRAY_SIZE(t));
	assert_false(g->r.locked);
	run(g, (uint8_t[16]){0x2a, 8, [8] = 1}, NULL, 0);
	assert_true(g->c.fua);
	run(g, (uint8_t[16]){0x2a, 0, [8] = 1}, NULL, 0);
	assert_false(g->c.fua);
	g->b->read_only = true;
	run(g, (uint8_t[16]){0x2a, 0, [8] = 1}, NULL, 0);
	assert_int_equal(g->c.key, SCSI_KEY_PROTECT);
	run(g, (uint8_t[16]){0x1a, 0, 8, [4] = 64}, NULL, 0);
	assert_int_equal(g->buf[2], 0x90); /* SBC 6.5.1: write protected */
	rig_free(g);
}

static void test_ranges(void **state)
{
	static const uint8_t unmap_cdb[16] = {0x42, [8] = 40};
	static const uint8_t same10[16] = {0x41, [5] = 4, [8] = 100};
	static const uint8_t ndob[16] = {0x93, 1, [9] = 200, [13] = 8};
	struct rig *g = rig_new(SCSI_DISK);
	uint8_t p[512] = {0};

	(void)state;
	/* SBC 5.32.2: two descriptors */
	st_be16(p, 38);
	st_be16(p + 2, 32);
	st_be64(p + 8, 8);
	st_be32(p + 16, 8);
	st_be64(p + 24, 0x7f8);
	st_be32(p + 32, 8);
	run(g, unmap_cdb, p, 40);
	assert_int_equal(g->c.status, SCSI_GOOD);
	assert_int_equal(g->b->discards, 2);
	st_be64(p + 24, 0x7f9);
	run(g, unmap_cdb, p, 40);
	assert_int_equal(g->c.asc, SCSI_ASC_OUT_OF_RANGE);
	assert_int_equal(g->b->discards, 2);
	/* SBC 5.43: one block many times, in requests of what the buffer has */
	memset(p, 0x5a, sizeof(p));
	run(g, same10, p, 512);
	assert_int_equal(g->c.status, SCSI_GOOD);
	assert_int_equal(g->b->data[4 * 512 - 1], 0);
	assert_int_equal(g->b->data[4 * 512], 0x5a);
	assert_int_equal(g->b->data[104 * 512 - 1], 0x5a);
	assert_int_equal(g->b->data[104 * 512], 0);
	assert_null(g->lu.same);
	memset(p, 0, sizeof(p));
	run(g, same10, p, 512);
	assert_int_equal(g->b->data[50 * 512], 0);
	memset(g->b->data, 0xff, DISK_SIZE);
	run(g, ndob, NULL, 0);
	assert_int_equal(g->b->data[200 * 512], 0);
	assert_int_equal(g->b->data[208 * 512], 0xff);
	/* the buffer is another command's: SAM 5.3.1, BUSY */
	g->lu.same = &g->c + 1;
	memset(p, 1, sizeof(p));
	run(g, same10, p, 512);
	assert_int_equal(g->c.status, SCSI_BUSY);
	g->lu.same = NULL;
	/* an error of the disk ends it and frees the buffer */
	g->b->fail = -EIO;
	run(g, same10, p, 512);
	assert_int_equal(g->c.key, SCSI_KEY_MEDIUM_ERROR);
	assert_int_equal(g->c.asc, SCSI_ASC_WRITE_ERROR);
	assert_null(g->lu.same);
	rig_free(g);
}

static void test_mode_select(void **state)
{
	struct rig *g = rig_new(SCSI_DISK);
	uint8_t p[24] = {0, 0, 0, 0, 0x08, 18};

	(void)state;
	run(g, (uint8_t[16]){0x15, 0x10, [4] = 24}, p, 24);
	assert_int_equal(g->c.status, SCSI_GOOD);
	assert_false(g->r.write_cache);
	assert_int_equal(g->b->flushes, 1); /* SBC 6.5.5: WCE to 0 */
	run(g, (uint8_t[16]){0x2a, 0, [8] = 1}, NULL, 0);
	assert_true(g->c.fua);
	p[6] = 4;
	run(g, (uint8_t[16]){0x15, 0x10, [4] = 24}, p, 24);
	assert_true(g->r.write_cache);
	run(g, (uint8_t[16]){0x15, 0x10, [4] = 3}, p, 3);
	assert_int_equal(g->c.asc, SCSI_ASC_PARAM_LENGTH);
	p[4] = 0x3e;
	run(g, (uint8_t[16]){0x15, 0x10, [4] = 24}, p, 24);
	assert_int_equal(g->c.asc, SCSI_ASC_INVALID_PARAM);
	rig_free(g);
}

static void test_medium(void **state)
{
	struct rig *g = rig_new(SCSI_CD);
	static const uint8_t ready[16] = {0};

	(void)state;
	run(g, ready, NULL, 0);
	assert_int_equal(g->c.status, SCSI_GOOD);
	run(g, (uint8_t[16]){0x1e, [4] = 1}, NULL, 0);
	run(g, (uint8_t[16]){0x1b, [4] = 2}, NULL, 0);
	assert_int_equal(g->c.asc, SCSI_ASC_REMOVAL); /* MMC 6.46 */
	scsi_open_tray(&g->lu);
	assert_false(g->r.locked);
	run(g, ready, NULL, 0);
	assert_int_equal(g->c.key, SCSI_KEY_NOT_READY);
	assert_int_equal(g->c.ascq, 2);
	scsi_set_medium(&g->lu, NULL);
	run(g, ready, NULL, 0);
	assert_int_equal(g->c.ascq, 1);
	scsi_set_medium(&g->lu, g->b);
	run(g, (uint8_t[16]){0x4a, 1, [4] = 0x10, [8] = 8}, NULL, 0);
	assert_int_equal(g->buf[4], 2); /* MMC 6.7.2.5: new media */
	run(g, (uint8_t[16]){0x03, [4] = 18}, NULL, 0);
	assert_int_equal(g->buf[2], SCSI_KEY_ATTENTION); /* SPC 5.14: REQUEST SENSE takes it */
	assert_int_equal(g->buf[12], SCSI_ASC_MEDIUM_CHANGED);
	run(g, ready, NULL, 0);
	assert_int_equal(g->c.status, SCSI_GOOD);
	/* SAM 5.14: after a reset */
	g->lu.reset_attention = true;
	scsi_lu_reset(&g->lu, true);
	run(g, (uint8_t[16]){0x12, [4] = 36}, NULL, 0);
	assert_int_equal(g->c.act, SCSI_REPLY);
	run(g, ready, NULL, 0);
	assert_int_equal(g->c.asc, SCSI_ASC_RESET);
	run(g, ready, NULL, 0);
	assert_int_equal(g->c.status, SCSI_GOOD);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_mode_select),
		cmocka_unit_test(test_medium),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical memory: RAM blocks (sealed memfd between PROT_NONE guards) and the map from
 * guest-physical ranges to RAM, ROM, aliases and I/O regions.
 *
 * The map is a set of mappings with priorities, flattened into sorted non-overlapping ranges on
 * each change. Higher priority wins; two mappings of equal priority must not overlap (-EEXIST).
 * Readers (page walks, DMA) take the space's rwlock for reading, changes take it for writing; RAM
 * itself is never unmapped while the space lives, so a host pointer that a reader got stays valid
 * memory.
 *
 * DMA (mem_read, mem_write, mem_map_dma) resolves RAM only: no device code ever runs below a DMA
 * call. Reads of ROM are allowed, writes to it are refused.
 *
 * Code tracking: per 4 KiB page a byte in block->code; an engine sets it while it caches
 * translations of the page. Every writer (DMA here, engines on their own stores) checks it after
 * the store and reports to the space's `code_written` hook.
 *
 * Dirty log: per page one bit, set by every writer while logging is on.
 */
#ifndef MEM_SPACE_H
#define MEM_SPACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/list.h"

#define MEM_PAGE_SHIFT 12
#define MEM_PAGE_SIZE  4096ull

struct mem_space;

/* One piece of RAM or ROM contents; identified by name across snapshot and restore. */
struct ram_block {
	struct list node;
	struct mem_space *space; /* borrowed: the space it belongs to */
	char *name;              /* owned */
	uint8_t *host;       /* mapping, [0, size); guards of 4 GiB either side where possible */
	uint64_t size;       /* bytes, page multiple */
	int fd;              /* sealed memfd (F_SEAL_SHRINK | F_SEAL_GROW) */
	uint64_t ram_offset; /* unique page-aligned offset over all blocks: names a page globally */
	_Atomic uint8_t *code; /* one byte a page: an engine caches code of it */
	_Atomic uint64_t
		*dirty; /* one bit a page; allocated when logging first starts, else NULL */
};

/* An I/O region as the map sees it; bus/ fills it. Called with the bus lock held. */
struct mem_io {
	const char *name;
	uint64_t (*read)(void *ctx, uint64_t off, unsigned size);            /* size 1, 2, 4, 8 */
	void (*write)(void *ctx, uint64_t off, unsigned size, uint64_t val); /* likewise */
	void *ctx;
};

enum mem_kind { MEM_NONE, MEM_RAM, MEM_ROM, MEM_IO };

/* What stands at a guest-physical address. */
struct mem_ref {
	enum mem_kind kind;
	struct ram_block *block; /* RAM, ROM */
	uint64_t block_off;      /* byte offset of the address inside block */
	const struct mem_io *io; /* I/O; ROM: takes the writes, NULL = they are lost */
	uint64_t io_off;         /* offset of the address inside the region */
	gpa_t start;             /* first address of the linear run this address lies in */
	uint64_t len;            /* bytes of that run */
};

/* Mapping priorities used by machines. */
enum {
	MEM_PRIO_LOW = 0,
	MEM_PRIO_RAM = 10,
	MEM_PRIO_ROM = 20,
	MEM_PRIO_IO = 30,
	MEM_PRIO_TOP = 40
};

struct mem_mapping; /* handle of one mapping */

int mem_space_new(struct mem_space **ret_space, struct error *err) MUST_CHECK;
/** mem_space_free() - unmaps and closes everything; vCPUs and DMA must have stopped. */
void mem_space_free(struct mem_space *space);

/**
 * mem_ram_new() - allocate a RAM block (not yet mapped)
 * @size: bytes, multiple of 4 KiB. Fails with -ENOMEM and a message that says how much was asked.
 */
int mem_ram_new(struct mem_space *space, const char *name, uint64_t size,
		struct ram_block **ret_block, struct error *err) MUST_CHECK;

/** mem_map_ram() - map [off, off+size) of @block at @gpa, as RAM or (read_only) ROM. An alias is a
 * second mapping of the same bytes. Page-aligned. -EEXIST names both mappings. Bus lock held. */
int mem_map_ram(struct mem_space *space, const char *name, gpa_t gpa, struct ram_block *block,
		uint64_t off, uint64_t size, bool read_only, int prio, struct mem_mapping **ret_map,
		struct error *err) MUST_CHECK;
/** mem_map_rom() - as mem_map_ram(), read-only, but what is written goes to @io (borrowed): a flash
 * chip, which takes commands where its contents are read. Bus lock held. */
int mem_map_rom(struct mem_space *space, const char *name, gpa_t gpa, struct ram_block *block,
		uint64_t off, uint64_t size, const struct mem_io *io, int prio,
		struct mem_mapping **ret_map, struct error *err) MUST_CHECK;
/** mem_map_io() - map an I/O region (any alignment). @io is borrowed. Bus lock held. */
int mem_map_io(struct mem_space *space, gpa_t gpa, uint64_t size, const struct mem_io *io, int prio,
	       struct mem_mapping **ret_map, struct error *err) MUST_CHECK;
/** mem_unmap() - remove a mapping; NULL is fine. Bus lock held. */
void mem_unmap(struct mem_space *space, struct mem_mapping *map);
/** mem_map_begin/commit() - bracket several changes into one flattening and one notification. */
void mem_map_begin(struct mem_space *space);
void mem_map_commit(struct mem_space *space);

/** mem_lookup() - what stands at @gpa; kind MEM_NONE for a hole. Any thread. */
void mem_lookup(struct mem_space *space, gpa_t gpa, struct mem_ref *ret_ref);

/** mem_smram_set() - memory that processors in system management mode see at @gpa, whatever the map
 * shows there: @size bytes of @block from @off; 0 = none. @n: which of the windows. Page-aligned.
 * The map's own contents there are for everyone else. Notifies like a map change. Bus lock held.
 * Intel SDM vol. 3, 32.4. */
enum { MEM_SMRAM_WINDOWS = 2 };
void mem_smram_set(struct mem_space *space, unsigned n, gpa_t gpa, struct ram_block *block,
		   uint64_t off, uint64_t size);
/** mem_lookup_smm() - mem_lookup() as a processor in system management mode sees it. A20 is open
 * for it inside the windows. */
void mem_lookup_smm(struct mem_space *space, gpa_t gpa, struct mem_ref *ret_ref);

/** mem_set_a20() - false masks address bit 20 in mem_lookup() and DMA. Notifies like a map change.
 */
void mem_set_a20(struct mem_space *space, bool on);
bool mem_get_a20(const struct mem_space *space);

/* Listener for map changes (engines flush their TLBs) and for writes into code pages. Called with
 * the bus lock held (changes) or from any thread (code_written; the space's lock is held for
 * reading: look things up, but neither change the map nor add or remove listeners). */
struct mem_listener {
	struct list node;
	void (*map_changed)(struct mem_listener *l);
	void (*code_written)(struct mem_listener *l, struct ram_block *block, uint64_t off,
			     uint64_t len);
};
void mem_add_listener(struct mem_space *space, struct mem_listener *l);
void mem_del_listener(struct mem_space *space, struct mem_listener *l);

/** mem_read() / mem_write() - DMA copy. @len any; crossing blocks is fine.
 * Return: 0, or -EFAULT when any byte is not RAM (reads: RAM or ROM); then bytes before the bad one
 * may have been copied. Marks dirty pages and reports code writes. Any thread. */
int mem_read(struct mem_space *space, gpa_t from, void *to, size_t len) MUST_CHECK;
int mem_write(struct mem_space *space, gpa_t to, const void *from, size_t len) MUST_CHECK;

/** mem_map_dma() - host pointer for a run of RAM for zero-copy I/O
 * @len: in: wanted bytes, out: bytes of the linear run (may be less).
 * Return: pointer or NULL if @gpa is not RAM. Valid until the space is freed. After device writes
 * through it call mem_dma_done(). Any thread. */
void *mem_map_dma(struct mem_space *space, gpa_t gpa, size_t *len, bool write);
/** mem_dma_done() - the device wrote [@gpa, @gpa+@len): mark dirty, report code writes. */
void mem_dma_done(struct mem_space *space, gpa_t gpa, size_t len);

/** mem_block_written() - after any CPU store by an engine to a page with code or dirty logging. */
void mem_block_written(struct mem_space *space, struct ram_block *block, uint64_t off,
		       uint64_t len);

/** mem_dirty_start/stop() - dirty logging on all blocks; start clears. mem_dirty_fetch() copies and
 * clears one block's bits (@bits has (size/4096+63)/64 words). Engines flush TLBs on start and
 * fetch (map_changed). Bus lock held. */
int mem_dirty_start(struct mem_space *space, struct error *err) MUST_CHECK;
void mem_dirty_stop(struct mem_space *space);
void mem_dirty_fetch(struct mem_space *space, struct ram_block *block, uint64_t *bits);
bool mem_dirty_on(const struct mem_space *space);

/** mem_block_find() - by name, NULL if none. mem_block_at() - by global ram_offset.
 * mem_block_of() - by an address in its host mapping. */
struct ram_block *mem_block_find(struct mem_space *space, const char *name);
struct ram_block *mem_block_at(struct mem_space *space, uint64_t ram_offset);
struct ram_block *mem_block_of(struct mem_space *space, const void *host);
/** mem_ram_total() - end of the ram_offset name space, bytes. */
uint64_t mem_ram_total(const struct mem_space *space);
/** mem_discard() - give pages [off, off+len) of a block back to the host (balloon); they read as 0
 * afterwards. Whole pages inside the range only. Counts as a write: marks dirty, reports code
 * writes. 0 or -errno. Any thread. */
int mem_discard(struct ram_block *block, uint64_t off, uint64_t len) MUST_CHECK;

#endif

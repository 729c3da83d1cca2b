/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest needs to start from the network (net/nat_boot.h). libslirp has a TFTP server (RFC
 * 1350, 2347 to 2349) that opens files by name, and the worker it runs in can open nothing. So all
 * regular files below the directory are opened (a symbolic link counts when it leads to one of
 * them) before the doors close, and a table in a memory file says which descriptor has which name.
 * When libslirp opens one, the SIGSYS handler looks it up and gives a duplicate; libslirp seeks
 * before each read, so that duplicates may share their position. There is no way from a name the
 * guest sends to any file that is not in the table.
 *
 * libslirp says the boot file's name in the BOOTP field (RFC 951) and the server's in option 66;
 * option 67 (RFC 2132, 9.5) is put in here, as some loaders look at nothing else.
 *
 * UNMODELLED: files that come into the directory later, or more than NAT_BOOT_FILES.
 */
#include "net/nat_boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"

enum { TABLE_FD = 5, DEPTH_MAX = 8 }; /* a fixed number, because a signal handler needs it */

struct entry {
	int32_t fd;
	char path[NAT_PATH_MAX]; /* absolute, without doubled slashes */
};

/* A walk through the directory. */
struct walk {
	int table;
	unsigned n;
	char top[PATH_MAX]; /* resolved */
};

/* @path is the file's name for the guest, @where its place. */
static int add_file(struct walk *w, const char *path, const char *where, struct error *err)
{
	struct entry e = {0};

	if (w->n == NAT_BOOT_FILES)
		return error_set(err, -E2BIG,
				 "network 'nat': more than %u files to offer by TFTP; use a "
				 "smaller directory",
				 NAT_BOOT_FILES);
	/* what cannot be read is not offered */
	e.fd = open(where, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (e.fd < 0 && errno == EMFILE)
		return error_set(err, -EMFILE,
				 "network 'nat': too few descriptors to offer %u files by TFTP; "
				 "raise the limit (ulimit -Hn) or use a smaller directory",
				 w->n + 1);
	if (e.fd < 0)
		return 0;
	strcpy(e.path, path);
	if (write(w->table, &e, sizeof(e)) != (ssize_t)sizeof(e))
		return error_set(err, -EIO, "network 'nat': memory file: %s", strerror(errno));
	w->n++;
	return 0;
}

/* Where a symbolic link leads to, below the directory but not to one that it is in itself. */
static bool follow(const struct walk *w, const char *path, char where[PATH_MAX], struct stat *st)
{
	char name[NAT_PATH_MAX], own[PATH_MAX];
	size_t top = strlen(w->top), len;

	strcpy(name, path);
	*strrchr(name, '/') = 0;
	if (!realpath(path, where) || !realpath(name, own) || lstat(where, st) < 0 ||
	    strncmp(where, w->top, top) != 0 || where[top] != '/')
		return false;
	len = strlen(where);
	return !S_ISDIR(st->st_mode) || strncmp(own, where, len) != 0 ||
	       (own[len] && own[len] != '/');
}

static int add_dir(struct walk *w, const char *dir, unsigned depth, struct error *err)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	int r = 0;

	if (!d)
		return depth ? 0
			     : error_set(err, -errno, "network 'nat': directory '%s': %s", dir,
					 strerror(errno));
	while (r == 0 && (de = readdir(d))) {
		char path[NAT_PATH_MAX], target[PATH_MAX];
		const char *where = path;
		struct stat st;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, "..") ||
		    strlen(dir) + strlen(de->d_name) + 2 > sizeof(path))
			continue;
		strcpy(path, dir);
		strcat(path, "/");
		strcat(path, de->d_name);
		if (lstat(path, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			if (!follow(w, path, target, &st))
				continue;
			where = target;
		}
		if (S_ISREG(st.st_mode))
			r = add_file(w, path, where, err);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = add_dir(w, path, depth + 1, err);
	}
	closedir(d);
	return r;
}

/* Those of the files do not become connections (set_limits() in nat_helper.c). */
static void keep_descriptors(unsigned files)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_max = MIN(l.rlim_max, (rlim_t)NAT_DESCRIPTORS + files);
		l.rlim_cur = MIN(l.rlim_cur, l.rlim_max);
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int nat_boot_keep(const struct nat_config *cfg, struct error *err)
{
	struct walk w = {0};
	int r;

	if (!cfg->tftp[0]) {
		keep_descriptors(0);
		return 0;
	}
	if (!realpath(cfg->tftp, w.top))
		return error_set(err, -errno, "network 'nat': directory '%s': %s", cfg->tftp,
				 strerror(errno));
	w.table = memfd_create("tftp", MFD_CLOEXEC);
	if (w.table < 0)
		return error_set(err, -errno, "network 'nat': memory file: %s", strerror(errno));
	if (w.table != TABLE_FD) {
		if (dup2(w.table, TABLE_FD) < 0)
			return error_set(err, -errno, "network 'nat': dup2: %s", strerror(errno));
		close(w.table);
		w.table = TABLE_FD;
	}
	r = add_dir(&w, cfg->tftp, 0, err);
	keep_descriptors(w.n);
	return r;
}

/* Equal but for doubled slashes in @asked? */
static bool same_path(const char *asked, const char *path)
{
	for (; *asked; asked++) {
		if (*asked == '/' && asked[1] == '/')
			continue;
		if (*asked != *path)
			return false;
		path++;
	}
	return !*path;
}

int nat_boot_open(const char *path)
{
	struct entry e;

	for (unsigned i = 0; i < NAT_BOOT_FILES; i++) {
		if (pread(TABLE_FD, &e, sizeof(e), (off_t)(i * sizeof(e))) != (ssize_t)sizeof(e))
			return -EACCES; /* the end, or no table */
		e.path[sizeof(e.path) - 1] = 0;
		if (same_path(path, e.path)) {
			int fd = dup(e.fd);

			return fd < 0 ? -ENFILE : fd;
		}
	}
	return -EACCES;
}

/* RFC 2131, 2; RFC 2132 */
enum {
	IP_AT = 14,
	UDP_AT = 34,
	BOOTP_AT = 42,
	COOKIE_AT = BOOTP_AT + 236,
	OPTIONS_AT = COOKIE_AT + 4,
	OPT_PAD = 0,
	OPT_BOOTFILE = 67,
	OPT_END = 255,
};

void nat_boot_answer(const char *bootfile, uint8_t *frame, size_t len)
{
	size_t at = OPTIONS_AT, name = strlen(bootfile);

	if (!name || name > 255 || len <= OPTIONS_AT || ld_be16(frame + 12) != 0x0800 ||
	    frame[IP_AT] != 0x45 || frame[IP_AT + 9] != 17 || ld_be16(frame + UDP_AT) != 67 ||
	    ld_be16(frame + UDP_AT + 2) != 68 || ld_be32(frame + COOKIE_AT) != 0x63825363)
		return;
	while (at < len && frame[at] != OPT_END) {
		if (frame[at] == OPT_BOOTFILE)
			return;
		at += frame[at] == OPT_PAD || at + 1 >= len ? 1 : 2u + frame[at + 1];
	}
	/* the packet is as long as ever: there is padding behind the end */
	if (at + 2 + name + 1 > len)
		return;
	frame[at] = OPT_BOOTFILE;
	frame[at + 1] = (uint8_t)name;
	memcpy(frame + at + 2, bootfile, name);
	frame[at + 2 + name] = OPT_END;
	st_be16(frame + UDP_AT + 6, 0); /* RFC 768: no checksum */
}

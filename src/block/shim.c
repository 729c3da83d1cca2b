/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault-injecting shim; script and log are described in block/shim.h. Runs under the outer lock
 * throughout. A held request sits in the list of the rule that holds it; its node is free because
 * the front keeps no list of requests on their way. Only tests use this: scripts are not untrusted.
 */
#include "block/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "block/impl.h"

#define MAX_RULES  16
#define MAX_WINDOW 64u
#define MAX_LOGGED 64 /* iovecs of one log write */

enum verb { LOG, FAIL, SHORT, DELAY, REORDER, BREAK, KILL, VERB_COUNT };

struct rule {
	enum verb verb;
	unsigned ops;     /* bit per enum block_op */
	uint64_t at;      /* 0 = every */
	uint64_t times;   /* 0 = for ever */
	uint64_t seen;    /* matching operations so far */
	bool after;       /* when=after */
	int error;        /* FAIL: -errno */
	uint64_t bytes;   /* SHORT */
	uint64_t ms;      /* DELAY */
	uint64_t window;  /* REORDER */
	uint64_t rng;     /* REORDER: xorshift state */
	char name[32];    /* BREAK */
	char file[256];   /* LOG */
	int fd;           /* LOG; -1 */
	struct list held; /* DELAY, REORDER, BREAK: requests; DELAY: result = due time */
	unsigned n_held;
};

struct shim {
	struct block *b; /* borrowed */
	struct rule rules[MAX_RULES];
	unsigned n_rules;
	struct loop_timer *timer;
	struct list ended; /* failed by a rule, result set, to be reported by shim_turn() */
};

static const struct {
	const char *name;
	int code;
} error_names[] = {
	{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EINVAL", EINVAL}, {"EROFS", EROFS},
};

static const char *const op_names[BLOCK_OP_COUNT] = {
	[BLOCK_READ] = "read",       [BLOCK_WRITE] = "write",   [BLOCK_FLUSH] = "flush",
	[BLOCK_DISCARD] = "discard", [BLOCK_ZEROES] = "zeroes",
};

static const char *const verb_names[VERB_COUNT] = {
	[LOG] = "log",         [FAIL] = "fail",   [SHORT] = "short", [DELAY] = "delay",
	[REORDER] = "reorder", [BREAK] = "break", [KILL] = "kill",
};

static void on_timer(void *ctx);

/* --- script --- */

static int parse_op(const char *v, unsigned *ret_ops)
{
	for (unsigned i = 0; i < BLOCK_OP_COUNT; i++) {
		if (strcmp(v, op_names[i]) == 0) {
			*ret_ops = 1u << i;
			return 0;
		}
	}
	if (strcmp(v, "any") != 0)
		return -EINVAL;
	*ret_ops = (1u << BLOCK_OP_COUNT) - 1;
	return 0;
}

static int parse_error(const char *v, int *ret_code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(error_names); i++) {
		if (strcmp(v, error_names[i].name) == 0) {
			*ret_code = -error_names[i].code;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const char *v, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(v, &end, 10);
	return errno || end == v || *end ? -EINVAL : 0;
}

static int parse_text(const char *v, char *buf, size_t size)
{
	if (strlen(v) >= size)
		return -EINVAL;
	memcpy(buf, v, strlen(v) + 1);
	return 0;
}

static int parse_key(struct rule *rule, const char *key, const char *v)
{
	const struct {
		const char *key;
		uint64_t *to;
	} numbers[] = {
		{"at", &rule->at}, {"times", &rule->times}, {"bytes", &rule->bytes},
		{"ms", &rule->ms}, {"seed", &rule->rng},    {"window", &rule->window},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(key, numbers[i].key) == 0)
			return parse_number(v, numbers[i].to);
	}
	if (strcmp(key, "op") == 0)
		return parse_op(v, &rule->ops);
	if (strcmp(key, "err") == 0)
		return parse_error(v, &rule->error);
	if (strcmp(key, "name") == 0)
		return parse_text(v, rule->name, sizeof(rule->name));
	if (strcmp(key, "file") == 0)
		return parse_text(v, rule->file, sizeof(rule->file));
	if (strcmp(key, "when") == 0 && (strcmp(v, "after") == 0 || strcmp(v, "before") == 0)) {
		rule->after = v[0] == 'a';
		return 0;
	}
	return -EINVAL;
}

static int parse_rule(struct rule *rule, char *text, struct error *err)
{
	char *save, *word = strtok_r(text, " \t\n", &save);
	unsigned verb;

	for (verb = 0; verb < VERB_COUNT; verb++) {
		if (word && strcmp(word, verb_names[verb]) == 0)
			break;
	}
	if (verb == VERB_COUNT)
		return error_set(err, -EINVAL, "shim: '%s' is not a verb", word ? word : "");
	*rule = (struct rule){.verb = verb,
			      .ops = (1u << BLOCK_OP_COUNT) - 1,
			      .times = 1,
			      .error = -EIO,
			      .bytes = 512,
			      .ms = 1,
			      .window = 8,
			      .rng = 1,
			      .fd = -1};
	list_init(&rule->held);
	while ((word = strtok_r(NULL, " \t\n", &save))) {
		char *eq = strchr(word, '=');

		if (eq)
			*eq = '\0';
		if (!eq || parse_key(rule, word, eq + 1) < 0)
			return error_set(err, -EINVAL, "shim: %s: bad '%s=%s'", verb_names[verb],
					 word, eq ? eq + 1 : "");
	}
	if (rule->verb == REORDER &&
	    (rule->window == 0 || rule->window > MAX_WINDOW || rule->rng == 0))
		return error_set(err, -EINVAL, "shim: reorder: window is 1..64, seed not 0");
	if (rule->verb == BREAK && !rule->name[0])
		return error_set(err, -EINVAL, "shim: break: needs name=");
	if (rule->verb != LOG)
		return 0;
	rule->fd = open(rule->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (rule->fd < 0)
		return error_set(err, -errno, "shim: log: cannot open '%s': %s", rule->file,
				 strerror(errno));
	return 0;
}

int shim_new(struct block *b, const char *script, struct shim **ret_shim, struct error *err)
{
	struct shim *shim = xnew(struct shim);
	char *copy = xstrdup(script), *save, *text;
	int r = 0;

	shim->b = b;
	list_init(&shim->ended);
	shim->timer = loop_timer_new(b->loop, on_timer, shim);
	for (text = strtok_r(copy, ";", &save); text && r == 0; text = strtok_r(NULL, ";", &save)) {
		if (text[strspn(text, " \t\n")] == '\0')
			continue;
		if (shim->n_rules == MAX_RULES) {
			r = error_set(err, -EINVAL, "shim: more than %d rules", MAX_RULES);
			break;
		}
		r = parse_rule(&shim->rules[shim->n_rules], text, err);
		shim->n_rules++;
	}
	free(copy);
	if (r < 0) {
		shim_free(shim);
		return r;
	}
	*ret_shim = shim;
	return 0;
}

void shim_free(struct shim *shim)
{
	if (!shim)
		return;
	loop_timer_free(shim->timer);
	for (unsigned i = 0; i < shim->n_rules; i++) {
		if (shim->rules[i].fd >= 0)
			close(shim->rules[i].fd);
	}
	free(shim);
}

/* --- log --- */

static void log_write(const struct rule *rule, struct iovec *iov, int n)
{
	while (n > 0) {
		ssize_t done = writev(rule->fd, iov, n);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			log_err("shim/log: %s", strerror(errno));
			return;
		}
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
}

static void log_event(const struct rule *rule, const struct block_req *req, enum shim_event event,
		      int result)
{
	struct shim_record rec = {.magic = SHIM_MAGIC,
				  .event = (uint8_t)event,
				  .op = (uint8_t)req->op,
				  .error = (uint16_t)-result,
				  .seq = req->seq,
				  .off = req->off,
				  .len = req->len};
	struct iovec iov[MAX_LOGGED];
	int n = 1, next = 0;

	iov[0] = (struct iovec){&rec, sizeof(rec)};
	if (event == SHIM_ISSUE && req->op == BLOCK_WRITE) {
		while (next < req->niov) {
			if (n == MAX_LOGGED) {
				log_write(rule, iov, n);
				n = 0;
			}
			iov[n++] = req->iov[next++];
		}
	}
	log_write(rule, iov, n);
}

static void log_all(struct shim *shim, const struct block_req *req, enum shim_event event,
		    int result)
{
	for (unsigned i = 0; i < shim->n_rules; i++) {
		if (shim->rules[i].verb == LOG && (shim->rules[i].ops & (1u << req->op)))
			log_event(&shim->rules[i], req, event, result);
	}
}

/* --- rules --- */

static void go_on(struct shim *shim, struct block_req *req)
{
	log_all(shim, req, SHIM_ISSUE, 0);
	block_issue(shim->b, req);
}

/* Count @req for @rule if it matches; true when the rule applies to it. */
static bool applies(struct rule *rule, const struct block_req *req)
{
	if (!(rule->ops & (1u << req->op)))
		return false;
	rule->seen++;
	if (rule->at == 0)
		return true;
	return rule->seen >= rule->at && (rule->times == 0 || rule->seen - rule->at < rule->times);
}

static void hold(struct rule *rule, struct block_req *req)
{
	list_append(&rule->held, &req->node);
	rule->n_held++;
}

static uint64_t next_random(struct rule *rule)
{
	rule->rng ^= rule->rng << 13;
	rule->rng ^= rule->rng >> 7;
	rule->rng ^= rule->rng << 17;
	return rule->rng;
}

/* Let go everything @rule holds; REORDER: in random order. */
static void release(struct shim *shim, struct rule *rule)
{
	while (rule->n_held > 0) {
		uint64_t pick = rule->verb == REORDER ? next_random(rule) % rule->n_held : 0;
		struct list *node = rule->held.next;

		while (pick-- > 0)
			node = node->next;
		list_remove(node);
		rule->n_held--;
		LIST_ENTRY(node, struct block_req, node)->result = 0;
		go_on(shim, LIST_ENTRY(node, struct block_req, node));
	}
}

static void arm(struct shim *shim)
{
	ns_t at = UINT64_MAX;

	for (unsigned i = 0; i < shim->n_rules; i++) {
		struct rule *rule = &shim->rules[i];

		if (rule->verb != DELAY && rule->verb != REORDER)
			continue;
		LIST_FOR_EACH(it, &rule->held)
		at = MIN(at, (ns_t)LIST_ENTRY(it, struct block_req, node)->result);
	}
	if (at != UINT64_MAX)
		loop_timer_arm(shim->timer, at);
}

static void on_timer(void *ctx)
{
	struct shim *shim = ctx;
	ns_t now = host_now_ns();

	for (unsigned i = 0; i < shim->n_rules; i++) {
		struct rule *rule = &shim->rules[i];

		if (rule->verb == REORDER)
			release(shim, rule);
		if (rule->verb != DELAY)
			continue;
		LIST_FOR_EACH_SAFE(it, &rule->held)
		{
			struct block_req *req = LIST_ENTRY(it, struct block_req, node);

			if ((ns_t)req->result > now)
				continue;
			list_remove(it);
			rule->n_held--;
			req->result = 0;
			go_on(shim, req);
		}
	}
	arm(shim);
}

/* true when the rule took the request: it is held or ended. */
static bool apply(struct shim *shim, struct rule *rule, struct block_req *req)
{
	bool change = req->op == BLOCK_WRITE || req->op == BLOCK_DISCARD || req->op == BLOCK_ZEROES;

	switch (rule->verb) {
	case FAIL:
		if (rule->after)
			return false;
		req->result = rule->error;
		list_append(&shim->ended, &req->node);
		block_kick(shim->b);
		return true;
	case SHORT: req->cap = rule->bytes; return false;
	case DELAY:
		req->result = (int64_t)(host_now_ns() + rule->ms * NS_PER_MS);
		hold(rule, req);
		arm(shim);
		return true;
	case REORDER:
		if (req->op == BLOCK_FLUSH)
			release(shim, rule);
		if (!change)
			return false;
		req->result = (int64_t)(host_now_ns() + NS_PER_MS);
		hold(rule, req);
		if (rule->n_held >= rule->window)
			release(shim, rule);
		else
			arm(shim);
		return true;
	case BREAK: hold(rule, req); return true;
	case KILL:
		if (!rule->after)
			raise(SIGKILL);
		return false;
	default: return false;
	}
}

void shim_submit(struct shim *shim, struct block_req *req)
{
	req->drv = NULL;
	for (unsigned i = 0; i < shim->n_rules; i++) {
		struct rule *rule = &shim->rules[i];

		if (rule->verb == LOG || !applies(rule, req))
			continue;
		if (rule->after && (rule->verb == FAIL || rule->verb == KILL))
			req->drv = rule; /* remembered for shim_result() */
		if (apply(shim, rule, req))
			return;
	}
	go_on(shim, req);
}

void shim_result(struct shim *shim, struct block_req *req, int *result)
{
	const struct rule *rule = req->drv;

	if (rule && rule->verb == KILL)
		raise(SIGKILL);
	if (rule && rule->verb == FAIL)
		*result = rule->error;
	log_all(shim, req, SHIM_RESULT, *result);
}

void shim_turn(struct shim *shim)
{
	struct list ended;

	list_init(&ended);
	while (!list_empty(&shim->ended)) {
		struct list *node = shim->ended.next;

		list_remove(node);
		list_append(&ended, node);
	}
	while (!list_empty(&ended)) {
		struct block_req *req = LIST_ENTRY(ended.next, struct block_req, node);

		list_remove(&req->node);
		log_all(shim, req, SHIM_RESULT, (int)req->result);
		block_io_final(shim->b, req, (int)req->result);
	}
}

void shim_release_all(struct shim *shim)
{
	for (unsigned i = 0; i < shim->n_rules; i++)
		release(shim, &shim->rules[i]);
}

bool shim_stopped(const struct shim *shim, const char *name)
{
	for (unsigned i = 0; i < shim->n_rules; i++) {
		const struct rule *rule = &shim->rules[i];

		if (rule->verb == BREAK && strcmp(rule->name, name) == 0 && rule->n_held > 0)
			return true;
	}
	return false;
}

void shim_resume(struct shim *shim, const char *name)
{
	for (unsigned i = 0; i < shim->n_rules; i++) {
		struct rule *rule = &shim->rules[i];

		if (rule->verb == BREAK && strcmp(rule->name, name) == 0)
			release(shim, rule);
	}
}

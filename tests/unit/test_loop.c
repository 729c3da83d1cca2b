/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: descriptors, timers, posted work, deletion from inside callbacks (host/loop.h).
 */
#include "cm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/loop.h"
#include "host/meminfo.h"

struct end {
	struct loop_fd *f, *victim;
	int fd;
	unsigned calls;
	uint32_t events;
	pthread_mutex_t *outer;
};

static void on_readable(void *ctx, uint32_t events)
{
	struct end *e = ctx;
	char c;

	e->calls++;
	e->events |= events;
	if (e->outer)
		assert_int_equal(pthread_mutex_trylock(e->outer), EBUSY);
	if (events & EPOLLIN)
		(void)!read(e->fd, &c, 1);
	if (e->victim) {
		loop_del_fd(e->victim);
		loop_del_fd(e->f);
		e->victim = e->f = NULL;
	}
}

static void test_fd(void **state)
{
	pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;
	struct loop *loop;
	int sp[2];
	struct end e = {.outer = &outer};

	assert_int_equal(loop_new(&outer, &loop, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	e.fd = sp[0];
	assert_int_equal(loop_add_fd(loop, sp[0], EPOLLIN, on_readable, &e, &e.f), 0);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(e.calls, 0);
	assert_int_equal(write(sp[1], "ab", 2), 2);
	assert_int_equal(loop_run_once(loop, 1000), 0);
	assert_int_equal(e.calls, 1);
	/* No events wanted: not even a hang-up is reported. */
	loop_mod_fd(e.f, 0);
	close(sp[1]);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(e.calls, 1);
	loop_mod_fd(e.f, EPOLLIN);
	assert_int_equal(loop_run_once(loop, 1000), 0);
	assert_int_equal(e.calls, 2);
	assert_true(e.events & EPOLLHUP);
	loop_del_fd(e.f);
	loop_del_fd(NULL);
	close(sp[0]);
	loop_free(loop);
}

/* Two ready at once; whichever runs first deletes both. */
static void test_delete_inside(void **state)
{
	struct loop *loop;
	struct end e[2] = {0};
	int p[2][2];

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(p[i]), 0);
		assert_int_equal(write(p[i][1], "x", 1), 1);
		e[i].fd = p[i][0];
		assert_int_equal(loop_add_fd(loop, p[i][0], EPOLLIN, on_readable, &e[i], &e[i].f),
				 0);
	}
	e[0].victim = e[1].f;
	e[1].victim = e[0].f;
	assert_int_equal(loop_run_once(loop, 1000), 0);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(e[0].calls + e[1].calls, 1);
	for (int i = 0; i < 2; i++) {
		close(p[i][0]);
		close(p[i][1]);
	}
	loop_free(loop);
}

/* Files that epoll refuses are always ready. */
static void test_dev_null(void **state)
{
	struct loop *loop;
	struct end e = {0};

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	e.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(loop_add_fd(loop, e.fd, EPOLLIN, on_readable, &e, &e.f), 0);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(e.calls, 1);
	loop_mod_fd(e.f, 0);
	assert_int_equal(loop_run_once(loop, 0), 0);
	assert_int_equal(e.calls, 1);
	loop_mod_fd(e.f, EPOLLIN);
	assert_int_equal(loop_run_once(loop, -1), 0);
	assert_int_equal(e.calls, 2);
	loop_del_fd(e.f);
	assert_int_equal(loop_run_once(loop, 0), 0);
	close(e.fd);
	loop_free(loop);
}

static void test_bad_fd(void **state)
{
	struct loop *loop;
	struct loop_fd *f;

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	assert_int_equal(loop_add_fd(loop, -1, EPOLLIN, on_readable, NULL, &f), -EBADF);
	loop_free(loop);
}

struct tick {
	struct loop_timer *t;
	struct loop *loop;
	unsigned calls, again;
	ns_t when;
	struct loop_timer *disarm;
};

static void on_tick(void *ctx)
{
	struct tick *t = ctx;

	t->calls++;
	t->when = host_now_ns();
	if (t->disarm)
		loop_timer_disarm(t->disarm);
	if (t->again && t->again--)
		loop_timer_arm(t->t, 1);
}

static void test_timers(void **state)
{
	struct loop *loop;
	struct tick a = {0}, b = {0}, c = {0};
	ns_t start = host_now_ns();

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	a.t = loop_timer_new(loop, on_tick, &a);
	b.t = loop_timer_new(loop, on_tick, &b);
	c.t = loop_timer_new(loop, on_tick, &c);
	loop_timer_arm(c.t, start + 3600 * NS_PER_SEC);
	loop_timer_arm(a.t, start + 30 * NS_PER_MS);
	loop_timer_arm(b.t, start + 10 * NS_PER_MS);
	loop_timer_arm(b.t,
		       start + 20 * NS_PER_MS); /* later: replaces, and wakes once for nothing */
	while (!a.calls)
		assert_int_equal(loop_run_once(loop, 2000), 0);
	assert_int_equal(b.calls, 1);
	assert_true(b.when >= start + 20 * NS_PER_MS && a.when >= start + 30 * NS_PER_MS);
	/* Re-arming in the past runs once a turn, not for ever. */
	a.again = 3;
	loop_timer_arm(a.t, 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(loop_run_once(loop, 1000), 0);
		assert_int_equal(a.calls, 2 + i);
	}
	/* One due timer switches another due timer off. */
	a.disarm = b.t;
	b.disarm = a.t;
	loop_timer_arm(a.t, 1);
	loop_timer_arm(b.t, 1);
	a.calls = b.calls = 0;
	assert_int_equal(loop_run_once(loop, 1000), 0);
	assert_int_equal(loop_run_once(loop, 5), 0);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(c.calls, 0);
	loop_timer_arm(c.t, UINT64_MAX);
	assert_int_equal(loop_run_once(loop, 0), 0);
	loop_timer_free(a.t);
	loop_timer_free(b.t);
	loop_free(loop);
	loop_timer_free(c.t); /* after its loop: harmless */
	loop_timer_free(NULL);
}

struct poster {
	struct loop *loop;
	unsigned next, wrong;
	pthread_mutex_t outer;
};

struct item {
	struct poster *p;
	unsigned n;
};

enum { POSTS = 1000 };

static void on_post(void *ctx)
{
	struct item *i = ctx;

	i->p->wrong += i->n != i->p->next;
	if (++i->p->next == POSTS)
		loop_stop(i->p->loop);
}

static void *post_thread(void *ctx)
{
	struct item *items = ctx;

	for (unsigned i = 0; i < POSTS; i++)
		loop_post(items[i].p->loop, on_post, &items[i]);
	return NULL;
}

static void test_posts(void **state)
{
	struct poster p = {.outer = PTHREAD_MUTEX_INITIALIZER};
	static struct item items[POSTS];
	ns_t start = host_now_ns();
	pthread_t th;

	assert_int_equal(loop_new(&p.outer, &p.loop, NULL), 0);
	for (unsigned i = 0; i < POSTS; i++)
		items[i] = (struct item){&p, i};
	assert_int_equal(pthread_create(&th, NULL, post_thread, items), 0);
	assert_int_equal(loop_run(p.loop), 0);
	pthread_join(th, NULL);
	assert_int_equal(p.next, POSTS);
	assert_int_equal(p.wrong, 0);
	assert_true(loop_heartbeat(p.loop) >= start && loop_heartbeat(p.loop) <= host_now_ns());
	/* A stop that comes first is not lost; work left over is freed. */
	loop_stop(p.loop);
	assert_int_equal(loop_run(p.loop), 0);
	loop_post(p.loop, on_post, &items[0]);
	loop_free(p.loop);
}

enum { HOGS = 2, HOG_POSTS = 200 };

/* Threads that hardly ever let go of the outer lock, and the loop. */
struct hogs {
	struct loop *loop;
	struct loop_gate gate;
	pthread_mutex_t outer;
	_Atomic bool end;
	unsigned turns, taken, ahead; /* outer lock; ahead: of the loop while it waited */
};

static void *hog_thread(void *arg)
{
	struct hogs *h = arg;

	while (!atomic_load(&h->end)) {
		if (atomic_load(&h->gate.wanted))
			loop_gate_wait(&h->gate);
		pthread_mutex_lock(&h->outer);
		h->taken++;
		h->ahead += atomic_load(&h->gate.wanted);
		for (volatile unsigned i = 0; i < 1000; i++)
			;
		pthread_mutex_unlock(&h->outer);
	}
	return NULL;
}

static void on_turn(void *ctx)
{
	struct hogs *h = ctx;

	assert_false(atomic_load(&h->gate.wanted));
	if (++h->turns < HOG_POSTS)
		loop_post(h->loop, on_turn, h);
	else
		loop_stop(h->loop);
}

/* While the loop waits for the lock each of the others has it once at most: what it was about to
 * take anyway. */
static void test_gate(void **state)
{
	struct hogs h = {.outer = PTHREAD_MUTEX_INITIALIZER};
	pthread_t th[HOGS];

	loop_gate_init(&h.gate);
	assert_int_equal(loop_new(&h.outer, &h.loop, NULL), 0);
	loop_set_gate(h.loop, &h.gate);
	for (unsigned i = 0; i < HOGS; i++)
		assert_int_equal(pthread_create(&th[i], NULL, hog_thread, &h), 0);
	loop_post(h.loop, on_turn, &h);
	assert_int_equal(loop_run(h.loop), 0);
	atomic_store(&h.end, true);
	for (unsigned i = 0; i < HOGS; i++)
		pthread_join(th[i], NULL);
	assert_int_equal(h.turns, HOG_POSTS);
	assert_true(h.ahead <= HOG_POSTS * HOGS);
	loop_free(h.loop);
	loop_gate_done(&h.gate);
}

struct chores {
	struct list todo, node[3];
	unsigned ran;
	pthread_t by;
};

static bool chore_claim(void *ctx, struct list *claimed)
{
	struct chores *c = ctx;
	struct list *first = c->todo.next;

	if (list_empty(&c->todo))
		return false;
	list_remove(first);
	list_append(claimed, first);
	return true;
}

static void chore_run(void *ctx, struct list *claimed)
{
	struct chores *c = ctx;

	assert_ptr_equal(claimed->next, &c->node[c->ran]);
	assert_ptr_equal(claimed->next->next, claimed);
	c->ran++;
	c->by = pthread_self();
}

/* A thread without work does others' on its own stack, in their order; not after they have gone. */
static void test_idle(void **state)
{
	struct chores c = {0};
	struct loop_idle none = {.claim = chore_claim, .run = chore_run}, some = none;
	struct chores empty = {0};
	struct loop *loop;

	list_init(&c.todo);
	list_init(&empty.todo);
	none.ctx = &empty;
	some.ctx = &c;
	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	assert_false(loop_run_idle(loop));
	loop_del_idle(loop, &some);
	loop_add_idle(loop, &none);
	loop_add_idle(loop, &some);
	assert_false(loop_run_idle(loop));
	for (unsigned i = 0; i < 3; i++)
		list_append(&c.todo, &c.node[i]);
	assert_true(loop_run_idle(loop) && loop_run_idle(loop));
	assert_int_equal(c.ran, 2);
	assert_true(pthread_equal(c.by, pthread_self()));
	loop_del_idle(loop, &some);
	assert_false(loop_run_idle(loop));
	loop_del_idle(loop, &none);
	assert_false(loop_on_thread(loop));
	loop_free(loop);
}

static void test_meminfo(void **state)
{
	assert_true(host_mem_available() > MIB);
	assert_true(host_realtime_ns() > 1600000000ull * NS_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fd),       cmocka_unit_test(test_delete_inside),
		cmocka_unit_test(test_dev_null), cmocka_unit_test(test_bad_fd),
		cmocka_unit_test(test_timers),   cmocka_unit_test(test_posts),
		cmocka_unit_test(test_gate),     cmocka_unit_test(test_meminfo),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

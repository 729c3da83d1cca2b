/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option parsing by table (cli.h): "--name value", "--name=value", "-x value", "-xvalue", grouped
 * flags, "--" ends options. Also the values that several commands take, and help pages.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bits.h"
#include "cli/cli.h"

int cli_die(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("bothy: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* Edit distance with insertion, deletion, substitution and transposition of neighbours. Words
 * longer than the table are not typing errors of ours. */
static unsigned distance(const char *a, const char *b)
{
	enum { MAX = 24 };
	unsigned d[MAX + 1][MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > MAX || m > MAX)
		return 1000;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, d[i - 1][j] + 1);
			best = MIN(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	return d[n][m];
}

const char *cli_closest(const char *word, const char *const *names)
{
	const char *found = NULL;
	unsigned best = 1000;

	for (; *names; names++) {
		unsigned n = distance(word, *names);

		/* A beginning of the name is a good guess too. */
		if (strlen(word) >= 2 && !strncmp(word, *names, strlen(word)))
			n = 1;
		if (n < best) {
			best = n;
			found = *names;
		}
	}
	return best <= 1 + strlen(word) / 3 ? found : NULL;
}

static int unknown(const struct cli_args *a, const char *given, const char *word)
{
	const char *names[64], *close;
	unsigned n = 0;

	for (const struct cli_option *o = a->cmd->options; o->name && n < 63; o++)
		names[n++] = o->name;
	names[n] = NULL;
	close = word ? cli_closest(word, names) : NULL;
	if (close)
		cli_die(0, "unknown option '%s'; did you mean '--%s'?", given, close);
	else
		cli_die(0, "unknown option '%s'; 'bothy %s --help' lists them", given,
			a->cmd->name);
	return CLI_BAD;
}

/* "[a|b]", all of it: a value that may be left out. */
static bool is_optional(const char *arg)
{
	return arg[0] == '[' && arg[strcspn(arg, "]")] && !arg[strcspn(arg, "]") + 1];
}

/* Is @word one of them? */
static bool is_choice(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; n && (p = strstr(p, word)); p += n)
		if (p > list && (p[-1] == '[' || p[-1] == '|') && (p[n] == ']' || p[n] == '|'))
			return true;
	return false;
}

static int take_value(struct cli_args *a, int index, const char *given, const char *joined)
{
	const struct cli_option *o = &a->cmd->options[index];

	if (!o->arg) {
		if (joined) {
			cli_die(0, "option '%s' takes no value", given);
			return CLI_BAD;
		}
		a->value = NULL;
		return index;
	}
	if (is_optional(o->arg)) {
		if (joined && !is_choice(o->arg, joined)) {
			cli_die(0, "option '%s': unknown '%s'; there is: %s", given, joined,
				o->arg);
			return CLI_BAD;
		}
		a->value = joined;
		if (!joined && a->at < a->argc && is_choice(o->arg, a->argv[a->at]))
			a->value = a->argv[a->at++];
	} else if (joined) {
		a->value = joined;
	} else if (a->at < a->argc) {
		a->value = a->argv[a->at++];
	} else {
		cli_die(0, "option '%s' needs a value: %s %s", given, given, o->arg);
		return CLI_BAD;
	}
	return index;
}

static int next_long(struct cli_args *a, const char *word)
{
	char name[64], given[80];
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word);

	snprintf(name, sizeof(name), "%.*s", (int)MIN(n, sizeof(name) - 1), word);
	snprintf(given, sizeof(given), "--%s", name);
	for (int i = 0; a->cmd->options[i].name; i++)
		if (!strcmp(a->cmd->options[i].name, name))
			return take_value(a, i, given, eq ? eq + 1 : NULL);
	return unknown(a, given, name);
}

static int next_short(struct cli_args *a)
{
	char given[3] = {'-', *a->bundle++, 0};

	for (int i = 0; a->cmd->options[i].name; i++) {
		const struct cli_option *o = &a->cmd->options[i];
		char *rest = a->bundle;

		if (o->letter != given[1])
			continue;
		if (o->arg) {
			a->bundle = NULL;
			return take_value(a, i, given, *rest ? rest : NULL);
		}
		if (!*rest)
			a->bundle = NULL;
		a->value = NULL;
		return i;
	}
	a->bundle = NULL;
	return unknown(a, given, NULL);
}

int cli_next(struct cli_args *a)
{
	char *s;

	if (a->bundle)
		return next_short(a);
	if (a->at >= a->argc)
		return CLI_END;
	s = a->argv[a->at++];
	if (a->only_operands || s[0] != '-' || !s[1]) {
		a->value = s;
		return CLI_OPERAND;
	}
	if (!strcmp(s, "--")) {
		a->only_operands = true;
		return cli_next(a);
	}
	if (s[1] == '-')
		return next_long(a, s + 2);
	a->bundle = s + 1;
	return next_short(a);
}

/* Columns that help is set in: the terminal's, within reason. */
static unsigned help_width(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col)
		return 100;
	return MAX(60u, MIN(w.ws_col, 120u));
}

/* @text from column @at on, its further lines indented as much, no word beyond column @width. */
static void print_wrapped(const char *text, unsigned at, unsigned width)
{
	unsigned column = at;

	for (const char *s = text; *s;) {
		int n = (int)strcspn(s, " ");

		if (column > at && column + 1 + (unsigned)n > width) {
			printf("\n%*s", (int)at, "");
			column = at;
		}
		column += (unsigned)printf("%s%.*s", column > at ? " " : "", n, s);
		s += n;
		s += strspn(s, " ");
	}
	putchar('\n');
}

void cli_help(const struct cli_command *cmd)
{
	enum { TEXT = 35 };
	unsigned width = help_width();

	printf("usage: bothy %s %s\n\n%s\n\noptions:\n", cmd->name, cmd->usage, cmd->summary);
	for (const struct cli_option *o = cmd->options; o->name; o++) {
		char letter[5] = "    ";
		int n;

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		n = printf("  %s--%s%s%s", letter, o->name, o->arg ? " " : "",
			   o->arg ? o->arg : "");
		if (n >= TEXT) { /* its text begins below it */
			putchar('\n');
			n = 0;
		}
		printf("%*s", TEXT - n, "");
		print_wrapped(o->help, TEXT, width);
	}
}

int cli_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret_v)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *end || v < min || v > max)
		return -EINVAL;
	*ret_v = v;
	return 0;
}

int cli_parse_size(const char *s, uint64_t *ret_bytes)
{
	unsigned long long v;
	uint64_t unit = MIB, bytes;
	char *end;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return -EINVAL;
	switch (toupper((unsigned char)*end)) {
	case 'K': unit = KIB; break;
	case 'M': unit = MIB; break;
	case 'G': unit = GIB; break;
	case 'T': unit = 1024 * GIB; break;
	case 0: end--; break;
	default: return -EINVAL;
	}
	end++;
	if (*end == 'i')
		end++;
	if (toupper((unsigned char)*end) == 'B')
		end++;
	if (*end || ckd_mul(&bytes, (uint64_t)v, unit))
		return -EINVAL;
	*ret_bytes = bytes;
	return 0;
}

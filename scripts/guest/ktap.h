/* SPDX-License-Identifier: GPL-2.0 */
/* The results of the programs that run in guests, as KTAP. */
#ifndef _KTAP_H
#define _KTAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* Prints the result of the next test, and returns whether it is good. */
static unsigned int nr_tests;
static bool failed;

__attribute__((format(printf, 2, 3)))
static bool result(bool good, const char *name, ...)
{
	va_list args;

	failed |= !good;
	printf("%s %u ", good ? "ok" : "not ok", ++nr_tests);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return good;
}

#endif /* _KTAP_H */

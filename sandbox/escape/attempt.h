/* An attempt to get out of the sandbox: a function that tries one thing, in C because a hostile
 * module would.  It answers what it got: 0 or more, or -errno.  Arguments are such that outside a
 * sandbox the kernel would do no harm, and would answer something else than "refused". */
#pragma once

#include <errno.h>
#include <unistd.h>

/* What a system call of libc said. */
static inline long answer(long result) { return result < 0 ? -errno : result; }

/* CALL(id, number, arguments...): the attempt `id` is one system call. */
#define CALL(id, ...)                    \
  long try_##id(void) {                  \
    errno = 0;                           \
    return answer(syscall(__VA_ARGS__)); \
  }

#define ATTEMPT(id, group, what, loading, running) long try_##id(void);
#define GRANTED(id, group, what, loading, running) long try_##id(void);
#define DEADLY(id, group, what, how) void die_##id(void);
#define LOAD(id, group, what, says)
#define LIMIT(id, group, what, comes)
#define OUTSIDE(id, group, what, seen)
#define ELSEWHERE(id, group, what, test)
#include "sandbox/escape/attempts.inc"
#undef ATTEMPT
#undef GRANTED
#undef DEADLY
#undef LOAD
#undef LIMIT
#undef OUTSIDE
#undef ELSEWHERE

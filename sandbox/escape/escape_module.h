/* What the hostile modules share: they speak on their standard output, which is the log pipe,
 * because that is there in a constructor too.  One line a fact, "escape WHEN WHAT". */
#pragma once

#include <kante/message.h>
#include <kante/module.h>
#include <stdio.h>
#include <string.h>

static inline void say(const char* when, const char* what, const char* answer) {
  char line[3200];
  const int size = snprintf(line, sizeof line, "escape %s %s %s\n", when, what, answer);
  const ssize_t written = write(1, line, (size_t)size);
  (void)written;
}

#if defined(__cplusplus)
#define ESCAPE_EXTERN extern "C"
#else
#define ESCAPE_EXTERN
#endif
#define ESCAPE_MODULE(create, event)                                                      \
  static const char* const kInputs[] = {"in", NULL};                                      \
  static const char* const kOutputs[] = {NULL};                                           \
  static void destroy(kante_module* module) { (void)module; }                             \
  ESCAPE_EXTERN KANTE_EXPORT const kante_entry kante_module_entry = {sizeof(kante_entry), \
                                                                     KANTE_MAGIC,         \
                                                                     KANTE_ABI_MAJOR,     \
                                                                     KANTE_ABI_MINOR,     \
                                                                     "dev.kante.escape",  \
                                                                     "1.0.0",             \
                                                                     kInputs,             \
                                                                     kOutputs,            \
                                                                     create,              \
                                                                     event,               \
                                                                     destroy,             \
                                                                     NULL}

// Takes what its message names until there is no more, or does one of the few things that end
// badly.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/escape/escape_module.h"

static void sayCount(const char* what, int error, unsigned long count) {
  char text[64];
  snprintf(text, sizeof text, "%s %lu", error == 0 ? "none" : strerrorname_np(error), count);
  say("took", what, text);
}

/* Mebibytes, each touched, so that whichever limit there is counts them. */
static void takeMemory(void) {
  const size_t piece = 1u << 20;
  unsigned long count = 0;
  for (; count < 65536; ++count) {
    char* at = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) break;
    memset(at, 1, piece);
  }
  sayCount("memory", errno, count);
}

static void* waitForEver(void* argument) {
  for (;;) pause();
  return argument;
}
static void takeThreads(void) {
  unsigned long count = 0;
  int error = 0;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  pthread_t thread;
  while (count < 65536 && (error = pthread_create(&thread, &small, waitForEver, NULL)) == 0)
    ++count;
  sayCount("threads", error, count);
}

static void takeDescriptors(void) {
  unsigned long count = 0;
  while (count < 1u << 20 && eventfd(0, EFD_CLOEXEC) >= 0) ++count;
  sayCount("descriptors", errno, count);
}

static void ignoreSignals(void) {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_IGN);
  say("took", "signals", "ignored");
}

static kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  (void)config;
  *out = (kante_module*)host;
  say("created", "-", "-");
  return KANTE_OK;
}

static kante_status event(kante_module* module, const kante_event* event) {
  (void)module;
  if (event->type != KANTE_EVENT_INPUT) return KANTE_E_UNSUPPORTED;
  const uint64_t* words = event->words;
  if (isAbout(words, "memory")) takeMemory();
  if (isAbout(words, "threads")) takeThreads();
  if (isAbout(words, "descriptors")) takeDescriptors();
  if (isAbout(words, "signals")) ignoreSignals();
  if (isAbout(words, "violation")) {
    const long fd = syscall(SYS_socket, 2, 1, 0);
    say("took", "violation", fd < 0 ? "refused" : "works");
  }
  if (isAbout(words, "abort")) abort();
  if (isAbout(words, "loop")) {
    say("took", "loop", "begins");
    for (volatile int at = 0;;) at = at + 1;
  }
  return KANTE_OK;
}

ESCAPE_MODULE(create, event);

// Takes what its message names until there is no more, or does one of the few things that end
// badly.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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
  for (; count < 1024; ++count) {
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

/* KiB of one file, and then what a second one says. */
static void takeData(void) {
  static const char piece[4096];
  unsigned long count = 0;
  errno = 0;
  const int one = open("/data/one", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  while (count < 1u << 20 && write(one, piece, sizeof piece) == (ssize_t)sizeof piece) ++count;
  sayCount("data", errno, count * 4);
  errno = 0;
  const int more = open("/data/more", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const ssize_t written = write(more, piece, sizeof piece);
  sayCount("more", errno, written < 0 ? 0 : (unsigned long)written);
}

static void ignoreSignals(void) {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_IGN);
  say("took", "signals", "ignored");
}

static const kante_host* s_host;

static kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  (void)config;
  s_host = host;
  *out = (kante_module*)host;
  say("created", "-", "-");
  return KANTE_OK;
}

static int names(kante_str act, const char* name) {
  return act.size == strlen(name) && memcmp(act.data, name, act.size) == 0;
}

static void act(kante_str what) {
  if (names(what, "memory")) takeMemory();
  if (names(what, "threads")) takeThreads();
  if (names(what, "descriptors")) takeDescriptors();
  if (names(what, "data")) takeData();
  if (names(what, "signals")) ignoreSignals();
  if (names(what, "violation")) {
    const long fd = syscall(SYS_socket, 2, 1, 0);
    say("took", "violation", fd < 0 ? "refused" : "works");
  }
  if (names(what, "abort")) abort();
  if (names(what, "fault")) *(volatile int*)16 = 1;
  if (names(what, "speak") && write(3, "x", 1) != 1) say("took", "speak", "refused");
  if (names(what, "hang-up")) {
    close(3);
    for (;;) pause();
  }
  if (names(what, "loop")) {
    say("took", "loop", "begins");
    for (volatile int at = 0;;) at = at + 1;
  }
}

/* The act is a message's body or a method's name. */
static kante_status event(kante_module* module, const kante_event* event) {
  (void)module;
  if (event->type == KANTE_EVENT_INPUT) {
    act(kante_message_body(event->words));
    return KANTE_OK;
  }
  if (event->type == KANTE_EVENT_METHOD) {
    act(event->name);
    const kante_twin_v1* twin = s_host->get_extension(s_host, KANTE_EXT_TWIN);
    return twin->reply(s_host, event->token, 200, NULL);
  }
  return KANTE_E_UNSUPPORTED;
}

ESCAPE_MODULE(create, event);

// Stands in for kante-runner: answers each question that comes over the control socket.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kControl = 3, kDescriptorsMax = 1024 };
static char answer[16384];
static size_t used;

static void add(const char* format, ...) {
  va_list list;
  va_start(list, format);
  const int more = vsnprintf(answer + used, sizeof answer - used, format, list);
  va_end(list);
  if (more > 0) used += (size_t)more;
  if (used >= sizeof answer) used = sizeof answer - 1;
}

static void addErrno(int done) { add("%d", done < 0 ? errno : 0); }

static unsigned long capabilities(void) {
  unsigned long set = 0;
  for (unsigned long n = 0; n < 64; ++n)
    if (prctl(PR_CAPBSET_READ, n, 0, 0, 0) == 1) set |= 1UL << n;
  return set;
}

static void limit(const char* name, int what) {
  struct rlimit now;
  getrlimit((__rlimit_resource_t)what, &now);
  add("%s=%lld\n", name, (long long)now.rlim_cur);
}

static void facts(int count, char** arguments, char** environment) {
  int death = 0;
  sigset_t blocked;
  struct sigaction hangup;
  prctl(PR_GET_PDEATHSIG, &death);
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  sigaction(SIGHUP, NULL, &hangup);
  const mode_t mask = umask(077);
  gid_t groups[64];
  add("uid=%d\ngid=%d\npid=%d\nsid=%d\n", getuid(), getgid(), getpid(), getsid(0));
  add("groups=%d\numask=%o\npdeathsig=%d\n", getgroups(64, groups), mask, death);
  add("blocked=%d\nhangup=%d\n", sigismember(&blocked, SIGTERM), hangup.sa_handler != SIG_DFL);
  add("bounding=%lx\nno_new_privs=%d\n", capabilities(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  add("arguments=%s %s\n", arguments[0], count > 1 ? arguments[1] : "");
  for (; *environment != NULL; ++environment) add("environment=%s\n", *environment);
  limit("core", RLIMIT_CORE);
  limit("files", RLIMIT_NOFILE);
  limit("processes", RLIMIT_NPROC);
  limit("file_size", RLIMIT_FSIZE);
}

static void descriptors(void) {
  for (int fd = 0; fd < kDescriptorsMax; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) add("%d ", fd);
}

static void list(const char* path) {
  DIR* folder = opendir(path);
  if (folder == NULL) {
    add("errno %d", errno);
    return;
  }
  for (const struct dirent* entry = readdir(folder); entry != NULL; entry = readdir(folder))
    if (entry->d_name[0] != '.') add("%s\n", entry->d_name);
  closedir(folder);
}

static void mapExecutable(const char* path) {
  const int fd = open(path, O_RDONLY);
  const void* map = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  addErrno(map == MAP_FAILED ? -1 : 0);
}

static void eat(int megabytes) {
  const size_t bytes = (size_t)megabytes << 20;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    addErrno(-1);
    return;
  }
  for (size_t n = 0; n < bytes; n += 4096) memory[n] = 1;
  addErrno(0);
}

static void children(int wanted) {
  int made = 0;
  for (; made < wanted; ++made) {
    const pid_t child = fork();
    if (child < 0) break;
    if (child == 0)
      for (;;) pause();
  }
  add("%d", made);
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Until so much of the processor was had; how long that took.
static void spin(int ms) {
  const double begin = seconds(CLOCK_MONOTONIC);
  const double until = seconds(CLOCK_PROCESS_CPUTIME_ID) + ms / 1e3;
  while (seconds(CLOCK_PROCESS_CPUTIME_ID) < until) continue;
  add("%.0f", (seconds(CLOCK_MONOTONIC) - begin) * 1e3);
}

static void fill(const char* path) {
  static char part[65536];
  const int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd < 0) {
    addErrno(-1);
    return;
  }
  while (write(fd, part, sizeof part) > 0) continue;
  addErrno(-1);
}

static void readAll(int fd) {
  char part[4096];
  const ssize_t got = pread(fd, part, sizeof part - 1, 0);
  if (got < 0) {
    addErrno(-1);
    return;
  }
  part[got] = '\0';
  add("%s", part);
}

static void act(const char* what, const char* with) {
  if (strcmp(what, "descriptors") == 0) descriptors();
  if (strcmp(what, "list") == 0) list(with);
  if (strcmp(what, "read") == 0) readAll(open(with, O_RDONLY));
  if (strcmp(what, "read-fd") == 0) readAll(atoi(with));
  if (strcmp(what, "write-fd") == 0) addErrno((int)write(atoi(with), "x", 1));
  if (strcmp(what, "create") == 0) addErrno(open(with, O_WRONLY | O_CREAT, 0600));
  if (strcmp(what, "map") == 0) mapExecutable(with);
  if (strcmp(what, "unshare") == 0) addErrno(unshare(CLONE_NEWUSER));
  if (strcmp(what, "mount") == 0) addErrno(mount("x", with, "tmpfs", 0, NULL));
  if (strcmp(what, "remount") == 0) addErrno(mount(NULL, with, NULL, MS_REMOUNT | MS_BIND, NULL));
  if (strcmp(what, "kill") == 0) addErrno(kill(atoi(with), 0));
  if (strcmp(what, "socket") == 0) addErrno(socket(AF_INET, SOCK_DGRAM, 0));
  if (strcmp(what, "eat") == 0) eat(atoi(with));
  if (strcmp(what, "children") == 0) children(atoi(with));
  if (strcmp(what, "spin") == 0) spin(atoi(with));
  if (strcmp(what, "fill") == 0) fill(with);
  if (strcmp(what, "exit") == 0) _exit(atoi(with));
  if (strcmp(what, "fault") == 0) *(volatile int*)NULL = 0;
}

int main(int count, char** arguments, char** environment) {
  signal(SIGXFSZ, SIG_IGN);
  char question[512];
  for (;;) {
    const ssize_t got = recv(kControl, question, sizeof question - 1, 0);
    if (got <= 0) pause();  // An end of the host ends nothing here: the launcher has to.
    question[got] = '\0';
    char* with = strchr(question, ' ');
    if (with != NULL) *with++ = '\0';
    used = 0;
    if (strcmp(question, "facts") == 0) facts(count, arguments, environment);
    act(question, with != NULL ? with : "");
    send(kControl, used == 0 ? "-" : answer, used == 0 ? 1 : used, MSG_NOSIGNAL);
  }
}

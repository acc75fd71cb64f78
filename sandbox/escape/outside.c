// Network, other processes' means of talking, identity, resources and descriptors.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#include "sandbox/escape/attempt.h"

#define CONTROL 3
#define DOORBELL 6
#define MODULE 7
#define NOT_BLOCKED 0

extern char** environ;

// ---- network and IPC ----
CALL(inet, SYS_socket, AF_INET, SOCK_STREAM, 0)
CALL(inet6, SYS_socket, AF_INET6, SOCK_DGRAM, 0)
CALL(unix_socket, SYS_socket, AF_UNIX, SOCK_STREAM, 0)
CALL(netlink, SYS_socket, AF_NETLINK, SOCK_RAW, 0)
CALL(packet, SYS_socket, AF_PACKET, SOCK_RAW, 0)
CALL(vsock, SYS_socket, AF_VSOCK, SOCK_STREAM, 0)
CALL(alg, SYS_socket, AF_ALG, SOCK_SEQPACKET, 0)
CALL(socketpair, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (int[2]){0})
CALL(connect, SYS_connect, CONTROL, NULL, 0)
CALL(bind, SYS_bind, CONTROL, NULL, 0)
CALL(listen, SYS_listen, CONTROL, 1)
CALL(accept, SYS_accept4, CONTROL, NULL, NULL, 0)
CALL(sendto, SYS_sendto, CONTROL, "x", 0, MSG_DONTWAIT, NULL, 0)
CALL(sendmsg, SYS_sendmsg, CONTROL, NULL, MSG_DONTWAIT)
CALL(sendmmsg, SYS_sendmmsg, CONTROL, NULL, 0, MSG_DONTWAIT)
CALL(setsockopt, SYS_setsockopt, CONTROL, SOL_SOCKET, SO_RCVBUF, NULL, 0)
CALL(getpeername, SYS_getpeername, CONTROL, NULL, NULL)
CALL(pipe, SYS_pipe2, (int[2]){0}, O_CLOEXEC)
CALL(semget, SYS_semget, 0, 1, 01700)
CALL(msgget, SYS_msgget, 0, 01700)
CALL(mq_open, SYS_mq_open, "x", O_RDWR | O_CREAT, 0600, NULL)

long try_out_of_band(void) {
  struct msghdr message = {0};
  return answer(syscall(SYS_sendmsg, CONTROL, &message, MSG_OOB | MSG_DONTWAIT));
}
long try_unasked_descriptor(void) {
  char byte[16], room[CMSG_SPACE(sizeof(int))];
  struct iovec place = {byte, sizeof byte};
  struct msghdr message = {0};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  return answer(syscall(SYS_recvmsg, CONTROL, &message, MSG_DONTWAIT));
}

// ---- identity ----
CALL(setuid, SYS_setuid, 0)
CALL(setresuid, SYS_setresuid, -1, -1, -1)
CALL(setgid, SYS_setgid, 0)
CALL(setgroups, SYS_setgroups, 0, NULL)
CALL(setfsuid, SYS_setfsuid, 0)
CALL(capset, SYS_capset, NULL, NULL)
CALL(ambient, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0)
CALL(getgroups, SYS_getgroups, 0, NULL)
long try_not_root(void) {
  return getuid() != 0 && geteuid() != 0 && getgid() != 0 && getegid() != 0 ? 0 : -EINVAL;
}

// ---- resources ----
CALL(setrlimit, SYS_prlimit64, 1, RLIMIT_NOFILE, NULL, NULL)
long try_setrlimit_self(void) {
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  return answer(setrlimit(RLIMIT_AS, &all));
}
long try_sysinfo(void) {
  struct sysinfo info;
  return answer(sysinfo(&info));
}
long try_uname(void) {
  struct utsname name;
  return answer(uname(&name));
}

// ---- descriptors and secrets ----
/* 0 to 3 and the doorbell are there, the module's bytes may be, the rings are closed. */
long try_descriptors(void) {
  for (int fd = 0; fd < 4096; ++fd) {
    const int there = fcntl(fd, F_GETFD) >= 0;
    const int documented = fd <= CONTROL || fd == DOORBELL;
    if (there != documented && fd != MODULE) return -EMFILE;
  }
  return 0;
}
long try_environment(void) {
  for (char** each = environ; each != NULL && *each != NULL; ++each)
    if (strncmp(*each, "LD_LIBRARY_PATH=", 16) != 0) return -E2BIG;
  return 0;
}
CALL(doorbell_blocking, SYS_fcntl, DOORBELL, F_SETFL, NOT_BLOCKED)
long try_doorbell_fionbio(void) {
  int off = 0;
  return answer(syscall(SYS_ioctl, DOORBELL, FIONBIO, &off));
}
CALL(doorbell_signals, SYS_fcntl, DOORBELL, F_SETFL, O_NONBLOCK | O_ASYNC)
CALL(log_packets, SYS_fcntl, 1, F_SETFL, O_NONBLOCK | O_DIRECT)
CALL(dup, SYS_dup, 0)
CALL(dupfd, SYS_fcntl, 0, F_DUPFD_CLOEXEC, 100)
CALL(set_owner, SYS_fcntl, CONTROL, F_SETOWN, 1)
CALL(splice, SYS_splice, 0, NULL, 1, NULL, 0, 0)
CALL(sendfile, SYS_sendfile, 1, 0, NULL, 0)

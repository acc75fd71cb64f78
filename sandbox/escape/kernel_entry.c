// Calls that open doors in the kernel, other processes and the filters themselves.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "sandbox/escape/attempt.h"

#if __SIZEOF_LONG__ == 8
#define HIGH_BITS (1L << 32)
#else
#define HIGH_BITS 0L /* No upper bits there. */
#endif
#define THREAD_FLAGS 0x3d0f00L

#if defined(__x86_64__)
void die_int80(void) {
  long number = 20; /* getpid there */
  __asm__ volatile("int $0x80" : "+a"(number) : : "memory");
}
void die_x32(void) { syscall(0x40000000 | SYS_getpid); }
#endif

void die_blocked_report(void) {
  sigset_t reports;
  sigemptyset(&reports);
  sigaddset(&reports, SIGSYS);
  sigprocmask(SIG_BLOCK, &reports, NULL);
  syscall(SYS_socket, 2, 1, 0);
}

static long childGone(long child) {
  if (child == 0) _exit(0);
  return answer(child);
}

CALL(clone3, SYS_clone3, NULL, 0)
long try_clone_process(void) { return childGone(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
long try_clone_shared(void) {
  return answer(syscall(SYS_clone, CLONE_VM | CLONE_FILES, 0, 0, 0, 0));
}
long try_clone_user(void) {
  return answer(syscall(SYS_clone, THREAD_FLAGS | CLONE_NEWUSER, 0, 0, 0, 0));
}
#if defined(SYS_fork)
long try_fork(void) { return childGone(syscall(SYS_fork)); }
CALL(vfork, SYS_vfork)
#else
long try_fork(void) { return try_clone_process(); }
long try_vfork(void) { return try_clone_process(); }
#endif
long try_posix_spawn(void) {
  char* arguments[] = {(char*)"true", NULL};
  pid_t child = 0;
  return -posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL);
}
long try_system(void) {
  errno = 0;
  const int status = system("true");
  return status == 0 ? 0 : -errno;
}
CALL(execve, SYS_execve, NULL, NULL, NULL)
CALL(execveat, SYS_execveat, 7, "", NULL, NULL, AT_EMPTY_PATH)
CALL(unshare, SYS_unshare, CLONE_NEWUSER)
CALL(setns, SYS_setns, 0, 0)
CALL(mount, SYS_mount, "none", "/", "tmpfs", 0, NULL)
CALL(remount, SYS_mount, NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)
CALL(umount, SYS_umount2, "/", 0)
CALL(pivot_root, SYS_pivot_root, "/", "/")
CALL(chroot, SYS_chroot, "/")
CALL(fsopen, SYS_fsopen, "tmpfs", 0)
CALL(fspick, SYS_fspick, AT_FDCWD, "/", 0)
CALL(open_tree, SYS_open_tree, AT_FDCWD, "/", 1)
CALL(move_mount, SYS_move_mount, 0, "", 0, "", 0)
CALL(mount_setattr, SYS_mount_setattr, AT_FDCWD, "/", 0, NULL, 0)
CALL(ptrace_me, SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)
CALL(ptrace_seize, SYS_ptrace, PTRACE_SEIZE, 1, 0, 0)
CALL(process_vm_readv, SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)
CALL(process_vm_writev, SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0)
CALL(process_madvise, SYS_process_madvise, 0, NULL, 0, MADV_COLD, 0)
CALL(kcmp, SYS_kcmp, 1, 1, 0, 0, 0)
CALL(bpf, SYS_bpf, 0, NULL, 0)
CALL(perf_event_open, SYS_perf_event_open, NULL, 0, -1, -1, 0)
CALL(userfaultfd, SYS_userfaultfd, O_CLOEXEC)
CALL(io_uring_setup, SYS_io_uring_setup, 1, NULL)
CALL(io_setup, SYS_io_setup, 1, NULL)
CALL(keyctl, SYS_keyctl, 0, -3, 0, 0, 0)
CALL(add_key, SYS_add_key, "user", "x", "y", 1, -3)
CALL(request_key, SYS_request_key, "user", "x", NULL, 0)
CALL(personality, SYS_personality, 0x0400000)
CALL(prctl_dumpable, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
CALL(prctl_pdeathsig, SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0)
CALL(prctl_speculation, SYS_prctl, PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0,
     0)
CALL(prctl_ptracer, SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
CALL(prctl_name, SYS_prctl, PR_SET_NAME, "kante", 0, 0, 0)
CALL(seccomp_listener, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL)
CALL(seccomp_strict, SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL)
CALL(seccomp_log, SYS_seccomp, SECCOMP_SET_MODE_FILTER,
     SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG, NULL)
long try_seccomp_allow_all(void) {
  struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  const struct sock_fprog program = {1, &allow};
  return answer(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
}
CALL(kill_first, SYS_kill, 1, 0)
CALL(kill_all, SYS_kill, -1, 0)
CALL(tkill, SYS_tkill, 1, 0)
CALL(tgkill_other, SYS_tgkill, 2, 2, 0)
CALL(sigqueue, SYS_rt_sigqueueinfo, 1, 0, NULL)
CALL(pidfd_open, SYS_pidfd_open, 1, 0)
CALL(pidfd_getfd, SYS_pidfd_getfd, 0, 0, 0)
CALL(pidfd_send_signal, SYS_pidfd_send_signal, 0, 0, NULL, 0)
CALL(setpriority, SYS_setpriority, PRIO_PROCESS, 1, 0)
CALL(sched_setscheduler, SYS_sched_setscheduler, 0, SCHED_OTHER, NULL)
CALL(sched_setaffinity, SYS_sched_setaffinity, 0, 0, NULL)
CALL(ioprio_set, SYS_ioprio_set, 1, 1, 0)
CALL(tiocsti, SYS_ioctl, 0, TIOCSTI, "x")
CALL(tiocsti_high, SYS_ioctl, 0, HIGH_BITS | TIOCSTI, "x")
CALL(tioclinux, SYS_ioctl, 0, TIOCLINUX, "\2")
CALL(unknown_call, 1999)
CALL(minus_one, -1)
CALL(sigsys_handler, SYS_rt_sigaction, SIGSYS, NULL, NULL, 8)
CALL(sigsys_handler_high, SYS_rt_sigaction, HIGH_BITS | SIGSYS, NULL, NULL, 8)
CALL(init_module, SYS_init_module, NULL, 0, "")
CALL(finit_module, SYS_finit_module, 0, "", 0)
CALL(delete_module, SYS_delete_module, "no such module", O_NONBLOCK)
CALL(kexec_load, SYS_kexec_load, 0, 0, NULL, 0)
CALL(reboot, SYS_reboot, 0, 0, 0, NULL)
CALL(swapon, SYS_swapon, "/nowhere", 0)
CALL(acct, SYS_acct, "/nowhere")
CALL(syslog, SYS_syslog, 10, NULL, 0)
CALL(quotactl, SYS_quotactl, 0, NULL, 0, NULL)
CALL(settime, SYS_clock_settime, CLOCK_REALTIME, NULL)
CALL(adjtimex, SYS_adjtimex, NULL)
CALL(sethostname, SYS_sethostname, "kante", 5)
CALL(setdomainname, SYS_setdomainname, "kante", 5)
CALL(vhangup, SYS_vhangup)
CALL(fanotify_init, SYS_fanotify_init, 0, 0)
CALL(inotify_init, SYS_inotify_init1, O_CLOEXEC)
CALL(move_pages, SYS_move_pages, 1, 0, NULL, NULL, NULL, 0)
CALL(migrate_pages, SYS_migrate_pages, 1, 0, NULL, NULL)
CALL(mbind, SYS_mbind, 0, 0, 0, NULL, 0, 0)
CALL(landlock, SYS_landlock_create_ruleset, NULL, 0, 1)
CALL(futex_pi, SYS_futex, NULL, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0)
CALL(wait4, SYS_wait4, -1, NULL, 1, NULL)
CALL(setsid, SYS_setsid)
CALL(signalfd, SYS_signalfd4, -1, NULL, 8, O_CLOEXEC)

static void* nothing(void* argument) { return argument; }

long try_thread(void) {
  pthread_t thread;
  const int error = pthread_create(&thread, NULL, nothing, NULL);
  return error != 0 ? -error : -pthread_join(thread, NULL);
}

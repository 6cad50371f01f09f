/**
 * Constants of Linux, the same on x86_64 and aarch64.
 * Source: the UAPI headers asm-generic/{socket,fcntl,poll,resource}.h and linux/{socket,in6,tcp,time,inotify,netlink,sock_diag,unix_diag}.h,
 * glibc's spawn.h and netdb.h. `scripts/check/layouts.ts` compiles them against the headers.
 * @module
 */

export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_SNDBUF = 7;
export const SO_OOBINLINE = 10;
export const SO_REUSEPORT = 15;
export const SO_PASSCRED = 16;
export const SO_PEERCRED = 17;
export const SO_BINDTODEVICE = 25;
export const SO_BINDTOIFINDEX = 62;
export const SO_ACCEPTCONN = 30;
export const SO_MARK = 36;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_MEMINFO = 55;
export const SO_COOKIE = 57;
export const SO_PEERGROUPS = 59;
export const SO_NETNS_COOKIE = 71;
/** Of Linux 6.16. */
export const SO_PASSRIGHTS = 83;
export const IPPROTO_IP = 0;
export const IP_FREEBIND = 15;
export const IP_TRANSPARENT = 19;
export const IPPROTO_MPTCP = 262;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const TCP_MAXSEG = 2;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_INFO = 11;
export const TCP_FASTOPEN = 23;
export const TCP_LISTEN = 10;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const IPV6_TRANSPARENT = 75;
export const IPV6_FREEBIND = 78;

/** Places in what SO_MEMINFO tells, each of 32 bits (linux/sock_diag.h), and how many there are. */
export const SK_MEMINFO_RMEM_ALLOC = 0;
export const SK_MEMINFO_RCVBUF = 1;
export const SK_MEMINFO_DROPS = 8;
export const SK_MEMINFO_VARS = 9;

export const NETLINK_SOCK_DIAG = 4;
export const SOCK_DIAG_BY_FAMILY = 20;
export const NLM_F_REQUEST = 1;
export const NLM_F_DUMP = 0x300;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const UDIAG_SHOW_VFS = 0x2;
export const UDIAG_SHOW_RQLEN = 0x10;
export const UNIX_DIAG_VFS = 1;
export const UNIX_DIAG_RQLEN = 4;

export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;
/** SCM_MAX_FD of net/scm.h: more descriptors in one message are EINVAL. */
export const SCM_MAX_FD = 253;
export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
export const MSG_PEEK = 0x2;
export const MSG_CTRUNC = 0x8;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const AI_NUMERICHOST = 0x4;

export const O_WRONLY = 1;
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_PATH = 0o10000000;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const SIOCOUTQ = 0x5411;
export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const FD_CLOEXEC = 1;
export const IN_CLOSE_WRITE = 0x8;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_ONLYDIR = 0x1000000;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const EPOLL_CTL_DEL = 2;
export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;
export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_SEAL_SEAL = 1;
export const F_SEAL_SHRINK = 2;
export const F_SEAL_GROW = 4;
export const F_SEAL_WRITE = 8;

export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLRDHUP = 0x2000;

/** System call numbers, the same on both processors (asm-generic/unistd.h). */
export const SYS_PIDFD_SEND_SIGNAL = 424;
export const SYS_PIDFD_OPEN = 434;
export const SYS_PIDFD_GETFD = 438;

export const CLONE_VM = 0x100;
export const CLOCK_MONOTONIC = 1;
export const RLIMIT_NOFILE = 7;
export const WNOHANG = 1;
export const __WALL = 0x40000000;

export const POSIX_SPAWN_SETSIGDEF = 0x4;
export const POSIX_SPAWN_SETSIGMASK = 0x8;
export const POSIX_SPAWN_SETSID = 0x80;

export const SIG_BLOCK = 0;
export const SIG_SETMASK = 2;

/** Signal numbers of Linux on x86_64 and aarch64 (asm-generic/signal.h). */
export const SIGNALS = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGTERM: 15,
  SIGCHLD: 17,
  SIGTTIN: 21,
  SIGTTOU: 22,
} as const;

export type SignalName = keyof typeof SIGNALS;

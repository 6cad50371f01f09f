/**
 * Sizes and offsets, in bytes, of the C structs that cross the FFI boundary: LP64 Linux with glibc,
 * x86_64 and aarch64. `scripts/check/layouts.ts` compiles this table against the C headers.
 * @module
 */

export const LAYOUT = {
  // <sys/socket.h> struct msghdr
  msghdr: {
    size: 56,
    msg_iov: 16,
    msg_iovlen: 24,
    msg_control: 32,
    msg_controllen: 40,
    msg_flags: 48,
  },
  // <sys/uio.h> struct iovec
  iovec: { size: 16, iov_base: 0, iov_len: 8 },
  // <sys/socket.h> struct cmsghdr, its data follow at CMSG_ALIGN(16)
  cmsghdr: { size: 16, cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 },
  // <sys/un.h> struct sockaddr_un
  sockaddr_un: { size: 110, sun_family: 0, sun_path: 2 },
  // <sys/socket.h> struct sockaddr_storage, the longest address
  sockaddr_storage: { size: 128 },
  // <netinet/in.h> struct sockaddr_in
  sockaddr_in: { size: 16, sin_family: 0, sin_port: 2, sin_addr: 4 },
  // <netinet/in.h> struct sockaddr_in6
  sockaddr_in6: { size: 28, sin6_family: 0, sin6_port: 2, sin6_addr: 8, sin6_scope_id: 24 },
  // <netdb.h> struct addrinfo
  addrinfo: {
    size: 48,
    ai_flags: 0,
    ai_socktype: 8,
    ai_addrlen: 16,
    ai_addr: 24,
  },
  // <sys/socket.h> struct ucred (with _GNU_SOURCE)
  ucred: { size: 12, pid: 0, uid: 4, gid: 8 },
  // <pwd.h> struct passwd
  passwd: { size: 48, pw_name: 0, pw_uid: 16, pw_gid: 20 },
  // <grp.h> struct group
  group: { size: 32, gr_gid: 16 },
  // <poll.h> struct pollfd
  pollfd: { size: 8, fd: 0, events: 4, revents: 6 },
  // <sys/resource.h> struct rlimit
  rlimit: { size: 16, rlim_cur: 0, rlim_max: 8 },
  // <time.h> struct timespec
  timespec: { size: 16, tv_sec: 0, tv_nsec: 8 },
  // <netinet/tcp.h> struct tcp_info, of which the kernel fills as much as we ask for
  tcp_info: { size: 104, tcpi_unacked: 24, tcpi_sacked: 28 },
  // <linux/netlink.h>
  nlmsghdr: { size: 16, nlmsg_len: 0, nlmsg_type: 4, nlmsg_flags: 6 },
  nlattr: { size: 4, nla_len: 0, nla_type: 2 },
  // <linux/unix_diag.h>
  unix_diag_req: {
    size: 24,
    sdiag_family: 0,
    udiag_states: 4,
    udiag_ino: 8,
    udiag_show: 12,
    udiag_cookie: 16,
  },
  unix_diag_msg: { size: 16, udiag_ino: 4 },
  unix_diag_vfs: { size: 8, udiag_vfs_ino: 0 },
  unix_diag_rqlen: { size: 8, udiag_rqueue: 0, udiag_wqueue: 4 },
  // <spawn.h>, opaque
  posix_spawn_file_actions_t: { size: 80 },
  posix_spawnattr_t: { size: 336 },
  // <signal.h>, opaque
  sigset_t: { size: 128 },
} as const;

/**
 * The libc functions that multibinder calls, one entry each, with the C declaration beside it.
 *
 * A `nonblocking` entry runs on another thread. Its errno is lost there, so such a call may only
 * wait: the system call that matters is made again, synchronously, afterwards.
 * @module
 */

export const symbols = {
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "pointer" },
  // char *strerror(int errnum)
  strerror: { parameters: ["i32"], result: "pointer" },

  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog)
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int shutdown(int fd, int how)
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  // ssize_t recvmsg(int fd, struct msghdr *message, int flags)
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },

  // int inet_pton(int family, const char *text, void *address)
  inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // const char *inet_ntop(int family, const void *address, char *text, socklen_t size)
  inet_ntop: { parameters: ["i32", "buffer", "buffer", "u32"], result: "pointer" },
  // int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
  //                 struct addrinfo **list)
  getaddrinfo: {
    parameters: ["buffer", "pointer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  // void freeaddrinfo(struct addrinfo *list)
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
  // const char *gai_strerror(int code)
  gai_strerror: { parameters: ["i32"], result: "pointer" },

  // int open(const char *path, int flags, ...)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // ssize_t getdents64(int fd, void *buffer, size_t length)
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int inotify_init1(int flags)
  inotify_init1: { parameters: ["i32"], result: "i32" },
  // int inotify_add_watch(int fd, const char *path, unsigned int mask)
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int flock(int fd, int operation)
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // ssize_t read(int fd, void *buffer, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // ssize_t write(int fd, const void *buffer, size_t count)
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // ssize_t pread(int fd, void *buffer, size_t count, off_t offset)
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  close_wait: { name: "close", parameters: ["i32"], result: "i32", nonblocking: true },
  // int ioctl(int fd, unsigned long request, ...)
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  // int fcntl(int fd, int command, ...)
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  fcntl_wait: {
    name: "fcntl",
    parameters: ["i32", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // int pipe2(int fds[2], int flags)
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  // int eventfd(unsigned int initial, int flags)
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // int memfd_create(const char *name, unsigned int flags)
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },

  // int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  poll_wait: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },

  // int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
  //                  const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
  posix_spawnp: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  // int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  // int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  // int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to)
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  // int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from)
  posix_spawn_file_actions_addclosefrom_np: { parameters: ["buffer", "i32"], result: "i32" },
  // int posix_spawnattr_init(posix_spawnattr_t *attributes)
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  // int posix_spawnattr_destroy(posix_spawnattr_t *attributes)
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  // int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags)
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  // int posix_spawnattr_setsigdefault(posix_spawnattr_t *attributes, const sigset_t *signals)
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  // int posix_spawnattr_setsigmask(posix_spawnattr_t *attributes, const sigset_t *signals)
  posix_spawnattr_setsigmask: { parameters: ["buffer", "buffer"], result: "i32" },

  // int execve(const char *path, char *const argv[], char *const envp[])
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  // int execvpe(const char *file, char *const argv[], char *const envp[])
  execvpe: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  // sighandler_t signal(int signum, sighandler_t handler)
  signal: { parameters: ["i32", "pointer"], result: "pointer" },
  // int clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
  clone: { parameters: ["pointer", "pointer", "i32", "pointer"], result: "i32" },
  // pid_t waitpid(pid_t pid, int *status, int options)
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
  epoll_ctl: { parameters: ["i32", "i32", "i32", "pointer"], result: "i32" },

  // int kill(pid_t pid, int signal)
  kill: { parameters: ["i32", "i32"], result: "i32" },
  // long syscall(long number, ...)
  syscall: { parameters: ["i64", "i32", "i32", "i64", "i32"], result: "i64" },
  // int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
  pthread_sigmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // mode_t umask(mode_t mask)
  umask: { parameters: ["u32"], result: "u32" },
  // uid_t geteuid(void)
  geteuid: { parameters: [], result: "u32" },
  // int clock_gettime(clockid_t clock, struct timespec *time)
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  // int getpwnam_r(const char *name, struct passwd *entry, char *texts, size_t size,
  //                struct passwd **found)
  getpwnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  // int getpwuid_r(uid_t user, struct passwd *entry, char *texts, size_t size, struct passwd **found)
  getpwuid_r: { parameters: ["u32", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  // int getgrnam_r(const char *name, struct group *entry, char *texts, size_t size,
  //                struct group **found)
  getgrnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  // int initgroups(const char *user, gid_t group)
  initgroups: { parameters: ["buffer", "u32"], result: "i32" },
  // int setgid(gid_t group)
  setgid: { parameters: ["u32"], result: "i32" },
  // int setuid(uid_t user)
  setuid: { parameters: ["u32"], result: "i32" },
  // int getrlimit(int resource, struct rlimit *limit)
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int setrlimit(int resource, const struct rlimit *limit)
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

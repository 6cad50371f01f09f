/*
 * Passing descriptors in plain C: what the benchmark measures with, and the least that anybody could do.
 *
 *   passing serve SOCK HOST PORT       answers a request with as many copies of one listening socket as it names
 *                                      addresses, whatever they are
 *   passing ask SOCK kept|fresh CLIENTS SECONDS COUNT HOST PORT
 *                                      CLIENTS at once ask for COUNT sockets, of PORT and the next ones, again and
 *                                      again for so long, at least once, or until SIGTERM; prints the times as JSON,
 *                                      in microseconds
 *   passing hold SOCK CLIENTS          so many connections that say nothing; prints a line, and waits
 *   passing retrieve SOCK HOST PORT COMMAND...   asks for one socket and becomes the command, with it as descriptor 0
 *   passing times N KNOCK COMMAND...   runs a command N times, one after the other; prints as JSON how long each took,
 *                                      in milliseconds: up to its end if KNOCK is "-", else until someone connects to
 *                                      that UNIX socket. With POKE=PORT, connects to that port of 127.0.0.1 meanwhile.
 *   passing knock KNOCK                connects there and waits to be killed
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 253, MAX_CLIENTS = 2000, MAX_TIMES = 4000000 };

extern char **environ;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static struct sockaddr_un path_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) errx(1, "%s is too long", path);
  strcpy(address.sun_path, path);
  return address;
}

static struct sockaddr_in host_of(const char *host, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

static int connect_to(const char *path) {
  struct sockaddr_un address = path_of(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) err(1, "%s", path);
  return fd;
}

static int listen_at(const char *path) {
  struct sockaddr_un address = path_of(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  unlink(path);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) err(1, "%s", path);
  return fd;
}

static void send_copies(int client, int listening, int count) {
  static char answer[] = " {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n";
  while (count > 0) {
    int part = count < MAX_FDS ? count : MAX_FDS;
    char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
    count -= part;
    struct iovec text = {answer, count ? 1 : sizeof answer - 1};
    struct msghdr message = {
      .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(part * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(part * sizeof(int))};
    for (int i = 0; i < part; i++) ((int *)CMSG_DATA(head))[i] = listening;
    if (sendmsg(client, &message, MSG_NOSIGNAL) < 0) return;
  }
}

static void serve(char **words) {
  static struct pollfd polled[MAX_CLIENTS + 1];
  static struct { int depth, opened; } requests[MAX_CLIENTS + 1];
  static char buffer[65536];
  struct sockaddr_in address = host_of(words[1], words[2]);
  int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), many = 1;
  if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 1000)) err(1, "%s", words[1]);
  polled[0] = (struct pollfd){listen_at(words[0]), POLLIN, 0};
  for (;;) {
    poll(polled, many, -1);
    for (int i = many - 1; i > 0; i--) {
      if (!polled[i].revents) continue;
      ssize_t size = read(polled[i].fd, buffer, sizeof buffer);
      if (size <= 0) {
        close(polled[i].fd);
        polled[i] = polled[--many];
        requests[i] = requests[many];
        continue;
      }
      /* An object for the request, and one for each address. */
      for (ssize_t at = 0; at < size; at++) {
        if (buffer[at] == '{') requests[i].depth++, requests[i].opened++;
        if (buffer[at] != '}' || --requests[i].depth > 0) continue;
        send_copies(polled[i].fd, listening, requests[i].opened - 1);
        requests[i].opened = 0;
      }
    }
    if (!polled[0].revents || many > MAX_CLIENTS) continue;
    requests[many].depth = requests[many].opened = 0;
    polled[many++] = (struct pollfd){accept4(polled[0].fd, NULL, NULL, SOCK_CLOEXEC), POLLIN, 0};
  }
}

static const char *control_path;
static char *request;
static size_t request_size;
static int wanted, is_kept;
static volatile double end;

static void stop(int signal) {
  end = 0 * signal;
}

static void make_request(const char *host, int port, int count) {
  request = malloc(200 + 80 * (size_t)count);
  request_size = sprintf(request, "{\"jsonrpc\":\"2.0\",\"method\":\"bind\",\"id\":1,\"params\":[");
  for (int i = 0; i < count; i++)
    request_size += sprintf(request + request_size, "%s{\"address\":\"%s\",\"port\":%d}", i ? "," : "", host, port + i);
  request_size += sprintf(request + request_size, "]}\n");
  wanted = count;
}

/* Asks once. Returns the last descriptor that came, the others are closed. */
static int ask_on(int fd) {
  char text[65536], control[CMSG_SPACE(MAX_FDS * sizeof(int))];
  int got = 0, last = -1;
  for (size_t sent = 0; sent < request_size;) {
    ssize_t size = write(fd, request + sent, request_size - sent);
    if (size < 0) err(1, "asking");
    sent += size;
  }
  for (;;) {
    struct iovec place = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (size <= 0) err(1, "the other end closed the connection");
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
      int count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int), *fds = (int *)CMSG_DATA(head);
      for (int i = 0; i < count; i++) {
        if (last >= 0) close(last);
        last = fds[i];
      }
      got += count;
    }
    text[size] = 0;
    if (strstr(text, "\"error\"")) errx(1, "%s", text);
    /* Not every answer ends in a newline. */
    if (text[size - 1] == '\n' || (wanted == 1 && text[size - 1] == '}')) break;
  }
  if (got != wanted) errx(1, "%d descriptors came, and %d were to", got, wanted);
  return last;
}

struct times { double *all; size_t count; };

static void *ask_for_long(void *argument) {
  struct times *times = argument;
  size_t room = 1024;
  int kept = is_kept ? connect_to(control_path) : -1;
  times->all = malloc(room * sizeof(double));
  do {
    double start = now();
    int fd = is_kept ? kept : connect_to(control_path);
    close(ask_on(fd));
    if (!is_kept) close(fd);
    if (times->count == room) times->all = realloc(times->all, (room *= 2) * sizeof(double));
    times->all[times->count++] = now() - start;
  } while (now() < end && times->count < MAX_TIMES);
  return NULL;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void ask(char **words) {
  int clients = atoi(words[2]);
  static pthread_t threads[MAX_CLIENTS];
  static struct times each[MAX_CLIENTS];
  struct times all = {NULL, 0};
  control_path = words[0];
  is_kept = !strcmp(words[1], "kept");
  make_request(words[5], atoi(words[6]), atoi(words[4]));
  end = now() + atof(words[3]) * 1e6;
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop, .sa_flags = SA_RESTART}, NULL);
  for (int i = 0; i < clients; i++) pthread_create(&threads[i], NULL, ask_for_long, &each[i]);
  for (int i = 0; i < clients; i++) {
    pthread_join(threads[i], NULL);
    all.all = realloc(all.all, (all.count + each[i].count) * sizeof(double));
    memcpy(all.all + all.count, each[i].all, each[i].count * sizeof(double));
    all.count += each[i].count;
  }
  qsort(all.all, all.count, sizeof(double), compare);
  printf("{\"count\":%zu,\"median\":%.2f,\"p99\":%.2f,\"worst\":%.2f}\n", all.count, all.all[all.count / 2],
         all.all[(size_t)(0.99 * (all.count - 1))], all.all[all.count - 1]);
}

static void hold(char **words) {
  for (int count = atoi(words[1]); count > 0; count--) connect_to(words[0]);
  puts("connected");
  fflush(stdout);
  pause();
}

static void retrieve(char **words) {
  make_request(words[1], atoi(words[2]), 1);
  dup2(ask_on(connect_to(words[0])), 0);
  execvp(words[3], words + 3);
  err(127, "%s", words[3]);
}

/* Waits until someone connects; pokes a port meanwhile, if one is given, until somebody answers there. */
static int await_knock(int listening, const char *poke) {
  struct sockaddr_in address = host_of("127.0.0.1", poke ? poke : "0");
  struct pollfd polled = {listening, POLLIN, 0};
  int poked = -1;
  while (poll(&polled, 1, poke && poked < 0 ? 1 : 10000) == 0) {
    if (!poke || poked >= 0) errx(1, "nobody has knocked");
    poked = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(poked, (struct sockaddr *)&address, sizeof address) == 0) continue;
    close(poked);
    poked = -1;
  }
  if (poked >= 0) close(poked);
  return accept4(listening, NULL, NULL, SOCK_CLOEXEC);
}

static void times(char **words) {
  int knock = strcmp(words[1], "-") ? listen_at(words[1]) : -1, status;
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&quiet, 0, 1);
  posix_spawn_file_actions_adddup2(&quiet, 0, 2);
  for (int left = atoi(words[0]), first = 1; left > 0; left--, first = 0) {
    pid_t pid;
    double start = now();
    if ((errno = posix_spawnp(&pid, words[2], &quiet, NULL, words + 2, environ))) err(1, "%s", words[2]);
    int knocked = knock < 0 ? -1 : await_knock(knock, getenv("POKE"));
    if (knock < 0) waitpid(pid, &status, 0);
    printf("%s%.3f", first ? "[" : ",", (now() - start) / 1000);
    if (knock < 0 && status != 0) errx(1, "%s failed", words[2]);
    if (knock < 0) continue;
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    /* Its end is that of the one who knocked. */
    char none;
    if (read(knocked, &none, 1) > 0) errx(1, "who knocks says nothing");
    close(knocked);
  }
  puts("]");
}

int main(int count, char **words) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  const char *mode = count > 1 ? words[1] : "";
  if (strcmp(mode, "knock") && strcmp(mode, "times")) setrlimit(RLIMIT_NOFILE, &limit);
  words += 2;
  if (!strcmp(mode, "serve") && count == 5) serve(words);
  else if (!strcmp(mode, "ask") && count == 9) ask(words);
  else if (!strcmp(mode, "hold") && count == 4) hold(words);
  else if (!strcmp(mode, "retrieve") && count > 5) retrieve(words);
  else if (!strcmp(mode, "times") && count > 4) times(words);
  else if (!strcmp(mode, "knock") && count == 3) connect_to(words[0]), pause();
  else errx(2, "see the head of passing.c");
  return 0;
}

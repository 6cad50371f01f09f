"""Sends descriptors of every kind that Linux has, by themselves and in each other's queues, with any request.

  every_descriptor.py SOCK UID CASES SEED     prints "kinds" and what this machine has of them, and "done"

Root makes them, and the user sends them. Python's standard library alone.
"""

import array
import ctypes
import os
import random
import signal
import socket
import struct
import sys

PATH, UID, CASES, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
libc = ctypes.CDLL(None, use_errno=True)
chosen = random.Random(SEED)
kept = []

# Of x86_64 and aarch64, where they differ; else of asm-generic/unistd.h.
ARM = os.uname().machine == "aarch64"
SYSCALLS = {
    "signalfd4": (74 if ARM else 289),
    "timerfd_create": (85 if ARM else 283),
    "inotify_init1": (26 if ARM else 294),
    "fanotify_init": (262 if ARM else 300),
    "perf_event_open": (241 if ARM else 298),
    "userfaultfd": (282 if ARM else 323),
    "bpf": (280 if ARM else 321),
    "io_uring_setup": 425,
    "pidfd_open": 434,
    "fsopen": 430,
    "open_tree": 428,
    "landlock_create_ruleset": 444,
    "memfd_secret": 447,
}


def call(name, *arguments):
    fd = libc.syscall(SYSCALLS[name], *arguments)
    if fd < 0:
        raise OSError(ctypes.get_errno(), name)
    return fd


def keep(fd, *others):
    kept.extend(others)
    return fd


def pipe():
    read, write = os.pipe()
    return keep(read, write)


def pair(kind):
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    return keep(near.detach(), far)


def made(*arguments):
    return socket.socket(*arguments).detach()


def listening(family, address):
    made = socket.socket(family)
    made.bind(address)
    made.listen()
    return made.detach()


def lingering():
    sender = socket.create_connection(server.getsockname())
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 20))
    except BlockingIOError:
        pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return sender.detach()


def epoll():
    import select

    made = select.epoll()
    read, _ = os.pipe()
    made.register(read)
    return os.dup(made.fileno())


server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(4096)

KINDS = {
    "pipe": pipe,
    "stream": lambda: pair(socket.SOCK_STREAM),
    "datagram": lambda: pair(socket.SOCK_DGRAM),
    "sequenced packets": lambda: pair(socket.SOCK_SEQPACKET),
    "lingering": lingering,
    "TCP": lambda: made(socket.AF_INET),
    "TCP, listening": lambda: listening(socket.AF_INET, ("127.0.0.1", 0)),
    "TCP, listening where they may be": lambda: listening(socket.AF_INET, ("127.0.0.1", 81)),
    "UNIX, listening": lambda: listening(socket.AF_UNIX, ""),
    "UDP": lambda: made(socket.AF_INET, socket.SOCK_DGRAM),
    "MPTCP": lambda: made(socket.AF_INET, socket.SOCK_STREAM, 262),
    "SCTP": lambda: made(socket.AF_INET, socket.SOCK_STREAM, 132),
    "raw": lambda: made(socket.AF_INET, socket.SOCK_RAW, 1),
    "netlink": lambda: made(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "packet": lambda: made(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "XDP": lambda: made(44, socket.SOCK_RAW, 0),
    "vsock": lambda: made(40, socket.SOCK_STREAM, 0),
    "crypto": lambda: made(38, socket.SOCK_SEQPACKET, 0),
    "memfd": lambda: os.memfd_create("x"),
    "secret memfd": lambda: call("memfd_secret", 0),
    "eventfd": lambda: libc.eventfd(0, 0),
    "timerfd": lambda: call("timerfd_create", 1, 0),
    "signalfd": lambda: call("signalfd4", -1, ctypes.c_char_p(bytes(8)), 8, 0),
    "inotify": lambda: call("inotify_init1", 0),
    "fanotify": lambda: call("fanotify_init", 0, 0),
    "epoll": epoll,
    "pidfd": lambda: call("pidfd_open", os.getpid(), 0),
    "userfaultfd": lambda: call("userfaultfd", 0),
    "io_uring": lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120)),
    "perf event": lambda: call("perf_event_open", ctypes.create_string_buffer(struct.pack("II", 1, 112), 112), 0, -1, -1, 0),
    "BPF map": lambda: call("bpf", 0, ctypes.create_string_buffer(struct.pack("5I", 2, 4, 4, 1, 0), 120), 120),
    "landlock": lambda: call("landlock_create_ruleset", ctypes.c_char_p(struct.pack("Q", 1)), 8, 0),
    "file system": lambda: call("fsopen", b"tmpfs", 0),
    "mount": lambda: call("open_tree", -100, b"/proc", 1),
    "device": lambda: os.open("/dev/null", os.O_RDWR),
    "terminal": lambda: keep(*os.openpty()),
    "folder": lambda: os.open("/", os.O_RDONLY),
    "place": lambda: os.open("/", os.O_PATH),
    "namespace": lambda: os.open("/proc/self/ns/net", os.O_RDONLY),
    "TUN": lambda: os.open("/dev/net/tun", os.O_RDWR),
    "FUSE device": lambda: os.open("/dev/fuse", os.O_RDWR),
}


def tried(make):
    """What can be made here, and passed on: not so an io_uring."""
    try:
        fd = make()
        near, _ = socket.socketpair()
        socket.send_fds(near, [b"x"], [fd])
        return fd
    except OSError:
        return None


def queued(fds):
    """A socket in whose queue descriptors lie."""
    near, far = socket.socketpair(socket.AF_UNIX, chosen.choice([socket.SOCK_DGRAM, socket.SOCK_STREAM]))
    socket.send_fds(near, [b"x"], fds)
    near.close()
    return far.detach()


TEXTS = [
    b'{"method":"bind","id":1,"params":[{"address":"127.0.0.1","port":80}]}',
    b'{"method":"adopt","id":2,"params":[{"address":"127.0.0.1","port":81}]}',
    b'{"method":"adopt","id":3,"params":[]}',
    b'{"method":"adopt","id":7,"params":[%s]}' % b",".join([b'{"address":"127.0.0.1","port":81}'] * 3),
    b'{"method":"adopt","id":8,"params":[{"address":"unix:@x"},{"address":"udp:127.0.0.1","port":82}]}',
    b'{"method":"report","id":9,"params":{"service":"x","self":1,"generations":[],"lastReload":null}}',
    b'{"method":"unbind","id":4,"params":[{"address":"127.0.0.1","port":83}]}',
    b'{"method":"status","id":5}',
    b'{"method":"none","id":6}',
    b"{",
    b"garbage",
]

fds = {name: fd for name, fd in ((name, tried(make)) for name, make in KINDS.items()) if fd is not None}
print(f"kinds {len(fds)} of {len(KINDS)}; not here: {', '.join(sorted(KINDS.keys() - fds.keys()))}", flush=True)
os.setgroups([])
os.setresgid(UID, UID, UID)
os.setresuid(UID, UID, UID)
for _ in range(CASES):
    sent = chosen.sample(list(fds.values()), chosen.randint(1, 5))
    made_here = []
    for _ in range(chosen.randint(0, 2)):
        sent = [queued(sent)]
        made_here += sent
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(20)
        try:
            control.connect(PATH)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", sent))]
            flags = chosen.choice([0, 0, 0, socket.MSG_OOB])
            text = chosen.choice(TEXTS)
            before = chosen.choice([0, 0, chosen.randrange(len(text))])
            if before:
                control.sendall(text[:before])
            control.sendmsg([text[before:]], ancillary, flags)
            if chosen.random() < 0.5:
                control.shutdown(socket.SHUT_WR)
                while control.recv(65536):
                    pass
        except (PermissionError, BrokenPipeError, ConnectionResetError):
            pass  # It may not send them, or was cut off.
    for fd in made_here:
        os.close(fd)
print("done", flush=True)

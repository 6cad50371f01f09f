"""Sends descriptors whose close waits: Python's standard library alone.

  strange_descriptors.py send UID        for each line `SOCK KIND WAY TEXT` of stdin a process of that user sends
                                         the text to the socket with a descriptor, prints "sent", and ends
  strange_descriptors.py naive SOCK      listens, prints "listening", reads one message as a program that knows
                                         nothing of descriptors, closes the connection, and prints "closed"

KIND is `lingering`, a TCP socket that has SO_LINGER and unsent data, and is nobody else's; `nested`, such a
socket in the queue of a UNIX datagram socket; `nested-twice`, that one in the queue of another; `listening`, a
UNIX socket in whose accept queue a connection waits that has been sent a `nested`; or `flushed`, a file whose
server does not answer when it is flushed (it needs root and /dev/fuse).
WAY is `with` the text, `after` it, `urgent` (MSG_OOB, after the text), or `datagram`, with the text to a datagram
socket. A SOCK that begins with @ is a name in the abstract namespace.
"""

import array
import ctypes
import os
import select
import signal
import socket
import struct
import sys
import tempfile

# The other ends of what lingers; nobody accepts them.
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
server.bind(("127.0.0.1", 0))
server.listen(4096)


def lingering():
    sender = socket.socket()
    # The less it keeps, the sooner it is full.
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sender.connect(server.getsockname())
    sender.setblocking(False)
    # Full for good, and not only until what is under way has arrived.
    while select.select([], [sender], [], 0.1)[1]:
        try:
            sender.send(bytes(1 << 16))
        except BlockingIOError:
            pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return sender.detach()


def queued(fd):
    """A UNIX datagram socket in whose queue a descriptor lies."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket.send_fds(near, [b"x"], [fd])
    os.close(fd)
    near.close()
    return far.detach()


def listening():
    path = os.path.join(tempfile.mkdtemp(), "socket")
    queue = socket.socket(socket.AF_UNIX)
    queue.bind(path)
    queue.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        fd = queued(lingering())
        socket.send_fds(client, [b"x"], [fd])
        os.close(fd)
    return queue.detach()


def flushed():
    """A file that this process serves (linux/fuse.h), but for its flush."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    path = tempfile.mkstemp()[1]
    attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o100666, 1, 0, 0, 0, 4096, 0)
    answers = {
        26: struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 12, 9, 4096, 1, 0, 0, 0, *[0] * 7),  # init
        3: struct.pack("<QII", 0, 0, 0) + attributes,  # getattr
        14: struct.pack("<QII", 0, 0, 0),  # open
    }

    def serve():
        while True:
            request = os.read(device, 1 << 17)
            _, operation, unique = struct.unpack_from("<IIQ", request)
            if operation != 25:  # flush
                answer = answers.get(operation)
                body = answer or b""
                error = 0 if answer else -38  # ENOSYS
                os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    options = f"fd={device},rootmode=100666,user_id=0,group_id=0,allow_other"
    checked(libc, libc.unshare(0x20000))  # CLONE_NEWNS
    checked(libc, libc.mount(b"none", b"/", None, 0x44000, None))  # MS_REC | MS_PRIVATE
    checked(libc, libc.mount(b"test", path.encode(), b"fuse", 0, options.encode()))
    # A process of its own: at its end it must not be one of those that wait for it.
    if os.fork() == 0:
        end_with_parent()
        serve()
    os.close(device)
    return os.open(path, os.O_RDWR)


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def checked(libc, result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


KINDS = {
    "lingering": lingering,
    "nested": lambda: queued(lingering()),
    "nested-twice": lambda: queued(queued(lingering())),
    "listening": listening,
    "flushed": flushed,
}


def run_send(uid):
    for line in sys.stdin:
        path, kind, way, text = line.rstrip("\n").split(" ", 3)
        # A file server must live on; all others go once they have sent.
        if os.fork() > 0:
            if kind != "flushed":
                os.wait()
                say("sent")
            continue
        fd = KINDS[kind]()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if kind == "flushed":
            end_with_parent()
        send(path, fd, way, text.encode())
        if kind == "flushed":
            say("sent")
            signal.pause()
        os._exit(0)


def send(path, fd, way, text):
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if way == "datagram" else socket.SOCK_STREAM)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    try:
        control.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
        if way in ("with", "datagram"):
            control.sendmsg([text], ancillary)
        else:
            control.sendall(text)
            control.sendmsg([b"x"], ancillary, socket.MSG_OOB if way == "urgent" else 0)
    except (PermissionError, ConnectionError):
        pass  # SO_PASSRIGHTS is off, or the socket has been closed.


def run_naive(path):
    naive = socket.socket(socket.AF_UNIX)
    naive.bind(path)
    os.chmod(path, 0o666)
    naive.listen()
    say("listening")
    connection, _ = naive.accept()
    connection.recv(1)
    say("read")
    connection.close()
    say("closed")


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    mode, path = sys.argv[1:]
    if mode == "send":
        run_send(int(path))
    else:
        run_naive(path)

"""A user who may hand sockets back, and asks for more than that: Python's standard library alone.

  adopter.py SOCK UID MODE HOST    is that user, prints "done" and what came of it, and stays until its input ends

MODE is `stay`: 200 connections that say that they have no sockets, which each has the binder keep; `unfinished`: 40,
each with 8 messages of 253 sockets of a request that never ends; `claim`: one, with a socket of its own making
for HOST:2080 and HOST:2081; or `report`: 64, each of which tells of 1000 generations, and then of 100.
"""

import array
import json
import os
import socket
import sys

# What is imported when it is first used must be read before.
array.array("i"), "x".encode("idna")

path, uid, mode, host = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
kept = []


def connect():
    control = socket.socket(socket.AF_UNIX)
    control.connect(path)
    kept.append(control)
    return control


def adopt(addresses, sockets=()):
    params = [{"address": host, "port": port} for port in addresses]
    request = {"jsonrpc": "2.0", "id": 1, "method": "adopt", "params": params}
    control = connect()
    socket.send_fds(control, [json.dumps(request).encode()], [one.fileno() for one in sockets])
    return json.loads(control.makefile().readline() or "{}")


own = socket.create_server((host, 0))
if mode == "stay":
    answers = [adopt([]) for _ in range(200)]
    codes = {answer["error"]["data"]["code"] for answer in answers if "error" in answer}
    found = [sum("result" in answer for answer in answers), *sorted(codes)]
elif mode == "unfinished":
    found = [0]
    for _ in range(40):
        control = connect()
        try:
            for index in range(8):
                socket.send_fds(control, [b" " if index else b"{"], [own.fileno()] * 253)
                found[0] += 253
        except OSError:
            pass  # It was cut off.
elif mode == "report":
    found = []
    for count in (1000, 100):
        kept.clear()
        generations = [{"number": at, "pid": 2**31 - 1 - at, "state": "draining"} for at in range(count)]
        report = {"service": "/site.cfg", "self": os.getpid(), "generations": generations, "lastReload": None}
        request = {"jsonrpc": "2.0", "id": 2, "method": "report", "params": report}
        taken = 0
        for _ in range(64):
            # A user's connections count until the binder has seen their end.
            while "error" in adopt([]):
                pass
            kept[-1].sendall(json.dumps(request).encode() + b"\n")
            taken += "result" in json.loads(kept[-1].makefile().readline())
        found.append(taken)
else:
    found = adopt([2080, 2081], [own, own])["result"]
print("done", *found, flush=True)
sys.stdin.read()

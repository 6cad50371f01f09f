"""Asks for more than its share and reads none of it: Python's standard library alone.

  greedy_client.py MODE SOCK UID HOST PORT    is that user, prints "done" when it has asked, then "answered N" and
                                              the codes of errors for what it finds when stdin tells it to look

MODE is `once`: a request for one address 4,000 times; `connections`: 400 of them, each with one
request for it ten times; `long`: 500 connections, each with one request for it 5,000 times; `names`: 530, each
with one for a name; or `paths`: 20, each with one for 3,400 UNIX sockets in the folder HOST and one that cannot be.
"""

import json
import os
import socket
import sys

MODE, PATH, UID, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
# What is imported when it is first used must be read before.
"x".encode("idna")


def connect():
    control = socket.socket(socket.AF_UNIX)
    control.settimeout(5)
    control.connect(PATH)
    return control


def request(params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "bind", "params": params}, separators=(",", ":")).encode()


def ask(text):
    """Sends what the other end takes, which may not be all."""
    try:
        control = connect()
    except OSError:
        return None
    try:
        control.sendall(text)
    except OSError:
        pass
    return control


def requests():
    one = {"address": HOST, "port": PORT}
    if MODE == "once":
        return [request([one] * 4000)]
    if MODE == "connections":
        return [request([one] * 10)] * 400
    if MODE == "long":
        return [request([one] * 5000)] * 500
    if MODE == "names":
        return [request([{"address": f"name{index}.example", "port": PORT}]) for index in range(530)]
    return [
        request(
            [{"address": f"unix:{HOST}/{index}.{path}"} for path in range(3400)] + [{"address": f"unix:{HOST}/no/no"}]
        )
        for index in range(20)
    ]


def look(control):
    """The first answer that has come; its error's code, or none."""
    control.setblocking(False)
    try:
        data, fds, _, _ = socket.recv_fds(control, 65536, 253)
    except BlockingIOError:
        return None
    except OSError:
        return "closed"
    for fd in fds:
        os.close(fd)
    if not data:
        return "closed"
    line = data.split(b"\n")[0].decode(errors="replace")
    return json.loads(line).get("error", {}).get("data", {}).get("code", "") if line.endswith("}") else ""


texts = requests()
os.setgroups([])
os.setresgid(UID, UID, UID)
os.setresuid(UID, UID, UID)
controls = [control for control in map(ask, texts) if control]
print("done", flush=True)
for _ in sys.stdin:
    codes = [look(control) for control in controls]
    found = sorted({code for code in codes if code})
    print(f"answered {sum(code is not None for code in codes)} {' '.join(found)}.", flush=True)

"""A client as one would write it in Python: how long a bind takes, in microseconds.

  ask.py SOCK kept|fresh SECONDS HOST PORT    prints the median
"""

import json
import os
import socket
import statistics
import sys
import time
import uuid

path, kind, seconds, host, port = sys.argv[1:]


def connect():
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.connect(path)
    return control


def bind(control):
    params = [{"address": host, "port": int(port)}]
    control.sendall(json.dumps({"jsonrpc": "2.0", "method": "bind", "id": str(uuid.uuid4()), "params": params}).encode())
    data, fds, _, _ = socket.recv_fds(control, 65536, 253)
    assert json.loads(data)["result"] is True and len(fds) == 1
    os.close(fds[0])


kept = connect() if kind == "kept" else None
times, end = [], time.perf_counter() + float(seconds)
while time.perf_counter() < end:
    start = time.perf_counter()
    if kept:
        bind(kept)
    else:
        with connect() as control:
            bind(control)
    times.append(time.perf_counter() - start)
print(1e6 * statistics.median(times))

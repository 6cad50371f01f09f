"""Listens at a control socket as another user, and answers what it likes: Python's standard library alone.

  impostor.py SOCK UID ANSWERS [gifts]    prints "listening"; ANSWERS are results by method, in JSON, in which "PID"
                                          stands for its pid. With `gifts` it sends a socket whose close waits to
                                          each that connects, and prints "sent", until it has no more of them
"""

import json
import os
import socket
import sys
import threading

sys.dont_write_bytecode = True
from strange_descriptors import lingering, queued

GIFTS = 20

path, uid = sys.argv[1], int(sys.argv[2])
answers = json.loads(sys.argv[3].replace('"PID"', str(os.getpid())))
gifts = [queued(lingering()) for _ in range(GIFTS)] if "gifts" in sys.argv else []
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
control = socket.socket(socket.AF_UNIX)
control.bind(path)
os.chmod(path, 0o666)
control.listen()
print("listening", flush=True)


def answer(client):
    with client, client.makefile() as requests:
        try:
            for line in requests:
                request = json.loads(line)
                result = answers.get(request["method"])
                client.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode() + b"\n")
        except OSError:
            pass  # It was cut off.


while True:
    client, _ = control.accept()
    if gifts:
        gift = gifts.pop()
        try:
            socket.send_fds(client, [b"\n"], [gift])
        except OSError:
            gifts.append(gift)
            continue  # It is gone already.
        os.close(gift)
        print("sent", flush=True)
    threading.Thread(target=answer, args=[client], daemon=True).start()

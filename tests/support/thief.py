"""Listens where a binder should, and takes what it is given: Python's standard library alone.

  thief.py SOCK HOST PORT   prints "listening"; to every request it answers that all went well, with a socket
                            of its own on HOST:PORT for each address, and prints a line {"bytes", "sockets"}
                            about what came
"""

import json
import os
import socket
import sys

path, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
own = socket.create_server((host, port))
control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
control.bind(path)
os.chmod(path, 0o666)
control.listen()
print("listening", flush=True)
while True:
    client, _ = control.accept()
    while True:
        try:
            data, fds, _, _ = socket.recv_fds(client, 65536, 253)
        except ConnectionResetError:
            break
        if not data:
            break
        print(json.dumps({"bytes": len(data), "sockets": len(fds)}), flush=True)
        request = json.loads(data)
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": True}
        sockets = []
        if request["method"] == "adopt":
            answer["result"] = ["adopted" for _ in request["params"]]
        elif request["method"] == "bind":
            sockets = [own.fileno() for _ in request["params"]]
        socket.send_fds(client, [json.dumps(answer).encode() + b"\n"], sockets)
    client.close()

"""Answers as the server of the original multibinder (0.0.5) does: Python's standard library alone.

  original_binder.py PATH    listens there, and prints a line for each request: its method, and how many addresses

It serves one client at a time, reads a request in one go, unframed, and takes the first address of it alone. It
knows no method but `bind`; what it answers to another one has no id.
"""

import json
import socket
import sys

held = {}


def answer(client, request):
    params = request.get("params", [])
    print(request["method"], len(params), flush=True)
    if request["method"] != "bind":
        error = {"code": -32601, "message": "Method not found"}
        client.sendall(json.dumps({"jsonrpc": "2.0", "error": error}).encode())
        return
    one = params[0]
    key = (one["address"], int(one["port"]))
    message = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        if key not in held:
            held[key] = socket.create_server(key, backlog=one.get("backlog") or 1000)
    except OSError as error:
        message["error"] = {"code": 10000, "message": f"Could not bind: {error}"}
        client.sendall(json.dumps(message).encode())
        return
    message["result"] = True
    socket.send_fds(client, [json.dumps(message).encode()], [held[key].fileno()])


with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(sys.argv[1])
    listening.listen(5)
    print("listening", flush=True)
    while True:
        client, _ = listening.accept()
        with client:
            try:
                while data := client.recv(65536):
                    answer(client, json.loads(data))
            except OSError as error:
                print("lost a client:", error, flush=True)

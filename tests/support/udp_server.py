"""Answers datagrams on a socket of the binder's: each with its own name, a space, and the datagram.

  udp_server.py SOCK ADDRESS PORT NAME    prints "up" once it reads
"""

import json
import socket
import sys

sock, address, port, name = sys.argv[1:]
control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
control.connect(sock)
param = {"address": f"udp:{address}", "port": int(port)}
control.sendall(json.dumps({"jsonrpc": "2.0", "method": "bind", "id": 1, "params": [param]}).encode())
_, fds, _, _ = socket.recv_fds(control, 65536, 1)
udp = socket.socket(fileno=fds[0])
udp.setblocking(True)
print("up", flush=True)
while True:
    datagram, client = udp.recvfrom(2048)
    udp.sendto(name.encode() + b" " + datagram, client)

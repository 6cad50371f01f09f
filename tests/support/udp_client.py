"""Sends each line of stdin as a datagram, from one port, and prints each answer as a line.

  udp_client.py ADDRESS PORT
"""

import socket
import sys
import threading

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((sys.argv[1], int(sys.argv[2])))


def receive():
    while True:
        print(udp.recv(2048).decode(), flush=True)


threading.Thread(target=receive, daemon=True).start()
for line in sys.stdin:
    udp.send(line.strip().encode())

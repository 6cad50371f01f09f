#!/usr/bin/env python3
"""Measures what a HAProxy that drains costs the one that serves.

    scripts/bench/draining.py MULTIBINDER HAPROXY...

For each HAPROXY, in rounds: requests a second, each on a new connection, while nobody drains; while an old
generation drains that was told so by SIGUSR1 alone; and while one drains that multibinder has retired. And
the processor time that the old one uses meanwhile. The table has the medians, as ratios to the first.
"""

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
SECONDS = 2

CONFIG = """
global
  log /dev/null local0
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend site
  bind <%= bind_tcp('127.0.0.1', {port}) %>
  http-request return status 200 content-type text/plain string ok unless {{ path /slow }}
  default_backend slow
backend slow
  server slow 127.0.0.1:{slow}
"""


class Site:
    """A wrapper whose HAProxy has one request under way that does not end."""

    def __init__(self, multibinder, haproxy, folder, name, sock, port, slow):
        config = f"{folder}/{name}.cfg.eta"
        with open(config, "w") as file:
            file.write(CONFIG.format(port=port, slow=slow.getsockname()[1]))
        self.log = open(f"{folder}/{name}.log", "w+")
        command = [multibinder, "exec", "--sock", sock, "--settle", "20ms", "--", haproxy, "-f", config]
        self.wrapper = subprocess.Popen(command, stderr=self.log, stdout=self.log)
        self.pid = self.serving(1)
        self.client = socket.create_connection(("127.0.0.1", port))
        self.client.sendall(b"GET /slow HTTP/1.1\r\nHost: bench\r\n\r\n")
        self.held = slow.accept()[0]

    def serving(self, generation):
        """The pid of a generation, once it serves."""
        while True:
            self.log.seek(0)
            found = re.search(rf" (?:serving|reloaded) generation={generation} pid=(\d+)", self.log.read())
            if found:
                return int(found[1])
            if self.wrapper.poll() is not None:
                self.log.seek(0)
                raise SystemExit(self.log.read())
            time.sleep(0.01)

    def close(self):
        self.client.close()
        self.held.close()
        for _ in range(2):
            self.wrapper.send_signal(signal.SIGTERM)
        self.wrapper.wait()


def processor_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port, pid):
    """Requests a second, and the share of a core that a process uses meanwhile."""
    before = processor_time(pid)
    command = ["wrk", "-t1", "-c20", f"-d{SECONDS}s", "-H", "Connection: close", f"http://127.0.0.1:{port}/"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"Requests/sec:\s*([\d.]+)", output)[1]), (processor_time(pid) - before) / SECONDS


def one_round(multibinder, haproxy, folder):
    """The three measurements, each beside the same generation that serves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sock = f"{folder}/sock"
    binder = subprocess.Popen([multibinder, "bind", "--sock", sock], stderr=subprocess.DEVNULL)
    while subprocess.run([multibinder, "healthcheck", "--sock", sock], stderr=subprocess.DEVNULL).returncode:
        if binder.poll() is not None:
            sys.exit("the binder does not start")
    with socket.create_server(("127.0.0.1", 0)) as slow:
        ours = Site(multibinder, haproxy, folder, "ours", sock, port, slow)
        old = ours.pid
        ours.wrapper.send_signal(signal.SIGUSR2)
        serving = ours.serving(2)
        time.sleep(2)  # what is done about it may take a while on a busy machine
        retired = measure(port, old)
        os.kill(old, signal.SIGKILL)
        nobody = measure(port, serving)
        # One more beside it, which is told by SIGUSR1 alone: the generation that serves, when it has a successor.
        os.kill(serving, signal.SIGSTOP)
        plain = Site(multibinder, haproxy, folder, "plain", sock, port, slow)
        os.kill(serving, signal.SIGCONT)
        os.kill(plain.pid, signal.SIGUSR1)
        time.sleep(0.5)
        burning = measure(port, plain.pid)
        plain.close()
        ours.close()
    binder.terminate()
    binder.wait()
    return nobody, burning, retired


def main(multibinder, *haproxies):
    print("| HAProxy | old one told by | requests a second, of those with nobody draining | old one's share of a core |")
    print("| --- | --- | --- | --- |")
    for haproxy in haproxies:
        version = subprocess.run([haproxy, "-v"], check=True, capture_output=True, text=True).stdout.split()[2]
        rounds = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(one_round(multibinder, haproxy, folder))
        for index, name in [(1, "SIGUSR1 alone"), (2, "multibinder")]:
            ratios = [one[index][0] / one[0][0] for one in rounds]
            share = statistics.median(one[index][1] for one in rounds)
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"| {version} | {name} | {statistics.median(ratios):.2f} ({spread}) | {100 * share:.0f} % |", flush=True)


main(*sys.argv[1:])

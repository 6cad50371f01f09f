"""Becomes a program that finds the state of a binder before it: forged_state.py HOW SOCK PROGRAM...

HOW says what is wrong with it: nothing, "unsealed", "of another process", "of another user", "in a file".
"""

import fcntl
import json
import os
import socket
import sys

F_ADD_SEALS = 1033
F_SEAL_SEAL_SHRINK_GROW_WRITE = 15

how, path, *program = sys.argv[1:]
control = socket.socket(socket.AF_UNIX)
control.bind(path)
control.listen()
control.setblocking(False)
control.set_inheritable(True)
file = os.stat(path)
state = {
    "role": "binder",
    "version": 1,
    "pid": os.getpid() + (how == "of another process"),
    "control": {
        "fd": control.fileno(),
        "path": path,
        "file": {"device": file.st_dev, "inode": file.st_ino},
    },
    "held": [],
    "own": {},
    "rules": {
        "policy": {"everything": True, "hosts": [], "paths": []},
        "access": {"own": 0, "uids": [], "gids": [], "anyone": True},
        "owner": {},
    },
    "clients": [],
    "counters": {"connections": 0, "requests": 0, "errors": 0},
    "upgrades": 7,
    "started": 0,
    "from": "0.1.0",
}
if how == "of another user":
    os.seteuid(65534)
if how == "in a file":
    fd = os.open(path + ".state", os.O_RDWR | os.O_CREAT)
else:
    fd = os.memfd_create("multibinder-state", os.MFD_ALLOW_SEALING)
if how == "of another user":
    os.seteuid(0)
os.write(fd, json.dumps(state).encode())
os.lseek(fd, 0, os.SEEK_SET)
if how not in ("unsealed", "in a file"):
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL_SHRINK_GROW_WRITE)
os.dup2(fd, 0)
os.environ["MULTIBINDER_STATE_FD"] = "0"
os.execv(program[0], program)

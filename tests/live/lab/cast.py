#!/usr/bin/env python3
"""Starts processes whose standard input and output are just so. usage: cast.py FOLDER

FOLDER/cast.json: [{"name", "argv", "program" (default argv[0]), "env" (added), "in", "out"}]. Ends: `closed`: a socket
whose other end is closed for ever; `closed_pipe`: the same with a pipe; `kept`, `kept_pipe`: the other end is held by
a keeper that lives on; `waiting`: connected to a socket on which the keeper listens and never accepts; `fifo`: a named
pipe; `null`; `file`. FOLDER/cast: a line `NAME PID` for each, then for `keeper`, once they all run. When FOLDER/leave
appears this process ends, and its children are orphans. The keeper stays."""
import json
import os
import socket
import subprocess
import sys
import time

folder = sys.argv[1]


class Ends:
    """Our sides of all the standard inputs and outputs."""

    def __init__(self):
        self.closing, self.kept = [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(folder, "listener"))
        self.listener.listen(64)

    def make(self, what, is_input, name):
        """The end for the process."""
        where = self.kept if what.startswith("kept") else self.closing
        if what in ("closed", "kept"):
            ours, theirs = socket.socketpair()
            where.append(ours)
            return theirs
        if what in ("closed_pipe", "kept_pipe"):
            reader, writer = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), ("rb", "wb")))
            ours, theirs = (writer, reader) if is_input else (reader, writer)
            where.append(ours)
            return theirs
        if what == "waiting":
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(self.listener.getsockname())
            return theirs
        path = {"null": "/dev/null"}.get(what, os.path.join(folder, f"{name}.{what}"))
        if what == "fifo":
            os.mkfifo(path)
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb", closefd=True)


ends = Ends()
pids = []
with open(os.path.join(folder, "cast.json")) as file:
    cast = json.load(file)
for role in cast:
    name = role["name"]
    stdin, stdout = ends.make(role["in"], True, name), ends.make(role["out"], False, name)
    process = subprocess.Popen(role["argv"], executable=role.get("program"), env={**os.environ, **role.get("env", {})},
                               stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
    pids.append((name, process.pid))
    stdin.close()
    stdout.close()
for end in ends.closing:
    end.close()
keeper = os.fork()
if keeper == 0:
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    while True:
        time.sleep(3600)
with open(os.path.join(folder, "cast.new"), "w") as file:
    file.writelines(f"{name} {pid}\n" for name, pid in pids + [("keeper", keeper)])
os.rename(os.path.join(folder, "cast.new"), os.path.join(folder, "cast"))
while not os.path.exists(os.path.join(folder, "leave")):
    time.sleep(0.1)

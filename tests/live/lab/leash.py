#!/usr/bin/env python3
"""Ends every process of one test when the test ends, however it ends. usage: leash.py MARK, with a pipe from the test as stdin

MARK (NAME=VALUE) stands in the environment of everything the test has started. Orphans are what these tests are about,
so that no parent can be trusted to end them."""
import os
import signal
import sys
import time

mark = os.fsencode(sys.argv[1])


def marked():
    """A descriptor of each process with the mark. Descriptor first: from then on a signal reaches that one or nobody."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            process = os.pidfd_open(int(name))
        except OSError:
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as environ:
                if mark in environ.read().split(b"\0"):
                    yield process
        except OSError:
            pass
        os.close(process)


def end():
    found = 0
    for process in marked():
        found += 1
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return found


sys.stdin.buffer.read()
# Again, for what was started meanwhile. The environment of a zombie is empty.
deadline = time.monotonic() + 20
while end() and time.monotonic() < deadline:
    time.sleep(0.05)
sys.exit(1 if end() else 0)

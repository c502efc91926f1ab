#!/usr/bin/env python3
"""Takes in the orphans of CMD, as `systemd --user` and the init of a container do. usage: subreaper.py CMD..."""
import ctypes
import os
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
if os.fork() == 0:
    os.setsid()
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.2)

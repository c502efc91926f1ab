#!/usr/bin/env python3
"""Traces a process without stopping it, as a debugger that was attached does. usage: trace.py PID

Prints `tracing`; lets go when it ends."""
import ctypes
import sys
import time

PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) != 0:
    sys.exit(f"ptrace: errno {ctypes.get_errno()}")
print("tracing", flush=True)
while True:
    time.sleep(3600)

#!/usr/bin/env python3
"""Writes down every signal that it gets. usage: sentinel.py FILE    FILE is created once it listens"""
import os
import signal
import sys
import time

notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, lambda got, _: os.write(notes, f"{signal.Signals(got).name}\n".encode()))
os.write(notes, b"listens\n")
while True:
    time.sleep(3600)

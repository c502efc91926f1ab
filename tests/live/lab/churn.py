#!/usr/bin/env python3
"""Starts processes that end at once, as fast as it can. usage: churn.py LEAST STOPFILE

Ends when there were at least LEAST and STOPFILE is there; prints how many there were. Every second one is an orphan for
the moment of its life, every tenth runs another program."""
import os
import sys

least, stop = int(sys.argv[1]), sys.argv[2]
count = 0
while count < least or not os.path.exists(stop):
    child = os.fork()
    if child == 0:
        if count % 2 and os.fork():
            os._exit(0)
        if count % 10 == 0:
            os.execv("/bin/true", ["true"])
        os._exit(0)
    os.waitpid(child, 0)
    count += 1
print(count)

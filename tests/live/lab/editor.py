#!/usr/bin/env python3
"""An editor with an ACP agent of its own, over anonymous pipes, as editors in Rust and Go have it. usage: editor.py ADAPTER...

Prints `idle` once the agent has a session."""
import json
import os
import subprocess
import sys
import time

agent = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def call(number, method, params):
    asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    agent.stdin.write(json.dumps(asked).encode() + b"\n")
    agent.stdin.flush()
    while json.loads(agent.stdout.readline()).get("id") != number:
        pass


call(0, "initialize", {"protocolVersion": 1, "clientCapabilities": {}})
call(1, "session/new", {"cwd": os.getcwd(), "mcpServers": []})
print("idle", flush=True)
while agent.stdout.readline():
    pass
while True:
    time.sleep(3600)

#!/usr/bin/env python3
"""An editor with an ACP agent of its own. usage: editor.py pipes|sockets ADAPTER...

Editors in Rust and Go talk to it over anonymous pipes, those on Node over sockets. Prints `idle` once the agent has a
session."""
import json
import os
import socket
import subprocess
import sys
import time

kind, *adapter = sys.argv[1:]
if kind == "pipes":
    agent = subprocess.Popen(adapter, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    agent_in, agent_out = agent.stdin, agent.stdout
else:
    (our_in, its_in), (our_out, its_out) = socket.socketpair(), socket.socketpair()
    agent = subprocess.Popen(adapter, stdin=its_in, stdout=its_out, stderr=subprocess.DEVNULL)
    its_in.close()
    its_out.close()
    agent_in, agent_out = our_in.makefile("wb"), our_out.makefile("rb")


def call(number, method, params):
    asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    agent_in.write(json.dumps(asked).encode() + b"\n")
    agent_in.flush()
    while json.loads(agent_out.readline()).get("id") != number:
        pass


call(0, "initialize", {"protocolVersion": 1, "clientCapabilities": {}})
call(1, "session/new", {"cwd": os.getcwd(), "mcpServers": []})
print("idle", flush=True)
while agent_out.readline():
    pass
while True:
    time.sleep(3600)

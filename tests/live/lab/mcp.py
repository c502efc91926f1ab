#!/usr/bin/env python3
"""An MCP server that ends neither at the end of its input nor on SIGTERM, as some do. It has no tools."""
import json
import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "stubborn", "version": "1"}}
    elif asked.get("method") == "tools/list":
        result = {"tools": []}
    else:
        result = {}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
while True:
    time.sleep(3600)

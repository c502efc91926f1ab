// An ACP agent that takes every prompt and never answers one. It ends when its standard input does.
import readline from "node:readline";
import { randomUUID } from "node:crypto";

const results = {
  initialize: () => ({ protocolVersion: 1, agentCapabilities: { loadSession: true, promptCapabilities: {} }, authMethods: [], agentInfo: { name: "silent", version: "0" } }),
  "session/new": () => ({ sessionId: randomUUID() }),
};
readline.createInterface({ input: process.stdin }).on("line", line => {
  let id, method;
  try { ({ id, method } = JSON.parse(line)); } catch { return; }
  if (id === undefined || !method || method === "session/prompt") return;
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result: results[method]?.() ?? {} })}\n`);
});

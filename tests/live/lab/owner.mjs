// Stands for a gateway where a whole one is too slow or too clean: drives its real in-process acpx runtime.
// usage: node owner.mjs OPENCLAW STATE SPEC    OPENCLAW: the package's folder; 2026.4.15 and 2026.5.28 are known
// SPEC: {"mode": "persistent" or "oneshot", "command": of the adapter (default: the gateway's own), "ask": a message,
// "close": true, "mcp": {name: {command, args}}}. Prints a line per step: `session KEY`, `answered`, `closed`, `idle`.
import fs from "node:fs";
import path from "node:path";
import { randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";

const [openclaw, state, spec] = process.argv.slice(2);
const { mode, command, ask, close, mcp } = JSON.parse(spec);
// What a gateway that was started by hand gives to its agents.
Object.assign(process.env, { OPENCLAW_CLI: "1", OPENCLAW_NODE_OPTIONS_READY: "1", OPENCLAW_PATH_BOOTSTRAPPED: "1" });
const cwd = path.join(state, "workspace");
fs.mkdirSync(cwd, { recursive: true });

async function service() {
  const dist = path.join(openclaw, "dist"), bundled = path.join(dist, "extensions/acpx/register.runtime.js");
  const named = () => fs.readdirSync(dist).find(name => /^service-.*\.js$/.test(name) && fs.readFileSync(path.join(dist, name), "utf8").includes("function createAcpxRuntimeService"));
  // 2026.5.28 contains a plugin without its manifest, and wants to know which adapters that names.
  const read = fs.readFileSync, adapters = { "@zed-industries/codex-acp": "0", "@agentclientprotocol/claude-agent-acp": "0" };
  fs.readFileSync = (file, ...rest) => String(file).endsWith("/package.json") ? JSON.stringify({ dependencies: adapters }) : read(file, ...rest);
  const { createAcpxRuntimeService } = await import(pathToFileURL(fs.existsSync(bundled) ? bundled : path.join(dist, named())));
  fs.readFileSync = read;
  const agents = command ? { claude: { command } } : {};
  return createAcpxRuntimeService({ pluginConfig: { permissionMode: "approve-all", timeoutSeconds: 900, agents, ...(mcp ? { mcpServers: mcp } : {}) } });
}

const say = console.error;
process.env.OPENCLAW_SKIP_ACPX_RUNTIME_PROBE = "1";
await (await service()).start({ config: {}, workspaceDir: cwd, stateDir: state, logger: { info: say, warn: say, error: say, debug() {} } });
delete process.env.OPENCLAW_SKIP_ACPX_RUNTIME_PROBE;
const registry = Symbol.for("openclaw.acpRuntimeRegistryState");
const { runtime } = (process[registry] ?? globalThis[registry]).backendsById.get("acpx");
const sessionKey = `agent:claude:acp:${randomUUID()}`;
const handle = await runtime.ensureSession({ sessionKey, agent: "claude", mode, cwd });
console.log(`owner ${process.pid}`);
console.log(`session ${sessionKey}`);
if (ask) {
  for await (const event of runtime.runTurn({ handle, text: ask, mode: "prompt", requestId: randomUUID() })) say(JSON.stringify(event).slice(0, 200));
  console.log("answered");
}
if (close) { await runtime.close({ handle, reason: "oneshot-complete" }); console.log("closed"); }
console.log("idle");
setInterval(() => {}, 1e6);

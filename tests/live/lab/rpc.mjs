// A small client of the gateway's WebSocket protocol (3 to 4): token and a fresh Ed25519 device, built-ins of Node only.
// usage: node rpc.mjs PORT TOKENFILE METHOD [JSON]     prints the payload; an error goes to stderr, exit 1
//        node rpc.mjs PORT TOKENFILE --ready SECONDS   waits until the gateway says ready and answers a call
//        node rpc.mjs PORT TOKENFILE --tool NAME JSON  has the main agent use a tool, without a model (HTTP)
import crypto from "node:crypto";
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const SCOPES = ["operator.admin", "operator.read", "operator.write"];
const url64 = bytes => Buffer.from(bytes).toString("base64url");
const pause = ms => new Promise(done => setTimeout(done, ms));

export class Client {
  #waiting = new Map();

  // A gateway on a busy machine may close a connection before it has said its first word. Nothing is lost by another.
  static async open(port, token) {
    for (const end = Date.now() + 90_000; ;) {
      const client = new Client();
      try { await client.#connect(port, token); return client; } catch (e) {
        client.close();
        if (e.refused || Date.now() > end) throw e;
        await pause(500);
      }
    }
  }

  async #connect(port, token) {
    this.ws = new WebSocket(`ws://127.0.0.1:${port}`);
    const challenge = await new Promise((done, failed) => {
      const limit = setTimeout(() => failed(new Error("no connect.challenge within 10 s")), 10_000);
      const end = why => { clearTimeout(limit); failed(why); for (const w of this.#waiting.values()) w.failed(why); this.#waiting.clear(); };
      this.ws.onerror = e => end(new Error(`websocket: ${e.message ?? "error"}`));
      this.ws.onclose = e => end(new Error(`closed: ${e.code} ${e.reason}`));
      this.ws.onmessage = e => {
        const frame = JSON.parse(e.data);
        if (frame.event === "connect.challenge") { clearTimeout(limit); done(frame.payload); }
        if (frame.type === "res") { this.#waiting.get(frame.id)?.done(frame); this.#waiting.delete(frame.id); }
      };
    });
    const hello = await this.#send("connect", this.#hello(token, challenge), 20_000);
    if (!hello.ok) throw Object.assign(new Error(`connect: ${JSON.stringify(hello.error)}`), { refused: true });
  }

  #hello(token, challenge) {
    const { privateKey, publicKey } = crypto.generateKeyPairSync("ed25519");
    const raw = Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
    const id = crypto.createHash("sha256").update(raw).digest("hex"), signedAt = challenge.ts ?? Date.now();
    const signed = ["v3", id, "gateway-client", "backend", "operator", SCOPES.join(","), String(signedAt), token, challenge.nonce, "linux", ""];
    const signature = url64(crypto.sign(null, Buffer.from(signed.join("|")), privateKey));
    return { minProtocol: 3, maxProtocol: 4, client: { id: "gateway-client", mode: "backend", version: "0.1.0", platform: "linux" },
      role: "operator", scopes: SCOPES, caps: [], auth: { token },
      device: { id, publicKey: url64(raw), signature, signedAt, nonce: challenge.nonce } };
  }

  #send(method, params, limit) {
    const id = crypto.randomUUID();
    return new Promise((done, failed) => {
      const timer = setTimeout(() => { this.#waiting.delete(id); failed(new Error(`${method}: no answer within ${limit} ms`)); }, limit);
      this.#waiting.set(id, { done: f => { clearTimeout(timer); done(f); }, failed: e => { clearTimeout(timer); failed(e); } });
      this.ws.send(JSON.stringify({ type: "req", id, method, params }));
    });
  }

  // A gateway that is still warming up says so and asks to be asked again.
  async call(method, params = {}, limit = 120_000) {
    for (let attempt = 1; ; attempt++) {
      const frame = await this.#send(method, params, limit);
      if (frame.ok) return frame.payload;
      if (!frame.error?.retryable || attempt === 20) throw new Error(`${method}: ${JSON.stringify(frame.error)}`);
      await pause(frame.error.retryAfterMs ?? 500);
    }
  }

  close() { this.ws.onclose = this.ws.onerror = null; this.ws.close(); }
}

async function once(port, token, method, params) {
  const client = await Client.open(port, token);
  // A call that is told how long it may wait takes that long by right.
  try { return await client.call(method, params, 120_000 + (params.timeoutMs ?? 0)); } finally { client.close(); }
}

async function ready(port, token, seconds) {
  for (const end = Date.now() + seconds * 1000; ; await pause(300)) {
    try {
      const said = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(3000) });
      if (said.status === 200) return await once(port, token, "sessions.list", { limit: 1 });
    } catch (e) { if (Date.now() > end) throw e; }
    if (Date.now() > end) throw new Error(`not ready within ${seconds} s`);
  }
}

async function tool(port, token, name, args) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify({ tool: name, args, sessionKey: "agent:main:main" });
  const said = await fetch(`http://127.0.0.1:${port}/tools/invoke`, { method: "POST", headers, body });
  const { ok, result, error } = await said.json();
  if (!ok) throw new Error(`${name}: ${JSON.stringify(error)}`);
  return result;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [port, tokenFile, method, argument, last] = process.argv.slice(2);
  const token = fs.readFileSync(tokenFile, "utf8").trim();
  try {
    const payload = method === "--ready" ? await ready(port, token, Number(argument))
      : method === "--tool" ? await tool(port, token, argument, JSON.parse(last))
      : await once(port, token, method, JSON.parse(argument ?? "{}"));
    console.log(JSON.stringify(payload));
    process.exit(0);
  } catch (e) { console.error(String(e.message)); process.exit(1); }
}

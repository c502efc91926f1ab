// Ordinary load: four lanes of one gateway, turn after turn, some quick, some silent for a while, some long.
// usage: node busy.mjs PORT TOKENFILE SECONDS     prints {"ok":N,"failed":[..],"quick_ms":[..]} when every lane has finished its last turn
import fs from "node:fs";
import { randomUUID } from "node:crypto";
import { Client } from "./rpc.mjs";

const [port, tokenFile, seconds] = process.argv.slice(2);
const client = await Client.open(port, fs.readFileSync(tokenFile, "utf8").trim());
const end = Date.now() + Number(seconds) * 1000, tally = { ok: 0, failed: [], quick_ms: [] };
const pause = ms => new Promise(done => setTimeout(done, ms));

async function turn(lane, mark) {
  const message = `[[say:${mark}]] turn ${tally.ok}`;
  const { runId } = await client.call("chat.send", { sessionKey: `agent:main:${lane}`, message, idempotencyKey: randomUUID() });
  const { status } = await client.call("agent.wait", { runId, timeoutMs: 150_000 }, 160_000);
  if (status !== "ok") throw new Error(`run ended ${status}`);
}

async function work(lane, mark, gap) {
  while (Date.now() < end) {
    const from = performance.now();
    try { await turn(lane, mark); tally.ok++; if (mark === "ok") tally.quick_ms.push(Math.round(performance.now() - from)); } catch (e) { tally.failed.push(`${lane}: ${e.message}`); }
    await pause(gap);
  }
}

await Promise.all([work("main", "ok", 1500), work("quick", "ok", 3000), work("silent", "delay:6", 1000), work("long", "slow:30", 2000)]);
console.log(JSON.stringify(tally));
process.exit(0);

// A model provider on loopback that speaks the OpenAI chat format, for a gateway, and the Anthropic Messages format,
// for the `claude` of an ACP agent, and misbehaves on request.
// usage: node provider.mjs MODEFILE STATSFILE PORTFILE
// Modes: `ok` answers, `hang` takes the request and never sends a byte, `delay:S` is silent for S seconds,
// `slow:S` streams a word per second for S seconds, `drip` begins to answer and then sends nothing but comments, for ever,
// `quota` refuses with 429, `tool:COMMAND` first has a command run in a shell. A mark
// [[say:MODE]] in the last user message that no answer followed yet wins over MODEFILE, so that one lane hangs while
// others work.
import fs from "node:fs";
import http from "node:http";
import { answer as answerClaude } from "./anthropic.mjs";

const [modeFile, statsFile, portFile] = process.argv.slice(2);
const fresh = () => ({ requests: 0, open: 0, finished: 0, cut: 0 });
const stats = { chat: fresh(), claude: fresh() };
const put = (file, text) => { fs.writeFileSync(`${file}.new`, text); fs.renameSync(`${file}.new`, file); };
const count = change => { change(); put(statsFile, JSON.stringify(stats)); };
const wait = seconds => new Promise(done => setTimeout(done, seconds * 1000));
const plain = content => Array.isArray(content) ? content.map(part => part?.text ?? "").join(" ") : String(content ?? "");

function modeOf(messages) {
  const answered = messages.findLastIndex(m => m.role === "assistant");
  const asked = messages.slice(answered + 1).filter(m => m.role === "user").map(m => plain(m.content)).join("\n");
  const mark = [...asked.matchAll(/\[\[say:([^\]]+)\]\]/g)].at(-1);
  return mark ? mark[1] : fs.readFileSync(modeFile, "utf8").trim();
}

function refuse(res) {
  const error = { message: "You exceeded your current quota, please check your plan and billing details.", type: "insufficient_quota", code: "insufficient_quota" };
  res.writeHead(429, { "content-type": "application/json" });
  res.end(JSON.stringify({ error }));
}

async function answer(request, format, res) {
  const [, mode, argument] = /^(\w+):?(.*)$/s.exec(modeOf(request.messages ?? []));
  if (mode === "hang") return;
  if (mode === "quota") return refuse(res);
  if (mode === "delay") await wait(Number(argument));
  if (res.destroyed) return;
  if (format === "claude") return answerClaude(request, mode === "tool" && argument, res);
  const number = stats.chat.requests;
  const head = { id: `c${number}`, created: Math.floor(Date.now() / 1000), model: request.model ?? "fake-1" };
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  const text = `answer ${number}`;
  if (!request.stream) {
    const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }];
    res.writeHead(200, { "content-type": "application/json" });
    return void res.end(JSON.stringify({ ...head, object: "chat.completion", choices, usage }));
  }
  res.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (choices, more = {}) => res.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices, ...more })}\n\n`);
  chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]);
  for (let word = 0; mode === "slow" && word < Number(argument) && !res.destroyed; word++) {
    chunk([{ index: 0, delta: { content: `w${word} ` }, finish_reason: null }]);
    await wait(1);
  }
  while (mode === "drip" && !res.destroyed) {
    res.write(": still working\n\n");
    await wait(5);
  }
  const call = { index: 0, id: `call${number}`, type: "function", function: { name: "exec", arguments: JSON.stringify({ command: argument }) } };
  const calls = mode === "tool" && request.tools?.some(tool => tool.function?.name === "exec");
  chunk([{ index: 0, delta: calls ? { tool_calls: [call] } : { content: text }, finish_reason: null }]);
  chunk([{ index: 0, delta: {}, finish_reason: calls ? "tool_calls" : "stop" }]);
  chunk([], { usage });
  res.end("data: [DONE]\n\n");
}

const server = http.createServer((req, res) => {
  let body = "";
  req.on("data", part => { body += part; });
  req.on("end", () => {
    if (req.url.endsWith("/models")) return void res.end(JSON.stringify({ object: "list", data: [{ id: "fake-1", object: "model" }] }));
    if (req.url.startsWith("/v1/messages/")) return void res.end(JSON.stringify({ input_tokens: 1 }));
    const format = req.url.startsWith("/v1/messages") ? "claude" : "chat", tally = stats[format];
    count(() => { tally.requests++; tally.open++; });
    res.on("close", () => count(() => { tally.open--; res.writableFinished ? tally.finished++ : tally.cut++; }));
    let request = {};
    try { request = JSON.parse(body); } catch { /* answered like an empty request */ }
    answer(request, format, res).catch(() => res.destroy());
  });
});
server.listen(0, "127.0.0.1", () => { count(() => {}); put(portFile, String(server.address().port)); });

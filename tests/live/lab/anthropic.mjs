// Answers in the format of the Anthropic Messages API, for the real `claude` of an ACP agent.

const text = { type: "text", text: "pong" };
const shell = command => ({ type: "tool_use", id: `toolu_${Date.now()}`, name: "Bash", input: { command, description: "a test" } });

function stream(res, head, block, stop_reason) {
  const event = (type, more) => res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`);
  const delta = block.type === "text" ? { type: "text_delta", text: block.text } : { type: "input_json_delta", partial_json: JSON.stringify(block.input) };
  const empty = block.type === "text" ? { ...block, text: "" } : { ...block, input: {} };
  res.writeHead(200, { "content-type": "text/event-stream" });
  event("message_start", { message: { ...head, content: [], stop_reason: null } });
  event("content_block_start", { index: 0, content_block: empty });
  event("content_block_delta", { index: 0, delta });
  event("content_block_stop", { index: 0 });
  event("message_delta", { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 2 } });
  event("message_stop", {});
  res.end();
}

// `command`: what the model wants to have run in a shell, if anything. Side requests bring no tools: they get words.
export function answer(request, command, res) {
  const usage = { input_tokens: 1, output_tokens: 1 };
  const head = { id: `msg_${Date.now()}`, type: "message", role: "assistant", model: request.model ?? "fake-claude", stop_sequence: null, usage };
  const block = command && request.tools?.some(tool => tool.name === "Bash") ? shell(command) : text;
  const stop_reason = block === text ? "end_turn" : "tool_use";
  if (request.stream) return stream(res, head, block, stop_reason);
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify({ ...head, content: [block], stop_reason }));
}

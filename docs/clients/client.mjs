// A client of the server, for browsers and for Node.js 20 or newer: `node client.mjs`.

const SERVER = globalThis.process?.env.SERVER ?? "http://localhost:8000";
const TOKEN = globalThis.process?.env.KERAS_S2S_TOKEN;

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (TOKEN) headers.Authorization = `Bearer ${TOKEN}`;
  for (;;) {
    const response = await fetch(SERVER + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (response.ok) return response;
    if (response.status !== 429) throw new Error((await response.json()).error);
    const seconds = Number(response.headers.get("Retry-After"));
    await new Promise((resume) => setTimeout(resume, 1000 * seconds));
  }
}

// The best output for each text.
async function generate(texts, options = {}) {
  const { results } = await (await post("/v1/generate", { text: texts, ...options })).json();
  return results.map((result) => result.hypotheses[0].text);
}

// What is written so far, again and again, and at last the whole.
async function* stream(text, options = {}) {
  const response = await post("/v1/generate", { text, stream: true, ...options });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let received = "";
  for (let read; !(read = await reader.read()).done; ) {
    received += read.value;
    const events = received.split("\n\n");
    received = events.pop();
    for (const each of events) {
      const [, event, data] = each.match(/^event: (\w+)\ndata: (.*)$/s);
      const value = JSON.parse(data);
      if (event === "error") throw new Error(value.error);
      if (event === "written") yield value.text;
      if (event === "result") yield value.hypotheses[0].text;
    }
  }
}

for (const answer of await generate(["5 mars 2013", "March 5th, 2013"], { beam_size: 4 })) console.log(answer);
for await (const text of stream("5 mars 2013")) console.log(text);

// Decodes a batch in a runtime of JavaScript's, by a whole search or a step at a time.
//
// node decode.js RUNTIME FOLDER GRAPH memory|file, with {NAME: {type, dims, data}} as JSON on standard input. GRAPH is
// the name of a search; "NAME.steps" runs NAME.start, NAME.advance until all sentences are done, and NAME.finish.
import { readFileSync } from "node:fs";

const [runtime, folder, graph, from] = process.argv.slice(2);
const ort = await import(runtime);
const options = { logSeverityLevel: 3 };
if (runtime === "onnxruntime-web") {
  ort.env.wasm.numThreads = 1;
  options.executionProviders = ["wasm"];
}

function open(name) {
  const path = `${folder}/${name}.onnx`;
  if (from === "file") return ort.InferenceSession.create(path, options);
  const weights = { path: "weights.bin", data: new Uint8Array(readFileSync(`${folder}/weights.bin`)) };
  return ort.InferenceSession.create(new Uint8Array(readFileSync(path)), { ...options, externalData: [weights] });
}

function run(session, tensors) {
  return session.run(Object.fromEntries(session.inputNames.map((name) => [name, tensors[name]])));
}

async function stepwise(name, given) {
  const [start, advance, finish] = await Promise.all(["start", "advance", "finish"].map((part) => open(`${name}.${part}`)));
  let state = { ...given, ...(await run(start, given)) };
  while (!state.done.data.every(Boolean)) {
    const next = await run(advance, state);
    for (const [output, tensor] of Object.entries(next)) state[output.replace("next/", "")] = tensor;
  }
  return run(finish, state);
}

const given = Object.fromEntries(
  Object.entries(JSON.parse(readFileSync(0))).map(([name, { type, dims, data }]) => [name, new ort.Tensor(type, data, dims)]),
);
const found = graph.endsWith(".steps")
  ? await stepwise(graph.replace(".steps", ""), given)
  : await run(await open(graph), given);
const shown = ["tokens", "lengths", "scores"].map((name) => [name, { dims: found[name].dims, data: Array.from(found[name].data) }]);
process.stdout.write(JSON.stringify(Object.fromEntries(shown)), () => process.exit(0));

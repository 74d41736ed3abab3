// The page at `/`: a form over POST /v1/generate, and the model's card. All that is shown is put in as text.

const byId = (id) => document.getElementById(id);
const form = byId("form"), text = byId("text"), output = byId("output"), cancel = byId("cancel");

const NO_STRATEGIES = ["score", "align"];
const MOST_CELLS = 20000;
const BROKEN = "The connection broke off; try again.";

let models = [];
let model = null;
let running = null;
let token = remembered();

// Small helpers.

class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// A key as words; one that is a name, as keras_s2s, stays as it is.
function words(key) {
  return /^[a-z_]+$/.test(key) ? key.replaceAll("_", " ") : key;
}

function title(key) {
  return key.charAt(0).toUpperCase() + words(key).slice(1);
}

function remembered() {
  try {
    return sessionStorage.getItem("token") ?? "";
  } catch {
    return ""; // Storage is forbidden: the token lives as long as the page.
  }
}

function remember(given) {
  token = given;
  try {
    sessionStorage.setItem("token", given);
  } catch {}
}

// The server.

async function call(path, options = {}) {
  // A header holds bytes: UTF-8, as the server compares it.
  const bytes = String.fromCharCode(...new TextEncoder().encode(token));
  let response;
  try {
    response = await fetch(path, { ...options, headers: token ? { authorization: `Bearer ${bytes}` } : {} });
  } catch {
    throw new Problem("The server does not answer.");
  }
  if (!response.ok) throw new Problem(await reason(response), response.status);
  return response;
}

async function reason(response) {
  const seconds = response.headers.get("retry-after");
  if (response.status === 429 && /^\d+$/.test(seconds)) return `The server has too much to do; try again in ${seconds} s.`;
  const body = await response.json().catch(() => null);
  return body?.error ?? `The server answers ${response.status} ${response.statusText}`.trim() + ".";
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read().catch(() => {
      throw new Problem(BROKEN);
    });
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      yield [lines.event, JSON.parse(lines.data)];
    }
  }
}

// The model, and what can be asked of it.

// Whether there are models to ask.
async function start() {
  try {
    models = (await (await call("v1/models")).json()).models;
  } catch (error) {
    complain(error);
    return false;
  }
  byId("entry").hidden = true;
  byId("model").replaceChildren(...models.map(({ name }) => make("option", { value: name, textContent: name })));
  byId("several").hidden = models.length < 2;
  byId("only").hidden = models.length !== 1;
  byId("only").textContent = models[0].name;
  choose(models[0]);
  return true;
}

async function choose(chosen) {
  stop();
  model = chosen;
  clear();
  offerExamples([]);
  byId("limit").textContent = `, up to ${model.limits.max_source_tokens} tokens with its end`;
  const names = Object.keys(model.graphs).map((graph) => graph.split("-")[0]);
  const strategies = [...new Set(names)].filter((name) => !NO_STRATEGIES.includes(name));
  const select = make("select", { id: "strategy", onchange: () => offer(select) });
  select.append(...strategies.map((name) => make("option", { value: name, textContent: name.replaceAll("_", " ") })));
  select.value = model.decoding.strategy;
  offer(select);
  try {
    const card = await (await call(`v1/models/${encodeURIComponent(model.name)}`)).json();
    if (model === chosen) {
      offerExamples(card.examples ?? []);
      showCard(card);
    }
  } catch (error) {
    complain(error);
  }
}

// The form of a strategy: the server says which options it has, what they are, and what the model's defaults are.
function offer(select) {
  const strategy = select.value, others = strategy !== model.decoding.strategy, focused = document.activeElement === select;
  const fields = { first: [make("label", {}, "Strategy", select)], further: [] };
  fields.first[0].hidden = select.length < 2;
  for (const option of model.options.filter(({ strategies }) => strategies.includes(strategy))) {
    let value = option.default;
    // As the server: a beam size and a number of outputs fit their strategy.
    if (option.name === "beam_size" && others && value === 1) value = 4;
    if (option.name === "n_best" && others) value = 1;
    fields[option.stands_first ? "first" : "further"].push(field(option, value));
  }
  byId("options").replaceChildren(...fields.first);
  byId("further-options").replaceChildren(...fields.further);
  byId("further").hidden = !fields.further.length;
  if (focused) select.focus();
}

function field(option, value) {
  const { name, label, help, type } = option;
  if (type === "bool") {
    const input = make("input", { type: "checkbox", name, checked: value });
    return make("label", { className: "check", title: help }, input, label);
  }
  if (type === "int" || type === "float") return make("label", { title: help }, label, numberInput(option, value));
  const input = type === "text" ? make("input") : make("textarea", { rows: 2, value: value.join("\n") });
  return make("label", { className: "broad", title: help }, label, Object.assign(input, { name, dir: "auto" }));
}

// A number within the server's bounds. A browser knows none that a value must not reach, but for whole numbers.
function numberInput({ name, type, minimum, maximum, ...bounds }, value) {
  const { exclusive_minimum: above = -Infinity, exclusive_maximum: below = Infinity } = bounds, whole = type === "int";
  const min = minimum ?? (whole && isFinite(above) ? above + 1 : ""), max = maximum ?? (whole && isFinite(below) ? below - 1 : "");
  const input = make("input", { type: "number", name, min, max, step: whole ? 1 : "any", value: String(value) });
  input.addEventListener("input", () => {
    const number = input.valueAsNumber;
    const problem = number <= above ? `Expected more than ${above}.` : number >= below ? `Expected less than ${below}.` : "";
    input.setCustomValidity(problem);
  });
  return input;
}

// What differs from the model's defaults; the server knows those.
function chosenOptions() {
  const strategy = byId("strategy").value;
  const chosen = strategy === model.decoding.strategy ? {} : { strategy };
  for (const input of form.querySelectorAll("[name]")) {
    const option = model.options.find(({ name }) => name === input.name), value = valueOf(input, option);
    const same = value === null || JSON.stringify(value) === JSON.stringify(option.default);
    if (same && !(option.stands_first && value !== null)) continue;
    if (option.own) chosen.own = { ...chosen.own, [option.name]: value };
    else chosen[option.name] = value;
  }
  return chosen;
}

// The value of a field; null where a number is missing.
function valueOf(input, { type }) {
  if (type === "bool") return input.checked;
  if (type === "text") return input.value;
  if (type === "texts") return input.value.split("\n").filter(Boolean);
  return input.value === "" ? null : Number(input.value);
}

// The bundle's own examples: a click writes one into the field, and asks.

function offerExamples(examples) {
  const buttons = examples.map((example) => {
    const onclick = () => {
      text.value = example;
      form.requestSubmit();
    };
    return make("button", { type: "button", dir: "auto", textContent: example, onclick });
  });
  byId("examples").replaceChildren(...buttons);
  byId("examples").hidden = !examples.length;
}

// An answer, while it is written.

async function generate() {
  // Models are trained on lines, so a line's end is unknown to them.
  const line = text.value.replace(/[\t\n\v\f\r\u0085\u2028\u2029]+/g, " ");
  stop();
  clear();
  if (!line.trim()) return complain(new Problem("Type a text first."));
  if (!model && !(await start())) return;
  const mine = new AbortController(), begin = performance.now();
  const alignment = "align" in model.graphs;
  const asked = { model: model.name, text: line, stream: true, alignment, ...chosenOptions() };
  busy(mine);
  say("Writing …");
  output.scrollIntoView({ block: "nearest" });
  try {
    const response = await call("v1/generate", { method: "POST", body: JSON.stringify(asked), signal: mine.signal });
    let ended = false, cut = false;
    for await (const [kind, data] of events(response.body)) {
      if (kind === "written") output.textContent = data.text;
      if (kind === "result") {
        showHypotheses(data.hypotheses);
        cut = data.hypotheses[0].finished === false;
      }
      if (kind === "error") throw new Problem(data.error, data.status);
      if (kind === "end") ended = true;
    }
    if (!ended) throw new Problem(BROKEN);
    const seconds = ((performance.now() - begin) / 1000).toFixed(2);
    say(`Done in ${seconds} s.${cut ? " The output was cut at its length limit." : ""}`);
  } catch (error) {
    if (mine !== running) return;
    mine.abort();
    say("");
    complain(error);
  }
  if (mine === running) busy(null);
}

function busy(request) {
  running = request;
  if (!request && document.activeElement === cancel) text.focus();
  output.setAttribute("aria-busy", Boolean(request));
  cancel.hidden = !request;
}

// The server sees that the connection is closed, and drops what it was doing.
function stop() {
  if (!running) return;
  running.abort();
  busy(null);
  say("Cancelled.");
}

function clear() {
  output.replaceChildren();
  say("");
  for (const id of ["found", "attention"]) byId(id).hidden = true;
  for (const id of ["problem", "entry-problem"]) byId(id).textContent = "";
}

function say(what) {
  byId("status").textContent = what;
}

function complain(error) {
  if (error.status === 401) {
    byId("entry-problem").textContent = token ? "That token is wrong." : "";
    byId("entry").hidden = false;
    byId("token").focus();
  } else {
    if (!(error instanceof Problem)) console.error(error);
    byId("problem").textContent = error.message;
  }
}

// What was found.

function showHypotheses(hypotheses) {
  output.textContent = hypotheses[0].text;
  const choice = hypotheses.length > 1 && hypotheses.some(({ alignment }) => alignment);
  const items = hypotheses.map((one, index) => {
    const score = one.score?.toFixed(3).replace("-", "−") ?? "";
    const parts = [make("bdi", { textContent: one.text }), make("span", { className: "score", textContent: score })];
    if (!choice) return make("li", {}, make("div", {}, ...parts));
    const radio = make("input", { type: "radio", name: "hypothesis", checked: !index, onchange: () => draw(one) });
    return make("li", {}, make("label", {}, radio, ...parts));
  });
  byId("hypotheses").replaceChildren(...items);
  byId("found").hidden = false;
  draw(hypotheses[0]);
}

function draw({ alignment }) {
  byId("attention").hidden = !alignment;
  if (!alignment) return;
  const { source, target, weights } = alignment;
  if (source.length * target.length > MOST_CELLS) {
    byId("picture").replaceChildren(`Too large to draw: ${target.length} rows of ${source.length}.`);
    return;
  }
  const head = source.map((piece) => make("th", { scope: "col" }, make("span", { dir: "auto", textContent: piece })));
  const body = target.map((piece, row) => {
    const cells = weights[row].map((share) => {
      const percent = Math.round(100 * share);
      const cell = make("td", { className: percent < 10 ? "faint" : "", textContent: percent || "" });
      cell.style.setProperty("--share", share);
      return cell;
    });
    return make("tr", {}, make("th", { scope: "row" }, make("bdi", { textContent: piece })), ...cells);
  });
  const table = make("table", {}, make("thead", {}, make("tr", {}, make("td"), ...head)), make("tbody", {}, ...body));
  table.setAttribute("aria-describedby", "attention-hint");
  byId("picture").replaceChildren(table);
}

// The card.

function showCard(card) {
  const { name, task, created, precision, metrics, limits, parts = [], decoding, graphs, options, ...others } = card;
  const { model: configuration, verification, versions, examples, ...rest } = others;
  const date = new Date(created);
  const first = {
    Task: task,
    Created: isNaN(date) ? created : date.toLocaleDateString("en-GB", { dateStyle: "long", timeZone: "UTC" }),
    Precision: precision,
  };
  if (parts.length) first.Parameters = parts.reduce((sum, part) => sum + part.parameters, 0);
  const further = Object.fromEntries(Object.entries(rest).filter(([, value]) => !isEmpty(value)));
  const sections = { metrics, limits, parts, decoding, graphs, configuration, verification, versions, further };
  const folded = Object.entries(sections).filter(([, value]) => !isEmpty(value)).map(([key, value]) => {
    const heading = key === "decoding" ? "Decoding defaults" : title(key), content = shown(value);
    const part = make("details", { open: key === "metrics" }, make("summary", { textContent: heading }), content);
    for (const box of part.querySelectorAll(".scroll")) box.ariaLabel = heading;
    return part;
  });
  byId("about-title").textContent = `About ${name}`;
  byId("card").replaceChildren(shown(first), ...folded);
  byId("about").hidden = false;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isFlat = (value) => isObject(value) && Object.values(value).every((one) => one === null || typeof one !== "object");
const isEmpty = (value) => value == null || (typeof value === "object" && !Object.keys(value).length);

// Any value of JSON: texts as they are, flat objects as lists, objects of the same kind as a table.
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return number(value);
  if (typeof value !== "object") return String(value);
  if (isEmpty(value)) return "none";
  if (Array.isArray(value)) {
    if (value.every(isFlat)) return table(value.map((one) => [null, one]));
    if (value.every((one) => one === null || typeof one !== "object")) return value.map(shown).join(", ");
    return make("ol", {}, ...value.map((one) => make("li", {}, shown(one))));
  }
  const entries = Object.entries(value);
  const flat = entries.filter(([, one]) => isFlat(one) && !isEmpty(one));
  const others = entries.filter((entry) => !flat.includes(entry));
  if (flat.length < 2) return facts(entries);
  return make("div", {}, ...(others.length ? [facts(others)] : []), table(flat));
}

function facts(entries) {
  const pairs = entries.map(([key, one]) => {
    const value = shown(one);
    const className = typeof value === "string" ? "" : "nested";
    return make("div", { className }, make("dt", { textContent: words(key) }), make("dd", {}, value));
  });
  return make("dl", { className: "facts" }, ...pairs);
}

function table(rows) {
  const columns = [...new Set(rows.flatMap(([, one]) => Object.keys(one)))];
  if (rows[0][0] === null || columns.length <= 6) return grid(rows, columns);
  const turned = columns.map((key) => [key, Object.fromEntries(rows.map(([name, one]) => [name, one[key]]))]);
  return grid(turned, rows.map(([name]) => name));
}

function grid(rows, columns) {
  const named = rows[0][0] !== null;
  const kinds = columns.map((key) => (rows.some(([, one]) => typeof one[key] === "number") ? "number" : ""));
  const head = columns.map((key, at) => make("th", { scope: "col", className: kinds[at], textContent: words(key) }));
  const body = rows.map(([name, one]) => {
    const cells = columns.map((key, at) => make("td", { className: kinds[at] }, shown(one[key])));
    return make("tr", {}, ...(named ? [make("th", { scope: "row", textContent: words(name) })] : []), ...cells);
  });
  const thead = make("thead", {}, make("tr", {}, ...(named ? [make("td")] : []), ...head));
  return scrolling(make("div", { className: "scroll" }, make("table", { className: "plain" }, thead, make("tbody", {}, ...body))));
}

// What is wider than its box can be reached, and so scrolled, from the keyboard.
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

function scrolling(box) {
  box.role = "region";
  widths.observe(box);
  return box;
}

function number(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  if (Math.abs(value) < 1e-3) return value.toExponential(1);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

// The keyboard.

form.addEventListener("submit", (event) => {
  event.preventDefault();
  generate();
});
form.addEventListener("invalid", () => (byId("further").open = true), true);
cancel.addEventListener("click", stop);
byId("model").addEventListener("change", (event) => choose(models.find(({ name }) => name === event.target.value)));
byId("entry").addEventListener("submit", async (event) => {
  event.preventDefault();
  remember(byId("token").value.trim());
  byId("token").value = "";
  if (await start()) text.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Escape") stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !byId("entry").contains(event.target)) {
    event.preventDefault();
    form.requestSubmit();
  }
});

start();

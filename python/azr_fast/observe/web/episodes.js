"use strict";
// The browser of episodes: filters, a list of pages, and one episode turn by turn.

const PAGE = 100; // episodes of a page of the list
const view = { all: [], found: [], page: 0, current: null };

const FILTERS = [
  ["kind", "task type", "select"], ["role", "role", "select"], ["status", "verdict", "select"],
  ["code", "code", "select"], ["first", "from step", "number"], ["last", "to step", "number"],
  ["least", "reward from", "number"], ["most", "reward to", "number"], ["text", "text (/)", "search"],
];

function keyOf(episode) {
  return `e-${episode.step}-${episode.id.join(".")}-${episode.role}`;
}

/** The form, made once; its choices are those of the data. */
function makeFilters() {
  const form = document.getElementById("filters");
  for (const [name, label, type] of FILTERS) {
    const field = type === "select"
      ? element("select", { name, id: `f-${name}` })
      : element("input", { name, id: `f-${name}`, type, ...(type === "number" ? { step: "any" } : {}) });
    form.append(element("label", {}, label, field));
  }
  form.append(element("button", { type: "reset" }, "all episodes"));
  form.addEventListener("input", () => filter());
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
}

function fillChoices() {
  for (const [name, , type] of FILTERS) {
    if (type !== "select") continue;
    const field = document.getElementById(`f-${name}`);
    const chosen = field.value;
    const values = [...new Set(view.all.map((one) => one[name]))].sort();
    const options = values.map((value) => element("option", { value }, value));
    field.replaceChildren(element("option", { value: "" }, "all"), ...options);
    field.value = values.includes(chosen) ? chosen : "";
  }
}

/** What the form asks for, as a test of one episode. */
function wanted() {
  const form = new FormData(document.getElementById("filters"));
  const bound = (name, otherwise) => (form.get(name) === "" ? otherwise : Number(form.get(name)));
  const [first, last] = [bound("first", -Infinity), bound("last", Infinity)];
  const [least, most] = [bound("least", -Infinity), bound("most", Infinity)];
  const text = form.get("text").toLowerCase();
  const exact = ["kind", "role", "status", "code"].filter((name) => form.get(name) !== "");
  return (one) => exact.every((name) => one[name] === form.get(name))
    && one.step >= first && one.step <= last && one.reward >= least && one.reward <= most
    && (text === "" || textOf(one).includes(text));
}

function textOf(one) {
  one.text ??= [...one.messages.map((turn) => turn.content), one.why, JSON.stringify(one.task)].join("\n").toLowerCase();
  return one.text;
}

function filter(keep = false) {
  view.found = view.all.filter(wanted());
  if (!keep) view.page = 0;
  document.getElementById("count").textContent = `${view.found.length} of ${view.all.length} episodes`;
  showPage();
  if (!keep && !view.found.includes(view.current)) show(view.found[0] ?? null);
}

function pages() {
  return Math.max(1, Math.ceil(view.found.length / PAGE));
}

function showPage() {
  view.page = Math.min(Math.max(view.page, 0), pages() - 1);
  const from = view.page * PAGE;
  document.getElementById("list").replaceChildren(...view.found.slice(from, from + PAGE).map(rowOf));
  document.getElementById("page").textContent = `page ${view.page + 1} of ${pages()}`;
  document.getElementById("newer").disabled = view.page === 0;
  document.getElementById("older").disabled = view.page === pages() - 1;
}

function signed(value) {
  return value === null || value === undefined ? "-" : `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;
}

function rowOf(one) {
  const button = element(
    "button", { type: "button", "aria-current": String(one === view.current) },
    element("span", {}, `step ${one.step}`),
    element("span", {}, `${one.kind} ${one.role}`, element("br"), element("b", { class: one.status }, one.status), ` ${one.code}`),
    element("span", {}, signed(one.reward)),
  );
  button.addEventListener("click", () => show(one, true));
  return button;
}

/** Move by so many episodes in the list, over the edges of its pages. */
function move(by) {
  const at = view.found.indexOf(view.current);
  const next = view.found[Math.min(Math.max(at + by, 0), view.found.length - 1)];
  if (next) show(next, false, true);
}

function show(one, jump = false, follow = false) {
  view.current = one;
  const at = view.found.indexOf(one);
  if (at >= 0) view.page = Math.floor(at / PAGE);
  showPage();
  const place = document.getElementById("episode");
  place.replaceChildren(...(one ? detailOf(one) : [element("p", {}, "no episode fits these filters")]));
  if (one && (jump || follow)) history.replaceState(null, "", `#${keyOf(one)}`);
  if (follow) document.querySelector("#list [aria-current='true']")?.scrollIntoView({ block: "nearest" });
  if (jump && matchMedia("(max-width: 52rem)").matches) place.scrollIntoView();
}

function factsOf(one) {
  const facts = [
    ["verdict", element("b", { class: one.status }, `${one.status}: ${one.code}`)],
    ["reward", signed(one.reward)], ["advantage", signed(one.advantage)],
  ];
  if (one.why) facts.push(["why", element("span", {}, reveal(one.why))]);
  if (one.accuracy !== null) facts.push(["solved by", `${percent(one.accuracy)} of the tries`]);
  if (one.new !== null) facts.push(["new", one.new ? "yes" : "no, the run had it before"]);
  if (one.tokens !== null) facts.push(["tokens", String(one.tokens)]);
  if (one.stops) facts.push(["turns ended by", one.stops.join(", ")]);
  return element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function turnOf(turn) {
  return element("div", { class: `turn ${turn.role === "assistant" ? "assistant" : ""}` }, element("b", {}, turn.role), block(turn.content));
}

/** The fields of a task, whatever the game; hashes are for machines. */
function taskOf(task) {
  return Object.entries(task).filter(([name]) => !name.endsWith("_key")).flatMap(([name, value]) => [
    element("h3", {}, name), block(typeof value === "string" ? value : JSON.stringify(value, null, 1)),
  ]);
}

/** The proposal, the solutions and their siblings, where they were sampled too. */
function relativesOf(one) {
  const others = view.all.filter((other) => other !== one && other.step === one.step && other.id[0] === one.id[0]);
  if (!others.length) return [];
  const buttons = others.map((other) => {
    const button = element("button", { type: "button" }, `${other.role} ${other.id.join(".")}: ${other.code}`);
    button.addEventListener("click", () => show(other, true));
    return button;
  });
  return [element("h3", {}, "of the same task"), element("p", {}, ...buttons)];
}

function detailOf(one) {
  const posed = one.role === "proposer" ? "the task it posed: " : "the task: ";
  return [
    element("h3", {}, `step ${one.step}, ${one.kind} ${one.role} ${one.id.join(".")}`),
    factsOf(one),
    element("h3", {}, "what was said"), ...one.messages.map(turnOf),
    ...(one.task ? [element("h3", {}, posed), ...taskOf(one.task)] : []),
    ...relativesOf(one),
  ];
}

function setEpisodes(shown) {
  const key = view.current && keyOf(view.current);
  view.all = shown.episodes.slice().reverse(); // the newest first
  fillChoices();
  const part = shown.steps < shown.of_steps ? ` The page has those of ${shown.steps} of ${shown.of_steps} steps, evenly spread.` : "";
  document.getElementById("episode-help").textContent =
    `Of every step a few episodes of each task type, role and verdict are kept.${part} Keys: j and k go through them, / searches, t is light or dark.`;
  const hash = location.hash.slice(1);
  const named = view.all.find((one) => keyOf(one) === (key ?? hash));
  filter(true);
  show(named ?? view.found[0] ?? null);
}

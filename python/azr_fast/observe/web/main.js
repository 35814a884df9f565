"use strict";
// Puts the page together, and asks for news where it follows a run.

const root = document.documentElement;
let data = JSON.parse(document.getElementById("data").textContent);

function drawFigures(figures) {
  const cards = figures.map((one) => element(
    "div", { class: one.main ? "figure main" : "figure" },
    element("span", {}, one.name), element("b", {}, one.last), element("span", {}, `${one.first} at first`),
  ));
  document.getElementById("figures").replaceChildren(...cards);
}

function drawNav(sections) {
  const names = [...sections, ...(data.timeline ? ["Time of a step"] : []), "Episodes"];
  const place = (name) => (name === "Time of a step" ? "time" : name.toLowerCase().replaceAll(" ", "-"));
  const links = names.map((name) => element("a", { href: `#${place(name)}` }, name));
  document.getElementById("nav").replaceChildren(...links);
}

function drawPictures() {
  const sections = drawCharts(data.charts, Number(document.getElementById("smooth").value));
  drawTimeline(data.timeline);
  drawNav(sections);
}

function draw() {
  document.title = data.title;
  document.getElementById("name").textContent = data.title;
  document.getElementById("about").textContent = data.about;
  document.getElementById("footer").textContent = data.footer;
  drawFigures(data.figures);
  drawPictures();
  setEpisodes(data.episodes);
}

function setTheme(theme) {
  root.dataset.theme = theme;
  root.style.colorScheme = theme;
}

function toggleTheme() {
  setTheme(root.dataset.theme === "dark" ? "light" : "dark");
  drawPictures();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const step = { j: 1, k: -1 }[event.key];
  const inList = event.target.closest("#list") ? { ArrowDown: 1, ArrowUp: -1 }[event.key] : undefined;
  if (step ?? inList) {
    move(step ?? inList);
    if (inList) document.querySelector("#list [aria-current='true']")?.focus();
    event.preventDefault();
  } else if (event.key === "/") {
    document.getElementById("f-text").focus();
    event.preventDefault();
  } else if (event.key === "t") toggleTheme();
}

/** Ask for the data again, whenever the run has more of it. */
async function follow() {
  try {
    const answer = await fetch("data.json", { headers: { "If-None-Match": data.tag } });
    if (answer.status === 200) {
      data = await answer.json();
      draw();
    }
    document.getElementById("about").textContent = data.about;
  } catch {
    document.getElementById("about").textContent = `${data.about} - the server has ended, this is its last word`;
  }
  setTimeout(follow, data.follow * 1000);
}

setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
  setTheme(event.matches ? "dark" : "light");
  drawPictures();
});
makeFilters();
document.getElementById("theme").addEventListener("click", toggleTheme);
document.getElementById("smooth").addEventListener("change", drawPictures);
document.getElementById("newer").addEventListener("click", () => { view.page -= 1; showPage(); });
document.getElementById("older").addEventListener("click", () => { view.page += 1; showPage(); });
document.addEventListener("keydown", onKey);
draw();
if (data.follow) setTimeout(follow, data.follow * 1000);

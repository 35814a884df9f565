"use strict";
// Draws what the data describes with Chart.js. Each chart has its numbers as a table too.

// Okabe and Ito's colours, which people with colour blindness tell apart; lighter ones at night.
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#009e73", "#a8508c", "#8a6d00", "#3a9bd0", "#555c66", "#7a3e00", "#5b4bb5", "#a51d2d"],
  dark: ["#56b4e9", "#ff8f4d", "#2fd3a3", "#e79bc8", "#f0e442", "#9bd4f5", "#b4bcc6", "#d8a06a", "#b3a6ff", "#ff8a8a"],
};
const drawn = []; // charts on the page
const hidden = new Set(); // names of curves that were switched off

function colour(index) {
  const palette = COLOURS[document.documentElement.dataset.theme];
  return palette[index % palette.length];
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Means over `width` neighbouring points; a gap stays one. */
function smoothed(values, width) {
  if (width < 2) return values;
  return values.map((value, i) => {
    if (value === null) return null;
    const known = values.slice(Math.max(0, i - width + 1), i + 1).filter((v) => v !== null);
    return known.reduce((sum, v) => sum + v, 0) / known.length;
  });
}

function lineOf(one, chart, width) {
  const y = one.low ? one.y : smoothed(one.y, width);
  const alone = (i) => y[i] !== null && (y[i - 1] ?? null) === null && (y[i + 1] ?? null) === null;
  return {
    label: one.name,
    data: y.map((value, i) => ({ x: chart.x[i], y: value })),
    borderColor: colour(one.colour),
    backgroundColor: colour(one.colour),
    borderDash: one.dashed ? [6, 4] : [],
    borderWidth: 2,
    clip: 6,
    pointRadius: (point) => (alone(point.dataIndex) || y.length <= 30 ? 2.5 : 0),
    pointHitRadius: 8,
  };
}

/** The two ends of an interval, the space between them filled. */
function bandOf(one, chart) {
  const edge = (values, fill) => ({
    label: "", data: values.map((value, i) => ({ x: chart.x[i], y: value })),
    borderWidth: 0, pointRadius: 0, fill, backgroundColor: `${colour(one.colour)}33`,
  });
  return [edge(one.low, "+1"), edge(one.high, false)];
}

function datasetsOf(chart, width) {
  if (chart.kind === "lines") {
    return chart.series.flatMap((one) => [
      lineOf(one, chart, width),
      ...(one.low && one.low.some((v) => v !== null) ? bandOf(one, chart) : []),
    ]);
  }
  return chart.series.map((one) => ({
    label: one.name, data: chart.kind === "stacked" ? smoothed(one.y, width) : one.y,
    backgroundColor: colour(one.colour), barPercentage: chart.kind === "stacked" ? 1 : 0.9,
    categoryPercentage: chart.kind === "stacked" ? 1 : 0.8,
  }));
}

function axis(title, extra = {}) {
  const ink = css("--soft");
  return {
    title: { display: Boolean(title), text: title, color: ink },
    ticks: { color: ink, maxRotation: 0, autoSkipPadding: 12, ...(extra.ticks || {}) },
    grid: { color: css("--line") },
    ...Object.fromEntries(Object.entries(extra).filter(([key]) => key !== "ticks")),
  };
}

function optionsOf(chart) {
  const share = chart.unit === "share";
  const write = share ? percent : number;
  const stacked = chart.kind === "stacked";
  return {
    animation: false, responsive: true, maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    plugins: {
      legend: { display: false },
      tooltip: {
        filter: (item) => item.dataset.label !== "",
        callbacks: {
          title: (items) => `${chart.x_title} ${items.length ? items[0].label : ""}`,
          label: (item) => `${item.dataset.label}: ${write(item.parsed.y)}`,
        },
      },
    },
    scales: {
      x: axis(chart.x_title, {
        lines: { type: "linear", bounds: "data", ticks: { precision: 0 } },
        stacked: { stacked },
        bars: { ticks: { autoSkip: false, maxRotation: 50 } },
      }[chart.kind]),
      y: axis("", {
        stacked, ticks: { callback: (value) => write(value) },
        ...(share && chart.kind !== "bars" ? { min: 0, max: stacked ? undefined : 1 } : {}),
        ...(chart.kind === "bars" ? { min: 0 } : {}),
      }),
    },
  };
}

/** A sample of the line, as a picture. */
function swatch(one) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [key, value] of Object.entries({ width: 22, height: 10 })) svg.setAttribute(key, value);
  const shape = { x1: 0, x2: 22, y1: 5, y2: 5, stroke: one.paint ?? colour(one.colour), "stroke-width": 3 };
  if (one.dashed) shape["stroke-dasharray"] = "6 3";
  for (const [key, value] of Object.entries(shape)) line.setAttribute(key, value);
  svg.append(line);
  return svg;
}

/** Buttons that switch curves on and off, since a drawn legend cannot be reached by keyboard. */
function legendOf(chart, picture) {
  const legend = element("div", { class: "legend", role: "group", "aria-label": "curves" });
  for (const one of chart.series) {
    const key = `${chart.title}\n${one.name}`;
    const set = () => picture.data.datasets.forEach((dataset, i) => {
      if (dataset.label === one.name) picture.setDatasetVisibility(i, !hidden.has(key));
    });
    const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(key)) }, swatch(one), one.name);
    button.addEventListener("click", () => {
      if (!hidden.delete(key)) hidden.add(key);
      button.setAttribute("aria-pressed", String(!hidden.has(key)));
      set();
      picture.update();
    });
    set();
    legend.append(button);
  }
  picture.update();
  return legend;
}

function tableOf(heads, rows) {
  const row = (cells, name) => element("tr", {}, ...cells.map((cell) => element(name, {}, cell)));
  return element("table", {}, element("thead", {}, row(heads, "th")), element("tbody", {}, ...rows.map((r) => row(r, "td"))));
}

/** The numbers of a chart, made when somebody asks for them. */
function numbersOf(chart) {
  const write = chart.unit === "share" ? (v) => (v === null ? "-" : `${(v * 100).toFixed(1)}%`) : number;
  const box = element("div", { class: "scroll", tabIndex: 0 });
  const details = element("details", {}, element("summary", {}, "numbers"), box);
  const heads = [chart.x_title, ...chart.series.map((one) => one.name)];
  details.addEventListener("toggle", () => {
    const rows = () => chart.x.map((x, i) => [String(x), ...chart.series.map((one) => write(one.y[i]))]);
    box.replaceChildren(...(details.open ? [tableOf(heads, rows())] : []));
  });
  return details;
}

function spoken(chart) {
  const write = chart.unit === "share" ? percent : number;
  const last = (one) => write(one.y.filter((v) => v !== null).at(-1) ?? null);
  return `${chart.title}. Last: ${chart.series.map((one) => `${one.name} ${last(one)}`).join(", ")}`;
}

function drawChart(chart, width) {
  const canvas = element("canvas", { role: "img", "aria-label": spoken(chart) });
  const card = element("div", { class: "chart" }, element("h3", {}, chart.title), element("p", { class: "help" }, chart.help));
  const box = element("div", { class: "canvas" }, canvas);
  card.append(box);
  const picture = new Chart(canvas, {
    type: chart.kind === "lines" ? "line" : "bar",
    data: { labels: chart.kind === "lines" ? undefined : chart.x.map(String), datasets: datasetsOf(chart, width) },
    options: optionsOf(chart),
  });
  drawn.push(picture);
  card.append(legendOf(chart, picture), numbersOf(chart));
  return card;
}

function drawCharts(charts, width) {
  for (const picture of drawn.splice(0)) picture.destroy();
  const sections = new Map();
  for (const chart of charts) {
    if (!sections.has(chart.section)) sections.set(chart.section, []);
    sections.get(chart.section).push(chart);
  }
  const nodes = [...sections].map(([name, ones]) => element(
    "section", { id: name.toLowerCase().replaceAll(" ", "-") },
    element("h2", {}, name), element("div", { class: "grid" }, ...ones.map((one) => drawChart(one, width))),
  ));
  document.getElementById("charts").replaceChildren(...nodes);
  return [...sections.keys()];
}

"use strict";
// The steps as rows of phases, and the mean share of each phase.

function drawTimeline(time) {
  document.getElementById("time").hidden = !time;
  if (!time) return;
  const canvas = element("canvas", { role: "img", "aria-label": "phases of the newest steps, in seconds; the table has the means" });
  const box = element("div", { class: "canvas" }, canvas);
  box.style.height = `${time.steps.length * 18 + 70}px`;
  const legend = { title: "timeline", series: [] };
  const datasets = time.phases.map((name, i) => {
    const between = name === time.phases.at(-1) && name.startsWith("between");
    const paint = time.idle.includes(name) ? css("--bad") : between ? css("--line") : colour(i);
    legend.series.push({ name, paint });
    return {
      label: name, data: time.seconds[name], backgroundColor: paint,
      barPercentage: 1, categoryPercentage: 0.85,
    };
  });
  const picture = new Chart(canvas, {
    type: "bar",
    data: { labels: time.steps.map(String), datasets },
    options: {
      indexAxis: "y", animation: false, responsive: true, maintainAspectRatio: false,
      interaction: { mode: "index", axis: "y", intersect: false },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { title: (items) => `step ${items[0]?.label}`, label: (item) => `${item.dataset.label}: ${number(item.parsed.x)} s` } },
      },
      scales: { x: axis("seconds since the step began", { stacked: true }), y: axis("step", { stacked: true }) },
    },
  });
  drawn.push(picture);
  document.getElementById("timeline").replaceChildren(element("div", { class: "chart" }, box, legendOf(legend, picture)));
  drawShares(time);
}

function drawShares(time) {
  const total = time.phases.reduce((sum, name) => sum + time.means[name], 0) || 1;
  const rows = time.phases.map((name) => [
    time.idle.includes(name) ? `${name} (idle)` : name, number(time.means[name]),
    `${((100 * time.means[name]) / total).toFixed(1)}%`,
  ]);
  const table = tableOf(["phase, mean of all steps", "seconds", "share"], [...rows, ["a step", number(total), "100%"]]);
  document.getElementById("shares").replaceChildren(...table.children);
}

"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const narrow = window.matchMedia("(max-width: 640px)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // "@gain" stands for the colour of the current theme, "@gain/40" for the same at 40 % opacity.
  function paint(value) {
    if (typeof value === "string" && value[0] === "@") {
      const [name, share] = value.slice(1).split("/");
      const colour = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
      return share ? colour + Math.round(share * 2.55).toString(16).padStart(2, "0") : colour;
    }
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(paint);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item)]));
    }
    return value;
  }

  function axis(own) {
    return Object.assign({ gridcolor: "@line", zerolinecolor: "@line", linecolor: "@line", automargin: true }, own);
  }

  function layout(own) {
    const full = Object.assign({
      autosize: true, paper_bgcolor: "@card", plot_bgcolor: "@card", dragmode: touch ? false : "zoom",
      font: { color: "@ink", size: 12, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 10, r: touch || narrow.matches ? 8 : 34, t: 8, b: 30 }, hovermode: "closest",
      hoverlabel: { bgcolor: "@card", bordercolor: "@line", font: { color: "@ink" } },
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: "@bench", activecolor: "@ink" },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
    }, own);
    for (const key of Object.keys(full)) if (/^[xy]axis/.test(key)) full[key] = axis(full[key]);
    return paint(full);
  }

  const shown = {};
  function draw(id) {
    const place = document.getElementById(id);
    const figure = figures[id];
    const chosen = figure.choices ? figure.choices[shown[id] || 0] : figure;
    const own = Object.assign({}, figure.layout, chosen.layout);
    if (place.dataset.log) own.yaxis = Object.assign({}, own.yaxis, { type: "log" });
    if (narrow.matches && own.xaxis) own.xaxis = Object.assign({}, own.xaxis, { rangeselector: { visible: false } });
    // plotly's default bar offers to send the chart to a server of its makers: these buttons stay on this machine.
    const config = { responsive: true, displaylogo: false, displayModeBar: touch || narrow.matches ? false : "hover",
      showSendToCloud: false, plotlyServerURL: "",
      modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d", "pan2d", "toImage"]] };
    Plotly.react(place, paint(chosen.data), layout(own), config);
  }
  const drawAll = () => Object.keys(figures).forEach(draw);

  for (const select of document.querySelectorAll("select[data-chart]")) {
    select.addEventListener("change", () => {
      shown[select.dataset.chart] = select.selectedIndex;
      draw(select.dataset.chart);
    });
  }
  for (const button of document.querySelectorAll("button[data-log]")) {
    button.addEventListener("click", () => {
      const place = document.getElementById(button.dataset.log);
      place.dataset.log = place.dataset.log ? "" : "1";
      button.setAttribute("aria-pressed", String(Boolean(place.dataset.log)));
      button.textContent = place.dataset.log ? "Linear scale" : "Log scale";
      draw(button.dataset.log);
    });
  }
  dark.addEventListener("change", drawAll);
  drawAll();

  // Tables sort by a cell's data-v where it has one, else by the number in it, else by its text.
  function key(cell) {
    const text = cell.dataset.v || cell.textContent;
    const number = Number(text.replace(/[,\s%]/g, "").replace("\u2212", "-"));
    return text.trim() === "" || text === "\u2013" ? null : Number.isNaN(number) ? text : number;
  }
  function compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  }
  for (const head of document.querySelectorAll("table.sortable th")) {
    head.querySelector("button").addEventListener("click", () => {
      const table = head.closest("table");
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row.cells[head.cellIndex]), row]);
      rows.sort((a, b) => {
        const order = compare(a[0], b[0]);
        return falling && a[0] !== null && b[0] !== null ? -order : order;
      });
      body.append(...rows.map((pair) => pair[1]));
    });
  }
})();

// Enhances what is already in the page: filters, sorts and groups the table, draws the charts when they come into view.
const root = document.documentElement;
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

async function library(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(new Blob([await new Response(stream).text()], { type: "text/javascript" }));
  try { return await import(url); } finally { URL.revokeObjectURL(url); }
}

// ---- charts
const config = {
  background: "transparent",
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: { labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor", tickColor: "currentColor",
          gridColor: "currentColor", gridOpacity: 0.1, domainOpacity: 0.35, tickOpacity: 0.35, labelOpacity: 0.8,
          titleOpacity: 0.8, titleFontWeight: "normal", titleFontSize: 11, labelFontSize: 11, titlePadding: 8, tickCount: 6 },
  axisY: { titleLimit: 230 },
  text: { fontSize: 11 }, legend: { disable: true },
};
let vega;
// Vega follows a box's width when the window changes; a card that comes back from being filtered out must tell it
let told = 0;
const sizes = new ResizeObserver(() => {
  cancelAnimationFrame(told);
  told = requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
});
async function draw(figure) {
  const box = figure.querySelector(".chart");
  if (box.dataset.drawn) return;
  box.dataset.drawn = "now";
  const spec = JSON.parse(figure.querySelector("script").textContent);
  vega ??= library("charts-library").then(() => window.vegaEmbed);
  const embed = await vega;
  await embed(box, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec },
    { actions: false, renderer: "svg", config, tooltip: { offsetX: 14, offsetY: 14 } });
  sizes.observe(box.parentElement);
  box.dataset.drawn = "done";
}
root.classList.add("drawing");
const figures = all("figure.card");
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "400px" });
figures.forEach((figure) => seen.observe(figure));
window.addEventListener("beforeprint", () => figures.forEach(draw));

// ---- table
function fill(select, values) {
  for (const value of new Set(values)) select.add(new Option(value === "none" && select.name === "patch" ? "dense" : value, value));
  select.disabled = select.length < 3;
}

async function enhance(element) {
  const rows = all("tbody tr", element);
  if (!rows.length) return;
  const { default: DataTable } = await library("tables-library");
  const heads = all("thead th", element);
  const filters = document.forms.filters, tools = document.forms.tools;
  fill(filters.elements.model, rows.map((row) => row.dataset.model));
  fill(filters.elements.task, rows.map((row) => row.dataset.task));
  fill(tools.elements.patch, rows.map((row) => row.dataset.patch));
  const marks = rows.map((row) => row.dataset);
  const abouts = new Map(rows.filter((row) => row.dataset.about).map((row) => [row.lastElementChild.textContent, row.dataset.about]));
  const groups = heads.length - 1; // the last column holds the number of the row's model and task
  const table = new DataTable(element, {
    paging: false, info: false, autoWidth: false, order: [], layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    columnDefs: [
      { targets: heads.flatMap((head, i) => (head.classList.contains("number") ? [i] : [])), type: "num", orderSequence: ["desc", "asc", ""] },
      { targets: groups, visible: false, searchable: false, type: "num" },
      { targets: heads.flatMap((head, i) => (head.classList.contains("text") ? [i] : [])), orderSequence: ["asc", "desc", ""] },
    ],
    rowGroup: {
      dataSrc: groups,
      startRender(members, group) {
        const first = marks[members.indexes()[0]];
        const stay = Object.assign(document.createElement("span"), { className: "stay" });
        const name = document.createElement("b"), model = document.createElement("bdi"), task = document.createElement("bdi");
        model.textContent = first.model; task.textContent = first.task;
        name.append(model, " · ", task);
        stay.append(name, Object.assign(document.createElement("small"), { textContent: abouts.get(String(group)) }));
        return stay;
      },
    },
    language: { zeroRecords: "No row fits the filters.", emptyTable: "No rows." },
  });
  const shown = document.getElementById("shown");
  const fits = (mark) => ["model", "task"].every((key) => !filters.elements[key].value || mark[key] === filters.elements[key].value);
  table.search.fixed("filters", (_, __, index) =>
    fits(marks[index]) && (!tools.elements.patch.value || marks[index].patch === tools.elements.patch.value));
  const apply = () => {
    table.search(tools.elements.search.value).draw();
    const count = table.rows({ search: "applied" }).count();
    shown.textContent = count === marks.length ? `${count} rows` : `${count} of ${marks.length} rows`;
    for (const part of all("main :is([data-model], [data-task]):not(tr)")) {
      part.hidden = ["model", "task"].some((key) =>
        part.dataset[key] && filters.elements[key].value && part.dataset[key] !== filters.elements[key].value);
    }
    // a heading, a section or a link to it says nothing once all that it holds is filtered out
    const bare = (part) => { const held = all(".card, .picture", part); return held.length > 0 && held.every((card) => card.hidden); };
    for (const cards of all("main .cards")) if (cards.previousElementSibling?.tagName === "H3") cards.previousElementSibling.hidden = bare(cards);
    for (const section of all("main section[id]")) {
      section.hidden = bare(section);
      for (const link of all(`nav a[href="#${section.id}"]`)) link.hidden = section.hidden;
    }
  };
  const group = () => {
    const grouped = tools.elements.grouped.checked;
    table.columns(".key").visible(!grouped, false);
    table.order.fixed(grouped ? { pre: [[groups, "asc"]] } : {});
    if (grouped) table.rowGroup().enable(); else table.rowGroup().disable();
    table.draw();
  };
  for (const form of [filters, tools]) {
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  tools.elements.grouped.addEventListener("change", group);
  filters.hidden = filters.elements.model.disabled && filters.elements.task.disabled;
  tools.hidden = false;
  group();
  apply();
}
await enhance(document.getElementById("board"));
root.dataset.ready = "yes";

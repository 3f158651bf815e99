// Enhances what is already in the page: filters, sorts and groups the tables, draws the charts when they come into view.
const root = document.documentElement;
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
async function library(id) {
  const url = URL.createObjectURL(new Blob([await unpacked(id)], { type: "text/javascript" }));
  try { return await import(url); } finally { URL.revokeObjectURL(url); }
}

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
let vega, specs;
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
  specs ??= unpacked("specs").then(JSON.parse);
  vega ??= library("charts-library").then(() => window.vegaEmbed);
  const embed = await vega, spec = (await specs)[box.dataset.spec];
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

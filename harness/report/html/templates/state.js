// What is chosen stands in the address behind "#", so that a link shows what its sender saw, and "back" undoes a choice.
const parts = []; // each {write(params), read(params)}; what is as at the beginning is left out
let reading = true, last = "";

function address() {
  const params = new URLSearchParams();
  for (const part of parts) part.write(params);
  return `#${params}`;
}
// called after every choice; a text that is still being typed replaces what stood there
function note(typed = "") {
  if (reading) return;
  const next = address();
  if (next !== (location.hash || "#")) history[typed && typed === last ? "replaceState" : "pushState"](null, "", next);
  last = typed;
}
function restore() {
  reading = true;
  // "#claims" alone is a place and says nothing about what was chosen
  const params = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  if (location.hash && !location.hash.includes("=")) params.set("at", location.hash.slice(1));
  for (const part of parts) part.read(params);
  reading = false;
}

// ---- the section that is looked at
let at = "";
function go(place) {
  const section = document.getElementById(place);
  if (!section) return;
  section.tabIndex = -1;
  section.focus({ preventScroll: true });
  section.scrollIntoView();
}
for (const link of all("nav a")) {
  link.addEventListener("click", (event) => { event.preventDefault(); at = link.hash.slice(1); note(); go(at); });
}
parts.push({
  write: (params) => at && params.set("at", at),
  read: (params) => { const place = params.get("at") ?? ""; if (place !== at) go(place); at = place; },
});

// ---- what is opened or closed by hand; what a filter opens is not
const boxes = all("details[id]"), atFirst = new Set(boxes.filter((box) => box.open)), turned = new Set();
for (const box of boxes) box.firstElementChild.addEventListener("click", () => {
  if (box.open === atFirst.has(box)) turned.add(box.id); else turned.delete(box.id);
  note();
});
parts.push({
  write: (params) => turned.size && params.set("turned", [...turned].join(" ")),
  read: (params) => {
    turned.clear();
    for (const id of (params.get("turned") ?? "").split(" ")) if (id) turned.add(id);
    for (const box of boxes) box.open = atFirst.has(box) !== turned.has(box.id);
  },
});

// ---- the samples, whose own script knows what is chosen there
parts.push({
  write: (params) => { for (const [name, value] of Object.entries(window.coreheads?.samplesState?.() ?? {})) params.set(`s.${name}`, value); },
  read: (params) => {
    const chosen = Object.fromEntries([...params].filter(([name]) => name.startsWith("s.")).map(([name, value]) => [name.slice(2), value]));
    if (Object.keys(chosen).length || document.getElementById("samples")?.dataset.ready) window.coreheads?.setSamplesState?.(chosen);
  },
});
document.addEventListener("coreheads:samples", () => {
  if (document.activeElement?.closest("#samples")) note("samples");
});

// The filters of the whole page, and its start.
const filters = document.forms.filters, tools = document.forms.tools, shown = document.getElementById("shown");
const chosen = (name) => filters.elements[name].value;
const fits = (mark) => ["model", "task"].every((key) => !mark[key] || !chosen(key) || mark[key] === chosen(key));
const made = (name, text) => Object.assign(document.createElement(name), { textContent: text });
let ranking, board;

function fill(select, values) {
  for (const value of new Set(values)) select.add(new Option(value === "none" && select.name === "patch" ? "dense" : value, value));
  select.disabled = select.length < 3;
}
function title(names, about) {
  const stay = made("span", ""), bold = document.createElement("b");
  stay.className = "stay";
  names.forEach((name, place) => bold.append(...(place ? [" · "] : []), made("bdi", name)));
  stay.append(bold, ...(about ? [made("small", about)] : []));
  return stay;
}
function apply() {
  ranking?.table.draw();
  board?.table.search(tools.elements.search.value).draw();
  const count = board?.table.rows({ search: "applied" }).count(), total = board?.marks.length;
  shown.textContent = count === total ? `${count} rows` : `${count} of ${total} rows`;
  for (const part of all(":is(header, main) :is([data-model], [data-task])")) {
    if (!part.closest("#ranked, #board")) part.hidden = !fits(part.dataset);
  }
  if (chosen("model")) for (const box of all("details.model")) box.open ||= !box.hidden;
  // a heading, a section or a link to it says nothing once all that it holds is filtered out
  const bare = (part) => { const held = all(".card, .picture", part); return held.length > 0 && held.every((card) => card.hidden); };
  for (const cards of all("main .cards")) if (cards.previousElementSibling?.tagName === "H3") cards.previousElementSibling.hidden = bare(cards);
  for (const section of all("main section[id]")) {
    section.hidden = bare(section) && !section.querySelector("table");
    for (const link of all(`nav a[href="#${section.id}"]`)) link.hidden = section.hidden;
  }
  document.getElementById("reset").hidden = !chosen("model") && !chosen("task");
}

async function start() {
  const rows = all("#board tbody tr");
  if (rows.length) {
    const { default: DataTable } = await library("tables-library");
    fill(filters.elements.model, rows.map((row) => row.dataset.model));
    fill(filters.elements.task, rows.map((row) => row.dataset.task));
    fill(tools.elements.patch, rows.map((row) => row.dataset.patch));
    const abouts = new Map(rows.filter((row) => row.dataset.about).map((row) => [row.dataset.group, row.dataset.about]));
    const several = new Set(all("#ranked tbody tr").map((row) => row.dataset.group)).size > 1;
    if (document.getElementById("ranked")) {
      ranking = tableOf(DataTable, document.getElementById("ranked"), document.forms["ranking-tools"],
        { fits: (mark) => fits({ model: mark.model }), title: (mark) => title([mark.model]), groupable: several });
    }
    board = tableOf(DataTable, document.getElementById("board"), tools, {
      fits: (mark) => fits(mark) && (!tools.elements.patch.value || mark.patch === tools.elements.patch.value),
      title: (mark) => title([mark.model, mark.task], abouts.get(mark.group)), groupable: true,
    });
    parts.push({
      write(params) {
        for (const name of ["model", "task"]) if (chosen(name)) params.set(name, chosen(name));
        for (const name of ["patch", "search"]) if (tools.elements[name].value) params.set(name, tools.elements[name].value);
        if (!tools.elements.grouped.checked) params.set("grouped", "no");
      },
      read(params) {
        for (const [form, name] of [[filters, "model"], [filters, "task"], [tools, "patch"], [tools, "search"]]) {
          form.elements[name].value = params.get(name) ?? "";
          if (form.elements[name].selectedIndex < 0) form.elements[name].value = "";
        }
        const grouped = params.get("grouped") !== "no";
        if (grouped !== tools.elements.grouped.checked) { tools.elements.grouped.checked = grouped; board.group(grouped); }
        apply();
      },
    });
    filters.addEventListener("input", () => { apply(); note(); });
    filters.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("reset").addEventListener("click", () => {
      for (const name of ["model", "task"]) filters.elements[name].value = "";
      apply(); note();
    });
    tools.addEventListener("input", (event) => {
      const { name } = event.target;
      if (["patch", "search"].includes(name)) { apply(); note(name === "search" ? name : ""); }
      if (name === "grouped") { board.group(event.target.checked); note(); }
    });
    filters.hidden = filters.elements.model.disabled && filters.elements.task.disabled;
  }
  const copy = document.getElementById("copy"), said = document.getElementById("copied");
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const cited = document.getElementById("bibtex");
    try { await navigator.clipboard.writeText(cited.textContent); said.textContent = "Copied."; } catch {
      getSelection().selectAllChildren(cited);
      said.textContent = "Selected: copy it with the keyboard.";
    }
  });
  restore();
  window.addEventListener("popstate", restore);
}
await start();
root.dataset.ready = "yes";

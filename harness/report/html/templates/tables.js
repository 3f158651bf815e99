// The ranking and the table of all rows: sorted, grouped, their columns chosen, what is shown written to a file.
const slug = (head) => head.textContent.trim().replaceAll(" ", "-");

function tableOf(DataTable, element, form, { fits, title, groupable }) {
  const rows = all("tbody tr", element), marks = rows.map((row) => row.dataset), name = element.dataset.name;
  const heads = all("thead th", element), names = heads.map(slug), last = heads.length - 1; // the last column holds the group
  const where = (kind) => heads.flatMap((head, i) => (head.classList.contains(kind) ? [i] : []));
  const table = new DataTable(element, {
    paging: false, info: false, autoWidth: false, order: [], layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    columnDefs: [
      // a search is for words: every number would be found by some digit
      { targets: where("number"), type: "num", orderSequence: ["desc", "asc", ""], searchable: false },
      { targets: last, visible: false, searchable: false },
      { targets: where("text"), orderSequence: ["asc", "desc", ""] },
    ],
    rowGroup: { dataSrc: last, startRender: (members) => title(marks[members.indexes()[0]]) },
    language: { zeroRecords: "No row fits the filters.", emptyTable: "No rows." },
  });
  table.search.fixed("filters", (_, __, index) => fits(marks[index]));

  // ---- columns
  const choosable = heads.flatMap((head, i) => (head.dataset.from ? [i] : []));
  const usual = () => choosable.filter((i) => innerWidth >= Number(heads[i].dataset.from)); // "never" is no number
  let own = null, boxes = [];
  function look() {
    const shown = own ?? usual();
    for (const i of choosable) table.column(i).visible(shown.includes(i), false);
    boxes.forEach((box, place) => { box.checked = shown.includes(choosable[place]); });
    back.disabled = own === null;
    table.draw(false);
  }
  const field = form.querySelector("details.columns fieldset"), box = field.parentElement;
  boxes = choosable.map((i) => {
    const label = document.createElement("label"), input = Object.assign(document.createElement("input"), { type: "checkbox", name: `column-${names[i]}` });
    label.append(input, heads[i].textContent.trim());
    label.title = heads[i].title;
    field.append(label);
    input.addEventListener("change", () => { own = choosable.filter((_, place) => boxes[place].checked); look(); note(); });
    return input;
  });
  const back = Object.assign(document.createElement("button"), { type: "button", textContent: "As fits the window" });
  back.addEventListener("click", () => { own = null; look(); note(); });
  field.append(back);
  box.hidden = !choosable.length;
  document.addEventListener("click", (event) => { if (!box.contains(event.target)) box.open = false; });
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") { box.open = false; box.firstElementChild.focus(); } });
  let width = innerWidth;
  window.addEventListener("resize", () => { if (own === null && innerWidth !== width) look(); width = innerWidth; });

  // ---- groups
  function group(grouped) {
    table.columns(".key").visible(!grouped, false);
    table.order.fixed(grouped ? { pre: [[last, "asc"]] } : {});
    if (grouped) table.rowGroup().enable(); else table.rowGroup().disable();
    table.draw();
  }
  group(groupable);

  // ---- files
  for (const button of all("[data-save]", form)) button.addEventListener("click", async () => {
    const kind = button.dataset.save, lines = JSON.parse(await unpacked("downloads"))[name][kind];
    const shown = table.rows({ search: "applied", order: "applied" }).indexes().toArray();
    const text = kind === "csv" ? [lines[0], ...shown.map((i) => lines[i + 1])].join("\n") + "\n"
      : JSON.stringify(shown.map((i) => lines[i]), null, 1) + "\n";
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/json" })), download: `${name}.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  let sorted = ""; // every drawing says that it has sorted
  table.on("order", () => { const now = String(table.order()); if (now !== sorted) { sorted = now; note(); } });
  parts.push({
    write(params) {
      const [order] = table.order();
      if (order?.[1]) params.set(`${name}.sort`, `${names[order[0]]} ${order[1]}`);
      if (own) params.set(`${name}.columns`, own.map((i) => names[i]).join(" "));
    },
    read(params) {
      const [column, way] = (params.get(`${name}.sort`) ?? "").split(" "), place = names.indexOf(column);
      table.order(place >= 0 && place < last && ["asc", "desc"].includes(way) ? [[place, way]] : []);
      const chosen = params.get(`${name}.columns`);
      own = chosen === null ? null : choosable.filter((i) => chosen.split(" ").includes(names[i]));
      look();
    },
  });
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  return { table, marks, group };
}

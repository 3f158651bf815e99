// The samples: what was asked, and every condition's answer. All that comes from data is set as text, never as markup.
{
  const section = document.getElementById("samples");
  const PREFIX = "s.", KEYS = ["task", "model", "run", "method", "show", "search", "draws", "gold", "sample"];
  const served = location.protocol === "http:" || location.protocol === "https:";
  const tools = document.forms["sample-tools"], box = document.getElementById("sample");
  const notes = document.getElementById("sample-notes"), count = document.getElementById("sample-count");
  let groups = null, loading = null, shownSamples = [], wanted = {};

  const make = (name, text, about = {}) => Object.assign(document.createElement(name), { textContent: text ?? "", ...about });
  const field = (name) => tools.elements[name];
  const turn = (name) => box.querySelector(`[name=${name}]`);
  const group = () => groups[Number(field("group").value) || 0];

  // ---- data
  async function unpack() {
    const text = JSON.parse(document.getElementById("samples-data").textContent);
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }
  // where the page is served, all samples lie beside it; a page that was opened from disk has its own
  async function whole(one) {
    if (!served || one.asked) return;
    one.asked = true;
    try {
      const answer = await fetch(new URL(`answers/${encodeURIComponent(one.file)}`, document.baseURI));
      if (!answer.ok) throw new Error(answer.status);
      const found = await answer.json();
      Object.assign(one, { samples: found.samples, conditions: found.conditions, notes: found.notes, whole: true });
    } catch { one.lost = true; }
  }

  // ---- filters
  const by = (one) => {
    const label = field("method").value, draws = field("draws").checked;
    return one.conditions.flatMap((c, i) => (label ? c.label === label : c.patch !== "none" && (draws || c.draw === null)) ? [i] : []);
  };
  const dense = (one) => one.conditions.findIndex((c) => c.patch === "none");
  const tests = {
    "": () => true,
    changed: (answer) => answer[2],
    wrong: (answer) => answer[1] !== null && answer[1] < 0.5,
    worse: (answer, base) => answer[1] !== null && base !== null && answer[1] < base,
    better: (answer, base) => answer[1] !== null && base !== null && answer[1] > base,
  };
  function fitting(one) {
    const test = tests[field("show").value] ?? tests[""], among = by(one), first = dense(one);
    const words = field("search").value.trim().toLowerCase();
    return one.samples.filter((sample) => {
      const base = sample.answers[first]?.[1] ?? null;
      if (field("show").value && !among.some((i) => sample.answers[i] && test(sample.answers[i], base))) return false;
      return !words || [sample.id, sample.question, sample.prompt, sample.target, ...sample.texts]
        .some((text) => text?.toLowerCase().includes(words));
    });
  }

  // ---- one sample
  const score = (value) => (value === null ? "unscored" : Number.isInteger(value) ? String(value) : value.toFixed(2));
  function pictures(sample) {
    const made = sample.pictures.map((picture) => {
      const figure = make("figure"), frame = make("div", "", { className: "frame" });
      const image = make("img", "", { src: picture.src, width: picture.width, height: picture.height, loading: "lazy" });
      image.alt = `${picture.label}${picture.boxes.length ? ", gold region: " + sample.gold.join("; ") : ""}`;
      frame.append(image);
      for (const [x0, y0, x1, y1] of picture.boxes) {
        const gold = make("i", "", { className: "gold" });
        const edge = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
        Object.assign(gold.style, { left: edge(x0), top: edge(y0), width: edge(x1 - x0), height: edge(y1 - y0) });
        frame.append(gold);
      }
      // a small picture is drawn large without smoothing; a page's words must be legible
      if (picture.width < 200) image.style.imageRendering = "pixelated";
      figure.style.maxWidth = `${Math.max(picture.width, Math.min(480, 3 * picture.width))}px`;
      if (picture.boxes.length && picture.width > 200) figure.className = "main";
      figure.append(frame, make("figcaption", picture.label));
      return figure;
    });
    if (!made.length) made.push(make("p", `No picture: ${sample.missing ?? "the run does not hold what was asked"}.`, { className: "none" }));
    return made;
  }
  function lines(one, sample) {
    const label = field("method").value, draws = field("draws").checked, first = dense(one);
    const rank = (i) => (i === first ? 0 : label && one.conditions[i].label === label ? 1 : 2);
    const every = one.conditions.map((_, i) => i).filter((i) => sample.answers[i]);
    const rows = [];
    const chosen = every.filter((i) => draws || one.conditions[i].draw === null || one.conditions[i].label === label);
    for (const i of chosen.sort((a, b) => rank(a) - rank(b) || a - b)) {
      const condition = one.conditions[i], [text, value, changed] = sample.answers[i];
      const row = make("tr"), name = make("th", condition.label + (condition.draw === null ? "" : `, draw ${condition.draw}`));
      name.scope = "row";
      const said = make("td", "", { className: "text" });
      if (text === null) said.append(make("span", "not published", { className: "soft" }));
      else if (value === null) said.append(make("span", sample.texts[text], { className: "soft" }));
      else if (!sample.texts[text].trim()) said.append(make("span", "no text", { className: "soft" }));
      else said.append(make("bdi", sample.texts[text]));
      if (changed) said.append(" ", make("span", "changed", { className: "pill" }));
      row.append(name, said, make("td", score(value), { className: value !== null && value < 0.5 ? "low" : "" }));
      row.className = i === first ? "dense" : rank(i) === 1 ? "picked" : "";
      rows.push(row);
    }
    const folded = new Map();
    for (const i of every) if (!chosen.includes(i)) {
      const of = folded.get(one.conditions[i].label) ?? folded.set(one.conditions[i].label, []).get(one.conditions[i].label);
      of.push(sample.answers[i]);
    }
    for (const [name, answers] of folded) {
      const row = make("tr"), scored = answers.filter((a) => a[1] !== null);
      const changed = answers.filter((a) => a[2]).length, head = make("th", name);
      head.scope = "row";
      row.append(head, make("td", `${answers.length} random draw${answers.length > 1 ? "s" : ""} of heads, ${changed} answered otherwise`, { className: "text soft" }),
        make("td", scored.length ? (scored.reduce((sum, a) => sum + a[1], 0) / scored.length).toFixed(2) : "unscored"));
      rows.push(row);
    }
    return rows;
  }
  function show() {
    const one = group(), place = Math.max(0, turn("sample").selectedIndex), sample = shownSamples[place];
    const fit = shownSamples.length < one.samples.length ? " that fit" : "";
    count.textContent = sample ? `${place + 1} of ${shownSamples.length}${fit}` : `None of ${one.samples.length} samples fits`;
    turn("previous").disabled = place === 0;
    turn("next").disabled = place >= shownSamples.length - 1;
    const shown = box.querySelector(".shown"), told = box.querySelector(".told");
    shown.replaceChildren(); told.replaceChildren();
    if (!sample) return;
    shown.append(...pictures(sample));
    const facts = make("dl");
    const fact = (name, text) => { if (text) { const dd = make("dd"); dd.append(make("bdi", text)); facts.append(make("dt", name), dd); } };
    fact(sample.prompt ? "Looked for" : "Question", sample.question ?? "not stored");
    fact("Prompt", sample.prompt.replace(/\n\s*\n/g, "\n"));
    fact("Right answer", sample.target);
    fact("Gold region", sample.gold.join("\n"));
    const table = make("table"), head = make("tr"), body = make("tbody");
    for (const name of ["condition", "answer", one.metric]) head.append(make("th", name, { scope: "col", className: name === one.metric ? "" : "text" }));
    table.append(make("thead"), body);
    table.tHead.append(head);
    body.append(...lines(one, sample));
    const scroll = make("div", "", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `Answers to sample ${sample.id}` });
    scroll.append(table);
    told.append(facts, scroll);
  }

  // ---- controls
  function options(select, entries, value) {
    select.replaceChildren(...entries.map(([name, text]) => new Option(text, name)));
    select.value = value;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  }
  async function open(sample) {
    const one = group();
    section.dataset.ready = "";
    await whole(one);
    if (one !== group()) return;
    const method = wanted.method ?? field("method").value;
    const labels = [...new Set(one.conditions.filter((c) => c.patch !== "none").map((c) => c.label))];
    options(field("method"), [["", "any"], ...labels.map((label) => [label, label])], method);
    delete wanted.method;
    const said = [...one.notes];
    if (one.lost) said.push("The files beside this page are missing: only what the page itself holds can be seen.");
    else if (!one.whole && one.samples.length < one.total)
      said.push(`This file holds ${one.samples.length} of ${one.total} samples, those first that a method answers otherwise; where the page is served (coreheads publish), all can be seen.`);
    notes.textContent = said.join(" ");
    notes.hidden = !said.length;
    filter(sample);
  }
  function filter(sample) {
    const one = group(), before = sample ?? turn("sample").value;
    shownSamples = fitting(one);
    options(turn("sample"), shownSamples.map((s) => [s.id, s.id]), before);
    turn("sample").disabled = shownSamples.length < 2;
    box.classList.toggle("bare", !field("gold").checked);
    show();
    section.dataset.ready = "yes";
    document.dispatchEvent(new CustomEvent("coreheads:samples"));
  }
  function step(by) {
    const place = turn("sample").selectedIndex + by;
    if (place < 0 || place >= shownSamples.length) return;
    turn("sample").selectedIndex = place;
    show();
    document.dispatchEvent(new CustomEvent("coreheads:samples"));
  }
  function start() {
    loading ??= unpack().then((found) => {
      groups = found;
      const several = (key) => new Set(groups.map((one) => one[key])).size > 1;
      const name = (one) => [one.task, ...["model", "run"].filter(several).map((key) => one[key])].join(" · ");
      options(field("group"), groups.map((one, i) => [String(i), name(one)]), "0");
      field("group").disabled = groups.length < 2;
      tools.hidden = box.hidden = false;
      return apply();
    });
    return loading;
  }
  // puts what is wanted into the controls
  function apply() {
    const fits = (one) => ["task", "model", "run"].filter((key) => wanted[key] && one[key] === wanted[key]).length;
    if (wanted.task || wanted.model || wanted.run) field("group").value = String(groups.reduce((best, one, i) => (fits(one) > fits(groups[best]) ? i : best), 0));
    for (const key of ["show", "search"]) if (key in wanted) field(key).value = wanted[key];
    if (field("show").selectedIndex < 0) field("show").value = "";
    for (const key of ["draws", "gold"]) if (key in wanted) field(key).checked = wanted[key] === "yes";
    const { sample } = wanted;
    const { method } = wanted;
    wanted = method === undefined ? {} : { method };
    return open(sample);
  }

  // ---- what a link can say: plain texts by name; what is as at the beginning is left out
  window.coreheads ??= {};
  window.coreheads.samplesState = () => {
    if (!groups) return { ...wanted };
    const one = group(), state = {};
    for (const key of ["task", "model", "run"]) if (one[key] !== groups[0][key]) state[key] = one[key];
    for (const key of ["method", "show", "search"]) if (field(key).value) state[key] = field(key).value;
    if (field("draws").checked) state.draws = "yes";
    if (!field("gold").checked) state.gold = "no";
    if (turn("sample").selectedIndex > 0) state.sample = turn("sample").value;
    return state;
  };
  window.coreheads.setSamplesState = (state) => {
    const [first] = groups ?? [];
    wanted = { method: "", show: "", search: "", draws: "no", gold: "yes", ...(first && { task: first.task, model: first.model, run: first.run }) };
    for (const key of KEYS) if (typeof state?.[key] === "string") wanted[key] = state[key];
    return section ? (groups ? apply() : start()) : Promise.resolve();
  };
  if (section) {
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.addEventListener("change", (event) => (event.target === field("group") ? open() : filter()));
    field("search").addEventListener("input", () => filter());
    turn("sample").addEventListener("change", () => step(0));
    turn("previous").addEventListener("click", () => step(-1));
    turn("next").addEventListener("click", () => step(1));
    box.addEventListener("keydown", (event) => {
      if (event.target.closest("select, input") || event.altKey || event.ctrlKey || event.metaKey) return;
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) { event.preventDefault(); step(by); }
    });
    const asked = Object.fromEntries([...new URLSearchParams(location.hash.slice(1))]
      .filter(([key]) => key.startsWith(PREFIX)).map(([key, value]) => [key.slice(PREFIX.length), value]));
    if (Object.keys(asked).length) window.coreheads.setSamplesState(asked);
    else new IntersectionObserver((entries, seen) => {
      if (entries.some((entry) => entry.isIntersecting)) { seen.disconnect(); start(); }
    }, { rootMargin: "600px" }).observe(section);
  }
}

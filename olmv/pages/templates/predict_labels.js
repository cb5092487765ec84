/* The side of a report: its labels with their positives, the threshold of the chosen one, and what can be saved. */
"use strict";
report.panel = ({ onLabel, onThreshold }) => {
  const { el } = olmv;
  const SHOWN = 300; // labels in sight
  const panel = document.getElementById("panel");
  const { head, names, lower, videos } = report;
  let chosen = null;
  let order = { by: "count", down: true };
  let counts = names.map((_, place) => report.count(place));

  const find = el("input", { type: "search", class: "field", placeholder: "Find a label", "aria-label": "Find a label", autocomplete: "off", spellcheck: "false" });
  const body = el("tbody");
  const rest = el("p", { class: "facts" });
  const heads = {};
  const column = (by, text, kind) => {
    const button = el("button", { type: "button", click: () => {
      order = { by, down: order.by === by ? !order.down : by === "count" };
      list();
    } }, text);
    heads[by] = el("th", { scope: "col", class: kind }, button);
    return heads[by];
  };
  const table = el("table", { class: "tally", "aria-label": "labels and how many videos each is true of" }, el("thead", {}, el("tr", {}, column("name", "label", null), column("count", "positive", "number"))), body);

  function list() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const places = [];
    for (let place = 0; place < names.length; place += 1) if (words.every((word) => lower[place].includes(word))) places.push(place);
    const sign = order.down ? -1 : 1;
    if (order.by === "count") places.sort((a, b) => sign * (counts[a].positives - counts[b].positives) || a - b);
    else places.sort((a, b) => sign * (lower[a] < lower[b] ? -1 : lower[a] > lower[b] ? 1 : 0));
    const most = Math.max(1, ...counts.map((each) => each.positives));
    body.replaceChildren(
      ...places.slice(0, SHOWN).map((place) => {
        const { positives, more } = counts[place];
        const share = `${(100 * positives) / most}%`;
        const button = el("button", { type: "button", "aria-pressed": String(place === chosen), dir: "auto", title: names[place], click: () => choose(place === chosen ? null : place) }, names[place]);
        const moved = report.moved.has(place) ? el("small", { title: "its threshold was moved" }, ` ${olmv.limit(report.moved.get(place))}`) : null;
        return el("tr", { class: place === chosen ? "chosen" : null, style: { "--share": share } }, el("td", {}, button, moved), el("td", { class: "number" }, positives.toLocaleString("en"), more ? el("abbr", { title: `up to ${more} more: see below` }, "+") : null));
      }),
    );
    for (const [by, node] of Object.entries(heads)) node.setAttribute("aria-sort", order.by === by ? (order.down ? "descending" : "ascending") : "none");
    rest.textContent = places.length > SHOWN ? `${olmv.count(places.length - SHOWN, "label")} more: find them by name` : places.length ? "" : "no such label";
  }

  const box = el("section", { class: "limit-box", "aria-label": "threshold", hidden: true });
  let histogram = null;
  let slider = null;
  const told = el("p", { class: "facts", role: "status" });
  const back = el("button", { type: "button", class: "button" });

  function tell() {
    const { positives, more } = counts[chosen];
    const all = head.scored[chosen];
    const unknown = more ? ` At this threshold up to ${olmv.count(more, "more", "more")}: rows on this page have at most ${head.most} labels, their most probable.` : "";
    const spans = head.timed ? " Segments stay those of the run." : "";
    told.textContent = `true of ${positives.toLocaleString("en")} of ${olmv.count(all, "video")}.${unknown}${report.moved.has(chosen) ? spans : ""}`;
    const given = report.given(chosen);
    back.textContent = `back to ${olmv.limit(given)}`;
    back.hidden = !report.moved.has(chosen);
  }

  function move(value, from) {
    report.move(chosen, value);
    counts[chosen] = report.count(chosen);
    const now = report.threshold(chosen);
    if (from !== histogram) histogram.set(now);
    if (from !== slider) slider.set(now);
    tell();
    listSoon();
    files();
    onThreshold(chosen);
  }

  function draw() {
    box.hidden = chosen === null;
    if (chosen === null) return box.replaceChildren();
    const value = report.threshold(chosen);
    histogram = olmv.histogram({ values: report.columns[chosen].p, threshold: value, onThreshold: (at) => move(at, histogram) });
    slider = olmv.threshold({ label: names[chosen], value, onInput: (at) => move(at, slider) });
    tell();
    return box.replaceChildren(el("h2", { dir: "auto" }, names[chosen]), histogram, slider, told, back);
  }
  back.addEventListener("click", () => move(null, back));

  function choose(place) {
    chosen = place;
    draw();
    list();
    onLabel(place);
  }

  const truth = el("button", { type: "button", class: "button", click: () => olmv.download("truth.csv", report.truth(), "text/csv") });
  const limits = el("button", { type: "button", class: "button", click: () => olmv.download("thresholds.json", report.thresholds()) });
  function files() {
    const judged = report.judged();
    truth.textContent = judged ? `truth.csv · ${olmv.count(judged, "verdict")}` : "truth.csv";
    truth.disabled = judged === 0;
    truth.title = "what you judged: video, labels that are true, labels that are absent";
    limits.textContent = report.moved.size ? `thresholds.json · ${report.moved.size} moved` : "thresholds.json";
    limits.disabled = head.calibrated;
    limits.title = head.calibrated ? "the probabilities of this page are calibrated, a thresholds file is about those of the model" : "the thresholds of all labels, for olmv predict";
  }
  const why = head.calibrated ? el("p", { class: "facts" }, "The probabilities here are calibrated; a thresholds file is about the model’s own, so it cannot be made of these.") : null;

  const listSoon = olmv.soon(list);
  find.addEventListener("input", list);
  const wide = window.matchMedia("(min-width: 60rem)");
  const labels = el("details", { class: "labels-box", open: wide.matches }, el("summary", {}, olmv.count(names.length, "label")), names.length > 12 ? find : null, el("div", { class: "tally-box", tabindex: "0", role: "group", "aria-label": "labels" }, table), rest);
  panel.append(labels, box, el("section", { class: "files", "aria-label": "Save" }, el("span", { class: "facts" }, "Save"), truth, limits, why));
  list();
  files();
  return {
    choose,
    chosen: () => chosen,
    files,
    recount: () => {
      counts = names.map((_, place) => report.count(place));
      list();
      if (chosen !== null) draw();
    },
    videos,
  };
};

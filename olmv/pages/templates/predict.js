/* The report: which videos are in sight, as tiles or cards, and one video over the page. */
"use strict";
(() => {
  const { el } = olmv;
  const $ = (id) => document.getElementById(id);
  const TILE = { width: 176, height: 206 };
  const CARD = 420; // a guess; each is measured
  const LABELS = 3; // of a tile
  const PRINTED = 200; // videos, at most
  const { head, names, lower, videos } = report;
  const search = $("search"), sort = $("sort"), positive = $("positive"), failed = $("failed");
  let hits = videos;
  let grid = null;
  let asList = false;
  let opened = null;
  let asked = new Set(); // places of labels that the search names

  const chosen = () => panel.chosen();
  const chosenName = () => (chosen() === null ? undefined : names[chosen()]);

  function probabilityOf(video) {
    if (chosen() === null) return video.best ?? -1;
    for (let i = 0; i < video.pairs.length; i += 2) if (video.pairs[i] === chosen()) return video.pairs[i + 1];
    return -1;
  }
  for (const video of videos) {
    let best = -1;
    for (let i = 0; i < video.pairs.length; i += 2) {
      if (video.pairs[i + 1] > best) {
        best = video.pairs[i + 1];
        video.bestPlace = video.pairs[i];
      }
    }
    video.best = best;
  }
  const distance = (video, probability) => (probability < 0 ? 2 : Math.abs(probability - report.threshold(chosen() ?? video.bestPlace, video)));

  function matches(video, words) {
    let some = false;
    const open = new Set(words.map((_, index) => index).filter((index) => !video.search.includes(words[index].text)));
    if (open.size || positive.checked) {
      for (let i = 0; i < video.pairs.length; i += 2) {
        const place = video.pairs[i];
        const wanted = chosen() === null || chosen() === place;
        const asked = [...open].some((index) => words[index].places.has(place));
        if (!(wanted && positive.checked && !some) && !asked) continue;
        if (!report.isPositive(video, place, video.pairs[i + 1])) continue;
        if (wanted) some = true;
        for (const index of open) if (words[index].places.has(place)) open.delete(index);
      }
    }
    if (open.size) return false;
    return (!positive.checked || some) && (!failed || !failed.checked || video.error);
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean).map((text) => ({ text, places: new Set(lower.flatMap((name, place) => (name.includes(text) ? [place] : []))) }));
    asked = new Set(words.flatMap((word) => [...word.places]));
    hits = videos.filter((video) => matches(video, words));
    const by = sort.value;
    if (by === "name") hits.sort((a, b) => (a.search < b.search ? -1 : a.search > b.search ? 1 : a.order - b.order));
    else if (by !== "input") {
      const keys = new Map(hits.map((video) => {
        const probability = probabilityOf(video);
        return [video, by === "probability" ? -probability : distance(video, probability)];
      }));
      hits.sort((a, b) => keys.get(a) - keys.get(b) || a.order - b.order);
    }
    const all = olmv.count(videos.length, "video");
    $("count").textContent = hits.length === videos.length ? all : `${hits.length.toLocaleString("en")} of ${all}`;
    if (grid) grid.update(hits.length);
  }

  // a tile
  function shownOf(card) {
    const own = card.labels.find((label) => label.place === chosen());
    const others = card.labels.filter((label) => label !== own && label.positive);
    others.sort((a, b) => asked.has(b.place) - asked.has(a.place)); // stable: by probability otherwise
    const rows = own ? [own, ...others] : others;
    return rows.length ? rows : card.labels.slice(0, 1);
  }
  function pictureOf(card, label) {
    if (!card.pictures.length) return null;
    const segment = label && (card.segments || []).find((item) => item.label === label.label);
    const frame = label && ((card.explanations.find((item) => item.label === label.label) || {}).frames || [])[0];
    const time = segment && segment.peak_s !== null ? segment.peak_s : frame && frame.time_s;
    if (typeof time !== "number") return card.pictures[card.pictures.length >> 1];
    return card.pictures.reduce((best, picture) => (Math.abs(picture.time_s - time) < Math.abs(best.time_s - time) ? picture : best));
  }
  const nameOf = (video) => video.video.slice(video.video.lastIndexOf("/") + 1);
  function tile(index, hasty) {
    const video = hits[index];
    if (hasty) return el("span", { class: "tile" }, el("span", { class: "blank" }), el("span", { class: "tile-name" }, el("bdi", {}, nameOf(video))));
    const card = report.card(video);
    const rows = shownOf(card);
    const picture = pictureOf(card, rows[0] && rows[0].positive ? rows[0] : null);
    const positives = card.labels.filter((label) => label.positive).length;
    const judged = report.verdicts.get(video.video);
    const more = positives - rows.slice(0, LABELS).filter((label) => label.positive).length;
    return el(
      "button",
      { type: "button", class: `tile${video.error ? " failed" : ""}`, title: video.video, click: () => open(index) },
      picture ? el("img", { src: picture.src, alt: "", decoding: "async" }) : el("span", { class: "blank" }, video.error ? "failed" : ""),
      judged ? el("span", { class: "judged-mark" }, el("span", { class: "unseen" }, "judged: "), `✓ ${judged.size}`) : null,
      el("span", { class: "tile-name" }, el("bdi", {}, card.name)),
      video.error
        ? el("span", { class: "tile-error" }, el("b", {}, card.error.type), ` ${card.error.message}`)
        : el("span", { class: "chips" }, rows.slice(0, LABELS).map((label) => el("span", { class: `chip${label.positive ? " positive" : ""}${label.place === chosen() ? " chosen" : ""}` }, el("span", { dir: "auto" }, label.label), " ", el("b", {}, olmv.percent(label.probability))))),
      more > 0 ? el("span", { class: "tile-more" }, `+${more}`) : null,
    );
  }

  // a card
  const optionsOf = (video) => ({
    chosen: chosenName(),
    verdicts: report.verdicts.get(video.video),
    onVerdict: (label, verdict) => judge(video, label, verdict),
  });
  function judge(video, label, verdict) {
    if (!report.judge(video, label, verdict)) olmv.announce("this browser keeps nothing for this page: save truth.csv before you close it");
    panel.files();
  }
  function wholeCard(index, hasty) {
    const video = hits[index];
    return hasty ? el("article", { class: "video hasty" }, el("h2", {}, el("bdi", {}, nameOf(video)))) : olmv.card(report.card(video), optionsOf(video));
  }

  /** Open one video over the page. */
  function open(index) {
    let at = index;
    let row = 0;
    const place = el("p", { class: "facts" });
    const body = el("div");
    const turn = (by, sign, word) => el("button", { type: "button", class: "button", title: word, "aria-label": word, click: () => go(at + by) }, sign);
    const before = turn(-1, "←", "video before"), after = turn(1, "→", "next video");
    const dialog = olmv.dialog([el("div", { class: "dialog-head" }, before, after, place), body], { label: "video", class: "one", onClose: () => {
      opened = null;
      grid.refresh();
      const tile = grid.item(at) || grid.scrollTo(at);
      if (tile && !asList) tile.querySelector("button").focus();
    } });
    const rows = () => Array.from(body.querySelectorAll(".bar"));
    const mark = (scroll) => {
      const all = rows();
      all.forEach((node, number) => node.classList.toggle("current", number === row));
      const node = all[row];
      if (!node) return;
      const fold = node.closest("details");
      if (fold) fold.open = true;
      if (scroll) {
        node.scrollIntoView({ block: "nearest" });
        olmv.announce(node.dataset.label);
      }
    };
    const draw = () => {
      const video = hits[at];
      const card = report.card(video);
      const options = optionsOf(video);
      options.onVerdict = (label, verdict) => judge(video, label, verdict);
      options.onThreshold = (label, value) => {
        report.move(names.indexOf(label), value);
        changed();
      };
      body.replaceChildren(olmv.card(card, options));
      place.textContent = `${(at + 1).toLocaleString("en")} of ${hits.length.toLocaleString("en")}`;
      before.disabled = at === 0;
      after.disabled = at === hits.length - 1;
      row = Math.max(0, rows().findIndex((node) => node.dataset.label === chosenName()));
      mark(false);
    };
    const go = (next) => {
      if (next < 0 || next >= hits.length) return false;
      at = next;
      draw();
      dialog.scrollTop = 0;
      return true;
    };
    const step = (by) => {
      const next = row + by;
      const more = body.querySelector("details.more");
      if (next >= rows().length && more && !more.open) {
        more.open = true; // what is in it is drawn when it opens
        more.dispatchEvent(new Event("toggle"));
      }
      if (chosen() === null && next >= 0 && next < rows().length) {
        row = next;
        mark(true);
      } else go(at + by);
    };
    const verdict = (value) => {
      const node = rows()[row];
      if (!node) return;
      const video = hits[at];
      judge(video, node.dataset.label, value);
      olmv.showVerdict(node.querySelector(".verdict"), value);
      olmv.announce(`${node.dataset.label}: ${value ? "right" : "wrong"}`);
      step(1);
    };
    dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, video")) return;
      const keys = { ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1), j: () => step(1), k: () => step(-1), y: () => verdict(true), n: () => verdict(false) };
      const call = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
      if (!call) return;
      event.preventDefault();
      call();
    });
    opened = { draw };
    draw();
  }

  const changed = olmv.soon(() => {
    panel.recount();
    if (positive.checked || search.value || sort.value === "uncertain") filter();
    else grid.refresh();
  });

  function show(list) {
    asList = list;
    $("tiles").setAttribute("aria-pressed", String(!list));
    $("cards").setAttribute("aria-pressed", String(list));
    if (grid) grid.destroy();
    grid = olmv.grid($("videos"), list ? { count: hits.length, height: CARD, gap: 12, measured: true, render: wholeCard } : { count: hits.length, ...TILE, gap: 10, render: tile });
  }

  const panel = report.panel({
    onLabel: (place) => {
      if (place !== null && sort.value === "input") sort.value = "probability";
      const note = $("chosen");
      note.hidden = place === null;
      note.replaceChildren(...(place === null ? [] : [el("bdi", {}, names[place]), el("button", { type: "button", class: "button", "aria-label": `any label, not only ${names[place]}`, click: () => panel.choose(null) }, "×")]));
      filter();
    },
    onThreshold: olmv.soon(() => {
      if (positive.checked || search.value || sort.value === "uncertain") filter();
      else grid.refresh();
    }),
  });
  const top = () => {
    filter();
    const above = $("controls").getBoundingClientRect().top;
    if (above <= 0) $("videos").scrollIntoView();
  };
  search.addEventListener("input", top);
  for (const control of [sort, positive, failed]) if (control) control.addEventListener("change", top);
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("tiles").addEventListener("click", () => show(false));
  $("cards").addEventListener("click", () => show(true));

  // on paper there is no window to scroll in
  let paper = null;
  window.addEventListener("beforeprint", () => {
    const rest = hits.length - PRINTED;
    paper = el("div", { class: "paper" }, hits.slice(0, PRINTED).map((video) => olmv.card(report.card(video))), rest > 0 ? el("p", {}, `${olmv.count(rest, "video")} more: filter what is printed`) : null);
    $("videos").after(paper);
  });
  window.addEventListener("afterprint", () => paper && paper.remove());

  filter();
  show(videos.length > 0 && videos.length <= 12);

  // the page is still being read: pictures come in the order of the videos
  const READ_MS = 300;
  const reread = () => {
    if (document.readyState === "loading") setTimeout(reread, READ_MS);
    if (!document.querySelector("#videos .tile:not(.failed) .blank")) return;
    if (!opened) grid.refresh();
  };
  if (document.readyState === "loading") {
    setTimeout(reread, READ_MS);
    document.addEventListener("DOMContentLoaded", () => {
      if (opened) opened.draw();
      grid.refresh();
    });
  }
  document.documentElement.dataset.ready = "yes";
})();

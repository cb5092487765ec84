/* Review: one video after the other, right or wrong, and what that says of the label's threshold. */
"use strict";
(() => {
  const { el } = olmv;
  const NAME = "olmv.reviewer"; // in the browser's storage
  const AHEAD = 8; // videos that are held for this page, the one in sight among them
  const LOOK_MS = 10000; // between looks at what other reviewers did
  const FILTERED = 12; // labels; where there are more they can be searched
  const KEYS = [
    ["y", "right: the label is true of the video"],
    ["n", "wrong: it is not"],
    ["j or space", "cannot tell: on to the next"],
    ["u", "undo your last verdict"],
    ["?", "these keys"],
  ];

  const stored = () => {
    try {
      return localStorage.getItem(NAME) || "";
    } catch {
      return ""; // storage can be forbidden
    }
  };
  const store = (name) => {
    try {
      localStorage.setItem(NAME, name);
    } catch {
      // then the name lasts as long as the page
    }
  };
  // two without a name would be taken for one, and asked about the same videos
  const anonymous = () => `reviewer ${1000 + (crypto.getRandomValues(new Uint32Array(1))[0] % 9000)}`;
  /** Draw the review into `container`; `api` asks the server (get, post, put). Returns {destroy()}. */
  olmv.reviewPage = (container, api) => {
    let reviewer = stored() || anonymous();
    let about = null; // the answer of /v1/review
    let chosen = null; // label
    let items = []; // that wait, the one in sight first
    let left = 0;
    let sending = Promise.resolve(); // verdicts go one after the other
    let unsent = 0;
    let asked = 0; // loads of a queue, so that an old answer does not win

    const labelOf = (name) => about.labels.find((each) => each.label === name);

    /* what is always there */
    const trouble = el("p", { class: "note", role: "alert", hidden: true });
    const fail = (failure, what) => {
      trouble.textContent = `${what}: ${failure.message}`;
      trouble.hidden = false;
    };
    const name = el("input", { class: "field", id: "reviewer", maxlength: 100, autocomplete: "nickname", value: reviewer });
    name.addEventListener("change", () => {
      reviewer = name.value.trim() || anonymous();
      name.value = reviewer;
      store(reviewer);
      items = [];
      fill();
    });
    name.addEventListener("keydown", (event) => {
      if (event.key === "Enter") name.blur(); // on to the keys of the review
    });
    const facts = el("p", { class: "facts" });
    const filter = el("input", { class: "field", type: "search", placeholder: "find a label", "aria-label": "find a label", hidden: true, input: () => drawLabels() });
    const list = el("ul", { class: "review-labels" });
    const seat = el("section", { class: "video review-item", "aria-label": "the video to judge" });
    const side = el("section", { class: "video review-side", "aria-label": "threshold and figures" });

    const help = () => olmv.dialog([el("h2", {}, "Keys"), el("dl", { class: "keys" }, KEYS.map(([key, words]) => [el("dt", {}, key.split(" or ").map((each, index) => [index ? " or " : "", el("kbd", {}, each)])), el("dd", {}, words)]))], { label: "keys", class: "narrow" });
    const head = el(
      "div",
      { class: "review-head" },
      el("label", { for: "reviewer" }, "Your name"),
      name,
      facts,
      el("span", { class: "controls" },
        el("a", { class: "button", href: "/v1/review/truth.csv", download: "truth.csv" }, "truth.csv"),
        el("a", { class: "button", href: "/v1/review/thresholds.json", download: "thresholds.json" }, "thresholds.json"),
        el("button", { type: "button", class: "button", "aria-label": "keys", title: "keys (?)", click: help }, "?")),
    );
    container.replaceChildren(el("div", { class: "review" }, trouble, head, el("div", { class: "review-body" }, el("nav", { "aria-label": "labels" }, filter, list), seat, side)));
    store(reviewer);

    /* labels */
    const drawLabels = () => {
      const wanted = filter.value.trim().toLowerCase();
      filter.hidden = about.labels.length <= FILTERED;
      list.replaceChildren(
        ...about.labels
          .filter((each) => !wanted || each.label.toLowerCase().includes(wanted))
          .map((each) =>
            el("li", {}, el("button", { type: "button", class: "review-label", "aria-current": each.label === chosen ? "true" : null, dataset: { label: each.label }, click: () => choose(each.label) },
              el("span", { dir: "auto" }, each.label),
              el("small", {}, each.reviewed ? `${each.right} right, ${each.wrong} wrong` : `${olmv.count(each.positives, "positive")}`))),
          ),
      );
      const people = about.reviewer_count > 1 ? ` · ${about.reviewer_count} reviewers` : "";
      facts.textContent = `${about.source} · ${olmv.count(about.labels.length ? about.labels[0].total : 0, "video")} · ${about.model}${people}`;
      facts.title = `kept in ${about.folder}`;
      if (about.export_error) fail({ message: about.export_error }, "all verdicts are kept, but the files could not be written");
    };
    const put = (label) => {
      const waiting = panel.waiting(); // what is being dragged stays as it is
      if (waiting && waiting.label === label.label) label = { ...label, threshold: waiting.threshold };
      about.labels = about.labels.map((each) => (each.label === label.label ? label : each));
      drawLabels();
      if (label.label === chosen) panel.figures(label);
    };

    const panel = olmv.reviewSide(side, api, {
      chosen: () => chosen,
      label: (name = chosen) => labelOf(name),
      reviewer: () => reviewer,
      put,
      fail,
      moved: (threshold) => drawTrack(threshold),
      begin: () => {
        items = [];
        return fill();
      },
      send: (item, verdict, order) => send(item, verdict, order),
    });

    /* the video in sight */
    const drawTrack = (threshold) => {
      const track = seat.querySelector(".review-track");
      if (!track || !items.length) return;
      track.classList.toggle("positive", items[0].probability >= threshold);
      track.replaceChildren(olmv.track(items[0].probability, threshold));
    };
    const ahead = new Map(); // video -> what is drawn of it; of the one in sight and the next
    const seen = (item) => {
      for (const video of ahead.keys()) if (!items.slice(0, 2).some((each) => each.video === video)) ahead.delete(video);
      if (!ahead.has(item.video)) ahead.set(item.video, olmv.shown(item, api));
      return ahead.get(item.video);
    };
    const play = (video) => {
      if (!video || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      video.play().catch(() => {}); // then its button does
    };
    const drawItem = () => {
      const item = items[0];
      if (!item) {
        const label = labelOf(chosen);
        const next = about.labels.find((each) => each.label !== chosen && each.reviewed + each.skipped < each.total);
        seat.replaceChildren(
          el("h2", { dir: "auto" }, left ? `The ${olmv.count(left, "video")} left for ${chosen} are with other reviewers` : `Every video was judged for ${chosen}`),
          el("p", { class: "facts" }, left ? "They come back in two minutes if nobody answers." : `${label.right} right, ${label.wrong} wrong, ${label.skipped} skipped.`),
          el("p", { class: "controls" },
            left ? el("button", { type: "button", class: "button", click: () => fill() }, "Look again") : null,
            next ? el("button", { type: "button", class: "button main", click: () => choose(next.label) }, `Go on with ${next.label}`) : null,
            el("button", { type: "button", class: "button", click: undo }, "Undo ", el("kbd", {}, "u"))),
        );
        return;
      }
      const button = (verdict, word, key, kind) => el("button", { type: "button", class: `button ${kind}`, "aria-keyshortcuts": key, click: () => judge(verdict) }, `${word} `, el("kbd", {}, key));
      seat.replaceChildren(
        el("header", {}, el("h2", { title: item.video }, el("span", { class: "folder" }, item.folder ? `${item.folder}/` : ""), el("bdi", {}, item.name))),
        el("div", { class: "review-seen" }, seen(item)),
        el("p", { class: "review-question" }, "Is this right: ", el("b", { dir: "auto" }, item.label), "? ", el("span", { class: "facts" }, `the model says ${olmv.percent(item.probability)}`)),
        el("div", { class: "review-track" }),
        el("div", { class: "controls review-buttons" }, button(true, "Right", "y", "says-right"), button(false, "Wrong", "n", "says-wrong"), button(null, "Skip", "j", "says-nothing"), el("button", { type: "button", class: "button", "aria-keyshortcuts": "u", click: undo }, "Undo ", el("kbd", {}, "u"))),
        el("output", { class: "review-left" }, unsent ? `${olmv.count(unsent, "verdict")} on the way` : `${olmv.count(left, "video")} left`),
      );
      drawTrack(labelOf(chosen).threshold);
      play(seat.querySelector("video"));
      if (items.length > 1) seen(items[1]); // is loaded meanwhile
    };
    const drawWaiting = () => seat.replaceChildren(el("p", { class: "facts", role: "status" }, "the next video is on its way…"));
    const tellLeft = () => {
      const place = seat.querySelector(".review-left");
      if (place) place.textContent = unsent ? `${olmv.count(unsent, "verdict")} on the way` : `${olmv.count(left, "video")} left`;
    };

    /** Get the next videos, so that there is always one more than is looked at. */
    const fill = async () => {
      const label = chosen;
      const number = (asked += 1);
      try {
        await sending; // else what was just judged would come again
        const skip = items.map((item) => item.video);
        const told = await api.get(`/v1/review/queue?${olmv.query({ label, count: Math.max(1, AHEAD - items.length), reviewer, skip })}`);
        if (label !== chosen || number !== asked) return;
        left = told.left;
        const first = items.length === 0;
        const there = new Set(items.map((item) => item.video));
        items.push(...told.items.filter((item) => !there.has(item.video)));
        if (first || !items.length) drawItem();
        else tellLeft();
        if (labelOf(label).anchor === null && items.length) put({ ...labelOf(label), anchor: labelOf(label).threshold });
      } catch (failure) {
        fail(failure, "no videos");
      }
    };

    const send = (item, verdict, order) => {
      unsent += 1;
      sending = sending.then(async () => {
        try {
          const told = await api.post("/v1/review/verdicts", { video: item.video, label: item.label, verdict, reviewer, order });
          unsent -= 1;
          trouble.hidden = true;
          put(told);
          return true;
        } catch (failure) {
          unsent -= 1;
          fail(failure, `the verdict on ${item.name} was not kept, judge it again`);
          return false;
        }
      });
      return sending;
    };
    const judge = async (verdict) => {
      const item = items.shift();
      if (!item) return;
      const sent = send(item, verdict, item.order);
      if (items.length) drawItem();
      else drawWaiting();
      const word = verdict === null ? "skipped" : verdict ? "right" : "wrong";
      olmv.announce(items.length ? `${word}; next ${items[0].name}` : word);
      const label = item.label;
      if (!(await sent) && label === chosen) {
        items.unshift(item);
        drawItem();
        return;
      }
      if (label !== chosen) return;
      left = Math.max(0, left - 1);
      tellLeft();
      if (items.length < AHEAD / 2) await fill();
      refigure(label);
    };
    const refigure = olmv.soon(() => {
      if (unsent === 0 && !panel.waiting()) panel.estimate(chosen, labelOf(chosen).threshold);
    });
    const undo = async () => {
      await sending;
      try {
        const told = await api.post("/v1/review/undo", { reviewer });
        if (!told.item) {
          fail({ message: "no verdict of yours is left" }, "there is nothing to undo");
          return;
        }
        if (told.item.label !== chosen) await choose(told.item.label);
        items = [told.item, ...items.filter((item) => item.video !== told.item.video)];
        left += 1;
        put(told.label);
        drawItem();
        olmv.announce(`undone: ${told.item.name}`);
      } catch (failure) {
        fail(failure, "nothing was undone");
      }
    };

    const choose = async (label) => {
      await panel.keep();
      chosen = label;
      items = [];
      drawLabels();
      panel.draw(labelOf(label));
      drawWaiting();
      await fill();
      await panel.estimate(label, labelOf(label).threshold);
    };

    const look = async () => {
      if (container.hidden || document.hidden || !about || unsent || panel.waiting()) return;
      try {
        const told = await api.get("/v1/review");
        if (unsent || panel.waiting()) return; // what is on the way is newer
        about = told;
        drawLabels();
        if (chosen) panel.figures(labelOf(chosen));
      } catch {
        // the page says elsewhere that the server is gone
      }
    };
    const begin = async () => {
      try {
        about = await api.get("/v1/review");
      } catch (failure) {
        fail(failure, "the review cannot be shown");
        return;
      }
      drawLabels();
      const begun = about.labels.find((each) => each.reviewed > 0 && each.reviewed + each.skipped < each.total);
      if (about.labels.length) await choose((begun || about.labels[0]).label);
    };

    const typed = (event) => {
      const field = event.target.closest ? event.target.closest("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]") : null;
      if (field || event.ctrlKey || event.metaKey || event.altKey || container.hidden || !container.isConnected) return;
      if (document.querySelector("dialog[open]")) return;
      const pressed = event.target.closest && event.target.closest("button, a, summary, video");
      if (event.key === " " && pressed) return; // it is for what has the focus
      const act = { y: () => judge(true), n: () => judge(false), j: () => judge(null), " ": () => judge(null), u: undo, "?": help }[event.key];
      if (!act || (event.repeat && event.key !== "?")) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", typed);
    const timer = setInterval(look, LOOK_MS);
    const leave = () => panel.keep();
    addEventListener("pagehide", leave);
    begin();
    return {
      destroy: () => {
        document.removeEventListener("keydown", typed);
        removeEventListener("pagehide", leave);
        clearInterval(timer);
        container.replaceChildren();
      },
    };
  };
})();

/* Beside the video that is reviewed: the label's threshold to drag, and what decisions at it are worth. */
"use strict";
(() => {
  const { el } = olmv;
  const SETTLE_MS = 120; // after the last move of a threshold, before figures are asked for
  const KEEP_MS = 500; // before it is kept
  const STEPS = 1000; // of the counts that the server sends once
  const PHOTO = /\.(jpe?g|png|webp|gif|bmp|avif)$/i;

  /** Write the query of an address; of a list each value. */
  olmv.query = (values) => {
    const all = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) for (const each of [value].flat()) all.append(name, each);
    return all.toString();
  };

  /** Draw what can be seen of a video: it plays, or frames of it are there, or only its name.
  Where the page cannot play it, the server decodes some frames. */
  olmv.shown = (item, api) => {
    const card = { name: item.name, photo: PHOTO.test(item.name), pictures: item.pictures || [], end_s: item.end_s || 0.1 };
    const box = el("div", {}); // what is in it may change before it is on the page
    const decoded = async (words) => {
      box.replaceChildren(el("p", { class: "facts" }, `${words}; frames of it are on their way…`));
      try {
        const told = await api.get(`/v1/review/frames?${olmv.query({ video: item.video })}`);
        box.replaceChildren(olmv.frames({ ...card, pictures: told.pictures }), el("p", { class: "facts" }, `${words}; these are frames of it`));
      } catch (failure) {
        box.replaceChildren(el("p", { class: "facts" }, `${words}, and there are no frames of it (${failure.message}). Skip it, or look at the file: `, el("bdi", {}, item.video)));
      }
    };
    const address = olmv.address(item.player);
    const frames = card.pictures.length ? olmv.frames(card) : null;
    const unplayable = "this browser cannot play the file";
    if (!address && frames) box.append(frames);
    else if (!address) decoded("this file is not played from here");
    else {
      const tag = card.photo ? "img" : "video";
      const media = card.photo ? { alt: `photo ${item.name}` } : { controls: true, loop: true, preload: "auto", "aria-label": item.name };
      const seen = el(tag, { class: "seen", src: address, ...media });
      seen.muted = true; // else it may not begin by itself
      seen.addEventListener("error", () => {
        if (frames) seen.replaceWith(el("p", { class: "facts" }, `${unplayable}; these are frames of it`));
        else decoded(unplayable);
      }, { once: true });
      if (item.start_s) seen.addEventListener("loadedmetadata", () => (seen.currentTime = item.start_s), { once: true });
      box.append(seen, ...(frames ? [frames] : []));
    }
    return box;
  };

  /** Write a share with its interval. */
  const shareOf = (figure) => {
    if (!figure) return el("span", { class: "facts" }, "not yet: judge more videos");
    return [el("b", {}, olmv.percent(figure.value)), el("span", { class: "facts" }, ` ${olmv.percent(figure.low)} to ${olmv.percent(figure.high)}`)];
  };

  /** Draw the panel into `side`. `host` tells of the page: `chosen()` and `label(name)` (the chosen one by default),
  `reviewer()`, `put(label)` takes what the server says of a label, `fail(failure, what)`, `moved(threshold)`, `begin()`
  asks for the queue anew, `send(item, verdict, order)`.
  Returns {draw(label), figures(label), estimate(label, threshold), keep(), waiting()}. */
  olmv.reviewSide = (side, api, host) => {
    let parts = null;
    let counts = null; // positives at every thousandth
    let settling = 0;
    let keeping = 0;
    let keep = null; // a threshold that is not kept yet

    const drawSide = (label) => {
      const histogram = olmv.histogram({ counts: label.histogram, threshold: label.threshold, onThreshold: (value) => move(value) });
      const slider = olmv.threshold({ label: label.label, value: label.threshold, onInput: (value) => move(value, true) });
      parts = {
        histogram,
        slider,
        positives: el("p", { class: "review-positives" }),
        precision: el("dd"),
        recall: el("dd"),
        counted: el("p", { class: "facts" }),
        suggestion: el("p", { class: "controls" }),
        anew: el("button", { type: "button", class: "button", title: "ask first about videos near the present threshold; what was judged is kept", click: orderAnew }, "Order anew around this threshold"),
        conflicts: el("p", { class: "controls" }),
      };
      side.replaceChildren(
        el("h2", { dir: "auto" }, `Threshold of ${label.label}`),
        histogram,
        slider,
        parts.positives,
        el("dl", { class: "figures" }, el("dt", {}, "precision"), parts.precision, el("dt", {}, "recall"), parts.recall),
        parts.counted,
        parts.suggestion,
        parts.conflicts,
        parts.anew,
      );
    };
    const positives = (count) => {
      parts.positives.replaceChildren(el("b", {}, count.toLocaleString("en")), ` of ${olmv.count(host.label().total, "video")} positive`);
    };
    const drawFigures = (label) => {
      positives(label.positives);
      parts.precision.replaceChildren(...[shareOf(label.precision)].flat());
      parts.recall.replaceChildren(...[shareOf(label.recall)].flat());
      const skipped = label.skipped ? `, ${label.skipped} skipped` : "";
      parts.counted.textContent = label.reviewed || label.skipped ? `${label.right} right, ${label.wrong} wrong${skipped}; intervals of 90%` : "nothing judged yet";
      parts.anew.hidden = label.anchor === null || Math.abs(label.anchor - label.threshold) < 0.001;
      parts.conflicts.replaceChildren(...(label.conflicts ? [el("button", { type: "button", class: "button", click: disagreements }, olmv.count(label.conflicts, "disagreement"))] : []));
    };
    const suggest = (suggestion) => {
      const at = suggestion.threshold;
      const shown = at !== null && Math.abs(at - host.label().threshold) >= 0.0005;
      parts.suggestion.replaceChildren(...(shown ? [el("button", { type: "button", class: "button", click: () => move(Number(at.toPrecision(4))) }, `Best F1 at ${olmv.limit(at)}`)] : []));
    };
    const estimate = async (label, threshold) => {
      try {
        const told = await api.get(`/v1/review/estimates?${olmv.query({ label, threshold })}`);
        if (label !== host.chosen() || host.label(label).threshold !== threshold) return; // it was moved on
        drawFigures({ ...host.label(label), positives: told.positives, precision: told.precision, recall: told.recall });
        suggest(told.suggestion);
      } catch (failure) {
        host.fail(failure, "no figures");
      }
    };
    const move = (threshold, typed = false) => {
      const label = host.label();
      label.threshold = threshold;
      parts.histogram.set(threshold);
      if (!typed) parts.slider.set(threshold);
      if (counts) positives(counts[Math.min(STEPS, Math.ceil(Number((STEPS * threshold).toFixed(6))))]);
      keep = { label: host.chosen(), threshold };
      clearTimeout(settling);
      settling = setTimeout(estimate, SETTLE_MS, host.chosen(), threshold);
      clearTimeout(keeping);
      keeping = setTimeout(keepNow, KEEP_MS);
      host.moved(threshold);
    };
    const keepNow = async () => {
      clearTimeout(keeping);
      if (!keep) return;
      const body = { ...keep, reviewer: host.reviewer() };
      keep = null;
      try {
        host.put(await api.put("/v1/review/thresholds", body));
      } catch (failure) {
        host.fail(failure, `the threshold of ${body.label} was not kept`);
      }
    };
    const orderAnew = async () => {
      await keepNow();
      try {
        host.put(await api.post("/v1/review/order", { label: host.chosen(), reviewer: host.reviewer() }));
        await host.begin();
        olmv.announce("the queue begins anew around this threshold");
      } catch (failure) {
        host.fail(failure, "it was not ordered anew");
      }
    };
    const disagreements = async () => {
      let found;
      try {
        found = await api.get(`/v1/review/conflicts?${olmv.query({ label: host.chosen() })}`);
      } catch (failure) {
        host.fail(failure, "no disagreements");
        return;
      }
      const label = host.chosen();
      olmv.dialog(
        [
          el("h2", { dir: "auto" }, `Disagreements about ${label}`),
          el("p", { class: "facts" }, "The last verdict counts."),
          found.map(({ item, verdicts }) =>
            el("div", { class: "review-conflict" },
              el("h3", { title: item.video }, el("bdi", {}, item.name)),
              olmv.shown(item, api),
              el("p", {}, verdicts.map((each, index) => [index ? ", " : "", el("b", {}, each.reviewer || "somebody"), `: ${each.verdict ? "right" : "wrong"}`])),
              olmv.verdict(label, item.verdict, (verdict) => host.send(item, verdict, null)))),
        ],
        { label: "disagreements" },
      );
    };
    return {
      draw: (label) => {
        drawSide(label);
        drawFigures(label);
        counts = null;
        api.get(`/v1/review/scores?${olmv.query({ label: label.label })}`).then((told) => {
          if (told.label === host.chosen()) counts = told.positives;
        }, () => {}); // then the server counts
      },
      figures: drawFigures,
      estimate,
      keep: keepNow,
      waiting: () => keep,
    };
  };
})();

/* Labels with their probabilities as bars, thresholds, and verdicts of whoever looks. */
"use strict";
(() => {
  const { el, svg } = olmv;
  const SHOWN = 8; // bars in sight, the others behind "more"
  const STEP = 0.005; // of a threshold

  const place = (share) => (100 * Math.min(Math.max(share, 0), 1)).toFixed(2);

  /** Return the texts that carried a label; none where it has no other text than its name. */
  function textsOf(explanation) {
    const texts = ((explanation && explanation.texts) || []).filter((text) => text.contribution).slice(0, 3);
    return texts.length === 1 && texts[0].text === explanation.label ? [] : texts;
  }

  /** Return the three frames that carried a label most; of a photo none. */
  function framesOf(card, explanation) {
    if (card.photo || !explanation) return [];
    return explanation.frames.filter((frame) => frame.contribution).slice(0, 3);
  }

  /** Return what is said of a label beside its probability: {texts, frames}. */
  olmv.reasons = (card, label) => {
    const explanation = (card.explanations || []).find((item) => item.label === label);
    return { texts: textsOf(explanation), frames: framesOf(card, explanation) };
  };

  /** Draw the texts of an explanation, and when: children of a paragraph. */
  olmv.why = (texts, frames) => [
    texts.map((text, index) => [index ? ", " : "", el("q", { dir: "auto" }, text.text), " ", el("small", {}, (text.contribution < 0 ? "" : "+") + text.contribution.toFixed(3))]),
    frames.length
      ? [texts.length ? " · " : "", "at ", frames.map((frame) => (frame.time_s === null ? `frame ${frame.frame}` : `${frame.time_s.toFixed(1)} s`)).join(", ")]
      : [],
  ];

  /** Draw a probability and its threshold. */
  olmv.track = (probability, threshold) =>
    svg(
      "svg",
      { class: "track", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `probability ${olmv.percent(probability)}, threshold ${olmv.limit(threshold)}` },
      svg("rect", { class: "fill", width: place(probability), height: 10 }),
      svg("line", { class: "limit", x1: place(threshold), x2: place(threshold), y1: 0, y2: 10 }),
    );

  /** Make the mark of a label's threshold, which is dragged over what it lies on, or moved by arrow keys; it has `set(value)`. */
  olmv.mark = (label, onInput) => {
    const input = el("input", { type: "range", class: "mark", min: 0, max: 1, step: STEP, "aria-label": `threshold of ${label.label}`, title: "drag: the threshold of this label" });
    const say = () => input.setAttribute("aria-valuetext", olmv.limit(Number(input.value)));
    input.set = (value) => {
      input.value = value;
      say();
    };
    input.set(label.threshold);
    input.addEventListener("input", () => {
      say();
      onInput(Number(input.value));
    });
    return input;
  };

  /** Draw the two buttons of a verdict; a second press takes it back.
  `verdict` is true (the label is right), false, or undefined; `onVerdict(value or null)` is told. */
  olmv.verdict = (label, verdict, onVerdict) => {
    const group = el("span", { class: "verdict", role: "group", "aria-label": `is ${label} right?` });
    const button = (value, sign, word) =>
      el("button", { type: "button", class: word, "aria-pressed": String(verdict === value), "aria-label": `${label}: ${word}`, title: value ? "right: the label is true of the video (y)" : "wrong: it is not (n)", click: () => {
        const chosen = group.querySelector(`.${word}`).getAttribute("aria-pressed") === "true" ? null : value;
        olmv.showVerdict(group, chosen);
        onVerdict(chosen);
      } }, sign);
    group.append(button(true, "✓", "right"), button(false, "✗", "wrong"));
    return group;
  };

  /** Show another verdict on the buttons that `verdict` made. */
  olmv.showVerdict = (group, verdict) => {
    group.querySelector(".right").setAttribute("aria-pressed", String(verdict === true));
    group.querySelector(".wrong").setAttribute("aria-pressed", String(verdict === false));
  };

  function bar(card, label, options) {
    const { texts, frames } = olmv.reasons(card, label.label);
    const { onThreshold, onVerdict, chosen } = options;
    const track = el("span", { class: "on-track" }, olmv.track(label.probability, label.threshold));
    const item = el(
      "li",
      { class: `bar${label.positive ? " positive" : ""}${chosen === label.label ? " chosen" : ""}`, dataset: { label: label.label } },
      el("span", { class: "label", dir: "auto", title: label.label }, label.label),
      track,
      el("span", { class: "percent" }, olmv.percent(label.probability)),
      onVerdict ? olmv.verdict(label.label, olmv.get(options.verdicts, label.label), (value) => onVerdict(label.label, value)) : null,
      texts.length || (frames.length && label.positive) ? el("p", { class: "why" }, olmv.why(texts, frames)) : null,
    );
    if (onThreshold) {
      const input = olmv.mark(label, (value) => {
        const line = track.querySelector(".limit");
        line.setAttribute("x1", place(value));
        line.setAttribute("x2", place(value));
        item.classList.toggle("positive", label.probability >= value);
        onThreshold(label.label, value);
      });
      track.append(input);
    }
    if (frames.length) item.dataset.frames = frames.map((frame) => `${frame.frame}@${frame.time_s === null ? "" : frame.time_s}`).join(" ");
    return item;
  }

  /** Put items into a list, those beyond the first few behind "more". */
  olmv.folded = (items, shown, { class: kind = "bars", leftOut = 0, open = false, what = "more labels" } = {}) => {
    const rest = items.length - shown;
    const note = leftOut ? el("p", { class: "facts" }, `${olmv.count(leftOut, "less probable label")} left out here; the rows have them all.`) : null;
    const first = el("ul", { class: kind }, items.slice(0, shown));
    if (rest <= 0) return [first, note];
    const more = el("details", { class: "more", open }, el("summary", {}, `${rest} ${what}`));
    const draw = () => {
      if (more.children.length === 1) more.append(el("ul", { class: kind }, items.slice(shown)), ...(note ? [note] : []));
    };
    if (open) draw();
    else more.addEventListener("toggle", draw, { once: true });
    return [first, more];
  };

  /** Draw the labels of a card as bars.
  Options: `shown` in sight (8); `chosen`, a label to point out; `onThreshold(label, value)`; `onVerdict(label, true,
  false or null)` with `verdicts`, by label. */
  olmv.bars = (card, options = {}) => {
    const items = card.labels.map((label) => bar(card, label, options));
    const shown = options.shown ?? SHOWN;
    const open = card.labels.findIndex((label) => label.label === options.chosen) >= shown;
    return el("div", { class: "labels" }, olmv.folded(items, shown, { leftOut: card.left_out, open }));
  };

  /** Draw a slider for a threshold, with its number: {label, value, onInput, onChange}.
  The element has `set(value)`. */
  olmv.threshold = ({ label, value, onInput, onChange }) => {
    const range = el("input", { type: "range", min: 0, max: 1, step: STEP, "aria-label": `threshold of ${label}` });
    const number = el("input", { type: "number", class: "number", min: 0, max: 100, step: "any", "aria-label": `threshold of ${label} in per cent` });
    const box = el("div", { class: "slider" }, range, el("span", { class: "unit" }, number, "%"));
    const show = (at, except) => {
      if (except !== range) range.value = at;
      if (except !== number) number.value = Number((100 * at).toPrecision(4));
    };
    const told = (source, read, call) => () => {
      const at = read();
      if (!Number.isFinite(at) || at < 0 || at > 1) return;
      show(at, source);
      if (call) call(at);
    };
    const ofNumber = () => (number.value === "" ? NaN : Number(number.value) / 100);
    range.addEventListener("input", told(range, () => Number(range.value), onInput));
    range.addEventListener("change", told(range, () => Number(range.value), onChange));
    number.addEventListener("input", told(number, ofNumber, onInput));
    number.addEventListener("change", told(number, ofNumber, onChange));
    show(value);
    box.set = (at) => show(at);
    return box;
  };

  /** Count probabilities in equal bins. */
  olmv.binned = (values, bins = 50) => {
    const counts = new Array(bins).fill(0);
    for (const value of values) counts[Math.min(bins - 1, Math.floor(value * bins))] += 1;
    return counts;
  };

  /** Draw a histogram of probabilities: {values or counts, threshold, onThreshold(value)}.
  The mark can be dragged; for keys there is `olmv.threshold`. The element has `set(threshold)`. Heights are those of
  square roots: a bin of one video is seen beside one of thousands. */
  olmv.histogram = ({ values, counts, threshold = null, onThreshold }) => {
    const bins = counts || olmv.binned(values || []);
    const most = Math.sqrt(Math.max(1, ...bins));
    const rects = bins.map((count, index) => {
      const height = (38 * Math.sqrt(count)) / most;
      return svg("rect", { x: (100 * index) / bins.length + 0.1, width: 100 / bins.length - 0.2, y: 40 - height, height });
    });
    const line = svg("line", { class: "limit", y1: 0, y2: 40 });
    const all = bins.reduce((sum, count) => sum + count, 0);
    const drawing = svg("svg", { class: `histogram${onThreshold ? " draggable" : ""}`, viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img" }, rects, line);
    const set = (at) => {
      line.toggleAttribute("hidden", at === null);
      if (at !== null) {
        line.setAttribute("x1", place(at));
        line.setAttribute("x2", place(at));
      }
      rects.forEach((rect, index) => rect.setAttribute("class", at !== null && (index + 0.5) / bins.length >= at ? "above" : "below"));
      drawing.setAttribute("aria-label", `probabilities of ${olmv.count(all, "video")}${at === null ? "" : `, threshold ${olmv.limit(at)}`}`);
    };
    if (onThreshold) {
      const move = (event) => {
        const box = drawing.getBoundingClientRect();
        const at = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
        const value = Math.round(at / STEP) * STEP;
        set(value);
        onThreshold(Number(value.toFixed(3)));
      };
      drawing.addEventListener("pointerdown", (event) => {
        drawing.setPointerCapture(event.pointerId);
        move(event);
      });
      drawing.addEventListener("pointermove", (event) => {
        if (drawing.hasPointerCapture(event.pointerId)) move(event);
      });
    }
    set(threshold);
    drawing.set = set;
    return drawing;
  };
})();

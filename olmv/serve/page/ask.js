/* What videos are asked: labels, thresholds, and what else is told. */
"use strict";
(() => {
  const { el } = olmv;
  const KEPT = "olmv.labels"; // in the browser's storage
  const SLIDERS = 60;
  const CELLED = 500; // labels whose probabilities over time come along; of an hour they are 10 MB
  const EXAMPLES = ["dog", "cat", "car", "people talking", "city street at night", "food", "snow", "guitar"];

  const kept = (longest) => {
    try {
      const labels = JSON.parse(localStorage.getItem(KEPT));
      return Array.isArray(labels) && labels.every((label) => typeof label === "string") ? labels.filter((label) => olmv.characters(label) <= longest) : null;
    } catch {
      return null; // storage can be forbidden, or written by others
    }
  };
  const keep = (labels) => {
    try {
      if (labels) localStorage.setItem(KEPT, JSON.stringify(labels));
      else localStorage.removeItem(KEPT);
    } catch {
      // then they last as long as the page
    }
  };

  /** Draw the panel. `info` is the answer of /v1/labels; `onLabels()` where labels were changed, `onThresholds()` where
  a threshold was moved, `onChange()` where something else was. Returns {element, request(), threshold(label),
  move(label, value), labels(), add(texts), commit(), focus(), timeline(), mostWithCurves, fail(message)}. */
  olmv.askPanel = ({ api, info, onChange, onThresholds, onLabels }) => {
    const own = info.labels.map((label) => label.name);
    const limits = new Map(info.labels.map((label) => [label.name, label.threshold]));
    const thresholds = new Map(); // that were set here, by label
    let common = null; // threshold of all others, where it was set here

    const isOwn = (labels) => own.length > 0 && labels.length === own.length && labels.every((label, place) => label === own[place]);
    const threshold = (label) => thresholds.get(label) ?? common ?? limits.get(label);

    const request = () => {
      const labels = chips.labels();
      const moved = common !== null || thresholds.size > 0;
      const limited = moved ? labels.map((label) => [label, threshold(label)]).filter(([, value]) => value !== undefined) : [];
      const asked = new Set(labels);
      const described = isOwn(labels) ? [] : info.labels.filter((label) => label.attributes.length && asked.has(label.name));
      return {
        labels: isOwn(labels) ? null : labels, // null: with all that the server knows of its own
        attributes: Object.fromEntries(described.map((label) => [label.name, label.attributes])),
        thresholds: Object.fromEntries(limited),
        timeline: timed.checked,
        curve: labels.length <= CELLED,
        explain: explained.checked,
        pictures: true,
      };
    };

    /* what is asked */
    const chips = olmv.chips({
      name: "labels",
      placeholder: "a thing, a scene, an action",
      labels: kept(info.max_label_chars) ?? own,
      longest: info.max_label_chars,
      suggest: async (text, signal) => (await api.get(`/v1/labels/suggest?q=${encodeURIComponent(text)}`, { signal })).suggestions,
      onChange: (labels) => {
        keep(isOwn(labels) ? null : labels);
        drawLabels();
        onLabels();
      },
    });
    const wrong = el("p", { class: "error", role: "alert", hidden: true });
    const reset = el("button", { type: "button", class: "link", click: () => chips.set(own) }, "the server’s own");
    const none = el("button", { type: "button", class: "link", click: () => (chips.set([]), chips.field.focus()) }, "remove all");
    const examples = el("p", { class: "examples" }, "For example: ", EXAMPLES.map((label) => [el("button", { type: "button", class: "example", click: () => chips.add([label]) }, label), " "]));
    const kinds = new Set(limits.values());
    const usual = kinds.size === 1 ? [...kinds][0] : 0.5;
    const differ = el("p", { class: "facts", hidden: kinds.size < 2 }, "Each label has its own, until this is moved.");
    const slider = olmv.threshold({ label: "all labels", value: usual, onInput: (value) => moveAll(value) });
    const back = el("button", { type: "button", class: "link", hidden: true, click: () => forgetThresholds() }, "reset");
    const sliders = el("div", { class: "sliders" });
    const each = el("details", {}, el("summary", {}, "of each label"), sliders);
    each.addEventListener("toggle", () => drawSliders());
    const timed = el("input", { type: "checkbox", id: "timed", change: () => onChange() });
    const explained = el("input", { type: "checkbox", id: "explained", change: () => onChange() });
    const settings = el(
      "details",
      { class: "settings" },
      el("summary", {}, "Threshold, time, reasons"),
      el("h2", {}, "Threshold ", back),
      slider,
      differ,
      each,
      el("h2", {}, "Also tell"),
      el("p", { class: "option" }, timed, el("label", { for: "timed" }, "when each label is true")),
      el("p", { class: "option" }, explained, el("label", { for: "explained" }, "what carried it")),
    );
    const element = el(
      "aside",
      { class: "panel", "aria-label": "what is asked" },
      el("h2", {}, "Labels"),
      chips.element,
      wrong,
      examples,
      el("p", { class: "facts links" }, reset, none),
      settings,
    );
    // beside the results there is room for all of it; above them, on a phone, it would be in their way
    const beside = matchMedia("(min-width: 60rem)");
    const fit = () => (settings.open = beside.matches);
    beside.addEventListener("change", fit);
    fit();

    function drawLabels() {
      const labels = chips.labels();
      reset.hidden = !own.length || isOwn(labels);
      none.hidden = labels.length < 2;
      examples.hidden = labels.length > 3 || (own.length > 0 && labels.length > 0);
      for (const button of examples.querySelectorAll("button")) button.disabled = labels.includes(button.textContent);
      drawSliders();
    }
    function drawSliders() {
      if (!each.open) return;
      const labels = chips.labels();
      sliders.replaceChildren(
        ...labels.slice(0, SLIDERS).map((label) => el("div", { class: "one" }, el("span", { class: "label", dir: "auto", title: label }, label), olmv.threshold({ label, value: threshold(label) ?? 0.5, onInput: (value) => move(label, value) }))),
        ...(labels.length > SLIDERS ? [el("p", { class: "facts" }, `The first ${SLIDERS} of ${labels.length.toLocaleString("en")}; the others move on their cards.`)] : []),
      );
    }

    function move(label, value) {
      thresholds.set(label, value);
      back.hidden = false;
      onThresholds();
    }
    function moveAll(value) {
      common = value;
      thresholds.clear();
      drawSliders();
      back.hidden = false;
      differ.hidden = true;
      onThresholds();
    }
    function forgetThresholds() {
      common = null;
      thresholds.clear();
      slider.set(usual);
      differ.hidden = kinds.size < 2;
      drawSliders();
      back.hidden = true;
      onChange();
    }

    drawLabels();
    return {
      element,
      request,
      threshold,
      labels: () => chips.labels(),
      add: (texts) => chips.add(texts),
      commit: () => chips.commit(),
      focus: () => chips.field.focus(),
      timeline: () => timed.checked,
      mostWithCurves: CELLED,
      /** Take a threshold that was moved elsewhere. */
      move: (label, value) => {
        move(label, value);
        drawSliders();
      },
      fail: (message) => {
        wrong.hidden = !message;
        wrong.textContent = message;
      },
    };
  };
})();

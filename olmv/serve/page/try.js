/* Try: videos dropped on the page, labels beside them that can be changed afterwards. */
"use strict";
(() => {
  const { el } = olmv;
  const KEPT = "olmv.labels"; // in the browser's storage
  const SETTLE_MS = 250; // after the last change of a label or threshold
  const AT_ONCE = 64; // videos that one request may name
  const SLIDERS = 60;
  const EXAMPLES = ["dog", "cat", "car", "people talking", "city street at night", "food", "snow", "guitar"];

  const kept = () => {
    try {
      const labels = JSON.parse(localStorage.getItem(KEPT));
      return Array.isArray(labels) && labels.every((label) => typeof label === "string") ? labels : null;
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

  /** Draw the page into `container`. `info` is the answer of /v1/labels. Returns {addLabel(text)}. */
  olmv.tryPage = (container, api, info) => {
    const own = info.labels.map((label) => label.name);
    const limits = new Map(info.labels.map((label) => [label.name, label.threshold]));
    const clips = new Set();
    const thresholds = new Map(); // that were set here, by label
    let common = null; // threshold of all others, where it was set here
    let version = 0; // of what is asked
    let asking = null;
    let settled = 0;

    const isOwn = (labels) => own.length > 0 && labels.length === own.length && labels.every((label, place) => label === own[place]);
    const threshold = (label) => thresholds.get(label) ?? common ?? limits.get(label);

    const request = () => {
      const labels = chips.labels();
      const moved = common !== null || thresholds.size > 0;
      const limited = moved ? labels.map((label) => [label, threshold(label)]).filter(([, value]) => value !== undefined) : [];
      const described = isOwn(labels) ? [] : info.labels.filter((label) => label.attributes.length && labels.includes(label.name));
      return {
        labels: isOwn(labels) ? null : labels, // null: with all that the server knows of its own
        attributes: Object.fromEntries(described.map((label) => [label.name, label.attributes])),
        thresholds: Object.fromEntries(limited),
        timeline: timed.checked,
        explain: explained.checked,
        pictures: true,
      };
    };

    /* what is asked */
    const chips = olmv.chips({
      name: "labels",
      placeholder: "a thing, a scene, an action",
      labels: kept() ?? own,
      suggest: async (text, signal) => (await api.get(`/v1/labels/suggest?q=${encodeURIComponent(text)}`, { signal })).suggestions,
      onChange: (labels) => {
        keep(isOwn(labels) ? null : labels);
        drawLabels();
        changed();
        sendWaiting();
      },
    });
    const wrong = el("p", { class: "error", role: "alert", hidden: true });
    const reset = el("button", { type: "button", class: "link", click: () => chips.set(own) }, "the server’s own");
    const none = el("button", { type: "button", class: "link", click: () => (chips.set([]), chips.field.focus()) }, "remove all");
    const examples = el("p", { class: "examples" }, "For example: ", EXAMPLES.map((label) => [el("button", { type: "button", class: "example", click: () => chips.add([label]) }, label), " "]));
    const slider = olmv.threshold({ label: "all labels", value: 0.5, onInput: (value) => moveAll(value) });
    const back = el("button", { type: "button", class: "link", hidden: true, click: () => forgetThresholds() }, "reset");
    const sliders = el("div", { class: "sliders" });
    const each = el("details", {}, el("summary", {}, "of each label"), sliders);
    each.addEventListener("toggle", () => drawSliders());
    const timed = el("input", { type: "checkbox", id: "timed", change: () => (drawBar(), changed()) });
    const explained = el("input", { type: "checkbox", id: "explained", change: () => changed() });
    const settings = el(
      "details",
      { class: "settings" },
      el("summary", {}, "Threshold, time, reasons"),
      el("h2", {}, "Threshold ", back),
      slider,
      each,
      el("h2", {}, "Also tell"),
      el("p", { class: "option" }, timed, el("label", { for: "timed" }, "when each label is true")),
      el("p", { class: "option" }, explained, el("label", { for: "explained" }, "what carried it")),
    );
    const panel = el(
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
      examples.hidden = labels.length > 0;
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

    /* thresholds: a card without a timeline is decided here, the others by the server */
    function decide(except) {
      back.hidden = common === null && !thresholds.size;
      let asked = false;
      for (const clip of clips) {
        if (clip.state !== "done" || clip === except) continue;
        if (clip.decide()) soonDrawn.add(clip);
        else if (clip.card.segments) asked = true;
      }
      drawSoon();
      if (asked) changed();
    }
    const soonDrawn = new Set();
    const drawSoon = olmv.soon(() => {
      for (const clip of soonDrawn) clip.draw();
      soonDrawn.clear();
      count();
    });
    function move(label, value, except) {
      thresholds.set(label, value);
      if (except) {
        except.decide();
        drawSliders();
      }
      decide(except);
    }
    function moveAll(value) {
      common = value;
      thresholds.clear();
      drawSliders();
      decide();
    }
    function forgetThresholds() {
      common = null;
      thresholds.clear();
      slider.set(0.5);
      drawSliders();
      back.hidden = true;
      changed();
    }

    /* asking anew */
    function changed() {
      version += 1;
      settle();
    }
    function settle() {
      clearTimeout(settled);
      asking?.abort();
      settled = setTimeout(askAnew, SETTLE_MS);
    }
    const ask = async (some, signal, of) => {
      try {
        const { predictions } = await api.patient(() => api.post("/v1/predict", { ...request(), clips: some.map((clip) => clip.card.clip) }, { signal }), (failure, seconds) => tell(`${failure.message}; goes on in ${seconds} s`), signal);
        if (!signal.aborted) some.forEach((clip, place) => clips.has(clip) && clip.take(predictions[place], of));
        return some.length;
      } catch (failure) {
        if (failure.status !== 404) throw failure;
        if (some.length === 1) {
          some[0].forget(of);
          return 0;
        }
        // one of them was forgotten, and it is not told which
        const half = Math.ceil(some.length / 2);
        return (await ask(some.slice(0, half), signal, of)) + (await ask(some.slice(half), signal, of));
      }
    };
    async function askAnew() {
      const of = version;
      const stale = [...clips].filter((clip) => clip.state === "done" && clip.card.clip && !clip.forgotten && clip.version !== of);
      if (!stale.length || !chips.labels().length) return;
      const { signal } = (asking = new AbortController());
      const begun = performance.now();
      results.setAttribute("aria-busy", "true");
      try {
        let answered = 0;
        for (let place = 0; place < stale.length; place += AT_ONCE) answered += await ask(stale.slice(place, place + AT_ONCE), signal, of);
        if (signal.aborted) return;
        wrong.hidden = true;
        if (answered) tell(`${olmv.count(answered, "video")} answered anew in ${seconds(performance.now() - begun)}, without ${answered === 1 ? "its file" : "their files"}`);
      } catch (failure) {
        if (failure.name === "AbortError") return;
        wrong.hidden = false;
        wrong.textContent = failure.message;
      } finally {
        if (of === version) results.removeAttribute("aria-busy");
      }
    }
    const seconds = (milliseconds) => (milliseconds < 950 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`);

    /* videos */
    const board = {
      api,
      lines: olmv.lines(api),
      mostBytes: info.max_upload_mb * 2 ** 20,
      request,
      threshold,
      version: () => version,
      onThreshold: (label, value, clip) => move(label, value, clip),
      changed: (clip) => {
        if (!clips.has(clip)) return;
        drawBar();
        if (clip.state === "done" && clip.version !== version && !clip.forgotten) settle(); // labels were changed on its way
      },
      remove: (clip) => {
        const next = clip.element.nextElementSibling || clip.element.previousElementSibling;
        clips.delete(clip);
        clip.dispose();
        (next?.querySelector("button") || chooser).focus();
        olmv.announce(`${clip.name} removed`);
        drawBar();
      },
    };
    const begin = (sources) => {
      chips.commit();
      const fresh = sources.map((source) => olmv.clip(source, board));
      for (const clip of fresh) {
        clips.add(clip);
        clip.draw();
        results.append(clip.element);
      }
      if (fresh.length) olmv.announce(`${olmv.count(fresh.length, "video")} added`);
      drawBar();
      sendWaiting();
      if (fresh.length && !chips.labels().length) chips.field.focus();
    };
    const started = new WeakSet();
    function sendWaiting() {
      if (!chips.labels().length) return;
      for (const clip of clips) {
        if (started.has(clip)) continue;
        started.add(clip);
        clip.send();
      }
    }

    const chooser = el("button", { type: "button", class: "button main", click: () => file.click() }, "Choose files");
    const folder = el("button", { type: "button", class: "button", click: () => folderFile.click() }, "Choose a folder");
    const onFiles = (event) => {
      begin(olmv.chosenFiles(event.target.files).map((each) => ({ file: each })));
      event.target.value = ""; // the same file can be chosen again
    };
    const file = el("input", { type: "file", id: "files", multiple: true, accept: "video/*,image/*,.mkv,.avi,.ts,.m2ts", hidden: true, "aria-label": "videos or photos", change: onFiles });
    const folderFile = el("input", { type: "file", webkitdirectory: true, hidden: true, "aria-label": "a folder", change: onFiles });
    const url = el("input", { type: "url", class: "field", required: true, placeholder: "https://…", "aria-label": "address of a video" });
    const fetchForm = el("form", { class: "controls fetch" }, url, el("button", { class: "button" }, "Fetch"));
    fetchForm.addEventListener("submit", (event) => {
      event.preventDefault();
      begin([{ url: url.value.trim() }]);
      url.value = "";
    });
    const zone = el(
      "div",
      { class: "zone" },
      el("p", { class: "invite" }, "Drop videos or photos here"),
      el("p", { class: "facts teach" }, "Each is sent once. Labels and thresholds can be changed afterwards: the answer comes at once, from what the model has seen."),
      el("div", { class: "controls" }, chooser, folder, file, folderFile, info.allow_urls ? fetchForm : null),
    );
    const summary = el("span", { class: "facts", role: "status" });
    const told = el("span", { class: "facts told", role: "status" });
    const jsonl = el("button", { type: "button", class: "button", click: () => save("jsonl") }, "Save .jsonl");
    const csv = el("button", { type: "button", class: "button", click: () => save("csv") }, "Save .csv");
    const clear = el("button", { type: "button", class: "button", click: () => removeAll() }, "Clear all");
    const bar = el("div", { class: "bar-of-results controls", hidden: true }, summary, told, el("span", { class: "ends controls" }, jsonl, csv, clear));
    const again = el("p", { class: "note", hidden: true });
    const results = el("ul", { class: "results", "aria-label": "results" });
    container.append(panel, el("div", { class: "work" }, zone, bar, again, results));

    function tell(text) {
      told.textContent = text;
    }
    function count() {
      const all = [...clips];
      const done = all.filter((clip) => clip.state === "done");
      const moving = all.filter((clip) => ["waiting", "sending", "working"].includes(clip.state)).length;
      const failed = all.filter((clip) => clip.state === "failed" || clip.card?.status === "error").length;
      const positive = done.filter((clip) => clip.card.labels.some((label) => label.positive)).length;
      const parts = [olmv.count(all.length, "video"), moving ? `${moving} on the way` : `${positive} with a label`, failed ? `${failed} failed` : ""].filter(Boolean);
      if (summary.textContent !== parts.join(" · ")) summary.textContent = parts.join(" · ");
      return { done, moving };
    }
    function drawBar() {
      const { done } = count();
      bar.hidden = !clips.size;
      zone.classList.toggle("small", clips.size > 0);
      jsonl.disabled = csv.disabled = !done.length;
      const other = done.filter((clip) => clip.timeline !== timed.checked && !clip.card.photo && clip.card.status === "ok");
      again.hidden = !other.length;
      if (other.length) {
        const word = other.length === 1 ? "1 video was" : `${other.length} videos were`;
        again.replaceChildren(`${word} looked at ${timed.checked ? "as a whole" : "over time"}. `, el("button", { type: "button", class: "button", click: () => other.forEach((clip) => clip.send()) }, "Look again"));
      }
    }
    function save(kind) {
      const cards = [...clips].map((clip) => clip.state === "done" && !clip.forgotten && clip.card).filter(Boolean);
      if (kind === "csv") olmv.download("predictions.csv", olmv.asCsv(cards), "text/csv");
      else olmv.download("predictions.jsonl", olmv.asJsonLines(cards), "application/x-ndjson");
    }
    function removeAll() {
      for (const clip of clips) clip.dispose();
      clips.clear();
      tell("");
      drawBar();
      chooser.focus();
      olmv.announce("all removed");
    }

    /* the whole page takes what is dropped */
    let over = 0;
    const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
    const show = () => document.body.classList.toggle("dropping", over > 0);
    addEventListener("dragenter", (event) => {
      if (!carriesFiles(event)) return;
      over += 1;
      show();
    });
    addEventListener("dragleave", (event) => {
      if (!carriesFiles(event)) return;
      over = Math.max(0, over - 1);
      show();
    });
    addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
    addEventListener("drop", async (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      over = 0;
      show();
      if (container.hidden) location.hash = "#try";
      begin((await olmv.droppedFiles(event.dataTransfer)).map((each) => ({ file: each })));
    });
    addEventListener("beforeunload", (event) => {
      if (count().moving) event.preventDefault(); // uploads would be lost
    });

    drawLabels();
    return { addLabel: (text) => chips.add([text]) };
  };
})();

/* Try: videos dropped on the page, labels beside them that can be changed afterwards. */
"use strict";
(() => {
  const { el } = olmv;
  const SETTLE_MS = 250; // after the last change of a label or threshold
  const AT_ONCE = 64; // videos that one request may name
  const KEPT = "olmv.clips"; // in the storage of this tab, what the server has of its videos

  /** Draw the page into `container`. `info` is the answer of /v1/labels. Returns {addLabel(text)}. */
  olmv.tryPage = (container, api, info) => {
    const clips = new Set();
    let version = 0; // of what is asked
    let asking = null;
    let settled = 0;

    const panel = olmv.askPanel({
      api,
      info,
      onChange: () => {
        drawBar();
        changed();
      },
      onThresholds: () => decide(),
      onLabels: () => {
        changed();
        sendWaiting();
      },
    });

    /* thresholds: a card is decided here, unless it is over time and has too many labels to have come with its cells */
    const drawn = new Set();
    const drawSoon = olmv.soon(() => {
      for (const clip of drawn) clip.draw();
      drawn.clear();
      count();
    });
    let held = null; // the card whose mark is dragged: it must stay as it is
    function decide() {
      let asked = false;
      for (const clip of clips) {
        if (clip.state !== "done") continue;
        if (!clip.decide()) asked = true;
        else if (clip !== held || clip.card.segments) drawn.add(clip); // the lanes of a film stay
      }
      drawSoon();
      if (asked) changed();
    }

    /* asking anew */
    function changed() {
      version += 1;
      asking?.abort();
      panel.fail(""); // it was of what was asked before
      settle();
    }
    function settle() {
      clearTimeout(settled);
      settled = setTimeout(askAnew, SETTLE_MS);
    }
    const ask = async (some, signal, of) => {
      try {
        // each is answered as it was looked at; who wants it otherwise is told to send the file again
        const { predictions } = await api.patient(() => api.post("/v1/predict", { ...panel.request(), timeline: undefined, clips: some.map((clip) => clip.card.clip) }, { signal }), (failure, seconds) => tell(olmv.waiting(failure, seconds)), signal);
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
    const outdated = () => [...clips].filter((clip) => clip.state === "done" && clip.card.clip && !clip.forgotten && clip.version !== version);
    const isRefused = (clip) => clip.refused !== null && clip.refused !== version;
    let running = -1; // the version that is asked just now
    async function askAnew() {
      const of = version;
      if (panel.labels().length) for (const clip of clips) if (isRefused(clip)) clip.send();
      const stale = outdated();
      if (running === of) return; // what came meanwhile is asked after it
      results.removeAttribute("aria-busy");
      if (!stale.length || !panel.labels().length) return;
      running = of;
      const { signal } = (asking = new AbortController());
      const begun = performance.now();
      results.setAttribute("aria-busy", "true");
      try {
        let answered = 0;
        for (let place = 0; place < stale.length; place += AT_ONCE) answered += await ask(stale.slice(place, place + AT_ONCE), signal, of);
        if (signal.aborted) return;
        panel.fail("");
        tell(answered && `${olmv.count(answered, "video")} answered anew in ${seconds(performance.now() - begun)}, without ${answered === 1 ? "its file" : "their files"}`, true);
      } catch (failure) {
        if (failure.name === "AbortError") return;
        tell("");
        panel.fail(failure.message);
        return;
      } finally {
        if (running === of) running = -1;
        if (of === version) results.removeAttribute("aria-busy");
      }
      if (outdated().length) settle();
    }
    const seconds = (milliseconds) => (milliseconds < 950 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`);

    /* videos */
    const board = {
      api,
      lines: olmv.lines(api),
      mostBytes: info.max_upload_mb * 2 ** 20,
      request: panel.request,
      threshold: panel.threshold,
      version: () => version,
      onThreshold: (label, value, clip) => {
        held = clip;
        panel.move(label, value);
        held = null;
      },
      changed: (clip) => {
        if (!clips.has(clip)) return;
        drawBar();
        if (isRefused(clip)) settle();
        if (clip.state === "done" && clip.version !== version && !clip.forgotten) settle(); // labels were changed on its way
      },
      lost: (clip) => {
        clips.delete(clip);
        clip.dispose();
        apart.textContent = "Videos of before were forgotten by the server; choose their files again.";
        drawBar();
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
    /** Come back to the videos of before a reload; their files this browser has no more. */
    function restore() {
      let kept = [];
      try {
        kept = JSON.parse(sessionStorage.getItem(KEPT)).map(({ clip, timeline, name, url }) => ({ url, kept: { clip: String(clip), timeline: Boolean(timeline), name: String(name) } }));
      } catch {
        // there is none, or storage is forbidden
      }
      if (!kept.length) return;
      begin({ sources: kept });
      apart.textContent = "These are the videos of before; to play them, choose their files again.";
    }
    function keep() {
      try {
        sessionStorage.setItem(KEPT, JSON.stringify([...clips].map((clip) => clip.kept).filter(Boolean)));
      } catch {
        // then they last as long as the page
      }
    }

    const begin = ({ sources, leftOut = 0 }) => {
      panel.commit();
      const others = leftOut ? `${olmv.count(leftOut, "file")} that ${leftOut === 1 ? "is no video or photo" : "are no videos or photos"}` : "";
      apart.textContent = sources.length ? others && `Left out: ${others}.` : `There is no video or photo in it${others && `, but ${others}`}.`;
      const fresh = sources.map((source) => olmv.clip(source, board));
      for (const clip of fresh) {
        clips.add(clip);
        clip.draw();
        results.append(clip.element);
      }
      if (fresh.length) olmv.announce(`${olmv.count(fresh.length, "video")} added`);
      drawBar();
      sendWaiting();
      if (fresh.length && !panel.labels().length) panel.focus();
    };
    const started = new WeakSet();
    function sendWaiting() {
      if (!panel.labels().length) return;
      for (const clip of clips) {
        if (started.has(clip)) continue;
        started.add(clip);
        clip.send();
      }
    }

    const chooser = el("button", { type: "button", class: "button main", click: () => file.click() }, "Choose files");
    const folder = el("button", { type: "button", class: "button", click: () => folderFile.click() }, "Choose a folder");
    const onFiles = (event) => {
      begin(olmv.chosenFiles(event.target.files));
      event.target.value = ""; // the same file can be chosen again
    };
    const file = el("input", { type: "file", id: "files", multiple: true, accept: "video/*,image/*,.mkv,.avi,.ts,.m2ts", hidden: true, "aria-label": "videos or photos", change: onFiles });
    const folderFile = el("input", { type: "file", webkitdirectory: true, hidden: true, "aria-label": "a folder", change: onFiles });
    const url = el("input", { type: "url", class: "field", required: true, placeholder: "https://…", "aria-label": "address of a video" });
    const fetchForm = el("form", { class: "controls fetch" }, url, el("button", { class: "button" }, "Fetch"));
    fetchForm.addEventListener("submit", (event) => {
      event.preventDefault();
      begin({ sources: [{ url: url.value.trim() }] });
      url.value = "";
    });
    const zone = el(
      "div",
      { class: "zone" },
      el("p", { class: "invite" }, "Drop videos or photos here"),
      el("p", { class: "facts teach" }, "Each is sent once. Labels and thresholds can be changed afterwards: the answer comes at once, from what the model has seen."),
      el("div", { class: "controls" }, chooser, folder, file, folderFile, info.allow_urls ? fetchForm : null),
    );
    const apart = el("p", { class: "facts", role: "status" });
    const summary = el("span", { class: "facts", role: "status" });
    const told = el("span", { class: "facts told", role: "status" });
    const jsonl = el("button", { type: "button", class: "button", click: () => save("jsonl") }, "Save .jsonl");
    const csv = el("button", { type: "button", class: "button", click: () => save("csv") }, "Save .csv");
    const curves = el("button", { type: "button", class: "button", hidden: true, title: "a zip of the rows and their curves, which olmv predict and olmv calibrate read", click: () => saveCurves() }, "Save with curves");
    const clear = el("button", { type: "button", class: "button", click: () => removeAll() }, "Clear all");
    const bar = el("div", { class: "bar-of-results controls", hidden: true }, summary, told, el("span", { class: "ends controls" }, jsonl, csv, curves, clear));
    const uncurved = el("p", { class: "facts", hidden: true }, `Curves come with ${panel.mostWithCurves} labels at most; with fewer they can be saved, too.`);
    const again = el("p", { class: "note", hidden: true });
    const results = el("ul", { class: "results", "aria-label": "results" });
    container.append(panel.element, el("div", { class: "work" }, zone, apart, bar, uncurved, again, results));

    function tell(text, good = false) {
      told.textContent = text || "";
      told.classList.toggle("good", good);
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
      keep();
      bar.hidden = !clips.size;
      zone.classList.toggle("small", clips.size > 0);
      jsonl.disabled = csv.disabled = !done.length;
      curves.hidden = !done.some((clip) => clip.card.cells && !clip.forgotten);
      uncurved.hidden = !curves.hidden || !done.some((clip) => clip.card.segments && clip.card.status === "ok" && !clip.forgotten);
      jsonl.title = curves.hidden ? "" : "the rows alone; to let olmv predict decide them anew, save them with curves";
      const other = done.filter((clip) => clip.canSend && clip.timeline !== panel.timeline() && !clip.card.photo && clip.card.status === "ok");
      const gone = done.filter((clip) => clip.canSend && clip.forgotten);
      const were = (some) => (some.length === 1 ? "1 video was" : `${some.length} videos were`);
      const parts = [];
      if (gone.length) parts.push(`${were(gone)} forgotten by the server.`);
      if (other.length) parts.push(`${were(other)} looked at ${panel.timeline() ? "as a whole, not over time." : "over time."}`);
      again.hidden = !parts.length;
      const all = new Set([...gone, ...other]);
      again.replaceChildren(`${parts.join(" ")} `, el("button", { type: "button", class: "button", click: () => all.forEach((clip) => clip.send()) }, all.size > 1 ? "Send them again" : "Send it again"));
    }
    const saved = () => olmv.named([...clips].map((clip) => clip.state === "done" && !clip.forgotten && clip.card).filter(Boolean));
    function save(kind) {
      if (kind === "csv") olmv.download("predictions.csv", olmv.asCsv(saved()), "text/csv");
      else olmv.download("predictions.jsonl", olmv.asJsonLines(saved()), "application/x-ndjson");
    }
    async function saveCurves() {
      curves.disabled = true;
      try {
        const rows = olmv.rowsWithCells(saved());
        const bytes = new Blob([JSON.stringify({ rows })]).size;
        const most = info.max_rows_mb * 2 ** 20;
        // while it is sent, the server would hang up before its answer is read
        if (bytes > most) throw new olmv.Refusal(413, `${(bytes / 2 ** 20).toFixed(1)} MB are more than this server takes at once, ${info.max_rows_mb} MB; remove some videos or labels, and save them in parts`);
        olmv.download("predictions.zip", await api.post("/v1/rows", { rows }));
        apart.textContent = "";
      } catch (failure) {
        apart.textContent = `The curves were not saved: ${failure.message}`;
      } finally {
        curves.disabled = false;
      }
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
    // a browser would go to a link that is dropped beside a field
    const isTaken = (event) => carriesFiles(event) || !event.target.closest?.("input, textarea");
    addEventListener("dragover", (event) => isTaken(event) && event.preventDefault());
    addEventListener("drop", async (event) => {
      if (!isTaken(event)) return;
      event.preventDefault();
      over = 0;
      show();
      const address = event.dataTransfer.getData("text/uri-list").split("\n").find((line) => /^https?:/.test(line));
      if (carriesFiles(event)) {
        if (container.hidden) location.hash = "#try";
        begin(await olmv.droppedFiles(event.dataTransfer));
      } else if (address && info.allow_urls && !container.hidden) begin({ sources: [{ url: address.trim() }] });
      else if (address && !container.hidden) apart.textContent = "This server takes files, no addresses.";
    });
    addEventListener("beforeunload", (event) => {
      if (count().moving && [...clips].some((clip) => clip.canSend && clip.state !== "done")) event.preventDefault(); // uploads would be lost
    });

    restore();
    return { addLabel: (text) => panel.add([text]) };
  };
})();

/* One video of the page: sent, waited for, answered, and asked anew. */
"use strict";
(() => {
  const { el } = olmv;
  const PLAYED = /^(video|audio)\/|^image\/(jpeg|png|webp|gif|avif|bmp)$/; // nothing that could be a page
  const ASKED_WRONG = new Set(["VocabularyError", "UsageError", "invalid", "too_large"]); // errors that other labels can mend
  const DRAWN = 200; // labels of a card
  const [FEW, MANY] = [6, 12]; // labels in sight: all of a few, else those that are true and some more

  const megabytes = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`);

  /** Make an item of the list. `source` is {file}, with its `path` in a folder if it is of one, or {url};
  beside them or alone {kept: {clip, timeline, name}}, what the server has of it since before a reload. `board` has {api, lines, request(), threshold(label),
  version(), onThreshold(label, value), changed(clip), remove(clip), lost(clip), mostBytes}. */
  olmv.clip = (source, board) => {
    const { api } = board;
    const name = source.path || source.file?.name || source.url || source.kept.name;
    const [, folder, base] = /^(.*\/)?([^/]*)$/s.exec(name);
    const element = el("li", { class: "item" });
    const address = source.file && PLAYED.test(source.file.type) ? URL.createObjectURL(source.file) : "";
    let state = "waiting"; // sending, working, done, failed, stopped
    let card = null;
    let version = -1; // of the labels that the card answers
    let kept = source.kept; // until it is asked for
    let timeline = false; // that it was asked for when it was sent
    let forgotten = false;
    let refused = null; // the version of the labels that were refused
    let stop = null;
    let job = null;
    let bar = null;
    let words = null;
    let cells = null; // of the card: the probabilities that its segments are made of

    const canSend = Boolean(source.file || source.url);
    const button = (text, label, click) => el("button", { type: "button", class: "button small", "aria-label": `${label} ${name}`, click }, text);
    const drop = () => button("Remove", "remove", () => board.remove(clip));

    const enter = (next) => {
      state = next;
      draw();
      board.changed(clip);
    };

    const told = (text, share = null) => {
      if (!words) return;
      words.textContent = text;
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
    };

    function draw() {
      bar = words = null;
      if (state !== "done") drawnAs = "";
      if (state === "done") drawCard();
      else if (state === "failed" || state === "stopped") drawFailure();
      else drawProgress();
    }

    function drawProgress() {
      words = el("span", { class: "facts" });
      bar = el("progress", { max: 1, "aria-label": `progress of ${name}` });
      element.replaceChildren(el("article", { class: "video moving" }, el("h3", {}, el("bdi", { title: name }, name)), words, button("Cancel", "cancel", clip.cancel), bar));
      if (state === "waiting") told(board.request().labels?.length === 0 ? "waits for labels" : "waits for its turn", 0);
    }

    let failure = null;
    function drawFailure() {
      element.replaceChildren(
        el(
          "article",
          { class: "video failed" },
          el("header", {}, el("h3", {}, el("bdi", { title: name }, name)), el("span", { class: "actions" }, canSend ? button("Send again", "send again", clip.send) : null, drop())),
          el("p", { class: state === "failed" ? "error" : "facts" }, state === "failed" ? failure.message : "was given up"),
        ),
      );
    }

    let drawnAs = ""; // the answer whose card is there
    let drawnCard = null;
    function drawCard() {
      const film = drawnCard === card && drawnAs === `${card.clip} ${forgotten}` && element.querySelector("article > .film.timed");
      if (film) {
        film.decide(card.segments);
        return;
      }
      drawnCard = card;
      const open = element.querySelector("details.more")?.open;
      const shown = card.labels.length > DRAWN ? { ...card, labels: card.labels.slice(0, DRAWN), left_out: card.labels.length - DRAWN } : card;
      const sure = card.labels.filter((label) => label.positive).length;
      const inSight = card.labels.length <= FEW ? FEW : Math.min(Math.max(sure + 2, 4), MANY);
      const options = { heading: "h3", player: address, shown: inSight, onThreshold: (label, value) => board.onThreshold(label, value, clip) };
      // where only labels are others, the pictures and the player stay as they are
      const labels = drawnAs === `${card.clip} ${forgotten}` && element.querySelector("article > .labels");
      if (labels) labels.replaceWith(olmv.bars(shown, options));
      else drawWhole(shown, options);
      if (open) element.querySelector("details.more")?.setAttribute("open", "");
      drawnAs = `${card.clip} ${forgotten}`;
    }

    function drawWhole(shown, options) {
      const before = element.querySelector("video.player");
      const video = address && card.status === "ok" && !card.photo && !source.file.type.startsWith("image/");
      const actions = el(
        "span",
        { class: "actions" },
        video ? button("Play", "play", play) : null,
        canSend && (forgotten || card.status !== "ok") ? button("Send again", "send again", clip.send) : null,
        drop(),
      );
      const article = olmv.card(shown, { ...options, actions });
      if (forgotten) {
        article.classList.add("stale");
        article.querySelector("header").after(el("p", { class: "note" }, "The server does not keep this video any more; these are the labels of before. " + (canSend ? "Send it again for the new ones." : "Choose its file again for the new ones.")));
      }
      element.replaceChildren(article);
      if (before) resume(before);
    }

    /** Let a player go on where the one before was: a new answer must not end what is looked at. */
    function resume(before) {
      const { currentTime, paused } = before;
      before.pause();
      const player = start(currentTime);
      if (player && paused) player.addEventListener("playing", () => player.pause(), { once: true });
    }

    function play() {
      const player = element.querySelector("video.player") || start(0);
      if (player?.paused && player.readyState) player.play();
      player?.focus();
    }

    function start(time) {
      const film = element.querySelector(".film.timed");
      if (film) return film.jump(time) ? film.querySelector("video.player") : null;
      const player = el("video", { class: "player", controls: true, src: address, "aria-label": name });
      player.addEventListener("error", () => player.replaceWith(el("p", { class: "facts unplayable", role: "status" }, "this browser cannot play the file; what is shown are the frames that were looked at")), { once: true });
      player.currentTime = time;
      player.play().catch(() => {});
      element.querySelector("header").after(player);
      return player;
    }

    /** Move the card to the thresholds of the page, and its segments with them; tell whether that can be done here. */
    const decide = () => {
      const others = card.labels.filter((label) => (board.threshold(label.label) ?? label.threshold) !== label.threshold);
      if (card.segments && others.length && !cells) return false;
      for (const label of others) label.threshold = board.threshold(label.label);
      for (const label of card.labels) label.positive = label.probability >= label.threshold;
      if (card.segments && others.length) decideSegments(others);
      return true;
    };

    function decideSegments(labels) {
      const edges = [...cells.starts, Math.max(card.duration_s || 0, cells.starts.at(-1))];
      const kept = new Map(card.labels.map(({ label }) => [label, []]));
      for (const segment of card.segments) kept.get(segment.label)?.push(segment);
      for (const { label, threshold } of labels) kept.set(label, olmv.spans(label, edges, cells.of(label), threshold));
      card.segments = [...kept.values()].flat();
    }

    const take = (prediction, of) => {
      card = prediction;
      if (!source.url) Object.assign(card, { video: name, name: base, folder: folder || "" }); // forms cannot carry every name as it is
      version = of;
      forgotten = false;
      cells = card.cells ? olmv.cells(card.cells) : null;
      if (card.status === "ok") decide(); // thresholds may have been moved on its way
      enter("done");
    };

    const send = async (request, signal) => {
      if (source.url) return api.post("/v1/predict", { ...request, urls: [source.url] }, { signal });
      try {
        await source.file.slice(0, 1).arrayBuffer();
      } catch {
        // an upload would only say that it failed
        throw new olmv.Refusal(422, "the file cannot be read; it was moved or changed: choose it again");
      }
      const form = new FormData();
      form.append("options", JSON.stringify(request)); // before the files: what is wrong is seen early
      form.append("files", source.file, base);
      const onProgress = (sent, all) => told(sent < all ? `${megabytes(sent)} of ${megabytes(all)} sent` : "is sent; waits for its turn", all ? sent / all : 0);
      return api.upload(form, { onProgress, signal });
    };

    const run = async (signal) => {
      if (source.file && source.file.size > board.mostBytes) {
        throw new olmv.Refusal(413, `${megabytes(source.file.size)} are more than this server takes, ${megabytes(board.mostBytes)}; send a smaller copy, or ask who runs it to raise --max-upload`);
      }
      if (source.file && !source.file.size) throw new olmv.Refusal(422, "the file is empty, or it is a folder");
      const waits = (refusal, seconds) => told(olmv.waiting(refusal, seconds), 0);
      let of;
      if (kept && (await askKept(signal, waits))) return;
      const begun = await board.lines.upload(() => {
        enter("sending");
        told(source.url ? "is fetched" : "is sent", source.url ? null : 0);
        return api.patient(() => {
          const request = board.request(); // the labels of now, not of when it was dropped
          of = board.version();
          timeline = request.timeline;
          return send({ ...request, background: true }, signal).catch((refusal) => {
            if (ASKED_WRONG.has(refusal.type)) refused = of;
            throw refusal;
          });
        }, waits, signal);
      }, signal);
      job = begun.id;
      enter("working");
      told("waits for its turn");
      const status = await board.lines.follow(job, {
        signal,
        onProgress: ({ done, total }) => told(total > 1 ? `is looked at, ${done} of ${total} parts` : "is looked at", total > 1 ? done / total : null),
        onPrediction: ({ prediction }) => take(prediction, of),
      });
      job = null;
      if (state !== "done") throw new olmv.Refusal(500, status === "cancelled" ? "it was given up by the server; send it again" : "the server could not look at it; its log has more");
    };

    /** Ask for what the server has of it; tell whether it has it still, or nothing else can be done. */
    const askKept = async (signal, waits) => {
      const { clip: id, timeline: timed } = kept;
      kept = null;
      timeline = timed;
      let of;
      try {
        await board.lines.upload(async () => {
          const { predictions } = await api.patient(() => {
            of = board.version();
            return api.post("/v1/predict", { ...board.request(), timeline: undefined, clips: [id] }, { signal });
          }, waits, signal);
          take(predictions[0], of);
        }, signal);
      } catch (refusal) {
        if (refusal.status !== 404) {
          kept = source.kept; // it is there still
          if (refusal.status) refused = of; // of a request without a file, only what is asked can be refused
          throw refusal;
        }
        if (canSend) return false;
        board.lost(clip);
      }
      return true;
    };

    const clip = {
      element,
      name,
      canSend,
      /** What can be come back to after a reload; null where there is nothing. */
      get kept() {
        if (!card) return source.kept ? { ...source.kept, url: source.url } : null;
        return card.clip && !forgotten ? { clip: card.clip, timeline, name, url: source.url } : null;
      },
      get card() {
        return card;
      },
      get state() {
        return state;
      },
      get version() {
        return version;
      },
      /** Of which version the labels were refused, so that it can be sent again with others; null where they were not. */
      get refused() {
        return state === "failed" ? refused : null;
      },
      get timeline() {
        return timeline;
      },
      get forgotten() {
        return forgotten;
      },
      draw,
      take,
      /** Send the file, and wait for what is told of it. */
      send: async () => {
        stop?.abort();
        const mine = (stop = new AbortController());
        refused = null;
        enter("waiting");
        try {
          await run(mine.signal);
        } catch (reason) {
          if (mine !== stop) return; // it was sent again meanwhile
          failure = reason;
          if (!(reason instanceof olmv.Refusal) && reason.name !== "AbortError") throw reason;
          enter(reason.name === "AbortError" ? "stopped" : "failed");
        }
      },
      cancel: () => {
        if (job) api.delete(`/v1/jobs/${encodeURIComponent(job)}`).catch(() => {});
        job = null;
        if (stop) stop.abort();
        if (state === "waiting" && !stop) enter("stopped");
      },
      /** Take other thresholds; tell whether that is all that is needed, or the server must be asked. */
      decide: () => {
        if (state !== "done" || card.status !== "ok") return true;
        return decide();
      },
      forget: (of) => {
        version = of;
        forgotten = true;
        draw();
        board.changed(clip);
      },
      /** Give up, here and on the server. */
      dispose: () => {
        const mine = stop;
        stop = null; // nobody is told of it any more
        mine?.abort();
        if (job) api.delete(`/v1/jobs/${encodeURIComponent(job)}`).catch(() => {});
        if (card?.clip && !forgotten) api.delete(`/v1/clips/${encodeURIComponent(card.clip)}`).catch(() => {});
        if (address) URL.revokeObjectURL(address);
        element.remove();
      },
    };
    return clip;
  };
})();

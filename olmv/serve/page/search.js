/* Search: moments of the server's library, by words or by another moment. The address has the query. */
"use strict";
(() => {
  const { el } = olmv;
  const TOP = 40;
  const MOST = 500; // that the server tells

  /** Read a query out of an address. */
  const read = (text) => {
    const from = new URLSearchParams(text);
    const number = (name) => (from.get(name) && Number.isFinite(Number(from.get(name))) ? Number(from.get(name)) : null);
    const share = number("from");
    const like = from.get("like");
    return {
      q: from.get("q") || "",
      without: from.get("without") || "",
      path: from.get("path") || "",
      labels: from.get("labels") || "",
      longer: number("longer"),
      shorter: number("shorter"),
      threshold: share !== null && share >= 0 && share <= 1 ? share : 0.5,
      all: from.get("all") === "1",
      like: like ? { video: like, time_s: number("at") ?? 0 } : null,
      top: Math.min(MOST, Math.max(TOP, number("top") ?? TOP)),
    };
  };
  const write = (query) => {
    const to = new URLSearchParams();
    for (const name of ["q", "without", "path", "labels", "longer", "shorter"]) if (query[name] !== "" && query[name] !== null) to.set(name, query[name]);
    if (query.threshold !== 0.5) to.set("from", query.threshold);
    if (query.all) to.set("all", "1");
    if (query.top !== TOP) to.set("top", query.top);
    if (query.like) {
      to.set("like", query.like.video);
      to.set("at", query.like.time_s);
    }
    const text = to.toString();
    return `#search${text ? `?${text}` : ""}`;
  };
  const base = (video) => video.split("/").pop();

  /** Draw the page into `container`. `info` is the answer of /v1/labels; `addLabel(text)` takes a query to Try.
  Returns {show(text)}: what stands behind the ? of the address. */
  olmv.searchPage = (container, api, info, addLabel) => {
    let query = read("");
    let asking = null;
    let asked = null; // what is shown answers this

    const field = el("input", { class: "field", type: "search", id: "query", placeholder: "what a moment shows: a dog on grass", autocomplete: "off", enterkeyhint: "search", maxlength: 1000, "aria-label": "what a moment shows" });
    const slider = olmv.threshold({ label: "the search", value: 0.5, onChange: (threshold) => go({ threshold }, true) });
    const input = (id, label, properties) => {
      const box = el("input", { class: "field", id: `search-${id}`, autocomplete: "off", ...properties });
      box.addEventListener("change", () => go(filters(), true));
      return { box, element: el("p", { class: "filter" }, el("label", { for: `search-${id}` }, label), box) };
    };
    const without = input("without", "without", { placeholder: "snow, people", maxlength: 1000 });
    const path = input("path", "path or name", { placeholder: "films/*.mp4", maxlength: 4096 });
    const labels = input("labels", "labels", { placeholder: "dog>0.5, car<0.2", maxlength: 1000 });
    const longer = input("longer", "longer than, seconds", { type: "number", min: 0, step: "any" });
    const shorter = input("shorter", "shorter than, seconds", { type: "number", min: 0, step: "any" });
    const all = el("input", { type: "checkbox", id: "search-all", change: () => go(filters(), true) });
    const used = el("span", { class: "used" });
    const more = el(
      "details",
      { class: "filters" },
      el("summary", {}, "Filters", used),
      el("div", { class: "filter-grid" }, without.element, path.element, labels.element, longer.element, shorter.element, el("p", { class: "option" }, all, el("label", { for: "search-all" }, "all moments of a video, not only its best"))),
    );
    const form = el("form", { class: "searchbox", role: "search" }, field, el("button", { class: "button main" }, "Search"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      go({ ...filters(), q: field.value.trim(), like: null, top: TOP });
    });
    const like = el("p", { class: "like", hidden: true });
    const head = el("div", { class: "found-head controls" });
    const found = el("ul", { class: "moments", "aria-label": "moments" });
    const status = el("p", { class: "facts", role: "status" });
    const notes = el("div");
    const rest = el("div", { class: "rest" });
    container.append(form, el("div", { class: "below" }, el("div", { class: "from" }, el("span", { class: "facts" }, "from a probability of"), slider), more), like, head, notes, found, rest);
    head.append(status);

    const filters = () => ({
      without: without.box.value.trim(),
      path: path.box.value.trim(),
      labels: labels.box.value.trim(),
      longer: longer.box.value === "" ? null : Number(longer.box.value),
      shorter: shorter.box.value === "" ? null : Number(shorter.box.value),
      all: all.checked,
    });

    /** Go to another query; its address is a page of its own, or takes the place of the one before. */
    function go(changes, replace = false) {
      const address = write({ ...query, ...changes });
      if (address === location.hash) show(address.split("?")[1] || "");
      else if (replace) {
        history.replaceState(null, "", address);
        show(address.split("?")[1] || "");
      } else location.hash = address;
    }

    function show(text) {
      query = read(text);
      field.value = query.q;
      without.box.value = query.without;
      path.box.value = query.path;
      labels.box.value = query.labels;
      longer.box.value = query.longer ?? "";
      shorter.box.value = query.shorter ?? "";
      all.checked = query.all;
      slider.set(query.threshold);
      const count = filtered() + (query.without !== "") + query.all;
      used.textContent = count ? ` (${count})` : "";
      if (count) more.open = true;
      like.hidden = !query.like;
      if (query.like) {
        like.replaceChildren(
          el("span", {}, "like ", el("b", {}, el("bdi", {}, base(query.like.video))), ` at ${olmv.clock(query.like.time_s, 1)} `),
          el("button", { type: "button", class: "button small", "aria-label": "not like this moment", click: () => go({ like: null }) }, "×"),
        );
      }
      find();
    }

    /** Return how many filters choose among the videos. */
    const filtered = () => [query.path, query.labels, query.longer, query.shorter].filter((value) => value !== "" && value !== null).length;

    const body = () => ({
      query: olmv.listed(query.q),
      without: olmv.listed(query.without),
      like: query.like,
      threshold: query.threshold,
      top: query.top,
      all_moments: query.all,
      path: query.path || null,
      longer_than_s: query.longer,
      shorter_than_s: query.shorter,
      labels: olmv.listed(query.labels),
    });

    async function find() {
      const wanted = JSON.stringify(body());
      if (wanted === asked) return; // the same page again: what was found is still there
      asking?.abort();
      asking = new AbortController();
      const { signal } = asking;
      if (!query.q && !query.like) {
        asked = null;
        clear();
        invite();
        return;
      }
      status.textContent = "searching …";
      container.setAttribute("aria-busy", "true");
      try {
        const answer = await api.patient(() => api.post("/v1/search", JSON.parse(wanted), { signal }), (failure, seconds) => (status.textContent = olmv.waiting(failure, seconds)), signal);
        if (signal.aborted) return;
        asked = wanted;
        draw(answer);
      } catch (failure) {
        if (failure.name === "AbortError") return;
        asked = null;
        clear();
        notes.append(el("p", { class: "error", role: "alert" }, failure.message));
      } finally {
        if (asking.signal === signal) container.removeAttribute("aria-busy");
      }
    }

    function clear() {
      status.textContent = "";
      head.replaceChildren(status);
      for (const part of [notes, found, rest]) part.replaceChildren();
    }

    function invite() {
      const examples = (info.labels.length ? info.labels.map((label) => label.name) : ["a person walks", "a street at night", "food on a table", "an animal"]).slice(0, 6);
      notes.append(
        el("p", { class: "nothing" }, `Look for moments in ${olmv.count(info.videos, "video")} of ${info.library}.`),
        el("p", { class: "facts" }, "Write in words what a moment shows; with commas, all of it must be there. Nothing found is an answer, too: only what is probable enough is told."),
        el("p", { class: "examples" }, "For example: ", examples.map((text) => [el("button", { type: "button", class: "example", click: () => go({ q: text }) }, text), " "])),
      );
    }

    const tiles = (moments) =>
      moments.map((moment, index) =>
        olmv.moment(moment, { api, threshold: query.threshold, onOpen: () => olmv.momentWindow(moments, { api, index, threshold: query.threshold, onLike: likeThis }), onLike: () => likeThis(moment) }),
      );
    const likeThis = (moment) => {
      go({ q: "", like: { video: moment.video, time_s: moment.peak_s }, top: TOP });
      scrollTo({ top: 0 });
    };

    function draw({ moments, best, videos, seconds, notes: said }) {
      clear();
      const time = seconds < 0.95 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`;
      status.textContent = `${olmv.count(moments.length, "moment")} in ${olmv.count(videos, "video")} · ${time}`;
      const texts = olmv.listed(query.q);
      if (texts.length) {
        const button = el("button", { type: "button", class: "button small" }, texts.length === 1 ? "Make it a label of Try" : "Make them labels of Try");
        button.addEventListener("click", () => {
          texts.forEach(addLabel);
          button.disabled = true;
          button.textContent = "Is a label of Try";
        });
        head.append(button);
      }
      for (const note of said) notes.append(el("p", { class: "note" }, note));
      if (moments.length) found.append(...tiles(moments));
      else {
        const nearest = best ? ` The nearest has ${olmv.percent(best.probability)}:` : "";
        const nothing = videos || !filtered() ? `Nothing is as probable as ${olmv.limit(query.threshold)}.${nearest}` : "No video passes the filters. Make them wider.";
        notes.append(el("p", { class: "nothing" }, nothing));
        if (best) found.append(...tiles([best]));
      }
      found.classList.toggle("below-cut", !moments.length);
      if (moments.length >= query.top && query.top < MOST) rest.append(el("button", { type: "button", class: "button", click: () => go({ top: Math.min(MOST, query.top * 2) }, true) }, "More moments"));
    }

    return { show };
  };
})();

/* A video over time: its pictures, a lane of colour for each label, and a player that moves with them. */
"use strict";
(() => {
  const { el, svg } = olmv;
  const IN_SIGHT = 16; // pictures; where there are more, the others are seen one at a time under the pointer
  const LANES = 12; // in sight
  const LEVELS = 10; // of colour
  const TICKS = 7; // of an axis, at most
  const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const LINED_CUTS = 60; // more lines than these would hide the colours under them
  const SPANS = 6; // of a label written out as times
  const NEAR_S = 0.5; // a picture is that of a frame
  const SHORT_S = 600; // below this, times under the pointer have a digit after the second
  let drawn = 0; // films, for the names of their cuts

  const nearest = (items, time) => items.reduce((best, item) => (best === null || Math.abs(item.time_s - time) < Math.abs(best.time_s - time) ? item : best), null);

  /** Return the ticks of an axis from 0 to `end` seconds: [{share of the axis, text}]. */
  olmv.ticks = (end) => {
    const step = STEPS_S.find((each) => end / each <= TICKS) || end / TICKS;
    const ticks = [];
    // the next would not fit before the edge
    for (let tick = 0; tick * step < end * 0.97; tick += 1) ticks.push({ share: (tick * step) / end, text: olmv.clock(tick * step, step < 1 ? 1 : 0) });
    return ticks;
  };

  /** Choose which pictures are in sight: of each of at most 16 equal stretches the one nearest its middle. */
  olmv.inSight = (pictures, end) => {
    const count = Math.min(IN_SIGHT, pictures.length);
    return Array.from({ length: count }, (_, slot) => nearest(pictures, ((slot + 0.5) * end) / count));
  };

  /** Return the bytes of a label's curve, a probability in per cent for each column; null where there is none. */
  olmv.curve = (card, label) => {
    const text = card.curve && olmv.get(card.curve.labels, label);
    return text ? Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) : null;
  };

  /** Draw a curve as a path for each level of colour; columns beside each other of one level are one rectangle. */
  olmv.levels = (curve) => {
    const paths = new Map();
    let begin = 0;
    for (let column = 1; column <= curve.length; column += 1) {
      const level = Math.round((LEVELS * curve[begin]) / 100);
      if (column < curve.length && Math.round((LEVELS * curve[column]) / 100) === level) continue;
      if (level) paths.set(level, `${paths.get(level) || ""}M${begin} 0h${column - begin}v10h-${column - begin}z`);
      begin = column;
    }
    return paths;
  };

  /** Show a picture large; arrow keys go through those beside it: `pictures` [{src, alt}] and `index`. */
  olmv.enlarge = (src, alt, { pictures = [{ src, alt }], index = 0 } = {}) => {
    let at = index;
    const image = el("img", { src, alt });
    const words = el("figcaption", {}, alt);
    const step = (by) => {
      at = (at + by + pictures.length) % pictures.length;
      image.src = olmv.address(pictures[at].src);
      image.alt = words.textContent = pictures[at].alt;
    };
    const turn = (by, sign, word) => (pictures.length > 1 ? el("button", { type: "button", class: "turn", "aria-label": word, click: () => step(by) }, sign) : null);
    const dialog = olmv.dialog(el("figure", {}, turn(-1, "‹", "picture before"), image, turn(1, "›", "next picture"), words), { label: "picture", class: "enlarged" });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "ArrowRight") step(1);
      else return;
      event.preventDefault();
    });
    image.addEventListener("click", () => dialog.close());
    return dialog;
  };

  const altOf = (card, picture) => (card.photo ? "photo" : `frame at ${picture.time_s.toFixed(1)} s`);

  function enlarge(card, picture) {
    const pictures = card.pictures.map((each) => ({ src: each.src, alt: altOf(card, each) }));
    olmv.enlarge(picture.src, altOf(card, picture), { pictures, index: card.pictures.indexOf(picture) });
  }

  function item(card, picture) {
    const image = el("img", { src: picture.src, alt: altOf(card, picture), decoding: "async", loading: "lazy" });
    const time = card.photo ? null : el("span", {}, `${picture.time_s.toFixed(1)} s`);
    return el("li", { dataset: { time: picture.time_s } }, el("button", { type: "button", class: "frame", title: "enlarge", click: () => enlarge(card, picture) }, image, time));
  }

  /** Draw the pictures of a card; a click enlarges one. More than 16 become a strip along the time. */
  olmv.frames = (card) => {
    if (card.pictures.length <= IN_SIGHT) return el("ol", { class: "frames" }, card.pictures.map((picture) => item(card, picture)));
    const film = el("section", { class: "film", "aria-label": "over time" }, strip(card), axis(card.end_s));
    return alive(film, card, null);
  };

  function strip(card) {
    const seen = olmv.inSight(card.pictures, card.end_s);
    const images = seen.map((picture) => el("li", { dataset: { time: picture.time_s } }, el("img", { src: picture.src, alt: altOf(card, picture), decoding: "async", loading: "lazy" })));
    return el("ol", { class: `frames strip${seen.length > 10 ? " dense" : ""}` }, images);
  }

  function axis(end) {
    const place = (share) => `${(100 * share).toFixed(2)}%`;
    const ticks = olmv.ticks(end).map(({ share, text }, index) => [
      svg("line", { x1: place(share), x2: place(share), y1: 0, y2: 4 }),
      svg("text", { x: place(share), y: 14, class: index === 0 ? "first" : index % 2 ? "second" : null }, text),
    ]);
    return svg("svg", { class: "axis", "aria-hidden": "true" }, ticks);
  }

  /** Point out the pictures of a card, or of its part, that are nearest to these times. */
  olmv.carry = (node, times) => {
    const items = Array.from(node.querySelectorAll(".frames li"), (each) => ({ each, time_s: Number(each.dataset.time) }));
    const carried = new Set(times.map((time) => nearest(items, time)?.each));
    for (const { each } of items) each.classList.toggle("carried", carried.has(each));
  };

  /** Draw the ten colours of probabilities, from left to right. */
  const colours = (properties) =>
    svg("svg", { viewBox: "0 0 10 1", preserveAspectRatio: "none", ...properties }, Array.from({ length: LEVELS }, (_, level) => svg("rect", { class: `p${level + 1}`, x: level, width: 1, height: 1 })));

  /** Draw the frames that carried a label most, which the player goes to. */
  function carriers(card, label, frames) {
    const digits = card.end_s < SHORT_S ? 1 : 0;
    const buttons = frames.map((frame) => {
      const picture = nearest(card.pictures, frame.time_s);
      const close = picture && Math.abs(picture.time_s - frame.time_s) < NEAR_S;
      const time = olmv.clock(frame.time_s, digits);
      return el(
        "button",
        { type: "button", class: "jump carrier", dataset: { time: frame.time_s }, "aria-label": `${time} carried ${label}`, title: `carried ${label}: ${frame.contribution < 0 ? "" : "+"}${frame.contribution.toFixed(3)}` },
        close ? el("img", { src: picture.src, alt: "", decoding: "async", loading: "lazy" }) : null,
        el("span", {}, time),
      );
    });
    return el("div", { class: "carriers", role: "group", "aria-label": `frames that carried ${label}` }, buttons);
  }

  function lane(card, label, options, cuts) {
    const curve = olmv.curve(card, label.label);
    const columns = card.curve ? card.curve.columns : 400;
    const place = (time) => Number((columns * Math.min(Math.max(time / card.end_s, 0), 1)).toFixed(2));
    const width = ({ start_s, end_s }) => Number(Math.max(place(end_s) - place(start_s), 0.5).toFixed(2)); // seen also in three hours
    const spans = svg("path", { class: "segments", transform: "translate(0 11)" });
    const drawing = svg(
      "svg",
      { class: "track heat", viewBox: `0 0 ${columns} 14`, preserveAspectRatio: "none", role: "img" },
      curve ? Array.from(olmv.levels(curve), ([level, path]) => svg("path", { class: `p${level}`, d: path })) : null,
      cuts ? svg("use", { href: `#${cuts}` }) : null,
    );
    const digits = card.end_s < 60 ? 1 : 0;
    const { texts, frames } = olmv.reasons(card, label.label);
    const carried = frames.filter((frame) => frame.time_s !== null);
    const limit = el("small");
    const why = el("div", { class: "why" });
    const mark = options.onThreshold ? olmv.mark(label, (value) => options.onThreshold(label.label, value)) : null;
    const row = el(
      "li",
      { class: `bar${options.chosen === label.label ? " chosen" : ""}`, dataset: { label: label.label } },
      el("span", { class: "label", dir: "auto", title: label.label }, label.label),
      drawing,
      mark ? el("span", { class: "on-track" }, colours({ class: "track colours", "aria-hidden": "true" }), mark) : null,
      el("span", { class: "percent" }, olmv.percent(label.probability), " ", limit),
      options.onVerdict ? olmv.verdict(label.label, olmv.get(options.verdicts, label.label), (value) => options.onVerdict(label.label, value)) : null,
      why,
    );
    row.curve = curve;
    let drawn = null;
    /** Show what the label's threshold and these segments of it say. */
    row.decide = (segments) => {
      row.classList.toggle("positive", label.positive);
      limit.textContent = `/ ${olmv.limit(label.threshold)}`;
      mark?.set(label.threshold);
      const path = segments.map((segment) => `M${place(segment.start_s)} 0h${width(segment)}v3h-${width(segment)}z`).join("");
      if (drawn === `${label.positive} ${path}`) return; // the buttons in it may have the focus
      drawn = `${label.positive} ${path}`;
      spans.setAttribute("d", path);
      if (path) drawing.append(spans);
      else spans.remove();
      drawing.setAttribute("aria-label", `probability over time, ${olmv.count(segments.length, "segment")}`);
      const jumps = segments.slice(0, SPANS).map((segment) => {
        const span = `${olmv.clock(segment.start_s, digits)}–${olmv.clock(segment.end_s, digits)}`;
        return el("button", { type: "button", class: "jump", "aria-label": `${label.label}: ${span}`, dataset: { time: segment.start_s } }, span);
      });
      const rest = segments.length > SPANS ? ` and ${segments.length - SPANS} more` : "";
      const words = [jumps, rest, texts.length && jumps.length ? " · " : "", olmv.why(texts, [])].flat(Infinity).filter(Boolean);
      const seen = label.positive && carried.length > 0;
      why.replaceChildren(...words, ...(seen ? [carriers(card, label.label, carried)] : []));
      why.hidden = !words.length && !seen;
    };
    row.decide((card.segments || []).filter((segment) => segment.label === label.label));
    return row;
  }

  /** Draw a card over time: strip, axis, cuts, a lane for each label, and its player.
  Options: `player`, the video's address, in place of the card's; `shown` lanes in sight (12); `chosen`, `verdicts`,
  `onVerdict`, `onThreshold` as `bars` takes them; a threshold is moved on the colours beside its lane. The element has
  `jump(seconds)` and `decide(segments)`. */
  olmv.film = (card, options = {}) => {
    const cuts = (card.shots_s || []).filter((time) => time > 0 && time < card.end_s);
    const columns = card.curve ? card.curve.columns : 400;
    const name = `olmv-cuts-${(drawn += 1)}`;
    const path = cuts.map((time) => `M${((columns * time) / card.end_s).toFixed(2)} 0v10`).join("");
    const lanes = card.labels.map((label) => lane(card, label, options, cuts.length && cuts.length <= LINED_CUTS ? name : null));
    const shown = options.shown ?? LANES;
    const open = card.labels.findIndex((label) => label.label === options.chosen) >= shown;
    const film = el(
      "section",
      { class: `film timed${options.onVerdict ? " judged" : ""}${options.onThreshold ? " moved" : ""}`, "aria-label": "over time" },
      el(
        "div",
        { class: "head" },
        el("span", { class: "scale", "aria-hidden": "true" }, "0 ", colours(), " 100%"),
        el(
          "div",
          { class: "time" },
          card.pictures.length ? strip(card) : null,
          axis(card.end_s),
          cuts.length ? svg("svg", { class: "cuts", viewBox: `0 0 ${columns} 10`, preserveAspectRatio: "none", role: "img", "aria-label": olmv.count(cuts.length, "cut") }, svg("path", { id: name, class: "shots", d: path })) : null,
        ),
        options.onThreshold ? el("span", { class: "facts" }, "threshold") : null,
        el("span", { class: "percent" }, olmv.count(cuts.length, "cut")),
      ),
      olmv.folded(lanes, shown, { class: "bars lanes", leftOut: card.left_out, open }),
    );
    /** Show other segments, and what the thresholds of the card's labels say now; the lanes stay where they are. */
    film.decide = (segments) => {
      const own = new Map();
      for (const segment of segments) own.has(segment.label) ? own.get(segment.label).push(segment) : own.set(segment.label, [segment]);
      card.labels.forEach(({ label }, index) => lanes[index].decide(own.get(label) || []));
    };
    return alive(film, card, options.player ?? card.player);
  };

  const peek = () => {
    if (!peek.box) {
      peek.image = el("img", { alt: "" });
      peek.words = el("p");
      peek.box = el("div", { class: "peek", hidden: true }, peek.image, peek.words);
      peek.cursor = el("div", { class: "cursor", hidden: true });
      window.addEventListener("scroll", hide, { passive: true });
    }
    return peek;
  };
  function hide() {
    if (peek.box) peek.box.hidden = peek.cursor.hidden = true;
  }

  /** Make a film answer to the pointer, and play. */
  function alive(film, card, address) {
    const end = card.end_s;
    let video = null;
    let broken = !address;
    const mark = (time) => {
      const scale = film.querySelector(".axis").getBoundingClientRect();
      const all = film.getBoundingClientRect();
      const { cursor } = peek();
      cursor.style.left = `${scale.left - all.left + (scale.width * time) / end}px`;
      cursor.style.top = `${film.querySelector(".strip, .axis").getBoundingClientRect().top - all.top}px`;
      if (cursor.parentNode !== film) film.append(cursor);
      cursor.hidden = false;
    };
    const show = (time, row, x, box) => {
      const { box: floating, image, words } = peek();
      const picture = nearest(card.pictures, time);
      const owner = film.closest("dialog") || document.body; // what is modal lies above all else
      if (floating.parentNode !== owner) owner.append(floating);
      image.hidden = !picture;
      if (picture) image.src = olmv.address(picture.src);
      const digits = end < SHORT_S ? 1 : 0;
      const away = picture && Math.abs(picture.time_s - time) >= 1 ? ` (frame at ${olmv.clock(picture.time_s, digits)})` : "";
      let said = "";
      if (row) {
        const percent = row.curve ? row.curve[Math.min(Math.floor((time / end) * row.curve.length), row.curve.length - 1)] : null;
        said = ` · ${row.dataset.label}${percent === null ? "" : ` ${percent === 0 ? "<1%" : percent === 100 ? ">99%" : `${percent}%`}`}`;
      }
      words.textContent = olmv.clock(time, digits) + away + said;
      floating.hidden = false;
      floating.style.left = `${Math.max(4, Math.min(x - floating.offsetWidth / 2, document.documentElement.clientWidth - floating.offsetWidth - 4))}px`;
      floating.style.top = `${box.top - floating.offsetHeight - 8 > 0 ? box.top - floating.offsetHeight - 8 : box.bottom + 8}px`;
      mark(time);
    };
    const fail = () => {
      broken = true;
      video.replaceWith(el("p", { class: "facts unplayable", role: "status" }, "this browser cannot play the file; what is shown are the frames that were looked at"));
    };
    film.jump = (time) => {
      if (broken) return false;
      hide(); // what is under the pointer moves where the player opens
      const seek = () => {
        if (!video.videoWidth) return fail(); // sound only: of its pictures the browser knows nothing
        video.currentTime = video.dataset.time;
        return video.play().catch(() => {});
      };
      if (!video) {
        video = el("video", { class: "player", controls: true, preload: "metadata", src: address, "aria-label": card.name });
        video.addEventListener("error", fail, { once: true });
        video.addEventListener("loadedmetadata", seek);
        video.addEventListener("timeupdate", () => {
          if (peek().box.hidden) mark(video.currentTime);
        });
        film.prepend(video);
      }
      video.dataset.time = time;
      if (video.readyState) seek();
      return true;
    };
    const over = (event) => {
      const place = event.target.closest(".heat, .strip, .axis, .cuts");
      if (!place || !film.contains(place)) return null;
      const box = place.getBoundingClientRect();
      const share = Math.max(0, Math.min((event.clientX - box.left) / box.width, 1));
      return { time: share * end, row: place.closest(".bar"), x: event.clientX, box };
    };
    film.addEventListener("pointermove", (event) => {
      const at = over(event);
      if (at) show(at.time, at.row, at.x, at.box);
      else hide();
    });
    film.addEventListener("pointerleave", hide);
    film.addEventListener("focusout", hide);
    film.addEventListener("click", (event) => {
      const button = event.target.closest(".jump");
      const at = over(event);
      if (button) {
        const time = Number(button.dataset.time);
        if (!film.jump(time) && card.pictures.length) enlarge(card, nearest(card.pictures, time));
      } else if (at && !film.jump(at.time) && card.pictures.length) {
        if (at.row) show(at.time, at.row, at.x, at.box);
        else {
          hide();
          enlarge(card, nearest(card.pictures, at.time));
        }
      }
    });
    for (const type of ["focusin", "pointerover"]) {
      film.addEventListener(type, (event) => {
        const button = event.target.closest(".jump");
        if (!button) return;
        const row = button.closest(".bar");
        const box = row.querySelector(".heat").getBoundingClientRect();
        const time = Number(button.dataset.time);
        show(time, row, box.left + (box.width * time) / end, box);
      });
    }
    return film;
  }
})();

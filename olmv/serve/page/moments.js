/* Moments of a library: tiles that play under the pointer, and a window with a player. */
"use strict";
(() => {
  const { el } = olmv;
  const PREVIEW_MS = 180; // the pointer rests before a tile plays
  const LEAST_S = 2; // of a preview, where a moment is shorter

  const digits = (moment) => ((moment.duration_s ?? moment.end_s) < 600 ? 1 : 0);

  /** Say when a moment is. */
  olmv.spanOf = (moment) => {
    const clock = (time) => olmv.clock(time, digits(moment));
    const whole = moment.start_s <= 0.05 && moment.duration_s !== null && moment.end_s >= moment.duration_s - 0.05;
    if (whole) return `all of ${clock(moment.duration_s)}`;
    return `${clock(moment.start_s)}–${clock(moment.end_s)}${moment.duration_s === null ? "" : ` of ${clock(moment.duration_s)}`}`;
  };

  const source = (moment) => {
    const begin = moment.start_s.toFixed(2);
    return `${moment.player}#t=${begin},${Math.max(moment.end_s, moment.start_s + LEAST_S).toFixed(2)}`;
  };

  /** Let a tile play without sound while it is pointed at or focused; where it cannot, its picture stays. */
  const preview = (button, moment) => {
    let timer = 0;
    let video = null;
    const begin = () => {
      if (video || !moment.player || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        video = el("video", { class: "preview", src: source(moment), muted: true, playsinline: true, preload: "auto", tabindex: -1, "aria-hidden": "true" });
        video.muted = true; // the attribute of an element made by a script is not looked at
        const end_s = Math.max(moment.end_s, moment.start_s + LEAST_S);
        const again = () => {
          video.currentTime = moment.start_s;
          video.play().catch(() => {});
        };
        video.addEventListener("timeupdate", () => video && video.currentTime >= end_s - 0.05 && again());
        video.addEventListener("ended", () => video && again());
        video.addEventListener("pause", () => video && video.currentTime >= end_s - 0.2 && again()); // at the end of #t
        video.addEventListener("playing", () => button.classList.add("playing"), { once: true });
        video.addEventListener("error", end);
        button.append(video);
        video.play().catch(() => {});
      }, PREVIEW_MS);
    };
    const end = () => {
      clearTimeout(timer);
      button.classList.remove("playing");
      const gone = video;
      video = null;
      if (!gone) return;
      gone.remove();
      gone.removeAttribute("src");
      gone.load(); // or the browser reads on
    };
    button.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && begin());
    button.addEventListener("pointerleave", () => document.activeElement !== button && end());
    button.addEventListener("focus", () => button.matches(":focus-visible") && begin());
    button.addEventListener("blur", end);
    button.addEventListener("click", end);
  };

  const chance = (moment, threshold) =>
    el("div", { class: `chance${moment.probability >= threshold ? " positive" : ""}` }, olmv.track(moment.probability, threshold), el("span", { class: "percent" }, olmv.percent(moment.probability)));

  /** Draw a moment as a tile: {threshold, onOpen(), onLike()}. */
  olmv.moment = (moment, { threshold, onOpen, onLike }) => {
    const image = moment.picture
      ? el("img", { src: moment.picture, alt: "", loading: "lazy", decoding: "async" })
      : el("span", { class: "blank" }, "no picture");
    const button = el(
      "button",
      { type: "button", class: "picture", "aria-label": `open ${moment.name} at ${olmv.clock(moment.peak_s, digits(moment))}, ${olmv.percent(moment.probability)}`, click: onOpen },
      image,
      el("span", { class: "clock" }, olmv.clock(moment.peak_s, digits(moment))),
    );
    preview(button, moment);
    return el(
      "li",
      { class: "moment" },
      button,
      el("p", { class: "name", title: moment.video }, el("bdi", {}, moment.name)),
      el("p", { class: "facts" }, olmv.spanOf(moment)),
      chance(moment, threshold),
      el("button", { type: "button", class: "link", "aria-label": `more like ${moment.name} at ${olmv.clock(moment.peak_s, digits(moment))}`, click: onLike }, "more like this"),
    );
  };

  /** Open a window with the player at a moment; arrow keys go to those beside it: {index, threshold, onLike(moment)}. */
  olmv.momentWindow = (moments, { index, threshold, onLike }) => {
    let at = index;
    const body = el("div", { class: "shown" });
    const many = moments.length > 1;
    const show = () => {
      const moment = moments[at];
      const still = () =>
        moment.picture ? el("img", { class: "player", src: moment.picture, alt: `frame at ${olmv.clock(moment.peak_s, digits(moment))}` }) : el("p", { class: "facts" }, "there is no picture of it");
      let player = still();
      if (moment.player) {
        player = el("video", { class: "player", src: `${moment.player}#t=${moment.start_s.toFixed(2)}`, controls: true, playsinline: true, preload: "auto", poster: olmv.address(moment.picture), "aria-label": moment.name });
        player.addEventListener("error", () => player.replaceWith(still(), el("p", { class: "facts", role: "status" }, "this browser cannot play the file, or it is gone; what is shown is the frame that was looked at")), { once: true });
        player.play().catch(() => {});
      }
      const again = el("button", { type: "button", class: "button", click: () => ((player.currentTime = moment.start_s), player.play()) }, "From its beginning");
      body.replaceChildren(
        player,
        el("h2", { title: moment.video }, el("bdi", {}, moment.name)),
        el("p", { class: "facts" }, olmv.spanOf(moment), many ? ` · ${at + 1} of ${moments.length}` : ""),
        chance(moment, threshold),
        el(
          "div",
          { class: "controls" },
          moment.player ? again : null,
          el("button", { type: "button", class: "button", click: () => (dialog.close(), onLike(moment)) }, "More like this"),
          many ? el("span", { class: "ends controls" }, el("button", { type: "button", class: "button", "aria-label": "moment before", click: () => step(-1) }, "‹"), el("button", { type: "button", class: "button", "aria-label": "next moment", click: () => step(1) }, "›")) : null,
        ),
      );
    };
    const step = (by) => {
      at = (at + by + moments.length) % moments.length;
      show();
      body.querySelector(`[aria-label="${by < 0 ? "moment before" : "next moment"}"]`).focus();
    };
    const dialog = olmv.dialog(body, { label: "moment", class: "momentous", onClose: () => body.replaceChildren() });
    dialog.addEventListener("keydown", (event) => {
      if (!many || event.target.matches("video, input")) return; // there the arrows move in time
      if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "ArrowRight") step(1);
      else return;
      event.preventDefault();
    });
    show();
    return dialog;
  };
})();

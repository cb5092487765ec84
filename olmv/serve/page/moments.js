/* Moments of a library: tiles that play under the pointer, and a window with a player. */
"use strict";
(() => {
  const { el } = olmv;
  const PREVIEW_MS = 180; // the pointer rests before a tile plays
  const STEP_MS = 700; // a picture in place of a video
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

  const unplayable = new Set(); // addresses that this browser does not play, or whose files are gone

  /** Promise the pictures that the library keeps around a moment, [{time_s, src}]; none where it cannot be asked. */
  const around = async (moment, api) => {
    if (!moment.pictures) return [];
    try {
      return (await api.get(moment.pictures)).pictures;
    } catch {
      return []; // the one picture of the moment stays
    }
  };

  /** Play a moment in a tile, over and over: {stop()}. `failed()` where this browser cannot. */
  const playIn = (button, moment, failed) => {
    const video = el("video", { class: "preview", src: source(moment), muted: true, playsinline: true, preload: "auto", tabindex: -1, "aria-hidden": "true" });
    video.muted = true; // the attribute of an element made by a script is not looked at
    const end_s = Math.max(moment.end_s, moment.start_s + LEAST_S);
    let stopped = false;
    const again = () => {
      if (stopped) return;
      video.currentTime = moment.start_s;
      video.play().catch(() => {});
    };
    video.addEventListener("timeupdate", () => video.currentTime >= end_s - 0.05 && again());
    video.addEventListener("ended", again);
    video.addEventListener("pause", () => video.currentTime >= end_s - 0.2 && again()); // at the end of #t
    video.addEventListener("playing", () => (video.videoWidth ? button.classList.add("playing") : failed()), { once: true }); // some files only sound
    video.addEventListener("error", () => stopped || failed(), { once: true });
    button.append(video);
    video.play().catch(() => {});
    return {
      stop: () => {
        stopped = true;
        video.remove();
        video.removeAttribute("src");
        video.load(); // or the browser reads on
      },
    };
  };

  /** Show one picture after the other in a tile, and when each is: {stop()}. */
  const stepIn = (button, moment, api) => {
    const image = el("img", { class: "preview", alt: "", "aria-hidden": "true" });
    const clock = button.querySelector(".clock");
    const words = clock.textContent;
    let timer = 0;
    let stopped = false;
    const begin = async () => {
      const pictures = await around(moment, api);
      if (stopped || pictures.length < 2) return;
      let at = -1;
      image.addEventListener("load", () => {
        button.classList.add("playing");
        clock.textContent = olmv.clock(pictures[at].time_s, digits(moment));
      });
      const next = () => {
        at = (at + 1) % pictures.length;
        image.src = olmv.address(pictures[at].src);
      };
      button.append(image);
      next();
      timer = setInterval(next, STEP_MS);
    };
    begin();
    return {
      stop: () => {
        stopped = true;
        clearInterval(timer);
        image.remove();
        clock.textContent = words;
      },
    };
  };

  /** Let a tile play without sound while it is pointed at or focused; where it cannot, its pictures follow each other. */
  const preview = (button, moment, api) => {
    let timer = 0;
    let shown = null;
    const step = () => {
      shown?.stop();
      shown = stepIn(button, moment, api);
    };
    const begin = () => {
      if (shown || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!moment.player || unplayable.has(moment.player)) return step();
        shown = playIn(button, moment, () => {
          unplayable.add(moment.player);
          step();
        });
      }, PREVIEW_MS);
    };
    const end = () => {
      clearTimeout(timer);
      button.classList.remove("playing");
      shown?.stop();
      shown = null;
    };
    button.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && begin());
    button.addEventListener("pointerleave", () => document.activeElement !== button && end());
    button.addEventListener("focus", () => button.matches(":focus-visible") && begin());
    button.addEventListener("blur", end);
    button.addEventListener("click", end);
  };

  const chance = (moment, threshold) =>
    el("div", { class: `chance${moment.probability >= threshold ? " positive" : ""}` }, olmv.track(moment.probability, threshold), el("span", { class: "percent" }, olmv.percent(moment.probability)));

  /** Draw a moment as a tile: {api, threshold, onOpen(), onLike()}. */
  olmv.moment = (moment, { api, threshold, onOpen, onLike }) => {
    const image = moment.picture
      ? el("img", { src: moment.picture, alt: "", loading: "lazy", decoding: "async" })
      : el("span", { class: "blank" }, "no picture");
    const button = el(
      "button",
      { type: "button", class: "picture", "aria-label": `open ${moment.name} at ${olmv.clock(moment.peak_s, digits(moment))}, ${olmv.percent(moment.probability)}`, click: onOpen },
      image,
      el("span", { class: "clock" }, olmv.clock(moment.peak_s, digits(moment))),
    );
    preview(button, moment, api);
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

  /** Open a window with the player at a moment; arrow keys go to those beside it: {api, index, threshold, onLike(moment)}.
  Where the browser plays nothing, the pictures around the moment are there. */
  olmv.momentWindow = (moments, { api, index, threshold, onLike }) => {
    let at = index;
    const body = el("div", { class: "shown" });
    const many = moments.length > 1;
    const show = () => {
      const moment = moments[at];
      const still = () =>
        moment.picture ? el("img", { class: "player", src: moment.picture, alt: `frame at ${olmv.clock(moment.peak_s, digits(moment))}` }) : el("p", { class: "facts" }, "there is no picture of it");
      let player = still();
      const strip = el("ol", { class: "frames near" });
      const look = async () => {
        const pictures = await around(moment, api);
        if (moments[at] !== moment || pictures.length < 2) return;
        const peak = pictures.reduce((best, each) => (Math.abs(each.time_s - moment.peak_s) < Math.abs(best.time_s - moment.peak_s) ? each : best));
        const buttons = pictures.map((picture) => {
          const clock = olmv.clock(picture.time_s, digits(moment));
          const choose = () => {
            const shown = body.querySelector("img.player");
            shown.src = olmv.address(picture.src);
            shown.alt = `frame at ${clock}`;
            buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
          };
          const button = el("button", { type: "button", class: "frame", "aria-pressed": String(picture === peak), "aria-label": `show the frame at ${clock}`, click: choose }, el("img", { src: picture.src, alt: "" }), el("span", {}, clock));
          return button;
        });
        strip.replaceChildren(...buttons.map((button) => el("li", {}, button)));
      };
      const fail = () => {
        unplayable.add(moment.player);
        player.replaceWith(still(), el("p", { class: "facts", role: "status" }, "this browser cannot play the file, or it is gone; what is shown are frames that were looked at"));
        body.querySelector(".again")?.remove();
        look();
      };
      if (!moment.player) look();
      else {
        player = el("video", { class: "player", src: `${moment.player}#t=${moment.start_s.toFixed(2)}`, controls: true, playsinline: true, preload: "auto", poster: olmv.address(moment.picture), "aria-label": moment.name });
        player.addEventListener("error", fail, { once: true });
        player.addEventListener("loadedmetadata", () => player.videoWidth || fail()); // only its sound
        player.play().catch(() => {});
      }
      const again = el("button", { type: "button", class: "button again", click: () => ((player.currentTime = moment.start_s), player.play()) }, "From its beginning");
      body.replaceChildren(
        player,
        strip,
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

"use strict";
(() => {
  const list = document.getElementById("videos");
  const peek = document.createElement("div"), picture = document.createElement("img"), caption = document.createElement("p");
  const cursor = document.createElement("div");
  peek.className = "peek";
  cursor.className = "cursor";
  picture.alt = "";
  peek.hidden = cursor.hidden = true;
  peek.append(picture, caption);
  document.body.append(peek);

  function clock(seconds, digits) {
    const text = seconds.toFixed(digits), whole = Math.floor(text), rest = digits ? text.slice(text.indexOf(".")) : "";
    const two = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return (hours ? `${hours}:${two(minutes)}` : minutes) + `:${two(whole % 60)}${rest}`;
  }
  const frames = new WeakMap(); // of a film: all its pictures, in sight or not
  function nearest(film, time) {
    if (!frames.has(film)) {
      const hidden = film.querySelector(".hidden-frames");
      const all = Array.from(film.querySelectorAll(".strip li"), (item) => ({ time: Number(item.dataset.time), image: item.firstElementChild }));
      for (const image of hidden ? hidden.content.children : []) all.push({ time: Number(image.dataset.time), image });
      frames.set(film, all);
    }
    let best = null;
    for (const frame of frames.get(film)) if (!best || Math.abs(frame.time - time) < Math.abs(best.time - time)) best = frame;
    return best;
  }
  function probability(lane, share) {
    if (!lane || !lane.dataset.curve) return "";
    const curve = atob(lane.dataset.curve);
    const percent = curve.charCodeAt(Math.min(Math.floor(share * curve.length), curve.length - 1));
    return percent === 0 ? "<1%" : percent === 100 ? ">99%" : `${percent}%`;
  }
  function mark(film, time) {
    const scale = film.querySelector(".axis, .heat").getBoundingClientRect(), all = film.getBoundingClientRect();
    cursor.style.left = `${scale.left - all.left + (scale.width * time) / film.dataset.end}px`;
    cursor.style.top = `${film.querySelector(".strip, .axis").getBoundingClientRect().top - all.top}px`;
    if (cursor.parentNode !== film) film.append(cursor);
    cursor.hidden = false;
  }
  function show(film, time, lane, x, box) {
    const end = Number(film.dataset.end), frame = nearest(film, time);
    picture.hidden = !frame;
    if (frame) picture.src = frame.image.src;
    const label = lane && lane.closest(".bar").querySelector(".label").textContent;
    const digits = end < 600 ? 1 : 0;
    const away = frame && Math.abs(frame.time - time) >= 1 ? ` (frame at ${clock(frame.time, digits)})` : "";
    caption.textContent = clock(time, digits) + away + (label ? ` · ${label} ${probability(lane, time / end)}` : "");
    peek.hidden = false;
    const width = peek.offsetWidth, height = peek.offsetHeight;
    peek.style.left = `${Math.max(4, Math.min(x - width / 2, document.documentElement.clientWidth - width - 4))}px`;
    peek.style.top = `${box.top - height - 8 > 0 ? box.top - height - 8 : box.bottom + 8}px`;
    mark(film, time);
  }
  function hide() {
    peek.hidden = cursor.hidden = true;
  }
  function over(event) {
    const place = event.target.closest(".heat, .strip, .axis, .cuts");
    if (!place) return null;
    const film = place.closest(".film"), box = place.getBoundingClientRect();
    const share = Math.max(0, Math.min((event.clientX - box.left) / box.width, 1));
    return { film, time: share * film.dataset.end, lane: place.closest(".heat"), x: event.clientX, box };
  }
  function jump(film, time) {
    const player = film.querySelector(".player");
    if (!player || "broken" in player.dataset) return;
    hide(); // what is under the pointer moves where the player opens
    const isNew = !("time" in player.dataset);
    player.dataset.time = time;
    player.hidden = false;
    const fail = () => {
      player.dataset.broken = "";
      player.hidden = true;
      film.querySelector(".unplayable").hidden = false;
    };
    const seek = () => {
      if (!player.videoWidth) return fail(); // sound only: of its pictures the browser knows nothing
      player.currentTime = player.dataset.time;
      player.play().catch(() => {});
    };
    if (player.readyState) seek();
    if (!isNew) return;
    player.addEventListener("error", fail);
    player.addEventListener("loadedmetadata", seek);
    player.addEventListener("timeupdate", () => { if (peek.hidden) mark(film, player.currentTime); });
    player.preload = "metadata";
    player.load();
  }
  list.addEventListener("pointermove", (event) => {
    const at = over(event);
    if (at) show(at.film, at.time, at.lane, at.x, at.box);
    else hide();
  });
  list.addEventListener("pointerleave", hide);
  window.addEventListener("scroll", hide, { passive: true });
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".jump"), at = over(event);
    if (button) jump(button.closest(".film"), Number(button.dataset.time));
    else if (at) {
      show(at.film, at.time, at.lane, at.x, at.box);
      jump(at.film, at.time);
    }
  });
  for (const type of ["focusin", "pointerover"]) {
    list.addEventListener(type, (event) => {
      const button = event.target.closest(".jump");
      if (!button) return;
      const lane = button.closest(".bar").querySelector(".heat"), box = lane.getBoundingClientRect();
      const film = button.closest(".film"), time = Number(button.dataset.time);
      show(film, time, lane, box.left + (box.width * time) / film.dataset.end, box);
    });
  }
  list.addEventListener("focusout", hide);
})();

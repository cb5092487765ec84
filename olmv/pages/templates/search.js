"use strict";
(() => {
  const dialog = document.getElementById("player"), video = dialog.querySelector("video"), image = dialog.querySelector("img");
  const where = document.getElementById("where"), unplayable = document.getElementById("unplayable");
  let moment = null;
  function fail() {
    video.hidden = true;
    image.hidden = !image.src;
    unplayable.hidden = false;
  }
  function open(item) {
    const picture = item.querySelector("img"), clock = item.querySelector(".clock");
    moment = item;
    where.textContent = item.querySelector(".name").title + " · " + item.querySelector(".facts").textContent + (clock ? " · best at " + clock.textContent : "");
    if (picture) image.src = picture.src;
    else image.removeAttribute("src");
    image.hidden = unplayable.hidden = true;
    if ("player" in item.dataset) {
      video.hidden = false;
      video.src = item.dataset.player;
      video.load();
    } else fail();
    dialog.showModal();
  }
  video.addEventListener("error", () => { if (moment && video.hasAttribute("src")) fail(); });
  video.addEventListener("loadedmetadata", () => {
    if (!video.videoWidth) return fail(); // sound only
    video.currentTime = Number(moment.dataset.start);
    video.play().catch(() => {});
  });
  dialog.addEventListener("close", () => {
    moment = null;
    video.pause();
    video.removeAttribute("src");
    video.load();
  });
  document.querySelector("main").addEventListener("click", (event) => {
    const button = event.target.closest(".picture");
    if (button) open(button.closest(".moment"));
  });
})();

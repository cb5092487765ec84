"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const list = $("videos"), search = $("search"), label = $("label"), sort = $("sort"), positive = $("positive");
  const videos = Array.from(list.children, (node, order) => {
    const bars = Array.from(node.querySelectorAll(".bar"));
    const byLabel = new Map(bars.map((bar) => [bar.dataset.label, bar]));
    return { node, order, name: node.dataset.name, best: bars[0], some: bars.some((bar) => "positive" in bar.dataset), byLabel };
  });
  const probability = (bar) => (bar ? Number(bar.dataset.probability) : -1);
  const distance = (bar) => {
    if (!bar) return 2;
    return Math.abs(Number(bar.dataset.probability) - Number(bar.querySelector(".threshold").getAttribute("x1")) / 100);
  };
  const orders = {
    input: (a, b) => a.order - b.order,
    name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
    probability: (a, b) => probability(b.bar) - probability(a.bar),
    uncertain: (a, b) => distance(a.bar) - distance(b.bar),
  };
  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const video of videos) {
      video.bar = label.value ? video.byLabel.get(label.value) : video.best;
      const isPositive = label.value ? !!video.bar && "positive" in video.bar.dataset : video.some;
      const hit = words.every((word) => video.name.includes(word)) && (!positive.checked || isPositive);
      video.node.hidden = !hit;
      shown += hit;
      for (const bar of video.node.querySelectorAll(".bar.chosen")) bar.classList.remove("chosen");
      if (label.value && video.bar) {
        video.bar.classList.add("chosen");
        const more = video.bar.closest("details");
        if (more) more.open = true;
      }
    }
    list.append(...videos.slice().sort((a, b) => orders[sort.value](a, b) || a.order - b.order).map((video) => video.node));
    $("count").textContent = shown === videos.length ? `${shown} shown` : `${shown} of ${videos.length} shown`;
  }
  function carry(bar, on) {
    const frames = bar.closest(".video").querySelectorAll(".frames li");
    for (const index of bar.dataset.frames.split(" ")) frames[index]?.classList.toggle("carried", on);
  }
  for (const type of ["mouseover", "mouseout"]) {
    list.addEventListener(type, (event) => {
      const bar = event.target.closest(".bar[data-frames]");
      if (bar) carry(bar, type === "mouseover");
    });
  }
  search.addEventListener("input", update);
  for (const control of [label, sort, positive]) control.addEventListener("change", update);
  label.addEventListener("change", () => {
    if (label.value && sort.value === "input") { sort.value = "probability"; update(); }
  });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  update();
})();

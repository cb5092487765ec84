"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const list = $("videos"), search = $("search"), label = $("label"), sort = $("sort"), positive = $("positive"), failed = $("failed"), next = $("next");
  const PAGE = 50; // videos in sight before the button is asked for more
  let limit = PAGE;
  const probability = (bar) => (bar ? Number(bar.dataset.probability) : -1);
  const videos = Array.from(list.children, (node, order) => {
    const bars = Array.from(node.querySelectorAll(".bar"));
    const byLabel = new Map(bars.map((bar) => [bar.dataset.label, bar]));
    return { node, order, name: node.dataset.name, failed: node.classList.contains("failed"), best: bars.reduce((best, bar) => (probability(bar) > probability(best) ? bar : best), bars[0]), some: bars.some((bar) => "positive" in bar.dataset), byLabel };
  });
  const distance = (bar) => {
    if (!bar) return 2;
    return Math.abs(Number(bar.dataset.probability) - Number(bar.dataset.threshold));
  };
  const orders = {
    input: (a, b) => a.order - b.order,
    name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
    probability: (a, b) => probability(b.bar) - probability(a.bar),
    uncertain: (a, b) => distance(a.bar) - distance(b.bar),
  };
  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = [];
    for (const video of videos) {
      video.bar = label.value ? video.byLabel.get(label.value) : video.best;
      const isPositive = label.value ? !!video.bar && "positive" in video.bar.dataset : video.some;
      const hit = words.every((word) => video.name.includes(word)) && (!positive.checked || isPositive) && (!failed.checked || video.failed);
      video.node.hidden = true;
      if (hit) hits.push(video);
      for (const bar of video.node.querySelectorAll(".bar.chosen")) bar.classList.remove("chosen");
      if (label.value && video.bar) {
        video.bar.classList.add("chosen");
        const more = video.bar.closest("details");
        if (more) more.open = true;
      }
    }
    hits.sort((a, b) => orders[sort.value](a, b) || a.order - b.order);
    for (const video of hits.slice(0, limit)) video.node.hidden = false;
    list.append(...hits.map((video) => video.node));
    const rest = hits.length - limit;
    next.hidden = rest <= 0;
    next.textContent = `Show ${Math.min(rest, PAGE)} more of ${rest}`;
    const all = `${videos.length} ${videos.length === 1 ? "video" : "videos"}`;
    const match = hits.length === videos.length ? all : `${hits.length} of ${all}`;
    $("count").textContent = rest > 0 ? `${match}, ${limit} shown` : match;
  }
  function filter() {
    limit = PAGE;
    update();
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
  search.addEventListener("input", filter);
  for (const control of [label, sort, positive, failed]) control.addEventListener("change", filter);
  next.addEventListener("click", () => {
    limit += PAGE;
    update();
  });
  label.addEventListener("change", () => {
    if (label.value && sort.value === "input") { sort.value = "probability"; update(); }
  });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  update();
})();

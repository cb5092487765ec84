/* Cards, and grids of thousands of them of which only those in sight are drawn. */
"use strict";
(() => {
  const { el } = olmv;
  const MARGIN = 600; // pixels beyond the window that are drawn too
  const HASTE = 5; // windows a second: nobody sees pictures that fly by like that
  const REST_MS = 120; // without a scroll, until what was drawn in haste is drawn well

  /** Draw a card whole: name, facts, error, pictures or the film, labels.
  Options: those of `bars` and `film`; `heading`, the tag of its name ("h2"); `actions`, elements beside the name. */
  olmv.card = (card, options = {}) => {
    const player = olmv.address(options.player ?? card.player);
    const name = el("bdi", {}, card.name);
    const timed = Array.isArray(card.segments) && !card.photo && card.status === "ok";
    let pictures = null;
    if (!timed && card.pictures.length) pictures = olmv.frames(card);
    else if (!timed && card.status === "ok") pictures = el("p", { class: "facts" }, "no pictures were kept of this video");
    const article = el(
      "article",
      { class: `video${card.status === "ok" ? "" : " failed"}`, dataset: { video: card.video } },
      el(
        "header",
        {},
        el(
          options.heading || "h2",
          { title: card.video },
          el("span", { class: "folder" }, card.folder),
          player ? el("a", { href: player, target: "_blank", rel: "noopener noreferrer", title: `open ${card.video}` }, name) : name,
        ),
        options.actions || null,
      ),
      el("p", { class: "facts" }, card.facts),
      card.error ? el("p", { class: "error" }, el("b", {}, card.error.type), " ", card.error.message) : null,
      pictures,
      timed ? olmv.film(card, options) : card.labels.length ? olmv.bars(card, options) : null,
    );
    const carry = (event, on) => {
      const row = event.target.closest(".bar[data-frames]");
      if (!row) return;
      const times = row.dataset.frames.split(" ").map((frame) => frame.split("@"));
      olmv.carry(article, on ? times.filter(([, time]) => time !== "").map(([, time]) => Number(time)) : []);
    };
    article.addEventListener("mouseover", (event) => carry(event, true));
    article.addEventListener("mouseout", (event) => carry(event, false));
    return article;
  };

  /** Show a long list of which only the part in sight is drawn. The window scrolls it, or the nearest box that does.
  `count` items; `height` of one in pixels; `width`, the least of one, for several in a row (as wide as the container);
  `gap` between them; `measured` where heights differ, and `height` is a guess: then there is one column;
  `render(index, hasty)` makes the inside of an item, an element or text; `hasty` while the list flies by: leave out what
  is slow, such as pictures, it is asked for again as soon as the list rests.
  Returns {update(count), refresh(), scrollTo(index), item(index), destroy(), element}; `refresh` draws what is in sight
  again, `item` is the element of an item that is drawn. */
  olmv.grid = (container, { count, height, width = Infinity, gap = 8, measured = false, render }) => {
    const list = el("ul", { class: "grid" });
    container.append(list);
    const scroller = boxOf(container);
    const items = new Map();
    let columns = 1;
    let inside = 0; // width of the list
    let heights = null; // of rows, where they are measured
    let offsets = null;
    const hasty = new Set(); // items that were drawn so
    let seen = null; // where the window was, and when
    let rest = 0;

    const rows = () => Math.ceil(count / columns);
    const tops = () => {
      if (!offsets) {
        offsets = new Float64Array(rows() + 1);
        for (let row = 0; row < rows(); row += 1) offsets[row + 1] = offsets[row] + heights[row] + gap;
      }
      return offsets;
    };
    const top = (row) => (measured ? tops()[row] : row * (height + gap));
    const rowAt = (y) => {
      if (!measured) return Math.floor(y / (height + gap));
      const all = tops();
      let low = 0;
      let high = rows();
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (all[middle] <= y) low = middle;
        else high = middle - 1;
      }
      return low;
    };
    const sight = () => {
      const box = list.getBoundingClientRect();
      if (!scroller) return { from: -box.top, to: -box.top + window.innerHeight };
      const outer = scroller.getBoundingClientRect();
      return { from: outer.top - box.top, to: outer.top - box.top + scroller.clientHeight };
    };
    const put = (index, item) => {
      const row = Math.floor(index / columns);
      const cell = (inside + gap) / columns;
      item.style.transform = `translate(${(index % columns) * cell}px, ${top(row)}px)`;
      item.style.width = `${cell - gap}px`;
      if (!measured) item.style.height = `${height}px`;
      else item.style.height = hasty.has(index) ? `${heights[index]}px` : "";
    };
    const make = (index, fast) => {
      const item = el("li", { "aria-setsize": count, "aria-posinset": index + 1, dataset: { index } }, render(index, fast));
      if (fast) hasty.add(index);
      items.set(index, item);
      return item;
    };
    /** Tell whether the list flies by; then what is drawn now is drawn again when it rests. */
    const flies = ({ from, to }) => {
      const now = performance.now();
      const fast = seen !== null && Math.abs(from - seen.from) / (to - from) > (HASTE * Math.max(16, now - seen.now)) / 1000;
      seen = { from, now };
      return fast;
    };
    const settle = () => {
      for (const index of hasty) {
        hasty.delete(index);
        const item = items.get(index);
        if (!item) continue;
        item.replaceChildren(render(index, false));
        put(index, item);
      }
      seen = null;
      draw();
    };
    const measure = () => {
      let above = 0; // by how much what is above the window has grown
      let changed = false;
      const { from } = sight();
      for (const [index, item] of items) {
        if (hasty.has(index)) continue;
        const now = item.offsetHeight;
        if (!now || Math.abs(now - heights[index]) < 0.5) continue;
        if (top(index) + heights[index] < from) above += now - heights[index];
        heights[index] = now;
        changed = true;
      }
      if (!changed) return;
      offsets = null;
      list.style.height = `${Math.max(0, top(rows()) - gap)}px`;
      for (const [index, item] of items) put(index, item);
      if (above) (scroller || window).scrollBy(0, above);
    };
    const draw = () => {
      if (!list.isConnected) return;
      const { from, to } = sight();
      const fast = flies({ from, to });
      const margin = fast ? 0 : MARGIN;
      const first = Math.max(0, rowAt(Math.max(0, from - margin))) * columns;
      const stop = Math.min(count, (rowAt(Math.max(0, to + margin)) + 1) * columns);
      if (fast || hasty.size) {
        clearTimeout(rest);
        rest = setTimeout(settle, REST_MS);
      }
      for (const [index, item] of items) {
        if ((index >= first && index < stop) || (index < count && item.contains(document.activeElement))) continue;
        item.remove();
        items.delete(index);
        hasty.delete(index);
      }
      for (let index = stop - 1; index >= first; index -= 1) {
        if (items.has(index)) continue;
        const item = make(index, fast);
        put(index, item);
        // in their order, for those who go from one to the next by key
        const next = items.get(index + 1);
        if (next) next.before(item);
        else list.append(item);
        if (watcher) watcher.observe(item);
      }
      if (measured) measure();
    };
    const layout = () => {
      inside = list.clientWidth;
      const fit = measured || width === Infinity ? 1 : Math.max(1, Math.floor((inside + gap) / (width + gap)));
      columns = fit;
      if (measured && (!heights || heights.length !== rows())) heights = new Float64Array(rows()).fill(height);
      offsets = null;
      list.style.height = `${Math.max(0, top(rows()) - gap)}px`;
      for (const [index, item] of items) put(index, item);
      draw();
    };
    const clear = () => {
      for (const item of items.values()) item.remove();
      items.clear();
      hasty.clear();
      seen = null;
    };
    const soon = olmv.soon(draw);
    (scroller || window).addEventListener("scroll", soon, { passive: true });
    window.addEventListener("resize", soon, { passive: true });
    const watcher = measured ? new ResizeObserver(olmv.soon(measure)) : null;
    const sizes = new ResizeObserver(() => {
      if (list.clientWidth !== inside) layout();
    });
    layout();
    sizes.observe(list);
    return {
      element: list,
      update: (next) => {
        count = next;
        if (measured) heights = null;
        clear();
        layout();
      },
      refresh: () => {
        const [focused] = Array.from(items).find(([, item]) => item.contains(document.activeElement)) || [];
        clear();
        draw();
        if (items.has(focused)) items.get(focused).querySelector("button, a[href], input")?.focus({ preventScroll: true });
      },
      scrollTo: (index) => {
        const { from } = sight();
        (scroller || window).scrollBy(0, top(Math.floor(index / columns)) - from - 80);
        seen = null;
        draw();
        return items.get(index);
      },
      item: (index) => items.get(index),
      destroy: () => {
        (scroller || window).removeEventListener("scroll", soon);
        window.removeEventListener("resize", soon);
        clearTimeout(rest);
        sizes.disconnect();
        if (watcher) watcher.disconnect();
        list.remove();
      },
    };
  };

  function boxOf(node) {
    for (let box = node; box && box !== document.body; box = box.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(box).overflowY)) return box;
    }
    return null;
  }
})();

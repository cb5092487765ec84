/* The shell: which page is shown, the token, and what is said where the server is not reached. */
"use strict";
(() => {
  const { api } = olmv;
  const at = (id) => document.getElementById(id);
  const PAGES = ["try", "search", "review"];
  const shown = new Set(["try"]); // that this server has
  const pages = {}; // by name, what draws them
  let started = false;

  /** Take the token out of the address before anybody sees it there. */
  const takeToken = async () => {
    const found = /^#token=([^&]*)/.exec(location.hash);
    if (!found) return;
    history.replaceState(null, "", `${location.pathname}#try`);
    try {
      await api.openSession(decodeURIComponent(found[1]));
    } catch {
      // what is asked next is refused, and the dialog asks for the token
    }
  };

  const route = async () => {
    if (location.hash.startsWith("#token=")) await takeToken();
    const [name, text = ""] = location.hash.slice(1).split(/\?(.*)/s);
    const page = shown.has(name) ? name : "try";
    for (const each of PAGES) {
      at(each).hidden = each !== page;
      const link = document.querySelector(`nav [data-page="${each}"]`);
      if (each === page) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `olmv · ${page}`;
    for (const video of document.querySelectorAll("section[hidden] video")) video.pause();
    if (!started) return;
    for (const each of PAGES) if (each !== page) pages[each]?.hide?.();
    pages[page]?.show?.(text);
  };

  /** Load the review, which most who open the page do not need. */
  const loadReview = async () => {
    document.head.append(olmv.el("link", { rel: "stylesheet", href: "/assets/review.css" }));
    for (const name of ["review_side.js", "review.js"]) {
      await new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `/assets/${name}`;
        script.onload = resolve;
        script.onerror = reject;
        document.head.append(script);
      });
    }
  };

  /** The review is drawn whenever it is gone to, and ends when it is left: it listens to keys, and looks at the server. */
  const reviewPage = () => {
    let page = null;
    return {
      show: () => (page ||= olmv.reviewPage(at("review"), api)),
      hide: () => {
        page?.destroy();
        page = null;
        at("review").replaceChildren();
      },
    };
  };

  const about = (info) => {
    at("model").textContent = info.model;
    const parts = [info.model_note, info.library && `${info.library}, ${olmv.count(info.videos, "video")}`].filter(Boolean);
    at("about").textContent = parts.join(" · ");
  };

  const start = async () => {
    await takeToken();
    await route();
    let info;
    try {
      info = await api.patient(() => api.get("/v1/labels"), () => {}, new AbortController().signal);
    } catch (failure) {
      at("try").append(olmv.el("p", { class: "error", role: "alert" }, failure.message));
      return;
    }
    about(info);
    if (info.library) shown.add("search");
    const tried = olmv.tryPage(at("try"), api, info);
    if (info.library) pages.search = olmv.searchPage(at("search"), api, info, tried.addLabel);
    if (info.review) {
      await loadReview().then(() => shown.add("review"), () => {});
      pages.review = reviewPage();
    }
    for (const name of PAGES) document.querySelector(`nav [data-page="${name}"]`).hidden = !shown.has(name);
    document.querySelector("nav").hidden = shown.size < 2;
    started = true;
    await route();
  };

  api.onReach((yes) => {
    at("reach").hidden = yes;
    if (!yes) at("reach").textContent = "The server cannot be reached. Is it still running? What is on the way goes on when it is there again.";
  });
  addEventListener("hashchange", route);
  start();
})();

/* The parts that the report of `olmv predict` and the page of `olmv serve` are made of, in one namespace.

Classic scripts, loaded in this order: core, bars, film, grid. What they are given is untrusted: texts become text nodes,
addresses are looked at, and no markup is ever parsed. */
"use strict";
var olmv = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SCHEMES = ["http:", "https:", "file:", "blob:"];

  /** Return an address that is safe to open, else "": no javascript:, and of data: pictures only. */
  olmv.address = (text) => {
    if (!text) return "";
    if (/^data:image\/(jpeg|png|webp|gif);base64,/.test(text)) return text;
    try {
      return SCHEMES.includes(new URL(text, document.baseURI).protocol) ? text : "";
    } catch {
      return "";
    }
  };

  function fill(node, properties, children) {
    for (const [name, value] of Object.entries(properties || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") node.addEventListener(name.replace(/^on/, ""), value);
      else if (name === "class") node.setAttribute("class", value);
      else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
      else if (name === "dataset") Object.assign(node.dataset, value);
      else if (name === "href" || name === "src") node.setAttribute(name, olmv.address(value));
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  /** Make an element. Of the properties, functions are listeners (`click` or `onclick`), `style` and `dataset` objects,
  others attributes; null and false leave one out. Children are elements, texts, and arrays of them. */
  olmv.el = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

  /** Make an element of a drawing. */
  olmv.svg = (tag, properties, ...children) => {
    const { href, ...rest } = properties || {};
    const node = fill(document.createElementNS(SVG, tag), rest, children);
    if (href) node.setAttribute("href", href.startsWith("#") ? href : "");
    return node;
  };

  /** Write a probability with two digits that never round an uncertain verdict to certainty. */
  olmv.percent = (probability) => {
    const value = 100 * probability;
    if (value < 0.1) return value > 0 ? "<0.1%" : "0%";
    if (value > 99.9) return value < 100 ? ">99.9%" : "100%";
    return value < 10 || value > 99 ? `${value.toFixed(1)}%` : `${value.toFixed(0)}%`;
  };

  /** Write a threshold in per cent, with as many digits as it has, at most three. */
  olmv.limit = (threshold) => `${Number((100 * threshold).toPrecision(3))}%`;

  /** Write a time as players show it, 0:05 or 1:02:03, with as many digits after the second. */
  olmv.clock = (seconds, digits = 0) => {
    const units = 10 ** digits;
    const all = Math.round(seconds * units);
    const whole = Math.floor(all / units);
    const two = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    const rest = digits ? `.${String(all % units).padStart(digits, "0")}` : "";
    return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}${rest}`;
  };

  /** Write a number and what is counted: 1 video, 2,000 videos. */
  olmv.count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

  /** Look up a key that strangers chose ("constructor") in an object or a map. */
  olmv.get = (table, key) => {
    if (table instanceof Map) return table.get(key);
    return table && Object.hasOwn(table, key) ? table[key] : undefined;
  };

  /** Call a function at the next frame, once, however often it is asked for. */
  olmv.soon = (call) => {
    let asked = 0;
    return () => {
      asked ||= requestAnimationFrame(() => {
        asked = 0;
        call();
      });
    };
  };

  /** Let the user save a text, or a blob, as a file. */
  olmv.download = (name, content, kind = "application/json") => {
    const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type: `${kind};charset=utf-8` }));
    const link = olmv.el("a", { href: address, download: name, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  };

  /** Say something to those who listen to the page, without a visible change. */
  olmv.announce = (text) => {
    let region = document.getElementById("olmv-announcer");
    if (!region) {
      region = olmv.el("p", { id: "olmv-announcer", class: "unseen", role: "status" });
      document.body.append(region);
    }
    region.textContent = text;
  };

  /** Open a dialog of its own with this content; it is gone when it is closed.
  Returns the dialog. Options: `label` for those who listen, `class`, `onClose`. */
  olmv.dialog = (content, { label, class: kind = "", onClose } = {}) => {
    const close = olmv.el("button", { type: "button", class: "close", "aria-label": "close", title: "close (Esc)", click: () => dialog.close() }, "×");
    const dialog = olmv.el("dialog", { class: `window ${kind}`, "aria-label": label, tabindex: -1, autofocus: true }, close, content);
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (onClose) onClose();
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  };
})();

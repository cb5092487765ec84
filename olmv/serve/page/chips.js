/* Labels as chips, with a field that completes what is typed: the combobox of the ARIA authoring practices. */
"use strict";
(() => {
  const { el } = olmv;
  const SHOWN = 60; // chips in sight; the others are counted
  const SUGGEST_MS = 120;
  let drawn = 0;

  /** Split a list that was pasted or typed: one a line, or with commas between them. */
  olmv.listed = (text) =>
    text
      .split(/[\r\n]/.test(text.trim()) ? /[\r\n]+/ : /[,;]/)
      .map((part) => part.trim().replace(/\s+/g, " "))
      .filter(Boolean);

  /** Count the characters of a text as the server does: not by halves. */
  olmv.characters = (text) => [...text].length;

  /** Draw labels that can be added and removed.
  `labels` to begin with, `longest` is how many characters one may have, `suggest(text, signal)` promises completions, `onChange(labels)`. Returns {element, labels(),
  set(labels), add(labels), commit()}; `commit` adds what was typed and not added yet. */
  olmv.chips = ({ name, placeholder, labels: first, longest, suggest, onChange }) => {
    const id = `olmv-chips-${(drawn += 1)}`;
    let labels = [...first];
    let all = false;
    let options = [];
    let at = -1;
    let asking = null;

    const list = el("ul", { class: "chips", "aria-label": name });
    const field = el("input", {
      class: "field", type: "text", id, role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "true", enterkeyhint: "enter",
      placeholder, "aria-label": `add to ${name}`, "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-describedby": `${id}-help`,
    });
    const box = el("ul", { class: "options", id: `${id}-list`, role: "listbox", "aria-label": "suggestions", hidden: true });
    const help = el("span", { class: "unseen", id: `${id}-help` }, "Enter or a comma adds; arrow down for suggestions; a list can be pasted.");
    const refused = el("p", { class: "error", role: "alert", hidden: true });
    const element = el("div", { class: "chipbox" }, list, el("div", { class: "combo" }, field, box), refused, help);
    const refuse = (texts) => {
      refused.hidden = !texts.length;
      const [first] = texts;
      refused.textContent = texts.length ? `“${[...first].slice(0, 24).join("")}…” has ${olmv.characters(first)} characters, a label ${longest} at most${texts.length > 1 ? `; so have ${texts.length - 1} more` : ""}; shorten it.` : "";
    };

    const draw = (focused = -1) => {
      const shown = all ? labels : labels.slice(0, SHOWN);
      const chips = shown.map((label, index) =>
        el(
          "li",
          { class: "chip" },
          el("bdi", { title: label }, label),
          // one stop for the tab key, arrows between them
          el("button", { type: "button", tabindex: index === Math.max(0, focused) ? 0 : -1, "aria-label": `remove ${label}`, title: "remove (Delete)", dataset: { index } }, "×"),
        ),
      );
      if (labels.length > shown.length) {
        chips.push(el("li", {}, el("button", { type: "button", class: "chip-more", click: () => ((all = true), draw()) }, `${olmv.count(labels.length - shown.length, "more", "more")}`)));
      }
      list.replaceChildren(...chips);
      list.hidden = !labels.length;
      if (focused >= 0) (list.querySelectorAll("button[data-index]")[focused] || field).focus();
    };
    const change = (next, focused) => {
      labels = next;
      draw(focused);
      onChange([...labels]);
    };
    const add = (texts) => {
      const fresh = [];
      const long = texts.filter((text) => olmv.characters(text) > longest);
      refuse(long);
      const known = new Set(labels.map((label) => label.toLowerCase()));
      for (const text of texts) {
        if (known.has(text.toLowerCase()) || long.includes(text)) continue;
        known.add(text.toLowerCase());
        fresh.push(text);
      }
      if (!fresh.length) return;
      change([...labels, ...fresh]);
      olmv.announce(fresh.length === 1 ? `${fresh[0]} added` : `${fresh.length} labels added`);
    };
    const remove = (index) => {
      const [gone] = labels.slice(index, index + 1);
      change(labels.filter((_, place) => place !== index), Math.min(index, labels.length - 2));
      if (!labels.length) field.focus();
      olmv.announce(`${gone} removed`);
    };

    const close = () => {
      asking?.abort();
      asking = null;
      options = [];
      at = -1;
      box.hidden = true;
      box.replaceChildren();
      field.setAttribute("aria-expanded", "false");
      field.removeAttribute("aria-activedescendant");
    };
    const choose = (index) => {
      at = index;
      [...box.children].forEach((option, place) => {
        option.setAttribute("aria-selected", String(place === at));
        if (place === at) option.scrollIntoView({ block: "nearest" });
      });
      if (at < 0) field.removeAttribute("aria-activedescendant");
      else field.setAttribute("aria-activedescendant", `${id}-${at}`);
    };
    const take = (texts) => {
      // what is too long stays where it can be shortened
      field.value = texts.length === 1 && olmv.characters(texts[0]) > longest ? texts[0] : "";
      close();
      add(texts);
    };
    const open = (found) => {
      const known = new Set(labels.map((label) => label.toLowerCase()));
      options = found.filter((label) => !known.has(label.toLowerCase())).slice(0, 8);
      box.replaceChildren(...options.map((label, index) => el("li", { id: `${id}-${index}`, role: "option", "aria-selected": "false", dir: "auto" }, label)));
      box.hidden = !options.length;
      field.setAttribute("aria-expanded", String(options.length > 0));
      place();
      choose(-1);
    };
    /** Put the suggestions beside the field, where there is more room; a box that scrolls would cut them off. */
    const place = () => {
      const { left, top, bottom, width } = field.getBoundingClientRect();
      const above = innerHeight - bottom < box.offsetHeight + 8 && top > innerHeight - bottom;
      box.style.left = `${left}px`;
      box.style.width = `${width}px`;
      box.style.maxHeight = `${(above ? top : innerHeight - bottom) - 10}px`;
      box.style.top = above ? "auto" : `${bottom + 2}px`;
      box.style.bottom = above ? `${innerHeight - top + 2}px` : "auto";
    };
    addEventListener("scroll", () => box.hidden || place(), { passive: true, capture: true });
    addEventListener("resize", () => box.hidden || place(), { passive: true });
    const ask = async () => {
      asking?.abort();
      const mine = (asking = new AbortController());
      try {
        await new Promise((resolve) => setTimeout(resolve, SUGGEST_MS));
        if (mine.signal.aborted) return;
        const found = await suggest(field.value.trim(), mine.signal);
        if (!mine.signal.aborted && document.activeElement === field) open(found);
      } catch {
        // suggestions are a help; without them labels can be typed
      }
    };

    // the server reads its words when it is asked for the first time
    field.addEventListener("focus", () => suggest("a", new AbortController().signal).catch(() => {}), { once: true });
    field.addEventListener("input", () => {
      if (/[,\n]/.test(field.value)) {
        const parts = field.value.split(/[,\n]/);
        const rest = parts.pop();
        take(parts.flatMap(olmv.listed));
        field.value = rest.trimStart() || field.value;
      } else if (olmv.characters(field.value.trim()) <= longest) refuse([]);
      if (field.value.trim()) ask();
      else close();
    });
    field.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (field.value.trim() || !/[\r\n,;]/.test(text.trim())) return;
      event.preventDefault();
      take(olmv.listed(text));
    });
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return; // Enter ends the word of an input method, not the label
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!options.length) ask();
        else choose(((at + 1 + (event.key === "ArrowDown" ? 1 : options.length) ) % (options.length + 1)) - 1);
      } else if (event.key === "Enter") {
        event.preventDefault();
        take(at >= 0 ? [options[at]] : olmv.listed(field.value));
      } else if (event.key === "Escape" && !box.hidden) {
        event.preventDefault();
        close();
      } else if (event.key === "Backspace" && !field.value && labels.length) {
        event.preventDefault();
        list.querySelector(`[data-index="${Math.min(labels.length, all ? Infinity : SHOWN) - 1}"]`).focus();
      }
    });
    field.addEventListener("blur", () => {
      close();
      commit();
    });
    // a press must not take the focus from the field before the click is there
    box.addEventListener("pointerdown", (event) => event.preventDefault());
    box.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) take([options[[...box.children].indexOf(option)]]);
    });
    list.addEventListener("click", (event) => {
      const button = event.target.closest("[data-index]");
      if (button) remove(Number(button.dataset.index));
    });
    list.addEventListener("keydown", (event) => {
      const buttons = [...list.querySelectorAll("button")];
      const here = buttons.indexOf(event.target);
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (step) {
        event.preventDefault();
        const next = buttons[here + step] || (step > 0 ? field : buttons[0]);
        if (next !== field) for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
        next.focus();
      } else if ((event.key === "Delete" || event.key === "Backspace") && event.target.dataset.index) {
        event.preventDefault();
        remove(Number(event.target.dataset.index));
      }
    });

    function commit() {
      if (field.value.trim()) take(olmv.listed(field.value));
    }
    draw();
    return {
      element,
      field,
      labels: () => [...labels],
      set: (next) => {
        all = false;
        change([...next]);
      },
      add,
      commit,
    };
  };
})();

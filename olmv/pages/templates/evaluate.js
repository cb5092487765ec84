"use strict";
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.sort);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
    const rows = Array.from(body.rows);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const text = rows.length && typeof key(rows[0], column) === "string";
        const was = head.getAttribute("aria-sort");
        // numbers start with the lowest: what is worst is what one looks for
        const down = was === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sign = down ? -1 : 1;
        rows.sort((a, b) => {
          const x = key(a, column), y = key(b, column);
          const missing = (a.cells[column].textContent === "–") - (b.cells[column].textContent === "–");
          if (missing) return missing; // what has no number stays at the end
          return sign * (text ? x.localeCompare(y) : x - y);
        });
        body.append(...rows);
      });
    });
    const input = document.querySelector(`input[data-table="${table.id}"]`);
    if (!input) continue;
    const count = document.querySelector(`output[data-table="${table.id}"]`);
    const names = new Map(rows.map((row) => {
      const texts = Array.from(row.cells).filter((cell) => cell.dataset.sort === undefined);
      return [row, texts.map((cell) => cell.textContent).join(" ").toLowerCase()];
    }));
    const update = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => names.get(row).includes(word));
        shown += !row.hidden;
      }
      count.textContent = shown === rows.length ? `${shown} labels` : `${shown} of ${rows.length} labels`;
    };
    input.addEventListener("input", update);
    update();
  }
})();

/* Results to take away: the rows as `olmv predict` writes them, and as a table. */
"use strict";
(() => {
  const OF_THE_PAGE = new Set(["name", "folder", "facts", "photo", "player", "pictures", "end_s", "curve", "cells", "left_out", "clip"]);
  const FORMULA = /^'*[=+\-@\t]/; // what a spreadsheet would compute

  const COLUMNS = [
    "video", "status", "error_type", "error_message", "duration_s", "frames_requested", "frames_decoded", "frames_corrupt", "frames_encoded",
    "frames_widest_gap_s", "frames_capped", "model", "label", "similarity", "logit", "probability", "threshold", "positive", "explanation",
  ];

  /** Return the row of a card: without what only the page needs. */
  olmv.rowOf = (card) => Object.fromEntries(Object.entries(card).filter(([name]) => !OF_THE_PAGE.has(name)));

  /** Return the rows of cards, each of a name of its own, with the cells of those that have some. */
  olmv.rowsWithCells = (cards) => cards.map((card) => (card.cells ? { ...olmv.rowOf(card), cells: card.cells } : olmv.rowOf(card)));

  /** Return cards of which no two have one name: what reads rows takes them for the same video. */
  olmv.named = (cards) => {
    const taken = new Set(cards.map((card) => card.video));
    const seen = new Set();
    return cards.map((card) => {
      let video = card.video;
      for (let count = 2; seen.has(video); count += 1) {
        const other = card.video.replace(/(\.[^./]*)?$/, (ending) => ` (${count})${ending}`);
        if (!taken.has(other)) video = other;
      }
      seen.add(video);
      taken.add(video);
      return video === card.video ? card : { ...card, video };
    });
  };

  /** Write cards as rows of JSON, one a line. */
  olmv.asJsonLines = (cards) => cards.map((card) => `${JSON.stringify(olmv.rowOf(card))}\n`).join("");

  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "boolean") return value ? "true" : "false";
    if (typeof value === "number") return String(value);
    const text = FORMULA.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  const lines = (card) => {
    const video = {
      video: card.video, status: card.status, error_type: card.error?.type, error_message: card.error?.message, duration_s: card.duration_s, model: card.model,
      ...Object.fromEntries(Object.entries(card.frames).map(([name, count]) => [`frames_${name}`, count])),
    };
    const reasons = new Map((card.explanations || []).map((item) => [item.label, JSON.stringify(item)]));
    return (card.labels.length ? card.labels : [{}]).map((label) => ({ ...video, ...label, explanation: reasons.get(label.label) }));
  };

  /** Write cards as a table with a line for each label. */
  olmv.asCsv = (cards) => [COLUMNS, ...cards.flatMap(lines).map((line) => COLUMNS.map((name) => line[name]))].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
})();

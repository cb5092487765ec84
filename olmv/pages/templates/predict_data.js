/* The data of a report: its videos, thresholds that were moved, verdicts, and what is saved of them. */
"use strict";
const report = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const head = read("data-head");
  const names = head.labels;
  const lower = names.map((name) => name.toLowerCase());
  const FALLBACK = 0.5; // of labels that no row has
  const KEPT = 80; // details
  const key = (what) => `olmv:${head.id}:${what}`;

  const videos = read("data-videos").map((entry, order) => ({
    order,
    video: entry.v,
    search: entry.v.toLowerCase(),
    facts: entry.f || "",
    pairs: entry.l,
    error: entry.e || null,
    thresholds: entry.t || null,
    exceptions: entry.x ? new Set(entry.x) : null,
    leftOut: entry.o || 0,
    highest: entry.b ?? null,
    player: entry.p || "",
    photo: !!entry.photo,
  }));

  // of each label: in which videos, and with which probability
  const columns = names.map(() => ({ at: [], p: [] }));
  for (const { order, pairs } of videos) {
    for (let i = 0; i < pairs.length; i += 2) {
      columns[pairs[i]].at.push(order);
      columns[pairs[i]].p.push(pairs[i + 1]);
    }
  }

  function load(what, none) {
    try {
      return JSON.parse(localStorage.getItem(key(what))) ?? none;
    } catch {
      return none; // no storage for this page
    }
  }
  function save(what, data) {
    try {
      localStorage.setItem(key(what), JSON.stringify(data));
      return true;
    } catch {
      return false;
    }
  }

  const moved = new Map(); // place of a label -> threshold
  const verdicts = new Map(); // video -> (label -> true or false)
  try {
    for (const [name, value] of load("thresholds", [])) {
      const place = names.indexOf(name);
      if (place >= 0 && value >= 0 && value <= 1) moved.set(place, value);
    }
    for (const [video, labels] of load("verdicts", [])) verdicts.set(video, new Map(labels));
  } catch {
    // something else was kept under this name
  }

  /** Return the threshold of the rows: of a label, or of it in one video where that has another. */
  const given = (place, video) => (video && video.thresholds && olmv.get(video.thresholds, String(place))) ?? head.thresholds[place] ?? FALLBACK;
  const threshold = (place, video) => moved.get(place) ?? given(place, video);
  const isPositive = (video, place, probability) => {
    if (moved.has(place)) return probability >= moved.get(place);
    const follows = probability >= given(place, video);
    return video.exceptions && video.exceptions.has(place) ? !follows : follows;
  };

  /** Count the videos that a label is true of: {positives, more}; of `more` the page does not know, for their rows were
  cut or have their most probable labels only. */
  function count(place) {
    if (!moved.has(place)) return { positives: head.positives[place], more: 0 };
    const limit = moved.get(place);
    const { at, p } = columns[place];
    let positives = 0;
    for (const probability of p) positives += probability >= limit;
    let more = 0;
    if (at.length < videos.length) {
      const known = new Set(at);
      for (const video of videos) more += video.highest !== null && video.highest >= limit && !known.has(video.order);
    }
    return { positives, more };
  }

  const parsed = new Map();
  /** Return what is shown of one video alone; null while the page is still being read. */
  function detail(video) {
    const found = parsed.get(video.order);
    if (found) return found;
    const block = document.getElementById(`d${video.order}`);
    if (!block || !(block.nextSibling || document.readyState !== "loading")) return null;
    const data = JSON.parse(block.textContent);
    const addresses = data.src || (data.jpegs || []).map((jpeg) => `data:image/jpeg;base64,${jpeg}`);
    const named = (items) => (items || []).map((item) => ({ ...item, label: names[item.label] }));
    const made = {
      end_s: data.end,
      pictures: addresses.map((src, index) => ({ time_s: data.times[index], src })),
      explanations: named(data.why),
      segments: data.segments ? named(data.segments) : undefined,
      shots_s: data.shots,
      curve: data.curve ? { columns: 400, labels: new Map(Object.entries(data.curve).map(([place, bytes]) => [names[place], bytes])) } : null,
    };
    parsed.set(video.order, made);
    if (parsed.size > KEPT) parsed.delete(parsed.keys().next().value);
    return made;
  }

  /** Return a video as a card, see `olmv/pages/cards.py`. */
  function card(video) {
    const labels = [];
    for (let i = 0; i < video.pairs.length; i += 2) {
      const [place, probability] = [video.pairs[i], video.pairs[i + 1]];
      labels.push({ label: names[place], place, probability, threshold: threshold(place, video), positive: isPositive(video, place, probability) });
    }
    const end = video.video.lastIndexOf("/") + 1;
    return {
      video: video.video,
      folder: video.video.slice(0, end),
      name: video.video.slice(end),
      status: video.error ? "error" : "ok",
      error: video.error && { type: video.error[0], message: video.error[1] },
      facts: video.facts,
      photo: video.photo,
      player: video.player,
      left_out: video.leftOut,
      labels,
      ...(detail(video) || { end_s: 1, pictures: [], explanations: [], curve: null }),
    };
  }

  function judge(video, label, verdict) {
    const labels = verdicts.get(video.video) || new Map();
    if (verdict === null) labels.delete(label);
    else labels.set(label, verdict);
    if (labels.size) verdicts.set(video.video, labels);
    else verdicts.delete(video.video);
    return save("verdicts", Array.from(verdicts, ([name, of]) => [name, Array.from(of)]));
  }
  function move(place, value) {
    if (value === null || value === head.thresholds[place]) moved.delete(place);
    else moved.set(place, value);
    return save("thresholds", Array.from(moved, ([at, limit]) => [names[at], limit]));
  }

  /** Write labels as a cell: between `;`, or as a list in JSON where a label holds a mark that may separate. */
  function cell(labels) {
    if (labels.some((label) => /[;；|｜,，、]|^\s*[[=+\-@'\t]|[\x00-\x1f]/.test(label))) return JSON.stringify(labels);
    return labels.join(";");
  }
  const quoted = (text) => (/[",\n\r]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // a spreadsheet takes no path that begins with a point for a formula, and it is the same path
  const path = (video) => (/^[=+\-@\t]/.test(video) ? `./${video}` : video);

  /** Return the verdicts as a csv of video, labels (true), absent (not true). */
  function truth() {
    const lines = ["video,labels,absent"];
    for (const { video } of videos) {
      const labels = verdicts.get(video);
      if (!labels) continue;
      const those = (wanted) => cell(Array.from(labels).filter(([, verdict]) => verdict === wanted).map(([label]) => label));
      lines.push([path(video), those(true), those(false)].map(quoted).join(","));
    }
    return `${lines.join("\n")}\n`;
  }

  /** Return the thresholds of all labels as the file that predict and calibrate read. */
  function thresholds() {
    // written by hand: an object would put labels that are numbers first, and lose __proto__
    const lines = names.flatMap((name, place) => {
      if (head.thresholds[place] === null && !moved.has(place)) return [];
      const objective = moved.has(place) ? `, "objective": "by hand"` : "";
      return [`  ${JSON.stringify(name)}: {"threshold": ${threshold(place)}${objective}}`];
    });
    return `{\n "format": "olmv-thresholds/1",\n "model": ${JSON.stringify(head.model)},\n "labels": {\n${lines.join(",\n")}\n }\n}\n`;
  }

  return {
    head, names, lower, videos, columns, moved, verdicts,
    threshold, given, isPositive, count, detail, card, judge, move, truth, thresholds,
    judged: () => Array.from(verdicts.values()).reduce((sum, labels) => sum + labels.size, 0),
  };
})();

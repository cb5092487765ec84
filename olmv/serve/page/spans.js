/* When a label is true at another threshold: segments of its curve, as `olmv/scoring/segments.py` finds them. */
"use strict";
(() => {
  const [JOIN_S, LEAST_S] = [1, 0.5]; // gaps that are closed, and segments that are dropped: as the server has them
  const LEAVE_LOGIT = 1; // a label ends so far below its threshold
  const EDGE = 1e-15; // logits are finite

  /** Return where a label that begins at this threshold ends. */
  const leaveOf = (enter) => {
    const share = Math.min(Math.max(enter, EDGE), 1 - EDGE);
    return 1 / (1 + Math.exp(LEAVE_LOGIT - Math.log(share) + Math.log1p(-share)));
  };

  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  const milliseconds = (time) => Math.round(1000 * time) / 1000;
  const rounded = (value) => Number(value.toPrecision(6));

  /** Read the `cells` of an answer: {starts, of(label)}, where cells begin and the probability in each. */
  olmv.cells = (document) => {
    const read = new Map();
    return {
      starts: new Float64Array(bytes(document.starts_s)),
      of: (label) => {
        const text = olmv.get(document.labels, label);
        if (!read.has(label)) read.set(label, text === undefined ? null : new Float32Array(bytes(text)));
        return read.get(label);
      },
    };
  };

  const runs = (edges, curve, enter) => {
    const leave = leaveOf(enter);
    const found = [];
    let begin = -1;
    for (let cell = 0; cell <= curve.length; cell += 1) {
      const on = cell < curve.length && (curve[cell] >= enter || (begin >= 0 && curve[cell] >= leave));
      if (on && begin < 0) begin = cell;
      if (on || begin < 0) continue;
      const last = found.at(-1);
      if (last && edges[begin] - edges[last[1]] < JOIN_S) last[1] = cell;
      else found.push([begin, cell]);
      begin = -1;
    }
    return found.filter(([first, stop]) => edges[stop] - edges[first] >= LEAST_S);
  };

  /** Find the segments of a label in the order of time, as rows have them: `edges` of its cells, one more than `curve`. */
  olmv.spans = (label, edges, curve, enter) =>
    runs(edges, curve, enter).map(([first, stop]) => {
      let best = first;
      let area = 0;
      for (let cell = first; cell < stop; cell += 1) {
        if (curve[cell] > curve[best]) best = cell;
        area += curve[cell] * (edges[cell + 1] - edges[cell]);
      }
      return {
        label,
        start_s: milliseconds(edges[first]),
        end_s: milliseconds(edges[stop]),
        peak: rounded(curve[best]),
        peak_s: milliseconds((edges[best] + edges[best + 1]) / 2),
        mean: rounded(area / (edges[stop] - edges[first])),
      };
    });
})();

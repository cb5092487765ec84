/* What is on its way: few uploads at once, and few jobs whose events are read, for a browser holds six connections. */
"use strict";
(() => {
  const UPLOADS = 3;
  const FOLLOWED = 2;
  const POLL_MS = 2000; // between looks at those jobs whose events are not read

  const aborted = () => new DOMException("given up", "AbortError");

  /** Put something at the end of a line, which it leaves when it is given up. */
  const push = (line, waiting, signal) => {
    if (signal.aborted) {
      waiting.reject(aborted());
      return;
    }
    line.push(waiting);
    signal.addEventListener("abort", () => {
      const place = line.indexOf(waiting);
      if (place >= 0) line.splice(place, 1);
      waiting.reject(aborted()); // nothing where it has gone on meanwhile
    });
  };

  /** Run calls a few at a time, in the order in which they came: `slots(call, signal)` promises what it returns. */
  const slots = (most) => {
    const waiting = [];
    let running = 0;
    const next = () => {
      while (running < most && waiting.length) {
        const { call, resolve, reject } = waiting.shift();
        running += 1;
        call().then(resolve, reject).finally(() => {
          running -= 1;
          next();
        });
      }
    };
    return (call, signal) =>
      new Promise((resolve, reject) => {
        push(waiting, { call, resolve, reject }, signal);
        next();
      });
  };

  /** Follow jobs to their end, any number: of the first few the events are read, at the others it is looked in turn. */
  const follower = (api) => {
    const waiting = [];
    let followed = 0;
    let timer = 0;

    const next = () => {
      while (followed < FOLLOWED && waiting.length) start(waiting.shift());
      if (waiting.length && !timer) timer = setTimeout(look, POLL_MS);
    };
    const start = ({ id, handlers, resolve, reject }) => {
      followed += 1;
      api.follow(id, handlers).then(resolve, reject).finally(() => {
        followed -= 1;
        next();
      });
    };
    const look = async () => {
      const job = waiting.shift();
      try {
        if (!job) return;
        const state = await api.get(`/v1/jobs/${encodeURIComponent(job.id)}`);
        if (job.handlers.signal.aborted) return;
        if (state.status === "queued" || state.status === "running") waiting.push(job);
        else {
          state.predictions.forEach((prediction, place) => job.handlers.onPrediction({ place, prediction }));
          job.resolve(state.status);
        }
      } catch {
        if (!job.handlers.signal.aborted) waiting.push(job); // its events will tell what is wrong
      } finally {
        timer = 0;
        next();
      }
    };
    return (id, handlers) =>
      new Promise((resolve, reject) => {
        push(waiting, { id, handlers, resolve, reject }, handlers.signal);
        next();
      });
  };

  /** Make the lines in which videos stand: {upload(call, signal), follow(job id, handlers)}. */
  olmv.lines = (api) => ({ upload: slots(UPLOADS), follow: follower(api) });

  const KINDS = /\.(mp4|m4v|mov|mkv|webm|avi|wmv|flv|mpe?g|m2ts|mts|ts|ogv|3gp|gif|jpe?g|png|webp|bmp|tiff?|heic|avif)$/i;
  const isShown = (name) => KINDS.test(name) && !name.startsWith("."); // ._a.mp4 is what a Mac leaves beside a.mp4

  const entriesOf = async (folder) => {
    const reader = folder.createReader();
    const all = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 a call
      if (!some.length) return all;
      all.push(...some);
    }
  };
  /** Promise what is in an entry: {file, path}, and null for each file that is left out. */
  const filesIn = async (entry) => {
    try {
      if (entry.isDirectory) return (await Promise.all((await entriesOf(entry)).map(filesIn))).flat();
      if (!isShown(entry.name)) return [null];
      return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path: entry.fullPath.replace(/^\//, "") }];
    } catch {
      return [null]; // it is gone, or may not be read
    }
  };
  const parted = (all) => ({ sources: all.filter(Boolean), leftOut: all.filter((each) => !each).length });

  /** Promise what was dropped, {sources, leftOut}: its files as {file, path}; of folders those that are videos or photos by
  their names, and how many others there are. */
  olmv.droppedFiles = async (transfer) => {
    // both must be asked before anything is waited for
    const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
    const plain = [...transfer.files];
    if (!entries.some((entry) => entry?.isDirectory)) return parted(plain.map((file) => ({ file })));
    return parted((await Promise.all(entries.map((entry, place) => (entry?.isDirectory ? filesIn(entry) : [{ file: plain[place] }])))).flat());
  };

  /** Return what was chosen, as `droppedFiles` does; a folder's files know their paths. */
  olmv.chosenFiles = (files) => parted([...files].map((file) => (file.webkitRelativePath && !isShown(file.name) ? null : { file, path: file.webkitRelativePath })));
})();

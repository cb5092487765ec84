/* The server, as the page asks it: JSON, files that are sent, jobs that are followed, and the token.

Everything rejects with an `olmv.Refusal`: `message` for whoever looks, `status` (0 where the server was not reached),
`retryAfter` in seconds where it said. Views take `olmv.api` as their second argument. */
"use strict";
(() => {
  const { el } = olmv;
  const AGAIN_S = [1, 2, 5, 10, 20]; // between tries where the server cannot be reached
  const POLL_MS = 2000; // between looks at a job whose events cannot be read

  const WORDS = {
    0: "the server cannot be reached; is it still running?",
    413: "it is larger than the server takes",
    429: "too many requests; wait a moment",
    503: "the server is busy; it takes videos again in a moment",
  };

  olmv.Refusal = class extends Error {
    constructor(status, message, { type = "", retryAfter = 0 } = {}) {
      super(message || WORDS[status] || `the server answered ${status}`);
      this.status = status;
      this.type = type;
      this.retryAfter = retryAfter;
    }
  };

  const refusal = (status, text, retry) => {
    let error = {};
    try {
      error = JSON.parse(text).error || {};
    } catch {
      // something between here and the server answered, in words of its own
    }
    return new olmv.Refusal(status, error.message, { type: error.type, retryAfter: Number(retry) || 0 });
  };

  /** Say why it is waited, and how long. */
  olmv.waiting = (failure, seconds) => `${failure.status === 0 ? "the server cannot be reached" : "the server is busy"}; goes on in ${seconds} s`;

  const listeners = [];
  const reached = (yes) => listeners.forEach((listener) => listener(yes));
  const unreached = () => {
    reached(false);
    return new olmv.Refusal(0);
  };

  const kindOf = (answer) => (answer.headers.get("Content-Type") || "").split(";")[0];

  const ask = async (method, path, body, { signal } = {}) => {
    for (;;) {
      const json = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
      let answer;
      let text;
      try {
        answer = await fetch(path, { method, signal, ...json });
        text = answer.ok && kindOf(answer) === "application/zip" ? await answer.blob() : await answer.text();
      } catch (failure) {
        if (failure.name === "AbortError") throw failure;
        throw unreached();
      }
      reached(true);
      if (answer.status === 401) {
        await unlock();
        continue;
      }
      if (!answer.ok) throw refusal(answer.status, text, answer.headers.get("Retry-After"));
      return kindOf(answer) === "application/json" ? JSON.parse(text) : text;
    }
  };

  /** Exchange the token for a cookie; scripts never see it again. */
  const openSession = async (token) => {
    let answer;
    try {
      answer = await fetch("/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
    } catch {
      throw unreached();
    }
    if (!answer.ok) throw refusal(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  };

  const tokenOf = (text) => {
    const [, fragment] = text.trim().split("#token=");
    return fragment === undefined ? text.trim() : decodeURIComponent(fragment);
  };

  let asked = null; // while the dialog is open, all who need the token wait for the same one
  const unlock = () => (asked ||= askForToken().finally(() => (asked = null)));

  const askForToken = () =>
    new Promise((resolve) => {
      let opened = false;
      const field = el("input", { class: "field", type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-error" });
      const error = el("p", { class: "error", id: "token-error", role: "alert" });
      const form = el(
        "form",
        { class: "unlock", method: "dialog" },
        el("h2", {}, "This server asks for its token"),
        el("p", { class: "facts" }, "It is in the address that olmv serve printed, after #token="),
        el("label", { for: "token" }, "Token"),
        el("div", { class: "controls" }, field, el("button", { class: "button main" }, "Open")),
        error,
      );
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        error.textContent = "";
        try {
          // the whole address may be what was copied
          await openSession(tokenOf(field.value));
          opened = true;
          dialog.close();
          resolve();
        } catch (failure) {
          error.textContent = failure instanceof URIError ? "this is no token" : failure.message;
          field.select();
        }
      });
      const dialog = olmv.dialog(form, {
        label: "token",
        class: "narrow",
        onClose: () => {
          if (!opened) askForToken().then(resolve); // nothing works without it
        },
      });
      field.focus();
    });

  /** Send a form with files. `onProgress(bytes sent, all)`. */
  const upload = (form, { onProgress, signal }) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch does not tell how much was sent
      const abort = () => request.abort();
      const end = (settle, value) => {
        signal.removeEventListener("abort", abort);
        settle(value);
      };
      request.open("POST", "/v1/predict");
      request.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
      request.addEventListener("load", () => {
        reached(true);
        if (request.status < 300) end(resolve, JSON.parse(request.responseText));
        else end(reject, refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
      });
      request.addEventListener("error", () => end(reject, unreached()));
      request.addEventListener("abort", () => end(reject, new DOMException("given up", "AbortError")));
      signal.addEventListener("abort", abort);
      if (signal.aborted) end(reject, new DOMException("given up", "AbortError"));
      else request.send(form);
    });

  /** Wait, telling how many seconds are left. */
  const pause = (seconds, told, signal) =>
    new Promise((resolve, reject) => {
      let left = Math.ceil(seconds);
      const end = (settle, value) => {
        clearInterval(timer);
        signal.removeEventListener("abort", abort);
        settle(value);
      };
      const abort = () => end(reject, new DOMException("given up", "AbortError"));
      const timer = setInterval(() => {
        left -= 1;
        if (left > 0) told(left);
        else end(resolve);
      }, 1000);
      told(left);
      signal.addEventListener("abort", abort);
      if (signal.aborted) abort();
    });

  /** Call again where the server is busy (as long as it is) or not reached (some times).
  `told(failure, seconds)` while it waits. */
  const patient = async (call, told, signal) => {
    for (let lost = 0; ; ) {
      try {
        return await call();
      } catch (failure) {
        if (failure.status === 401) await unlock();
        else if (failure.status === 503 || failure.status === 429) await pause(failure.retryAfter || 3, (left) => told(failure, left), signal);
        else if (failure.status === 0 && lost < AGAIN_S.length) await pause(AGAIN_S[lost++], (left) => told(failure, left), signal);
        else throw failure;
      }
    }
  };

  /** Follow a job to its end: `onProgress(event)`, `onPrediction(event)`. Resolves with its status.
  Where events break off, the job itself is asked. */
  const follow = (id, { onProgress, onPrediction, signal }) =>
    new Promise((resolve, reject) => {
      const path = `/v1/jobs/${encodeURIComponent(id)}`;
      const events = new EventSource(`${path}/events`);
      const seen = new Set();
      let lost = 0;
      let looking = false;
      const end = (settle, value) => {
        events.close();
        signal.removeEventListener("abort", abort);
        settle(value);
      };
      const abort = () => end(reject, new DOMException("given up", "AbortError"));
      const prediction = (data) => {
        if (seen.has(data.place)) return;
        seen.add(data.place);
        onPrediction(data);
      };
      const look = async () => {
        if (looking || signal.aborted) return;
        looking = true;
        try {
          const job = await ask("GET", path, undefined, { signal });
          if (events.readyState !== EventSource.CLOSED) return; // it came back by itself
          lost = 0;
          if (job.status !== "queued" && job.status !== "running") {
            job.predictions.forEach((row, place) => prediction({ place, prediction: row }));
            end(resolve, job.status);
            return;
          }
        } catch (failure) {
          if (failure.name === "AbortError") return;
          if (failure.status === 404) failure.message = "the server does not know this video any more; send it again";
          if (failure.status !== 0 || (lost += 1) > AGAIN_S.length) {
            end(reject, failure);
            return;
          }
        } finally {
          looking = false;
        }
        setTimeout(look, POLL_MS);
      };
      events.addEventListener("progress", (event) => onProgress(JSON.parse(event.data)));
      events.addEventListener("prediction", (event) => prediction(JSON.parse(event.data)));
      events.addEventListener("end", (event) => end(resolve, JSON.parse(event.data).status));
      events.addEventListener("error", look);
      signal.addEventListener("abort", abort);
    });

  olmv.api = {
    get: (path, options) => ask("GET", path, undefined, options),
    post: (path, body, options) => ask("POST", path, body, options),
    put: (path, body, options) => ask("PUT", path, body, options),
    delete: (path, options) => ask("DELETE", path, undefined, options),
    openSession,
    upload,
    follow,
    patient,
    /** Be told whether the server was reached, after every request. */
    onReach: (listener) => listeners.push(listener),
  };
})();

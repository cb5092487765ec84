"""How soon the report of thousands of videos can be used, and whether it scrolls smoothly.

    python scripts/benchmarks/bench_report.py [--quick] [--json FILE] [--videos 5000] [--runs 3]

Made-up rows: 50 labels a video, 8 pictures of 160 x 90 each, every hundredth video failed. Their report is written with
its pictures inside (`file`) and beside it (`folder`), and opened from the disk in a headless Chromium of its own for
each run, in a window of 1280 x 800.

Figures, medians over runs, by where the pictures are:
    MODE/first_paint_s    from the request to the first paint (First Contentful Paint)
    MODE/usable_s         to the first tiles with what they say, filters at hand
    MODE/loaded_s         until all of the file has been read
    MODE/scroll_fps       frames a second while a script scrolls by 3 windows a second for 6 s; a screen has 60
    MODE/slowest_frame_ms the longest of those frames
    MODE/fling_fps        frames a second while it scrolls through all videos in 6 s: they fly by without pictures
    MODE/filter_ms        from a choice of a label to the next frame, all videos sorted by it
    MODE/slider_ms        from a threshold that is moved to the next frame
    MODE/tiles            tiles that are drawn, at most
    MODE/page_mb, MODE/write_s   size of the page alone, time to write all
    MODE/memory_mb        what writing the report of at most 500 videos takes of Python's memory, at its peak
"""

import argparse
import base64
import io
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from olmv.pages.picture_folder import ReportPictures
from olmv.pages.pictures import Pictures
from olmv.predict.page import ReportInfo, write_report
from scripts.benchmarks.results import Figure, show, write
from tests.support.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LABELS, FRAMES, KINDS = 50, 8, 64
MODES: tuple[ReportPictures, ...] = ("folder", "file")
WINDOW = {"width": 1280, "height": 800}
SCROLL_S = 6.0
CALM = 3  # windows a second
FLING = 1_000_000  # all of them

SCROLL = """async ([seconds, windows]) => {
  const frames = [];
  let most = 0;
  const end = Math.min(document.documentElement.scrollHeight - innerHeight, windows * seconds * innerHeight);
  await new Promise((done) => {
    let begin = 0, last = 0;
    const step = (now) => {
      begin ||= now;
      if (last) frames.push(now - last);
      last = now;
      window.scrollTo(0, (end * (now - begin)) / (1000 * seconds));
      most = Math.max(most, document.querySelectorAll('.tile').length);
      if (now - begin < 1000 * seconds) requestAnimationFrame(step);
      else done();
    };
    requestAnimationFrame(step);
  });
  const all = frames.reduce((sum, frame) => sum + frame, 0);
  return { fps: (1000 * frames.length) / all, slowest: Math.max(...frames), most };
}"""
# the time of two frames after it: what was changed is on the screen
AFTER = """(act) => new Promise((done) => {
  const begin = performance.now();
  new Function(act)();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
})"""
CHOOSE = "document.querySelector('.tally td button').click()"
MOVE = """const slider = document.querySelector('.limit-box input[type=range]');
slider.value = 0.31; slider.dispatchEvent(new Event('input'))"""
# asked for before the page's own script: the first tiles, and all of the file
WATCH = """window.seen = {};
const look = () => {
  if (!window.seen.usable && document.querySelector('.tile')) window.seen.usable = performance.now();
  if (!window.seen.usable) requestAnimationFrame(look);
};
look();
addEventListener('DOMContentLoaded', () => { window.seen.loaded = performance.now(); });"""


def make_row(number: int) -> dict[str, Any]:
    """Make the row of a video: of 50 labels a few are probable; every hundredth video failed."""
    random_ = random.Random(number)
    video = f"clips/day {number % 31:02}/recording_{number:06}.mp4"
    frames = {"requested": FRAMES, "decoded": FRAMES, "corrupt": 0}
    row = {"video": video, "status": "ok", "error": None, "duration_s": 9.8, "frames": frames, "model": "olmv-lite"}
    if number % 100 == 99:
        error = {"type": "NotAVideoError", "message": f"{video} is a text; give a video"}
        return row | {"status": "error", "error": error, "duration_s": None, "labels": []}
    labels = []
    for place in range(LABELS):
        probability = round(random_.random() ** 6, 6)
        labels.append(
            {"label": f"a label of some length {place}", "similarity": 0.2, "logit": 0.0, "probability": probability}
            | {"threshold": 0.5, "positive": probability >= 0.5}
        )
    return row | {"labels": labels}


def make_pictures() -> list[str]:
    """Draw pictures of about 6 KB, as frames of videos have, in base64."""
    pictures = []
    for kind in range(KINDS):
        random_ = random.Random(kind)
        image = Image.effect_noise((160, 90), 24).convert("RGB")
        draw = ImageDraw.Draw(image)
        for _ in range(12):
            x, y = random_.randrange(160), random_.randrange(90)
            draw.ellipse((x - 20, y - 14, x + 20, y + 14), fill=tuple(random_.randrange(256) for _ in range(3)))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        pictures.append(base64.b64encode(file.getvalue()).decode("ascii"))
    return pictures


def write_page(path: Path, videos: int, mode: ReportPictures, jpegs: list[str]) -> None:
    """Write the report."""
    times = tuple(0.6 + 1.2 * frame for frame in range(FRAMES))

    def rows() -> Iterator[dict[str, Any]]:
        return map(make_row, range(videos))

    def pictures(video: str) -> Pictures:
        first = sum(video.encode())
        return Pictures(times, tuple(jpegs[(first + frame) % KINDS] for frame in range(FRAMES)))

    info = ReportInfo("olmv-lite", [f"a label of some length {place}" for place in range(LABELS)])
    write_report(path, rows, info=info, pictures=pictures, report_pictures=mode)


def look(browser: "Browser", path: Path) -> dict[str, float]:
    """Open the page as nobody has before, and use it."""
    context = browser.new_context(viewport=WINDOW)  # type: ignore[arg-type]
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(path.as_uri(), timeout=120_000)
    page.wait_for_function("() => window.seen.loaded && window.seen.usable", timeout=120_000)
    found = dict(page.evaluate("window.seen"))
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.wait_for_timeout(1000)
    scroll = page.evaluate(SCROLL, [SCROLL_S, CALM])
    page.wait_for_timeout(500)
    fling = page.evaluate(SCROLL, [SCROLL_S, FLING])
    page.evaluate("window.scrollTo(0, 0)")
    figures = {
        "first_paint_s": paint / 1000,
        "usable_s": found["usable"] / 1000,
        "loaded_s": found["loaded"] / 1000,
        "scroll_fps": scroll["fps"],
        "slowest_frame_ms": scroll["slowest"],
        "fling_fps": fling["fps"],
        "filter_ms": after(page, CHOOSE),
        "slider_ms": after(page, MOVE),
        "tiles": scroll["most"],
    }
    context.close()
    return figures


def after(page: "Page", act: str) -> float:
    """Return the milliseconds from an act to what it shows."""
    page.wait_for_timeout(300)
    return float(page.evaluate(AFTER, act))


def measure(folder: Path, mode: ReportPictures, videos: int, runs: int) -> dict[str, float]:
    """Write the report with its pictures there, and look at it several times."""
    from playwright.sync_api import sync_playwright

    jpegs = make_pictures()
    path = folder / f"{mode}.html"
    begin = time.monotonic()
    write_page(path, videos, mode, jpegs)
    written = time.monotonic() - begin
    tracemalloc.start()
    write_page(folder / "again.html", min(videos, 500), mode, jpegs)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    seen = []
    for _ in range(runs):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium())
            seen.append(look(browser, path))
            browser.close()
    medians = {name: statistics.median(run[name] for run in seen) for name in seen[0]}
    return medians | {"page_mb": path.stat().st_size / 1e6, "write_s": written, "memory_mb": memory / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 videos, one run: does it run at all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--videos", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    videos, runs = (200, 1) if options.quick else (options.videos, options.runs)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for mode in MODES:
            found = measure(Path(folder), mode, videos, runs)
            figures += [Figure(f"{mode}/{name}", value, None, None, videos) for name, value in found.items()]
    settings = {"videos": videos, "labels": LABELS, "frames": FRAMES, "runs": runs, "window": "1280 x 800"}
    show(figures, f"the report of {videos} videos")
    if options.json is not None:
        write(options.json, figures, settings)


if __name__ == "__main__":
    main()

"""Write what a search found as one HTML page that opens from disk, with no network."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.models.default import model_note
from olmv.pages.figures import clock, percent
from olmv.pages.page import asset, data_uri, write_page
from olmv.pages.player import player_address

if TYPE_CHECKING:
    from olmv.library.files import LibraryFiles
    from olmv.library.query.duplicates import DuplicateGroup, DuplicateQuery
    from olmv.library.query.moments import Moment
    from olmv.library.query.queries import SearchQuery
    from olmv.search.summary import SearchSummary

__all__ = ["write_search_page"]

_SHORT_S = 60.0
_WHOLE_S = 0.1


def write_search_page(
    path: Path, summary: "SearchSummary", query: "SearchQuery | DuplicateQuery", library: "LibraryFiles"
) -> None:
    """Write the page: a picture for each moment, or for each video of a group of near-duplicates.

    A click on a picture plays its video from there, where the browser reaches and plays the file; else it tells the
    time and the path.

    Args:
        path: the HTML file.
        summary: what was found.
        query: what was looked for.
        library: that was searched.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    groups = summary.groups
    write_page(
        path,
        "search.html.j2",
        style=asset("tokens.css") + asset("parts.css") + asset("search.css"),
        script=asset("search.js"),
        media=True,
        query=query,
        summary=summary,
        library=library.folder.name,
        model=library.settings.model,
        model_note=model_note(library.settings.model),
        cards=[_card(moment, path) for moment in summary.moments],
        best=None if summary.best is None else _card(summary.best, path),
        groups=None if groups is None else [list(_copies(group, path)) for group in groups],
    )


def _card(moment: "Moment", page: Path) -> dict[str, Any]:
    digits = int(moment.duration_s is not None and moment.duration_s < _SHORT_S)
    begin, end, peak = (clock(time, digits=digits) for time in (moment.start_s, moment.end_s, moment.peak_s))
    facts = f"{begin} – {end}"
    if moment.duration_s == 0:
        facts = "photo"
    elif moment.duration_s is not None and moment.end_s - moment.start_s > moment.duration_s - _WHOLE_S:
        facts = f"all of {end}"
    return {
        **_shown(moment.video, moment.path, moment.thumbnail, page),
        "start_s": moment.start_s,
        "time": peak,
        "facts": facts,
        "probability": moment.probability,
        "percent": percent(moment.probability),
    }


def _copies(group: "DuplicateGroup", page: Path) -> Iterator[dict[str, Any]]:
    for copy in group.copies:
        length = "" if copy.duration_s is None else f"{clock(copy.duration_s, digits=1)} long"
        yield {
            **_shown(copy.video, copy.path, copy.thumbnail, page),
            "start_s": 0,
            "time": "",
            "facts": length,
            "probability": copy.probability,
            "percent": percent(copy.probability),
        }


def _shown(video: str, path: str, thumbnail: bytes | None, page: Path) -> dict[str, Any]:
    folder, _, name = video.rpartition("/")
    return {
        "video": video,
        "folder": f"{folder}/" if folder else "",
        "name": name,
        "picture": None if thumbnail is None else data_uri(thumbnail, "image/jpeg"),
        "player": player_address(path, page),
    }

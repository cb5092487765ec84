"""A page that opens from disk, with no network: one template with its style and script inside.

Every page of olmv extends `page.html.j2`, which has the blocks `title` and `content`, and `after` behind the script.
What a page shows is untrusted (labels, file names): everything is escaped, and the content security policy allows the
one style sheet and the one script that the page came with, by their hashes, and images as `data:` or from its own
folder. Even a hole in the escaping could run nothing and call nobody. A template must do without `style` attributes and
inline handlers: the policy blocks them.

The colours and the parts of all pages lie in `olmv/pages/web`, what a single page has of its own in
`olmv/pages/templates`.
"""

import base64
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import olmv
from olmv.io.atomic import writing_file

__all__ = ["PARTS", "asset", "data_block", "data_uri", "json_text", "write_page"]

PARTS = ("core.js", "bars.js", "film.js", "grid.js")
"""The scripts of the shared parts, in the order in which they are loaded."""

_HALF_PAIR = re.compile("[\ud800-\udfff]")  # of a file name that is not UTF-8


def write_page(
    path: Path,
    template: str,
    *,
    style: str,
    script: str = "",
    media: bool = False,
    picture_files: bool = False,
    **context: Any,
) -> None:
    """Write a page, streamed, replacing the file in one step.

    Args:
        path: the HTML file.
        template: name of the Jinja template in `olmv/pages/templates`; it extends `page.html.j2`.
        style: the whole style sheet; `asset("tokens.css")` has the colours, `asset("parts.css")` the body.
        script: the whole script.
        media: the page may play video files from where it lies; also those that a page from disk reaches.
        picture_files: the page may show picture files from where it lies, besides those inside it.
        context: what the template names; `version` is olmv's.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("olmv.pages", "templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    policy = _policy(style, script, media=media, picture_files=picture_files)
    stream = environment.get_template(template).generate(
        version=olmv.__version__, style=style, script=script, policy=policy, **context
    )
    # backslashreplace: a file name that is not UTF-8 is shown with its odd bytes as escapes
    with (
        writing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(stream)


def asset(name: str) -> str:
    """Read the text of a style sheet or script in `olmv/pages/web` or `olmv/pages/templates`."""
    folders = [resources.files("olmv.pages").joinpath(folder) for folder in ("web", "templates")]
    files = [folder.joinpath(name) for folder in folders]
    return next((file for file in files if file.is_file()), files[-1]).read_text(encoding="utf-8")


def data_block(name: str, data: Any) -> str:
    """Write data as an element that the page's script reads: `JSON.parse` of the text of the element `name`.

    Nothing in it can end the element or begin another: `<` is written as an escape of JSON. Half a surrogate pair, as
    file names that are not UTF-8 have them, becomes the text that names it.
    """
    return f'<script type="application/json" id="{name}">{json_text(data)}</script>\n'


def json_text(data: Any) -> str:
    """Write data as JSON that may stand inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return _HALF_PAIR.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text)


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Write bytes as a `data:` address, for `img src`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _policy(style: str, script: str, *, media: bool, picture_files: bool) -> str:
    # 'self' is also the folder of a page that was opened from the disk; `file:` would reach shares of other machines
    seen = "data: 'self'" if picture_files else "data:"
    played = "media-src 'self'; " if media else ""
    return (
        f"default-src 'none'; img-src {seen}; {played}style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

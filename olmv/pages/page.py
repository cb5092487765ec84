"""A page that opens from disk, with no network: one template with its style and script inside.

Every page of olmv extends `page.html.j2`, which has the blocks `title` and `content`. What a page shows is untrusted
(labels, file names): everything is escaped, and the content security policy allows the one style sheet and the one
script that the page came with, by their hashes, and images only as `data:`. Even a hole in the escaping could run
nothing and call nobody. A template must do without `style` attributes and inline handlers: the policy blocks them.
"""

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import olmv
from olmv.io.atomic import writing_file

__all__ = ["asset", "data_uri", "write_page"]


def write_page(path: Path, template: str, *, style: str, script: str = "", media: bool = False, **context: Any) -> None:
    """Write a page, streamed, replacing the file in one step.

    Args:
        path: the HTML file.
        template: name of the Jinja template in `olmv/pages/templates`; it extends `page.html.j2`.
        style: the whole style sheet; `asset("predict.css")` has the colours and the body.
        script: the whole script.
        media: the page may play video files from where it lies; also those that a page from disk reaches.
        context: what the template names; `version` is olmv's.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("olmv.pages", "templates")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    stream = environment.get_template(template).generate(
        version=olmv.__version__, style=style, script=script, policy=_policy(style, script, media=media), **context
    )
    # backslashreplace: a file name that is not UTF-8 is shown with its odd bytes as escapes
    with (
        writing_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(stream)


def asset(name: str) -> str:
    """Read the text of a style sheet or script in `olmv/pages/templates`."""
    return resources.files("olmv.pages").joinpath("templates", name).read_text(encoding="utf-8")


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Write bytes as a `data:` address, for `img src`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _policy(style: str, script: str, *, media: bool) -> str:
    played = "media-src 'self'; " if media else ""
    return (
        f"default-src 'none'; img-src data:; {played}style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

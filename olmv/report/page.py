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
from olmv.report.rows import replacing

__all__ = ["asset", "data_uri", "write_page"]


def write_page(path: Path, template: str, *, package: str, style: str, script: str = "", **context: Any) -> None:
    """Write a page, streamed, replacing the file in one step.

    Args:
        path: the HTML file.
        template: name of the Jinja template, which extends `page.html.j2`.
        package: where it lies ("olmv.report").
        style: the whole style sheet; `asset("olmv.report", "report.css")` has the colours and the body.
        script: the whole script.
        context: what the template names; `version` is olmv's.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    loaders = [PackageLoader(name, ".") for name in dict.fromkeys([package, "olmv.report"])]
    environment = Environment(loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    stream = environment.get_template(template).generate(
        version=olmv.__version__, style=style, script=script, policy=_policy(style, script), **context
    )
    # backslashreplace: a file name that is not UTF-8 is shown with its odd bytes as escapes
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(stream)


def asset(package: str, name: str) -> str:
    """The text of a style sheet or script that ships in a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as a `data:` address, for `img src`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

"""Pictures of a report: inside the page, or in a folder beside it."""

import base64
from pathlib import Path
from typing import Any

import pytest

from olmv.errors import OutputError, UsageError
from olmv.pages.picture_folder import AUTO_MOST, in_folder, picture_folder
from olmv.pages.pictures import Pictures
from olmv.predict.outputs import Outputs
from olmv.predict.page import ReportInfo, write_report
from tests.support.report_page import ReportPage
from tests.support.rows import make_row

JPEGS = (b"\xff\xd8one", b"\xff\xd8two")


def report(path: Path, *videos: str, mode: Any, kept: bool = True) -> ReportPage:
    pictures = Pictures((0.5, 3.5), tuple(base64.b64encode(jpeg).decode() for jpeg in JPEGS))
    write_report(
        path,
        lambda: [make_row(video, dog=0.9) for video in videos],
        info=ReportInfo("m", ["dog"]),
        pictures=lambda video: pictures if kept else None,
        report_pictures=mode,
    )
    return ReportPage(path)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_folder_beside_the_page(tmp_path: Path) -> None:
    page = report(tmp_path / "my report.html", "clips/a.mp4", "odd \udcff.mp4", mode="folder")
    folder = tmp_path / "my report_pictures"
    addresses = [address for detail in page.details for address in detail["src"]]
    assert len(set(addresses)) == 4
    assert all(address.startswith("my%20report_pictures/") for address in addresses)
    for address, jpeg in zip(addresses, JPEGS * 2, strict=True):
        assert (tmp_path / address.replace("%20", " ")).read_bytes() == jpeg
    assert len(files(folder)) == 5  # and the one that says whose it is
    assert "my report.html" in (folder / "olmv.txt").read_text()
    assert all("jpegs" not in detail for detail in page.details)
    assert page.policy.startswith("default-src 'none'; img-src data: 'self'; ")


def test_the_folder_is_replaced_whole_and_removed_with_its_page(tmp_path: Path) -> None:
    first = report(tmp_path / "r.html", "a.mp4", "b.mp4", mode="folder")
    again = report(tmp_path / "r.html", "b.mp4", mode="folder")
    assert again.details[0]["src"] == first.details[1]["src"]  # names do not depend on the order
    assert len(files(tmp_path / "r_pictures")) == 3
    inside = report(tmp_path / "r.html", "b.mp4", mode="file")
    assert inside.details[0]["jpegs"] == [base64.b64encode(jpeg).decode() for jpeg in JPEGS]
    assert inside.policy.startswith("default-src 'none'; img-src data:; ")
    assert {path.name for path in tmp_path.iterdir()} == {"r.html"}


def test_a_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    other = tmp_path / "r_pictures" / "holiday.jpg"
    other.parent.mkdir()
    other.write_bytes(b"mine")
    report(tmp_path / "r.html", "a.mp4", mode="file")
    assert other.read_bytes() == b"mine"
    (tmp_path / "r.html").write_text("before")
    message = r"r_pictures is not a folder of pictures that olmv wrote; move it, or name another page"
    with pytest.raises(OutputError, match=message):
        report(tmp_path / "r.html", "a.mp4", mode="folder")
    assert (tmp_path / "r.html").read_text() == "before"
    assert other.read_bytes() == b"mine"
    outputs = Outputs(None, tmp_path / "r.html", wide=False, report_pictures="folder")
    with pytest.raises(OutputError, match=message):  # told before anything is decoded
        outputs.check_videos(["a.mp4"])
    Outputs(None, tmp_path / "r.html", wide=False).check_videos(["a.mp4"])


def test_a_link_is_no_folder_of_ours(tmp_path: Path) -> None:
    report(tmp_path / "other.html", "a.mp4", mode="folder")
    picture_folder(tmp_path / "r.html").symlink_to(tmp_path / "other_pictures")
    report(tmp_path / "r.html", "a.mp4", mode="file")
    assert len(files(tmp_path / "other_pictures")) == 3
    with pytest.raises(OutputError, match="is not a folder of pictures"):
        report(tmp_path / "r.html", "a.mp4", mode="folder")


def test_a_page_that_fails_leaves_the_pictures_of_the_one_before(tmp_path: Path) -> None:
    report(tmp_path / "r.html", "a.mp4", mode="folder")
    before = files(tmp_path)

    def broken(video: str) -> Pictures:
        raise RuntimeError(video)

    with pytest.raises(RuntimeError, match=r"b\.mp4"):
        write_report(
            tmp_path / "r.html",
            lambda: [make_row("b.mp4", dog=0.9)],
            info=ReportInfo("m", ["dog"]),
            pictures=broken,
            report_pictures="folder",
        )
    assert files(tmp_path) == before


def test_where_pictures_are_by_themselves() -> None:
    assert [in_folder("auto", videos) for videos in (1, AUTO_MOST, AUTO_MOST + 1)] == [False, False, True]
    assert in_folder("folder", 1)
    assert not in_folder("file", 100_000)


def test_pictures_are_of_a_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="these are pictures of a page; name a report"):
        Outputs(tmp_path / "r.jsonl", None, wide=False, report_pictures="folder").check()

"""Figures as a LaTeX table."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.pages.latex import escape_latex, latex_table


def test_a_table_for_a_paper() -> None:
    table = latex_table("ucf101_ep1: 5 % of it", ["Figure", "Value"], [["mAP", "81.2 – 84.0"], ["R@1", "50.0 %"]])
    assert table.splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Figure & Value \\",
        r"\midrule",
        r"mAP & 81.2 -- 84.0 \\",
        r"R@1 & 50.0 \% \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\caption{ucf101\_ep1: 5 \% of it}",
        r"\end{table}",
    ]


@pytest.mark.parametrize("text", [r"\input{/etc/passwd}", "a\n\n\\end{table}", "$x_1^2$ & #1 ~ {"])
def test_labels_are_no_commands(text: str) -> None:
    assert not re.search(r"(?<!\\)[$&#%_{}](?!\})", re.sub(r"\\text\w+\{\}", "", escape_latex(text)))
    assert "\n" not in escape_latex(text)


@given(st.text(alphabet="\\{}$&#%_^~<>ab \n"))
def test_every_special_character_is_escaped(text: str) -> None:
    plain = re.sub(r"\\(text\w+\{\}|[{}$&#%_])", "", escape_latex(text))
    assert re.fullmatch("[ab ]*", plain)

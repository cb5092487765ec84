"""Figures of an evaluation as a LaTeX table, for a paper: `\\input{figures.tex}` with the package booktabs."""

from collections.abc import Sequence

__all__ = ["escape_latex", "latex_table"]

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
        "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "–": "--", "±": r"$\pm$",
    }
)  # fmt: skip


def escape_latex(text: str) -> str:
    """Escape text so that LaTeX prints it as it is: one line, nothing in it a command."""
    return " ".join(text.split()).translate(_ESCAPES)


def latex_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a `table` whose first column is text and whose others are figures.

    Args:
        caption: below the table; plain text, as all cells are.
        heads: one a column.
        rows: as many cells each as there are heads.
    """
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in (heads, *rows)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape_latex(caption)}}}",
            r"\end{table}",
            "",
        ]
    )

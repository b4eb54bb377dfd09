"""Tables for LaTeX: any of its engines sets them, and they fit the width of the text."""

import re

import pandas as pd

SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "τ": r"\ensuremath{\tau}", "θ": r"\ensuremath{\theta}", "ε": r"\ensuremath{\epsilon}", "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}", "≤": r"\ensuremath{\leq}", "≥": r"\ensuremath{\geq}", "−": r"\ensuremath{-}",
    "²": r"\textsuperscript{2}", "–": "--", "—": "---", "·": r"\textperiodcentered{}", "…": r"\ldots{}",
}  # fmt: skip
CHARACTERS = str.maketrans(SPECIAL)


def escape(text: str) -> str:
    """Plain text as LaTeX writes it; the minus of a number that stands alone becomes one."""
    return re.sub(r"^-(?=\d)", "−", text).translate(CHARACTERS)


def table(shown: pd.DataFrame, caption: str, name: str) -> str:
    """A floating table, shrunk to the width of the text where it is wider; it needs booktabs and graphicx.

    The first paragraph of the caption stands above the table, notes stand below it.
    """
    styler = shown.style.hide(axis="index").format(escape).format_index(escape, axis=1)
    tabular = styler.to_latex(
        hrules=True, multicol_align="c", multirow_align="t", column_format="l" + "r" * (shown.shape[1] - 1)
    )
    lead, *notes = map(escape, caption.split("\n"))
    lines = [
        "% needs \\usepackage{booktabs,graphicx}", "\\begin{table}", "\\centering", f"\\caption{{{lead}}}",
        f"\\label{{tab:{name}}}", "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        tabular.rstrip() + "}",
    ]  # fmt: skip
    if notes:
        lines.append(
            "\n\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize " + "\\\\ ".join(notes) + "\\end{minipage}"
        )
    return "\n".join([*lines, "\\end{table}"]) + "\n"

"""Text for people."""

import re
from collections.abc import Iterable
from itertools import zip_longest

NUMBER = re.compile(r"\d+")
FIGURE_SPACE = "\u2007"  # as wide as a digit, and before every digit in the order of text


def sorted_by_numbers(text: str, among: Iterable[str]) -> str:
    """`text` with room before its shorter numbers, so that "section 10" comes after "section 2" where text is sorted.

    among : the texts that it is sorted with. The n-th number of each is as wide as the longest n-th number of all.
    """
    widths = [max(map(len, numbers)) for numbers in zip_longest(*map(NUMBER.findall, among), fillvalue="")]
    place = iter(widths)
    return NUMBER.sub(lambda number: number[0].rjust(next(place, 0), FIGURE_SPACE), text)

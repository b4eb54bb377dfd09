"""How tables write numbers, and what they say where there is none."""

from decimal import Decimal

import numpy as np

NOTHING = "–"
INTERVAL = "The interval of the mean is Student's."


def number(value: float, places: int) -> str:
    """A number with so many decimals."""
    return NOTHING if np.isnan(value) else f"{value:.{places}f}"


def difference(value: float, places: int) -> str:
    """The same with its sign."""
    return NOTHING if np.isnan(value) else f"{value:+.{places}f}"


def interval(low: float, high: float, places: int) -> str:
    """From one number to another."""
    return NOTHING if np.isnan(low) else f"{low:.{places}f} to {high:.{places}f}"


def two_digits(value: float) -> str:
    """A number with two significant digits, without an exponent."""
    return format(Decimal(f"{value:.1e}"), "f") if value else "0"


def with_deviation(value: str, deviation: str) -> str:
    """A number with its deviation in brackets, if it has one."""
    return f"{value} ({deviation})" if deviation else value


def probability(p: float) -> str:
    """A p value."""
    if np.isnan(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"

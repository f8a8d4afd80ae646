"""The values of tags in files that need not obey the standard."""

from __future__ import annotations

import math
from typing import Any

from pydicom import Dataset


def value_of(dataset: Dataset, keyword: str) -> Any:
    """The tag's value; None where it is missing, empty, or cannot be read as what its type says."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom converts only now, and raises errors of many kinds on a malformed value
        return None
    return None if value is None or value == "" else value


def numbers_of(dataset: Dataset, keyword: str) -> list[float]:
    """The tag's numbers; none at all where it is missing or one of them is not a finite number."""
    value = value_of(dataset, keyword)
    try:
        items = [value] if isinstance(value, (str, int, float)) else list(value or ())
        numbers = [float(item) for item in items]
    except (TypeError, ValueError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """The tag's only number; None where it has none or several."""
    numbers = numbers_of(dataset, keyword)
    return numbers[0] if len(numbers) == 1 else None


def word_of(dataset: Dataset, keyword: str) -> str:
    """The tag's (first) text in capitals, without blanks around it; empty where it is missing."""
    value = value_of(dataset, keyword)
    if not isinstance(value, (str, int, float)):
        value = next(iter(value or ()), "")
    return str(value).strip().upper()

"""Which patients are trained on, chosen by and tested on: drawn by seed, alike in sex and age, kept on disk as lists.

The split is of patients, not films: with two films of one patient in two parts, a network would be tested on whom it
knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lumbar.datasets.buu_lspine import BuuFolder
from lumbar.datasets.case import Case
from lumbar.whole_file import written_aside

PAPER_SEED = 8646
"""The published seed of `paper_protocol`: the article's number in Appl. Sci. 2023."""

PAPER_PATIENTS, PAPER_TEST, PAPER_VALIDATION = 400, 50, 35
"""The paper trains and validates on 350 of BUU-LSPINE's 400 open films and tests on 50. It does not say how many of the
350 validate, nor which films are which: a tenth, and the draw, are our own."""

AGE_BANDS = (45, 60, 75)
"""The first year of each band but the youngest."""


@dataclass(frozen=True, slots=True)
class Split:
    """Patients of each part, in the order of their names. Raises ValueError where one stands twice."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part, patients in self.parts.items():
            object.__setattr__(self, part, tuple(sorted(patients)))
            for patient in patients:
                if patient in seen:
                    raise ValueError(
                        f"each patient must stand in one list, once; {patient} is in {seen[patient]} and {part}"
                    )
                seen[patient] = part

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """The three lists by name: train, validation, test."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def write(self, folder: Path) -> None:
        """Write train.txt, validation.txt and test.txt, a patient a line."""
        folder.mkdir(parents=True, exist_ok=True)
        for part, patients in self.parts.items():
            with written_aside(folder / f"{part}.txt") as aside:
                aside.write_text("".join(f"{patient}\n" for patient in patients), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, cases: Iterable[Case]) -> Split:
        """The lists that `write` wrote, for the data set of `cases`.

        Raises ValueError where a patient stands twice or is not in the data set, FileNotFoundError where a list is
        missing.
        """
        lists = {}
        for part in (field.name for field in fields(cls)):
            path = folder / f"{part}.txt"
            if not path.is_file():
                raise FileNotFoundError(
                    f"no list of patients at {path}; a split is train.txt, validation.txt and test.txt"
                )
            lists[part] = tuple(
                line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()
            )
        split, known = cls(**lists), {case.patient for case in cases}
        unknown = [patient for patients in lists.values() for patient in patients if patient not in known]
        if unknown:
            raise ValueError(
                f"every patient of {folder} must be in the data set; {len(unknown)} are not: {', '.join(unknown[:5])}; "
                "is it the split of another data set?"
            )
        return split

    def cases(self, part: str, cases: Iterable[Case]) -> tuple[Case, ...]:
        """Those of `cases` whose patient is in `part`: train, validation or test."""
        if part not in self.parts:
            raise ValueError(f"part must be one of {', '.join(self.parts)}; got {part!r}")
        patients = set(self.parts[part])
        return tuple(case for case in cases if case.patient in patients)


def draw_split(cases: Sequence[Case], validation: int, test: int, seed: int) -> Split:
    """So many patients to validate and to test by, the others to train on; each stratum of sex and age gives its share.

    The draw depends on the seed and the patients alone, not on the order of `cases`, the machine or any library.
    Raises ValueError where there are not more patients than asked for.
    """
    strata = _strata(cases)
    patients = sum(map(len, strata.values()))
    if validation < 0 or test < 0 or validation + test >= patients:
        raise ValueError(
            f"validation and test must leave patients to train on; got {validation} and {test} of {patients} patients"
        )
    left = {stratum: sorted(members, key=lambda patient: _draw(seed, patient)) for stratum, members in strata.items()}
    drawn = []
    for count in (test, validation):
        shares = _shares({stratum: len(members) for stratum, members in left.items()}, count)
        drawn.append([patient for stratum, share in shares.items() for patient in left[stratum][:share]])
        left = {stratum: members[shares[stratum] :] for stratum, members in left.items()}
    return Split(tuple(patient for members in left.values() for patient in members), tuple(drawn[1]), tuple(drawn[0]))


def paper_protocol(folder: Path, seed: int = PAPER_SEED) -> Split:
    """The paper's 350 and 50 of BUU-LSPINE's 400 open patients, 35 of the 350 to validate by.

    Raises ValueError where `folder` does not hold 400 patients.
    """
    cases = BuuFolder.open(folder).cases
    patients = len({case.patient for case in cases})
    if patients != PAPER_PATIENTS:
        raise ValueError(
            f"the paper's protocol needs BUU-LSPINE's {PAPER_PATIENTS} open patients; {folder} holds {patients}: "
            "draw a split of another size with draw_split"
        )
    return draw_split(cases, PAPER_VALIDATION, PAPER_TEST, seed)


def stratum_of(case: Case) -> tuple[str, str]:
    """Sex and age band.

    >>> from pathlib import Path
    >>> stratum_of(Case("a", Path("a.png"), None, "a", "F", 60)), stratum_of(Case("a", Path("a.png"), None, "a"))
    (('F', '60-74'), ('unknown', 'unknown'))
    """
    if case.age is None:
        return case.sex or "unknown", "unknown"
    low = max((first for first in AGE_BANDS if first <= case.age), default=0)
    high = min((first for first in AGE_BANDS if first > case.age), default=None)
    return case.sex or "unknown", f"{low}+" if high is None else f"{low}-{high - 1}"


def _strata(cases: Sequence[Case]) -> dict[tuple[str, str], list[str]]:
    """Patients by stratum; one with several films is of the stratum of the first by name."""
    first = {case.patient: case for case in sorted(cases, key=lambda case: case.name, reverse=True)}
    strata: dict[tuple[str, str], list[str]] = {}
    for patient in sorted(first):
        strata.setdefault(stratum_of(first[patient]), []).append(patient)
    return dict(sorted(strata.items()))


def _shares(sizes: Mapping[tuple[str, str], int], count: int) -> dict[tuple[str, str], int]:
    """`count` in proportion to the sizes, by largest remainders."""
    total = sum(sizes.values())
    shares = {stratum: count * size // total for stratum, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda stratum: -(count * sizes[stratum] % total))
    for stratum in by_remainder[: count - sum(shares.values())]:
        shares[stratum] += 1
    return shares


def _draw(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed} {patient}".encode()).hexdigest()

"""Evaluations as tables: one method in full, and the paper's three tables with its figures beside ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lumbar.evaluation.landmark_scores import Figure, LandmarkScores
from lumbar.evaluation.paper import TABLE_I, TABLE_II, TABLE_III, PublishedLandmarks
from lumbar.evaluation.read_case import Unit
from lumbar.evaluation.resampling import paired_p
from lumbar.evaluation.result import Evaluation

ABLATION = {
    "lsld-net-base on whole films": "base",
    "lsld-net-base": "base + localiser",
    "lsld-net-without-sae": "+ MSAM without SAE",
    "lsld-net": "+ MSAM with SAE",
}
"""Rows of Table III: our name of the method, and the paper's row."""

_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a head, rows of the same length, and notes for below it."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """As GitHub reads it."""
        lines = [f"**{self.caption}**", "", "| " + " | ".join(self.head) + " |", "|" + "---|" * len(self.head)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([*lines, "", *self.notes, ""])

    def csv(self) -> str:
        """Head and rows."""
        text = io.StringIO()
        csv.writer(text).writerows((self.head, *self.rows))
        return text.getvalue()


def tables_of(found: Evaluation) -> tuple[Table, ...]:
    """All of one evaluation."""
    films = found.films
    counts = Table(
        f"{found.method} on {found.data}: {films.films} films",
        ("figure", "value (95 % interval over patients)"),
        (
            ("films with names off by a level, or nothing found", _percent(films.shifted)),
            ("corners missed", _percent(films.missed)),
            ("levels with the true Meyerding grade", _percent(found.grading)),
            ("levels with the true quarter, as the paper grades", _percent(found.grading_by_quarters)),
        ),
    )
    every = found.landmarks.values()
    errors = Table(
        "Corner errors; a missed corner counts as one endplate's depth",
        ("unit", "films", "MAE (L1)", "MRE", "median", "SDR"),
        tuple(
            (
                scores.unit, str(scores.films), _with_interval(scores.mae), _with_interval(scores.mre),
                _with_interval(scores.median), _sdr(scores),
            )
            for scores in every
        ),
    )  # fmt: skip
    parts = list(next(iter(every)).by_vertebra)
    corners = list(next(iter(every)).by_corner)
    where = Table(
        "MRE by vertebra and by corner",
        ("unit", *parts, *(corner.replace("_", " ") for corner in corners)),
        tuple(
            (s.unit, *(_number(s.by_vertebra[p]) for p in parts), *(_number(s.by_corner[c]) for c in corners))
            for s in every
        ),
    )
    agreement = Table(
        "Measurements against those of the true corners",
        ("quantity", "n", "mean absolute error", "bias", "95 % limits of agreement", "ICC(2,1)", "unmeasured"),
        tuple(
            (
                q.quantity, str(q.agreement.n), f"{_number(q.agreement.mean_absolute_error)} {q.unit}", _number(q.agreement.bias),
                f"{_number(q.agreement.low)} to {_number(q.agreement.high)}", _number(q.agreement.icc, 3), str(q.unmeasured),
            )
            for q in found.quantities
        ),
    )  # fmt: skip
    tables = (counts, errors, where, agreement)
    if found.studies is None:
        return tables
    s = found.studies
    studies = Table(
        f"Change between flexion and extension in {s.studies} studies",
        ("figure", "value (95 % interval over patients)"),
        (
            ("error of the change of the intervertebral angle", f"{_with_interval(s.angle_deg)} deg"),
            ("error of the change of the sagittal displacement", f"{_with_interval(s.displacement_mm)} mm"),
            ("levels with the true stability verdict", _percent(s.stability)),
            ("changes that could not be measured", str(s.unmeasured)),
        ),
    )
    return (*tables, studies)


def compared(found: Sequence[Evaluation], reference: str = "lsld-net") -> tuple[Table, ...]:
    """Tables I, II and III of the paper, as far as the evaluations fill them, its figures in brackets beside ours.

    Raises ValueError where two evaluations of one method on one set are given.
    """
    names = [(e.method, e.data) for e in found]
    if len(set(names)) < len(names):
        raise ValueError(f"evaluations must differ in method or data; got {', '.join(sorted(map(str, names)))}")
    tables: list[Table] = []
    for data in dict.fromkeys(e.data for e in found):
        here = {e.method: e for e in found if e.data == data}
        rows = [name for name in here if name not in ABLATION or name == "lsld-net"]
        tables.append(_landmark_table(f"Table I on {data}", rows, here, TABLE_I, reference))
        if any(e.studies for e in here.values()):
            tables.append(_clinical_table(f"Table II on {data}", rows, here))
        ablated = [name for name in ABLATION if name in here]
        if len(ablated) > 1:
            published = {name: TABLE_III[row] for name, row in ABLATION.items()}
            tables.append(_landmark_table(f"Table III on {data}", ablated, here, published, reference))
    return tuple(tables)


def _landmark_table(
    caption: str,
    names: Sequence[str],
    here: dict[str, Evaluation],
    published: dict[str, PublishedLandmarks],
    reference: str,
) -> Table:
    rows = []
    for name in names:
        found, paper = here[name], published.get(name)
        px, mm = found.landmarks.get(Unit.INPUT_PX), found.landmarks.get(Unit.MM)
        rows.append(
            (
                f"{name} — {ABLATION[name]}" if caption.startswith("Table III") else name,
                _beside(px.mae if px else None, paper.mae_px if paper else None),
                _beside(px.mre if px else None, paper.mre_px if paper else None),
                _rates(px, paper.sdr_px if paper else None),
                _beside(mm.mre if mm else None, paper.mre_mm if paper else None, 2),
                _rates(mm, paper.sdr_mm if paper else None),
                _percent(found.films.shifted),
                _p_against(here, name, reference),
            )
        )
    notes = (
        "In brackets the paper's figure, of other films: px on BUU-LSPINE, mm on its own. Px are those of a 1024 x 512 input "
        "that L1 to S1 fill to 85 %. Intervals: 95 %, bootstrap over patients.",
        f"p: sign-flip test of the mean error a patient against {reference}.",
    )
    head = ("method", "MAE px", "MRE px", "SDR at 5/6/7/8/9/10 px", "MRE mm", "SDR at 2/3/4/5 mm", "names off", "p")
    return Table(caption, head, tuple(rows), notes)


def _clinical_table(caption: str, names: Sequence[str], here: dict[str, Evaluation]) -> Table:
    rows = []
    for name in names:
        found, paper = here[name], TABLE_II.get(name)
        if found.studies is None:
            continue
        rows.append(
            (
                name,
                _beside(found.studies.angle_deg, paper.isa_deg if paper else None),
                _beside(found.studies.displacement_mm, paper.sd_mm if paper else None),
                _beside(found.grading, paper.grading if paper else None),
                _beside(found.studies.stability, paper.stability if paper else None),
                str(found.studies.unmeasured),
            )
        )
    head = ("method", "ISA change deg", "SD change mm", "grading %", "stability %", "changes unmeasured")
    notes = (
        "In brackets the paper's figure, on its own films. A level that could not be measured counts as wrong.",
        "Grades have a direction and a grade 0 here, which the paper's have not.",
    )
    return Table(caption, head, tuple(rows), notes)


def _p_against(here: dict[str, Evaluation], name: str, reference: str) -> str:
    if name == reference or reference not in here:
        return _NOTHING
    ours, theirs = here[name].errors_by_patient(), here[reference].errors_by_patient()
    both = sorted(set(ours) & set(theirs))
    if len(both) < 2:
        return _NOTHING
    return f"{paired_p(np.array([ours[p] for p in both]), np.array([theirs[p] for p in both])):.4f}"


def _beside(ours: Figure | None, paper: float | None, digits: int = 1) -> str:
    if ours is None:
        return _NOTHING if paper is None else f"{_NOTHING} [{paper:g}]"
    text = f"{_number(ours.value, digits)} ({_number(ours.low, digits)}–{_number(ours.high, digits)})"
    return text if paper is None else f"{text} [{paper:g}]"


def _rates(scores: LandmarkScores | None, paper: Sequence[float] | None) -> str:
    ours = _NOTHING if scores is None else "/".join(_number(rate.value, 1) for rate in scores.sdr.values())
    return ours if paper is None else f"{ours} [{'/'.join(f'{rate:.1f}' for rate in paper)}]"


def _sdr(scores: LandmarkScores) -> str:
    return ", ".join(f"{radius:g}: {_number(rate.value, 1)} %" for radius, rate in scores.sdr.items())


def _with_interval(figure: Figure) -> str:
    return f"{_number(figure.value)} ({_number(figure.low)}–{_number(figure.high)})"


def _percent(figure: Figure | None) -> str:
    if figure is None:
        return _NOTHING
    return f"{_number(figure.value, 1)} % ({_number(figure.low, 1)}–{_number(figure.high, 1)})"


def _number(value: float, digits: int = 2) -> str:
    return _NOTHING if not np.isfinite(value) else f"{value:.{digits}f}"

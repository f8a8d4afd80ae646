"""The figures of the paper's three tables (Hu et al., LSLD-Net), as printed.

Landmark errors on BUU-LSPINE (public) in px, almost surely of the 1024 x 512 input, and on the authors' own films in mm.
The table's head prints one radius fewer than it has columns; the text gives 5 to 10 px and 2 to 5 mm. Table II's names of the
two accuracies contradict the abstract and the discussion: by these, grading is the larger one and stability the smaller.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedLandmarks:
    """A row of Table I or III: on the public set in px with SDR at 5 to 10 px, on the private set in mm with SDR at 2 to 5 mm."""

    mae_px: float
    mre_px: float
    sdr_px: tuple[float, float, float, float, float, float]
    mae_mm: float
    mre_mm: float
    sdr_mm: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PublishedClinical:
    """A row of Table II, on the private set: errors of the change of ISA and SD, and % right in grading and stability."""

    isa_deg: float
    sd_mm: float
    grading: float
    stability: float


TABLE_I: dict[str, PublishedLandmarks] = {
    "hourglass-2": PublishedLandmarks(11.0, 8.8, (59.5, 69.3, 75.6, 80.9, 83.5, 86.2), 5.0, 4.0, (64.8, 81.7, 88.9, 92.0)),
    "hourglass-8": PublishedLandmarks(10.8, 8.6, (66.0, 73.8, 78.9, 83.1, 85.6, 87.9), 4.5, 3.6, (70.7, 85.6, 91.8, 93.8)),
    "hrnet": PublishedLandmarks(11.8, 9.5, (75.7, 80.6, 83.0, 85.4, 87.0, 87.8), 4.0, 3.3, (80.4, 90.5, 94.0, 95.1)),
    "vertebra-focused": PublishedLandmarks(10.2, 8.2, (77.0, 81.1, 84.4, 86.3, 88.1, 89.0), 3.8, 3.1, (81.1, 91.1, 94.1, 95.2)),
    "farnet": PublishedLandmarks(10.1, 8.0, (76.1, 82.9, 85.4, 87.1, 88.4, 89.8), 3.9, 3.2, (80.2, 91.3, 94.5, 95.7)),
    "lsld-net": PublishedLandmarks(8.9, 7.1, (78.1, 82.7, 86.6, 88.8, 90.3, 90.9), 3.5, 2.9, (81.9, 92.2, 95.1, 96.2)),
}  # fmt: skip
"""Comparison of methods, by their names here."""

TABLE_II: dict[str, PublishedClinical] = {
    "hourglass-2": PublishedClinical(3.9, 2.0, 79.5, 64.2),
    "hourglass-8": PublishedClinical(3.4, 1.9, 82.3, 65.6),
    "hrnet": PublishedClinical(2.2, 1.7, 82.7, 69.9),
    "vertebra-focused": PublishedClinical(2.4, 1.5, 82.0, 67.8),
    "farnet": PublishedClinical(2.5, 1.6, 82.1, 69.8),
    "lsld-net": PublishedClinical(2.2, 1.4, 83.8, 70.9),
}
"""Clinical comparison."""

TABLE_III: dict[str, PublishedLandmarks] = {
    "base": PublishedLandmarks(14.0, 11.4, (70.7, 77.5, 81.0, 83.6, 85.2, 85.9), 4.8, 4.0, (75.2, 86.8, 90.6, 92.1)),
    "base + localiser": PublishedLandmarks(13.0, 10.5, (73.9, 78.4, 81.2, 83.5, 85.0, 86.1), 3.9, 3.2, (80.9, 90.8, 93.7, 95.0)),
    "+ MSAM without SAE": PublishedLandmarks(10.5, 8.4, (74.0, 81.1, 84.5, 85.5, 86.5, 88.5), 3.7, 3.1, (80.2, 91.1, 94.4, 95.7)),
    "+ MSAM with SAE": TABLE_I["lsld-net"],
}  # fmt: skip
"""Ablation, row by row."""

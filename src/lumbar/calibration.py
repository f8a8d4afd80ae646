"""What the scores, confidences and spreads of the networks are worth, which depends on which networks they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lumbar.anatomy import Vertebra
from lumbar.landmarks.consensus import ErrorModel


@dataclass(frozen=True, slots=True)
class Calibration:
    """Limits and error bars for one set of networks.

    least_box_score: a box scored below this is not looked into. least_confidence: landmarks whose mean confidence is below this are no
    lumbar spine. unsure: where it is below this, whoever reads is asked to check the names. look_again: where a first look leaves it below this, the film
    is looked at through more windows, which overrule the first look where they name the vertebrae otherwise, and more surely. errors: of the corners.
    """

    least_box_score: float
    least_confidence: float
    unsure: float
    look_again: float
    errors: ErrorModel


WITHOUT_CORNERS = Calibration(
    least_box_score=0.04,  # it need only point at a place: what lies there shows in the close-ups
    least_confidence=0.3,  # refuses wrong names and little else; what a film without a spine reaches is in the model card
    unsure=0.4,  # lies in a gap of the validation films' confidences
    look_again=0.65,  # as for the films of a study; simulated films are mostly surer, real ones mostly not
    errors=ErrorModel(
        spread_share=0.403,
        least_deviation=0.006,
        wider={Vertebra.L2: 0.95, Vertebra.L3: 0.95, Vertebra.L4: 1.1, Vertebra.L5: 1.15, Vertebra.S1: 1.2},
    ),
)
"""Of localiser, landmarks and close-ups. Chosen on lumbar-bench-1's validation films, the errors by experiments/error_bars.py on other simulated
films, how much wider or narrower those of a vertebra are by simulated studies; see the model card."""

WITH_CORNERS = replace(
    WITHOUT_CORNERS,
    errors=ErrorModel(
        spread_share=0.45,
        least_deviation=0.0027,
        wider={Vertebra.L4: 1.2, Vertebra.L5: 1.35, Vertebra.S1: 1.3},
    ),
)
"""Of all four networks that ship; only the errors differ."""

WITHOUT_CLOSE_UPS = Calibration(
    least_box_score=0.15,
    least_confidence=0.35,
    unsure=0.35,  # no more than what is refused: nobody has measured where the paper's two stages alone are in doubt
    look_again=0.35,  # no first look of few windows without close-ups
    errors=ErrorModel(spread_share=0.664, least_deviation=0.0246),
)
"""Of the paper's two stages alone."""

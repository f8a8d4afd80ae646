"""The parts of a structured report that are made of a reading: groups of points, of measurements, of verdicts (PS3.16, TID 1501, 1410)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr import Measurement as SrMeasurement
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from lumbar.anatomy import LANDMARK_INDEX, LANDMARKS, LEVELS, Corner, Vertebra
from lumbar.assessment import SlipGrade
from lumbar.geometry import FloatArray
from lumbar.measurements import (
    BODY_QUANTITIES,
    DISC_QUANTITIES,
    LORDOSIS,
    QUANTITIES,
    SACRAL_SLOPE,
    Quantity,
    Unmeasurable,
)
from lumbar.measurements import Measurement as Figure
from lumbar.pacs import codes
from lumbar.pacs.header import result_uid
from lumbar.reading import Reading

Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


def to_dicom(points_px: FloatArray) -> NDArray[np.float32]:
    """Film pixels (pixel centres at integers) -> DICOM's column and row, in which the first pixel's centre is (0.5, 0.5)."""
    return (np.asarray(points_px, dtype=np.float64) + 0.5).astype(np.float32)


@dataclass(frozen=True, slots=True)
class FilmOfReport:
    """A film in a report: its reading, the header of its file, and what its names begin with (its posture, in a study)."""

    reading: Reading
    header: Dataset
    prefix: str = ""

    def groups(self) -> list[Group]:
        """Everything that was read on it: the film, its corners, their errors, the levels, the bodies."""
        corners = [self._corner(landmark) for landmark in LANDMARKS if self._is_present(landmark)]
        read = [self._corners_read()] if corners else []
        levels = [self._site(str(level), (*QUANTITIES, *DISC_QUANTITIES)) for level in LEVELS]
        bodies = [self._site(v.value, BODY_QUANTITIES) for v in Vertebra if v is not Vertebra.S1]
        return [self._film(), *corners, *read, *levels, *bodies]

    def tracking(self, name: str) -> TrackingIdentifier:
        """A name in words, and a UID that is the same in every report on this film."""
        label = f"{self.prefix} {name}".strip()
        return TrackingIdentifier(result_uid("tracking", (self.header.SOPInstanceUID,), {}, "", label), label)

    def _is_present(self, landmark: tuple[Vertebra, Corner]) -> bool:
        return bool(self.reading.landmarks.present[LANDMARK_INDEX[landmark]])

    @property
    def _image(self) -> SourceImageForRegion:
        return SourceImageForRegion(self.header.SOPClassUID, self.header.SOPInstanceUID)

    def _film(self) -> Group:
        reading = self.reading
        said = [
            _evaluation(codes.FACING, codes.SIDE[reading.anterior]),
            _evaluation(codes.FACING_KNOWN, codes.FACING_SOURCE[reading.facing_source]),
        ]
        figures = [_number(codes.CONFIDENCE, reading.confidence)]
        if reading.posture is not None:
            said.append(_evaluation(codes.POSTURE_OF_FILM, codes.POSTURE[reading.posture]))
        if reading.box is not None:
            figures.append(_number(codes.BOX_SCORE, reading.box.score))
        if (spacing := reading.spacing) is not None:
            said.append(_evaluation(codes.SPACING_PLANE, codes.PLANE[spacing.plane]))
            figures.append(_number(codes.ROW_SPACING, spacing.row_mm, codes.UNITS["mm"]))
            figures.append(_number(codes.COLUMN_SPACING, spacing.column_mm, codes.UNITS["mm"]))
        whole = [(LORDOSIS, "L1-S1"), (SACRAL_SLOPE, "S1")]
        figures += self._measured(whole)
        group = MeasurementsAndQualitativeEvaluations(
            self.tracking("film"),
            finding_type=codes.FILM_FINDING,
            finding_sites=[FindingSite(codes.SPINE)],
            algorithm_id=algorithm_of(reading),
            measurements=figures,
            qualitative_evaluations=[*said, *self._unmeasured(whole)],
        )
        texts = [(codes.NOTICE_TITLE, warning) for warning in reading.warnings]
        if spacing is not None:
            texts.append((codes.SPACING_SOURCE, spacing.source))
        return _with_texts(group, [*texts, *self._reasons(whole)])

    def _corner(self, landmark: tuple[Vertebra, Corner]) -> Group:
        vertebra, corner = landmark
        point = to_dicom(self.reading.landmarks.points_px[LANDMARK_INDEX[landmark]])
        return PlanarROIMeasurementsAndQualitativeEvaluations(
            self.tracking(f"{vertebra} {corner}"),
            referenced_region=ImageRegion(GraphicTypeValues.POINT, point.reshape(1, 2), self._image),
            finding_type=codes.CORNER_FINDING,
            finding_sites=[_corner_site(landmark)],
            algorithm_id=algorithm_of(self.reading),
        )

    def _corners_read(self) -> Group:
        """Where the networks saw each corner, and how surely: what a corrected report is compared with."""
        figures = []
        landmarks = self.reading.landmarks
        for landmark in LANDMARKS:
            row = LANDMARK_INDEX[landmark]
            if not landmarks.present[row]:
                continue
            (var_x, cov), (_, var_y) = landmarks.covariance_px[row]
            x, y = landmarks.points_px[row]
            said = [(codes.READ_COLUMN, x, codes.PIXEL), (codes.READ_ROW, y, codes.PIXEL)]
            said.append((codes.CONFIDENCE, landmarks.confidence[row], codes.UNITS["1"]))
            if np.isfinite([var_x, var_y, cov]).all():
                errors = ((codes.VARIANCE_COLUMN, var_x), (codes.VARIANCE_ROW, var_y), (codes.COVARIANCE, cov))
                said += [(code, value, codes.SQUARE_PIXEL) for code, value in errors]
            figures += [_number(code, value, unit, _corner_site(landmark)) for code, value, unit in said]
        return MeasurementsAndQualitativeEvaluations(
            self.tracking("corners as read"),
            finding_type=codes.CORNERS_READ,
            finding_sites=[FindingSite(codes.SPINE)],
            algorithm_id=algorithm_of(self.reading),
            measurements=figures,
        )

    def _site(self, site: str, quantities: Sequence[Quantity]) -> Group:
        wanted = [(quantity, site) for quantity in quantities]
        grades = [grade for grade in self.reading.grades if grade.site == site]
        figures, said = self._measured(wanted), self._unmeasured(wanted)
        for grade in grades:
            more, words = graded(grade)
            figures, said = [*figures, *more], [*said, *words]
        group = MeasurementsAndQualitativeEvaluations(
            self.tracking(site),
            finding_sites=[FindingSite(codes.SITES[site])],
            algorithm_id=algorithm_of(self.reading),
            measurements=figures or None,
            qualitative_evaluations=said or None,
        )
        return _with_texts(group, self._reasons(wanted))

    def _measured(self, wanted: Iterable[tuple[Quantity, str]]) -> list[SrMeasurement]:
        found = [(quantity, self.reading.measured(quantity.name, site)) for quantity, site in wanted]
        return [
            measurement(figure, codes.METHOD[quantity.name], self._coordinates(quantity, figure.site))
            for quantity, figure in found
            if isinstance(figure, Figure)
        ]

    def _coordinates(self, quantity: Quantity, site: str) -> list[CoordinatesForMeasurement]:
        upper, lower = (Vertebra(name) for name in (site.replace("-", "/").split("/") * 2)[:2])
        rows = [LANDMARK_INDEX[landmark] for landmark in quantity.of(upper, lower)]
        points = to_dicom(self.reading.landmarks.points_px[rows])
        return [CoordinatesForMeasurement(GraphicTypeValues.MULTIPOINT, points, self._image)]

    def _unmeasured(self, wanted: Iterable[tuple[Quantity, str]]) -> list[QualitativeEvaluation]:
        found = [self.reading.measured(quantity.name, site) for quantity, site in wanted]
        return [
            _evaluation(codes.QUANTITY[e.quantity], codes.UNMEASURABLE) for e in found if isinstance(e, Unmeasurable)
        ]

    def _reasons(self, wanted: Iterable[tuple[Quantity, str]]) -> list[tuple[Code, str]]:
        found = [self.reading.measured(quantity.name, site) for quantity, site in wanted]
        return [(codes.NOTICE_TITLE, reason(e)) for e in found if isinstance(e, Unmeasurable)]


def algorithm_of(reading: Reading) -> AlgorithmIdentification:
    """The software, its version, and the SHA-256 of each of its networks."""
    return AlgorithmIdentification(
        "lumbar", reading.software_version, [f"{name} sha256 {sha256}" for name, sha256 in reading.weights.items()]
    )


def measurement(
    figure: Figure, method: Code | None = None, coordinates: Sequence[CoordinatesForMeasurement] = ()
) -> SrMeasurement:
    """A figure with its unit, its standard error where that is known, its method and the points that it was made of."""
    unit = codes.UNITS[figure.unit]
    made = SrMeasurement(
        codes.QUANTITY[figure.quantity],
        float(figure.value),
        unit,
        method=method,
        finding_sites=[FindingSite(codes.SITES[figure.site])],
        referenced_coordinates=list(coordinates) or None,
    )
    if figure.standard_error is not None:
        made[0].ContentSequence.append(
            NumContentItem(
                CodedConcept.from_code(codes.STANDARD_ERROR),
                float(figure.standard_error),
                CodedConcept.from_code(unit),
                relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return made


def graded(grade: SlipGrade) -> tuple[list[SrMeasurement], list[QualitativeEvaluation]]:
    """P(grade >= k), and the grade with its direction."""
    figures = [
        _number(code, share, site=FindingSite(codes.SITES[grade.site]))
        for code, share in zip(codes.GRADE_AT_LEAST, grade.probability_at_least or (), strict=False)
    ]
    return figures, [
        _evaluation(codes.GRADE_OF_SLIP, codes.GRADE[grade.grade]),
        _evaluation(codes.DIRECTION_OF_SLIP, codes.DIRECTION[grade.direction]),
    ]


def reason(entry: Unmeasurable) -> str:
    """Why a quantity is missing, in one line."""
    return f"{entry.quantity} at {entry.site} could not be measured: {entry.reason}"


def _corner_site(landmark: tuple[Vertebra, Corner]) -> FindingSite:
    vertebra, corner = landmark
    return FindingSite(codes.SITES[vertebra.value], topographical_modifier=codes.CORNER[corner])


def _number(name: Code, value: float, unit: Code = codes.UNITS["1"], site: FindingSite | None = None) -> SrMeasurement:
    return SrMeasurement(name, float(value), unit, finding_sites=[site or FindingSite(codes.SPINE)])


def _evaluation(name: Code, value: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(CodedConcept.from_code(name), CodedConcept.from_code(value))


def _with_texts(group: Group, texts: Sequence[tuple[Code, str]]) -> Group:
    for name, text in texts:
        group[0].ContentSequence.append(text_item(name, text))
    return group


def text_item(name: Code, text: str) -> TextContentItem:
    """A sentence in a container."""
    return TextContentItem(CodedConcept.from_code(name), text, RelationshipTypeValues.CONTAINS)

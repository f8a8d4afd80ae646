"""Readings and studies -> Comprehensive 3D SR, a measurement report of TID 1500 (DICOM PS3.16)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy

from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    TrackingIdentifier,
)
from highdicom.sr import Measurement as SrMeasurement
from pydicom import Dataset
from pydicom.sr.codedict import codes as public
from pydicom.sr.coding import Code

from lumbar.anatomy import Posture
from lumbar.assessment import StabilityAssessment
from lumbar.measurements import Measurement, Unmeasurable
from lumbar.pacs import codes
from lumbar.pacs.header import MANUFACTURER, MODEL, Origin, result_uid
from lumbar.pacs.sr_items import FilmOfReport, Group, algorithm_of, graded, measurement, reason, text_item
from lumbar.reading import NOTICE, Reading
from lumbar.study import LevelAssessment, StudyAssessment


def reading_report(header: Dataset, reading: Reading, corrects: Dataset | None = None) -> Dataset:
    """One film: its corners as points, every measurement with its error, grades, doubts and provenance.

    header: of the film (`header.film_header`). corrects: the earlier report whose points a reader moved to get this reading; the new
    one names it as its predecessor.
    Raises ValueError where the film's size is not that of the reading.
    """
    if (header.get("Rows"), header.get("Columns")) != (reading.height, reading.width):
        raise ValueError(
            f"header must be of a film of {reading.width} x {reading.height} pixels, as the reading is; "
            f"got {header.get('Columns')} x {header.get('Rows')}"
        )
    description = "lumbar: measurements" if corrects is None else "lumbar: measurements, corrected by a reader"
    return _document(
        [header],
        FilmOfReport(reading, header).groups(),
        reading_origin(header, reading, corrects),
        "report",
        description,
        previous=[] if corrects is None else [corrects],
    )


def reading_origin(header: Dataset, reading: Reading, corrects: Dataset | None = None) -> Origin:
    """Of the results on one film; where a reader corrected an earlier report, of that report and the points that it got."""
    if corrects is None:
        return Origin((header.SOPInstanceUID,), (reading,))
    points = hashlib.sha256(reading.landmarks.points_px.tobytes()).hexdigest()
    return Origin((header.SOPInstanceUID,), (reading,), (corrects.SOPInstanceUID, points))


def study_report(
    study: StudyAssessment,
    readings: dict[Posture, Reading],
    headers: dict[Posture, Dataset],
    corrected: Sequence[str] = (),
) -> Dataset:
    """All films of a study in one report, and for each level its motion and what each set of criteria says of it.

    readings, headers: of the same postures, which are those of `study.films`. corrected: what tells the points that readers moved
    from others, such as their digests; without it the report is that of the networks' own readings.
    """
    postures = [posture for posture in Posture if posture in readings]
    films = [FilmOfReport(readings[posture], headers[posture], posture.value) for posture in postures]
    uids = tuple(headers[posture].SOPInstanceUID for posture in postures)
    reader = readings[Posture.FLEXION]
    groups = [_study_group(study, uids, reader)]
    for level in study.levels:
        groups.append(_level_group(level, uids, reader))
        groups += [_verdict_group(level.site, verdict, uids, reader) for verdict in level.stability]
    for film in films:
        groups += film.groups()
    more = (study.criteria.name, *(posture.value for posture in postures), *corrected)
    return _document(
        [headers[posture] for posture in postures],
        groups,
        Origin(uids, tuple(readings[posture] for posture in postures), more),
        "study report",
        "lumbar: flexion and extension",
        texts=study.warnings,
    )


def _study_group(study: StudyAssessment, uids: Sequence[str], reader: Reading) -> Group:
    figures = []
    if study.lordosis_change_deg is not None:
        change = Measurement("lordosis_change", "L1-S1", study.lordosis_change_deg, "deg", None, "extension - flexion")
        figures.append(measurement(change))
    return MeasurementsAndQualitativeEvaluations(
        _tracking("study", uids),
        finding_sites=[FindingSite(codes.SPINE)],
        algorithm_id=algorithm_of(reader),
        method=codes.CRITERIA_CODE[study.criteria.name],
        measurements=figures or None,
    )


def _level_group(level: LevelAssessment, uids: Sequence[str], reader: Reading) -> Group:
    change = level.change
    entries = (change.translation, _renamed(change.slip), change.angulation, level.slip)
    figures = [measurement(entry) for entry in entries if isinstance(entry, Measurement)]
    missing = [entry for entry in entries if isinstance(entry, Unmeasurable)]
    said = [_evaluation(codes.QUANTITY[entry.quantity], codes.UNMEASURABLE) for entry in missing]
    if level.grade is not None:
        more, words = graded(level.grade)
        figures, said = [*figures, *more], [*said, *words]
    group = MeasurementsAndQualitativeEvaluations(
        _tracking(f"{level.site} motion", uids),
        finding_sites=[FindingSite(codes.SITES[level.site])],
        algorithm_id=algorithm_of(reader),
        measurements=figures or None,
        qualitative_evaluations=said or None,
    )
    texts = [*map(reason, missing), f"slip and grade are of the {level.slip_film} film"]
    group[0].ContentSequence.extend(text_item(codes.NOTICE_TITLE, text) for text in texts)
    return group


def _renamed(change: Measurement | Unmeasurable) -> Measurement | Unmeasurable:
    """The change of slip under a name of its own: a slip is something else."""
    if isinstance(change, Unmeasurable):
        return Unmeasurable("slip_change", change.site, change.reason)
    return Measurement("slip_change", change.site, change.value, change.unit, change.standard_error, change.method)


def _verdict_group(site: str, verdict: StabilityAssessment, uids: Sequence[str], reader: Reading) -> Group:
    figures = None
    if verdict.probability is not None:
        figures = [
            SrMeasurement(
                codes.P_UNSTABLE,
                float(verdict.probability),
                codes.UNITS["1"],
                finding_sites=[FindingSite(codes.SITES[site])],
            )
        ]
    group = MeasurementsAndQualitativeEvaluations(
        _tracking(f"{site} stability by {verdict.criteria}", uids),
        finding_sites=[FindingSite(codes.SITES[site])],
        algorithm_id=algorithm_of(reader),
        method=codes.CRITERIA_CODE[verdict.criteria],
        measurements=figures,
        qualitative_evaluations=[_evaluation(codes.STABILITY, codes.VERDICT[verdict.verdict])],
    )
    if verdict.reason is not None:
        group[0].ContentSequence.append(text_item(codes.NOTICE_TITLE, verdict.reason))
    return group


def _tracking(name: str, uids: Sequence[str]) -> TrackingIdentifier:
    return TrackingIdentifier(result_uid("tracking", tuple(uids), {}, "", name), name)


def _evaluation(name: Code, value: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(CodedConcept.from_code(name), CodedConcept.from_code(value))


def _for_library(header: Dataset) -> Dataset:
    """The header as highdicom's image library takes it: what it insists on for a radiograph, a detector's spacing, films may lack."""
    film = deepcopy(header)
    film.Modality = "OT"
    return film


def _document(
    headers: Sequence[Dataset],
    groups: Sequence[Group],
    origin: Origin,
    kind: str,
    description: str,
    texts: Sequence[str] = (),
    previous: Sequence[Dataset] = (),
) -> Dataset:
    reading = origin.readings[0]
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=public.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=result_uid("device", (), reading.weights, reading.software_version),
                    name=MODEL,
                    manufacturer_name=MANUFACTURER,
                    model_name=MODEL,
                ),
            )
        ),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=list(groups),
        title=public.DCM.ImagingMeasurementReport,
        referenced_images=[_for_library(header) for header in headers],
    )
    report[0].ContentSequence.extend(text_item(codes.NOTICE_TITLE, text) for text in (NOTICE, *texts))
    # highdicom copies and searches the whole of a document's content, most of the time that it takes; the library alone has the references.
    content, library = report[0].ContentSequence, Dataset()
    library.update({element.tag: element for element in report[0] if element.keyword != "ContentSequence"})
    library.ContentSequence = [item for item in content if item.name == public.DCM.ImageLibrary]
    document = Comprehensive3DSR(
        evidence=list(headers),
        content=library,
        series_instance_uid=origin.uid(f"{kind} series"),
        series_number=9001,
        sop_instance_uid=origin.uid(kind),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=reading.software_version,
        device_serial_number="1",
        series_description=description,
        is_complete=True,
        is_verified=False,
        previous_versions=list(previous) or None,
        coding_schemes=[codes.scheme()],
    )
    document.ContentSequence = content
    return document

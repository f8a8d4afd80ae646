"""The films of a study together: who is who, and what moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lumbar.anatomy import Posture
from lumbar.assessment import StabilityCriteria
from lumbar.postures import order_by_posture
from lumbar.reading import Reading
from lumbar.study import StudyAssessment, assess_study

ONE_FILM = "one film: motion needs a flexion and an extension film of the same patient"


@dataclass(frozen=True, slots=True)
class Motion:
    """roles: posture by position of the film, as far as it is known. assessment: None where there is none, and then `reason` says why."""

    roles: Mapping[int, Posture]
    assessment: StudyAssessment | None
    reason: str | None


def motion_of(readings: Sequence[Reading], said: Sequence[str | None], criteria: StabilityCriteria) -> Motion:
    """Compare the films; `said` is the posture of each that a person stated, else None: it goes before what the film says."""
    films = [
        reading if posture is None else replace(reading, posture=Posture(posture))
        for reading, posture in zip(readings, said, strict=True)
    ]
    stated = {i: film.posture for i, film in enumerate(films) if film.posture is not None}
    if len(films) < 2:
        return Motion(stated, None, ONE_FILM)
    try:
        flexion, extension, neutral = order_by_posture(films)
        found = assess_study(flexion, extension, neutral, criteria, told_by="lordosis")
    except ValueError as problem:
        return Motion(stated, None, str(problem))
    in_roles = {Posture.FLEXION: flexion, Posture.EXTENSION: extension, Posture.NEUTRAL: neutral}
    roles = {i: posture for i, film in enumerate(films) for posture, other in in_roles.items() if other is film}
    sources = {**found.posture_sources, **{roles[i]: "given" for i in roles if said[i] is not None}}
    return Motion(roles, replace(found, posture_sources=sources), None)

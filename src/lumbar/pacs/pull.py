"""Films of a study, fetched from a DICOMweb server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmwrite

from lumbar.dicom.film_in import FILM_MODALITIES
from lumbar.images import libraries_silenced
from lumbar.pacs.selection import why_no_lateral_lumbar
from lumbar.pacs.spool import key_of
from lumbar.whole_file import written_aside


class PullFailed(Exception):
    """The server did not answer as it should; `str()` is one line that names no patient."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One instance of a study. path: None where it was passed over, and then `reason` says why."""

    instance_uid: str
    path: Path | None
    reason: str | None


def pull_study(url: str, study_uid: str, out: Path) -> Iterator[Pulled]:
    """QIDO-RS for the study's instances, WADO-RS for those that may be lateral lumbar films; files are named by digests of their UIDs.

    Raises PullFailed where the server cannot be reached, answers with an error, or has no such study.
    """
    from dicomweb_client.api import DICOMwebClient
    from requests import RequestException

    client = DICOMwebClient(url)
    client.set_http_retry_params(retry=True, max_attempts=3)
    try:
        found = client.search_for_instances(study_uid, fields=["00080060"])
        if not found:
            raise PullFailed(f"{url} has no study of this UID")
        for instance in found:
            uid, series, modality = (_value(instance, tag) for tag in ("00080018", "0020000E", "00080060"))
            if modality not in FILM_MODALITIES:
                yield Pulled(uid, None, f"its modality is {modality or 'not stated'}")
                continue
            dataset = client.retrieve_instance(study_uid, series, uid)
            with libraries_silenced():
                why = why_no_lateral_lumbar(dataset)
                path = None if why is not None else out / f"{key_of(uid)[:16]}.dcm"
                if path is not None:
                    with written_aside(path) as aside:
                        dcmwrite(aside, dataset, enforce_file_format=True)
            yield Pulled(uid, path, why)
    except RequestException as problem:
        answered = getattr(getattr(problem, "response", None), "status_code", None)
        raise PullFailed(f"{url} " + ("does not answer" if answered is None else f"answered {answered}")) from None


def _value(instance: dict[str, dict[str, list[object]]], tag: str) -> str:
    values = instance.get(tag, {}).get("Value") or [""]
    return str(values[0])

"""Whole archives: the same tables from any number of processes, whatever dies on the way."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import numpy as np
import psutil
import pyarrow.parquet as parquet
import pytest

from lumbar.anatomy import Posture, Vertebra, rows_of
from lumbar.batch import Job, ListedFilm, OtherJob, Place, Settings, films_listed, run_here, write_tables
from lumbar.batch.run import DEADLY
from lumbar.batch.studies import row_of_study
from lumbar.films import open_film
from lumbar.landmarks import SpineLandmarks
from lumbar.pipeline import Reader
from lumbar.radiograph import PixelSpacing
from lumbar.reading import Reading
from lumbar.runtime import FOLDER, sha256_of, weights_in
from lumbar.study import assess_study
from lumbar.synthesis.writing import Order, write
from tests.command import lumbar

FILMS = 6
SHARD = ("--shard", 1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Six films, two of them in a subfolder, a broken one, and what is none."""
    folder = tmp_path_factory.mktemp("archive")
    list(write(folder, Order(FILMS, 0, 5003, 512)))
    (folder / "more").mkdir()
    for name in ("film_00004.png", "film_00005.png"):
        (folder / name).rename(folder / "more" / name)
    (folder / "broken.dcm").write_text("not a film")
    (folder / ".hidden.png").write_text("not a film")
    return folder


NAMES = ["broken.dcm", *(f"film_0000{i}.png" for i in range(4)), "more/film_00004.png", "more/film_00005.png"]


@pytest.fixture(scope="module")
def one_process(archive, tmp_path_factory) -> Path:
    """What one process that nobody disturbs makes of the archive."""
    out = tmp_path_factory.mktemp("one") / "out"
    done = lumbar("batch", archive, "--out", out, "--workers", 1, *SHARD)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("7 films: 6 read, 0 without a lumbar spine, 1 failed")
    assert "failures.csv" in done.stderr and "Traceback" not in done.stderr
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def batch_process(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lumbar", "batch", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(what, limit_s: float = 120) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def shards_in(out: Path) -> int:
    return len(list((out / "shards").glob("*.parquet")))


def settings(out: object, **changes) -> Settings:
    return replace(Settings(Place(str(out)), sha256_of(weights_in(FOLDER))), **changes)


def test_the_tables_hold_what_the_reader_says_of_each_film(archive, one_process):
    films = rows(one_process / "films.csv")
    assert [row["film"] for row in films] == NAMES
    assert [row["status"] for row in films] == ["failed", *["read"] * FILMS]
    assert [(row["film"], "neither DICOM nor" in row["reason"]) for row in rows(one_process / "failures.csv")] == [
        ("broken.dcm", True)
    ]
    reading = Reader.shipped(threads=1).read(open_film(archive / NAMES[5]), NAMES[5])
    assert float(films[5]["confidence"]) == reading.confidence
    mine = [row for row in rows(one_process / "measurements.csv") if row["film"] == NAMES[5]]
    assert len(mine) == len(reading.measurements)
    for row, entry in zip(mine, (m.to_json() for m in reading.measurements), strict=True):
        assert (row["quantity"], row["site"]) == (entry["quantity"], entry["site"])
        assert row["reason"] == entry.get("reason", "")
        assert row["value"] == ("" if "value" not in entry else repr(float(entry["value"])))
    columns = parquet.read_table(one_process / "measurements.parquet")
    assert columns.num_rows == len(rows(one_process / "measurements.csv"))
    (whole,) = parquet.read_table(one_process / "shards" / "0000005.parquet").to_pylist()
    assert whole["reading"] == reading.to_json()


def test_a_run_killed_half_way_goes_on_and_does_nothing_twice(archive, one_process, tmp_path):
    out = tmp_path / "out"
    process = batch_process(archive, "--out", out, "--workers", 2, *SHARD)
    wait_for(lambda: shards_in(out) >= 2 or process.poll() is not None)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "films.csv").exists()
    wait_for(lambda: not any(map(psutil.pid_exists, family)), 30)
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir() if path.suffix == ".parquet"}
    assert 2 <= len(before) < len(NAMES)
    done = lumbar("batch", archive, "--out", out, "--workers", 2, *SHARD)
    assert done.returncode == 1, done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert contents(out) == contents(one_process)


def test_a_worker_that_is_killed_costs_nothing(archive, one_process, tmp_path):
    out = tmp_path / "out"
    process = batch_process(archive, "--out", out, "--workers", 2, *SHARD)
    wait_for(lambda: shards_in(out) >= 1 or process.poll() is not None)
    workers = [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
    workers[0].kill()
    said = process.communicate()[1].decode()
    assert process.returncode == 1 and "Traceback" not in said, said
    assert contents(out) == contents(one_process)


class Deadly(Settings):
    """Settings that end the process which opens a certain film, or a certain study's second one, as a fault in a decoder's native code would."""

    def given_spacing(self, film: ListedFilm) -> PixelSpacing | None:
        if film.name in ("film_00001.png", "study_00000/flexion.dcm"):
            os._exit(9)
        return super().given_spacing(film)


def test_a_film_that_kills_its_reader_is_passed_over_and_those_beside_it_are_read(archive, tmp_path):
    sound = settings(tmp_path / "out")
    deadly = Deadly(sound.place, sound.sha256)
    job = Job([film for film in films_listed(str(archive)) if film.name in NAMES[1:5]], deadly, shard_films=2)
    job.begin()
    assert sum(counts.films for counts in run_here(job, workers=2)) == 4
    counts = write_tables(job)
    assert (counts.read, counts.failed) == (3, 1)
    assert rows(tmp_path / "out" / "failures.csv") == [{"film": "film_00001.png", "reason": DEADLY}]


def test_ray_gives_the_same_bytes_though_an_actor_is_killed(archive, one_process, tmp_path):
    out = tmp_path / "out"
    process = batch_process(archive, "--out", out, "--workers", 2, *SHARD, "--ray", "local")
    wait_for(lambda: shards_in(out) >= 1 or process.poll() is not None)
    family = psutil.Process(process.pid).children(recursive=True)
    actors = [child for child in family if child.cmdline()[:1] and child.cmdline()[0].startswith("ray::MapWorker")]
    assert len(actors) == 2
    actors[0].kill()
    said = process.communicate(timeout=240)[1].decode()
    assert process.returncode == 1 and "Traceback" not in said, said
    assert contents(out) == contents(one_process)


def test_a_folder_with_another_jobs_files_is_refused(archive, one_process):
    before = contents(one_process)
    done = lumbar("batch", archive, "--out", one_process, "--workers", 1, "--shard", 2)
    assert done.returncode == 2
    assert "shard_films is different" in done.stderr and len(done.stderr.splitlines()) == 1
    assert contents(one_process) == before


def test_a_finished_job_asked_for_again_reads_nothing(archive, one_process):
    before = contents(one_process)
    done = lumbar("batch", archive, "--out", one_process, "--workers", 1, *SHARD)
    assert done.stdout.startswith("7 films: 6 read") and contents(one_process) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\na.png\n", "must have a column film; "),
        ("film\na.png\na.png\n", "line 3: a.png is listed twice"),
        ("film,row_mm,column_mm\na.png,x,0.1\n", "line 2: row_mm and column_mm must be lengths in mm"),
        ("film,row_mm,column_mm\na.png,-1,0.1\n", "line 2: row_mm and column_mm must be lengths in mm"),
        ("film,row_mm,column_mm\na.png,0.2,\n", "line 2: row_mm and column_mm must be lengths in mm"),
        ("film,row_mm\n,1\n", "line 2: film must be a path"),
        ("film\n", "at least one film"),
    ],
)
def test_a_malformed_list_is_refused_before_any_work(tmp_path, text, said):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        films_listed(str(tmp_path / "list.csv"))


def test_a_list_names_films_where_they_lie_and_says_their_spacing(tmp_path):
    (tmp_path / "list.csv").write_text("film,row_mm,column_mm\nsub/a.png,0.2,0.3\n/elsewhere/b.png,,\n")
    one, other = films_listed(str(tmp_path / "list.csv"))
    assert one.path == f"file://{tmp_path}/sub/a.png" and other.path == "/elsewhere/b.png"
    assert one.spacing == PixelSpacing(0.2, 0.3, "list", "patient") and other.spacing is None


def test_a_source_that_is_not_there_is_named(tmp_path):
    done = lumbar("batch", tmp_path / "none", "--out", tmp_path / "out")
    assert done.returncode == 2 and f"there is nothing at {tmp_path}/none" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_file_that_fails_half_way_is_not_there(tmp_path):
    for url in (str(tmp_path / "disk"), "memory://store"):
        place = Place(url)
        place.write("folder/whole", b"1")
        with pytest.raises(OSError, match="disk full"), place.written("folder/half") as aside:
            aside.write_bytes(b"1")
            raise OSError("disk full")
        assert place.names("folder") == {"whole"} and place.read("folder/whole") == b"1"
        assert place.read("folder/half") is None and place.names("none") == set()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keep silent."""


@pytest.fixture
def web(archive) -> Iterator[str]:
    """A web server over the archive."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(archive)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_films_of_a_list_are_fetched_from_a_web_server(archive, one_process, web, tmp_path):
    (tmp_path / "list.csv").write_text(f"film\n{web}/{NAMES[1]}\n{web}/missing.png\n")
    out = tmp_path / "out"
    done = lumbar("batch", tmp_path / "list.csv", "--out", out, "--workers", 1)
    assert done.returncode == 1 and "2 films: 1 read, 0 without a lumbar spine, 1 failed" in done.stdout, done.stderr
    (failure,) = rows(out / "failures.csv")
    assert failure["film"] == f"{web}/missing.png" and "check that it can be reached" in failure["reason"]
    of_url, of_file = (
        [row for row in rows(f / "measurements.csv") if NAMES[1] in row["film"]] for f in (out, one_process)
    )
    assert [{**row, "film": ""} for row in of_url] == [{**row, "film": ""} for row in of_file]


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """A bucket of a server that talks S3, in a process of its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(port)], **quiet)
    try:
        wait_for(lambda: server.poll() is not None or answers(port))
        store = fsspec.filesystem("s3", endpoint_url=f"http://127.0.0.1:{port}", skip_instance_cache=True)
        store.mkdir("lumbar-test")
        yield "lumbar-test"
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def test_films_and_tables_in_an_object_store(archive, one_process, bucket, tmp_path):
    """From the store and into it, by the command, its workers and the client that users have; the bytes are those of the disk."""
    store = fsspec.filesystem("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    store.put(f"{archive}/", f"{bucket}/films/", recursive=True)
    done = lumbar("batch", f"s3://{bucket}/films", "--out", f"s3://{bucket}/out", "--workers", 2, *SHARD)
    assert done.returncode == 1 and done.stdout.startswith("7 films: 6 read"), done.stderr
    store.get(f"{bucket}/out/", f"{tmp_path}/out/", recursive=True)
    assert contents(tmp_path / "out") == contents(one_process)


def test_other_jobs_are_told_apart(tmp_path):
    films = [ListedFilm("a.png", "/a.png")]
    Job(films, settings(tmp_path)).begin()
    Job(films, settings(tmp_path)).begin()
    for other in (
        Job(films, settings(tmp_path, spacing=(0.2, 0.2))),
        Job([ListedFilm("a.png", "/a.png", 0.2, 0.2)], settings(tmp_path)),
        Job(films, settings(tmp_path, sha256={"landmarks": "0"})),
    ):
        with pytest.raises(OtherJob):
            other.begin()


def test_a_worker_with_other_weights_refuses(tmp_path):
    with pytest.raises(ValueError, match="not the job's"):
        settings(tmp_path, sha256={"landmarks": "0"}).open_reader()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory) -> Path:
    """Two studies in folders of their own, one with a broken neutral film; films of two patients in one folder; a film alone."""
    folder = tmp_path_factory.mktemp("clinic")
    list(write(folder, Order(0, 3, 5003, 512)))
    for path in folder.rglob("*.csv"):
        path.unlink()
    (folder / "study_00001" / "neutral.dcm").write_text("not a film")
    (folder / "mixed").mkdir()
    (folder / "study_00002" / "flexion.dcm").rename(folder / "mixed" / "flexion.dcm")
    (folder / "mixed" / "extension.dcm").write_bytes((folder / "study_00000" / "extension.dcm").read_bytes())
    (folder / "study_00002" / "neutral.dcm").unlink()
    return folder


STUDIES = ["mixed", "study_00000", "study_00001", "study_00002"]


@pytest.fixture(scope="module")
def compared(clinic, tmp_path_factory) -> Path:
    """What one process that nobody disturbs makes of the studies."""
    out = tmp_path_factory.mktemp("compared") / "out"
    done = lumbar("batch", clinic, "--studies", "--out", out, "--workers", 1, *SHARD)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("9 films: 8 read, 0 without a lumbar spine, 1 failed; 4 studies: 2 compared, 2 not;")
    assert "failures.csv" in done.stderr and "studies.csv" in done.stderr and "Traceback" not in done.stderr
    return out


def test_studies_are_compared_as_a_reader_compares_them(clinic, compared):
    studies = rows(compared / "studies.csv")
    assert [row["study"] for row in studies] == STUDIES
    assert [row["status"] for row in studies] == ["not compared", "compared", "compared", "not compared"]
    assert studies[0]["reason"] == "its films must be of one patient; mixed/flexion.dcm say another patient id"
    assert "got 1 films" in studies[3]["reason"]
    assert [studies[1][posture] for posture in Posture] == [f"study_00000/{posture}.dcm" for posture in Posture]
    assert studies[2]["neutral"] == "" and studies[1]["postures_told_by"] == "DICOM"
    reader = Reader.shipped(threads=1)
    names = [f"study_00000/{name}.dcm" for name in ("extension", "flexion", "neutral")]
    extension, flexion, neutral = reader.read_together([open_film(clinic / name) for name in names], names)
    found = assess_study(flexion, extension, neutral, told_by="lordosis")
    assert studies[1]["lordosis_change_deg"] == repr(found.lordosis_change_deg)
    motions = [row for row in rows(compared / "motions.csv") if row["study"] == "study_00000"]
    for row, level in zip(motions, found.levels, strict=True):
        assert (row["site"], row["verdict"], row["criteria"]) == (level.site, level.verdict.verdict, "paper")
        assert row["translation_mm"] == repr(level.change.translation.value)
        assert row["translation_standard_error_mm"] == repr(level.change.translation.standard_error)
        assert row["angulation_deg"] == repr(level.change.angulation.value)
        assert row["slip_percent"] == repr(level.slip.value) and row["slip_film"] == "neutral"
        assert (row["grade"], row["direction"]) == (str(level.grade.grade), level.grade.direction)
        assert row["probability"] == repr(level.verdict.probability) and row["not_measured"] == ""
    assert parquet.read_table(compared / "motions.parquet").num_rows == len(rows(compared / "motions.csv")) == 10
    (whole,) = parquet.read_table(compared / "shards" / "0000001.studies.parquet").to_pylist()
    assert whole["assessment"] == found.to_json()
    films = {row["film"]: row for row in rows(compared / "films.csv")}
    assert float(films[names[0]]["confidence"]) == extension.confidence
    assert [row["film"] for row in rows(compared / "failures.csv")] == ["study_00001/neutral.dcm"]


def test_what_a_level_lacks_is_said_in_its_row(compared):
    stored = parquet.read_table(compared / "shards" / "0000001.parquet").to_pylist()
    readings = {row["film"]: Reading.from_json(row["reading"]) for row in stored}
    points = readings["study_00000/flexion.dcm"].landmarks.points_px.copy()
    points[rows_of(Vertebra.L3)] = np.nan
    without = SpineLandmarks(points, np.full((22, 2, 2), np.nan), np.ones(22))
    found = row_of_study("one", {n: r.remeasured(without) for n, r in readings.items()}, "ama-5")
    assert found["status"] == "compared"
    for level in found["levels"]:
        lacks = "L3" in level["site"]
        assert (level["translation_mm"] is None) == (level["grade"] is None) == lacks
        assert ("L3" in (level["not_measured"] or "")) == lacks and level["criteria"] == "ama-5"
        assert level["translation_standard_error_mm"] is None


def test_studies_killed_half_way_give_the_same_tables(clinic, compared, tmp_path):
    out = tmp_path / "out"
    process = batch_process(clinic, "--studies", "--out", out, "--workers", 2, *SHARD)
    wait_for(lambda: shards_in(out) >= 3 or process.poll() is not None)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(map(psutil.pid_exists, family)), 30)
    assert not (out / "motions.csv").exists()
    done = lumbar("batch", clinic, "--studies", "--out", out, "--workers", 2, *SHARD)
    assert done.returncode == 1, done.stderr
    assert contents(out) == contents(compared)


def test_a_study_that_kills_its_reader_is_passed_over_and_those_beside_it_are_compared(clinic, tmp_path):
    sound = settings(tmp_path / "out", criteria="paper")
    deadly = Deadly(sound.place, sound.sha256, criteria="paper")
    listed = [film for film in films_listed(str(clinic), by_study=True) if film.study in STUDIES[1:3]]
    job = Job(listed, deadly, shard_films=32)
    job.begin()
    assert sum(counts.films for counts in run_here(job, workers=1)) == 6
    counts = write_tables(job)
    assert (counts.read, counts.failed, counts.compared, counts.not_compared) == (2, 4, 1, 1)
    failed = {row["film"]: row["reason"] for row in rows(tmp_path / "out" / "failures.csv")}
    assert [name for name, reason in failed.items() if reason == DEADLY] == [film.name for film in listed[:3]]


def test_a_study_is_not_torn_apart():
    films = [ListedFilm(f"{study}/{i}.png", "", study=study) for study in "abc" for i in range(3)]
    shards = list(Job(films, settings("none", criteria="paper"), shard_films=4).shards())
    assert [{film.study for film in shard.films} for shard in shards] == [{"a", "b"}, {"c"}]
    assert [[film.name[0] for film in together] for together in shards[0].together] == [["a"] * 3, ["b"] * 3]
    alone = Job([ListedFilm(str(i), "") for i in range(9)], settings("none"), shard_films=4).shards()
    assert [len(shard.together) for shard in alone] == [4, 4, 1]


def test_a_list_says_which_films_are_of_one_study(tmp_path):
    (tmp_path / "list.csv").write_text("film,study\nb.png,2\na.png,1\nc.png,2\n")
    films = films_listed(str(tmp_path / "list.csv"), by_study=True)
    assert [(film.name, film.study) for film in films] == [("b.png", "2"), ("c.png", "2"), ("a.png", "1")]
    assert [film.study for film in films_listed(str(tmp_path / "list.csv"))] == [None] * 3
    for text, said in (
        ("film\na.png\n", "must have a column study"),
        ("film,study\na.png,\n", "line 2: study must say"),
    ):
        (tmp_path / "list.csv").write_text(text)
        with pytest.raises(ValueError, match=said):
            films_listed(str(tmp_path / "list.csv"), by_study=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--criteria", "ama-5"), "give --studies, too"),
        (("--studies", "--criteria", "none"), "--criteria must be one of"),
    ],
)
def test_criteria_that_cannot_be_are_refused(archive, tmp_path, options, said):
    done = lumbar("batch", archive, "--out", tmp_path / "out", *options)
    assert done.returncode == 2 and said in done.stderr and not (tmp_path / "out").exists()

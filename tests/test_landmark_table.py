"""The csv of BUU-LSPINE: eleven rows as a rule, and what is made of others."""

import numpy as np
import pytest

from lumbar.landmarks.table import read_landmarks, write_landmarks

POINTS = np.arange(44, dtype=float).reshape(22, 2)


def test_what_is_written_is_read_back(tmp_path):
    write_landmarks(tmp_path / "a.csv", POINTS)
    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.csv"), POINTS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_the_first_row_is_the_superior_endplate_of_l1_anterior_point_first(tmp_path):
    write_landmarks(tmp_path / "a.csv", POINTS)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "0.00,1.00,2.00,3.00,0"


def test_fewer_rows_lack_the_upper_vertebrae(tmp_path):
    write_landmarks(tmp_path / "a.csv", POINTS)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(lines[2:]))
    points = read_landmarks(tmp_path / "a.csv")
    assert np.isnan(points[:4]).all()
    np.testing.assert_array_equal(points[4:], POINTS[4:])


def test_rows_beyond_eleven_are_counted_from_the_sacrum(tmp_path):
    write_landmarks(tmp_path / "a.csv", POINTS)
    (tmp_path / "a.csv").write_text("9,9,9,9,0\n\n" + (tmp_path / "a.csv").read_text())
    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.csv"), POINTS)


def test_a_malformed_row_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3,4,0\n1,x,3,4,0\n")
    with pytest.raises(ValueError, match=r"a\.csv: row 2 must start with four numbers"):
        read_landmarks(tmp_path / "a.csv")

"""The worked numbers in the docstrings hold."""

import doctest
import importlib
import pkgutil

import pytest

import lumbar

MODULES = sorted(module.name for module in pkgutil.walk_packages(lumbar.__path__, "lumbar."))


@pytest.mark.parametrize("name", MODULES)
def test_the_worked_numbers_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_clinical_formulas_have_worked_numbers():
    formulas = ("displacement_from_wall", "displacement_along_endplate", "slip_percent", "intervertebral_angle")
    finder = doctest.DocTestFinder()
    found = {
        test.name.rsplit(".", 1)[-1]: test
        for test in finder.find(importlib.import_module("lumbar.measurements.levels"))
    }
    assert all(found[formula].examples for formula in formulas)

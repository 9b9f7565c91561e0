"""The copies of the source that are broken on purpose: every edit fits the code as it is."""

from pathlib import Path

import pytest

from tests.faults.catalogue import BY_NAME, CATALOGUE
from tests.faults.planted_bugs import PLANTED_BUGS, PlantedBug
from tests.faults.stage import crash_points
from tests.faults.stage.build import Edit, EditFailed, build


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with all crash points."""
    root = tmp_path_factory.mktemp("build")
    (root / "tests").mkdir()
    build(root, crash_points.edits(), crash_points.modules(root / "crash"))
    return root


@pytest.mark.parametrize("bug", PLANTED_BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_in_the_code_as_it_is(source: Path, bug: PlantedBug) -> None:
    before = {edit.path: (source / edit.path).read_text() for edit in bug.edits}
    try:
        for edit in bug.edits:
            edit.apply(source)
        assert all((source / path).read_text() != text for path, text in before.items())
    finally:
        for path, text in before.items():
            (source / path).write_text(text)


def test_planted_bugs_name_faults_that_there_are() -> None:
    assert {name for bug in PLANTED_BUGS for name in bug.faults} <= set(BY_NAME)


def test_there_are_twenty_planted_bugs_at_least_and_none_twice() -> None:
    assert len({bug.name for bug in PLANTED_BUGS}) == len(PLANTED_BUGS) >= 20


def test_no_two_faults_have_one_name() -> None:
    assert len(BY_NAME) == len(CATALOGUE)


def test_python_with_crash_points_compiles(source: Path) -> None:
    for point in crash_points.CRASH_POINTS:
        if point.path.endswith(".py"):
            compile((source / point.path).read_text(), point.path, "exec")


def test_an_edit_that_does_not_fit_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("a = 1\na = 1\n")
    with pytest.raises(EditFailed, match="one.py has 'a = 1' 2 times"):
        Edit("one.py", "a = 1", "a = 2").apply(tmp_path)

"""A part that runs and answers nobody."""

from dataclasses import replace

import pytest

from stack.parts import Part
from stack.watch import LOOK_SECONDS, SILENT_SECONDS, Watch


class Scene:
    """A part that answers or not, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.answers = True
        self.asked = 0
        self.killed: list[str] = []
        part = Part("gateway", ("nginx",), lambda: True, "answers")
        parts = [replace(part, answers=self._ask), replace(part, name="relay")]
        self.watch = Watch(parts, self.killed.append, lambda: self.now)

    def _ask(self) -> bool:
        self.asked += 1
        return self.answers

    def look_for(self, seconds: float) -> None:
        """Looks every half second."""
        until = self.now + seconds
        while self.now < until:
            self.watch.look()
            self.now += 0.5


@pytest.fixture
def scene() -> Scene:
    """Two parts, one of which can be asked."""
    return Scene()


def test_a_part_that_answers_is_left_alone_and_not_asked_all_the_time(scene: Scene) -> None:
    scene.look_for(20 * LOOK_SECONDS)
    assert scene.killed == []
    assert 10 <= scene.asked <= 20


def test_a_part_that_is_silent_for_long_is_killed_and_has_as_long_again(scene: Scene) -> None:
    scene.look_for(SILENT_SECONDS)
    scene.answers = False
    scene.look_for(SILENT_SECONDS + 2 * LOOK_SECONDS)
    assert scene.killed == ["gateway"]
    scene.look_for(SILENT_SECONDS / 2)
    assert scene.killed == ["gateway"]
    scene.look_for(SILENT_SECONDS)
    assert scene.killed == ["gateway", "gateway"]


def test_a_part_that_was_silent_for_a_while_is_left_alone(scene: Scene) -> None:
    for _ in range(4):
        scene.answers = False
        scene.look_for(SILENT_SECONDS - 2 * LOOK_SECONDS)
        scene.answers = True
        scene.look_for(2 * LOOK_SECONDS)
    assert scene.killed == []

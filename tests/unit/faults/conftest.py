"""What the tests of the fault runs' checker begin with."""

import pytest

from tests.faults.checking.story import Story
from tests.faults.evidence import ReaderHistory


@pytest.fixture
def story() -> Story:
    """A thread with a comment from before the readers came."""
    made = Story()
    made.write()
    return made


@pytest.fixture
def reader(story: Story) -> ReaderHistory:
    """One who subscribed behind that comment."""
    return story.reader()

"""Fixtures of the live tests."""

from collections.abc import Iterator

import pytest

from labkit.live.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A temporary lab."""
    with Lab.temporary() as made:
        yield made

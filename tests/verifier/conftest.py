"""What a real gate and a real witness leave behind, made once for the tests of this folder."""

from __future__ import annotations

import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.produced import Produced, produce


@pytest.fixture(scope="session")
def produced(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Produced:
    """Two runs of a gate with a witness."""
    return produce(pg18, tmp_path_factory.mktemp("produced"))

"""Valid labs, broken on purpose: refused, by one error that names what was broken and stands where it is.

HALOFLEET_FUZZ sets how many are drawn: a twentieth of it for each way to break one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.spec import LabError
from tests.unit.labs_broken import SECRET
from tests.unit.labs_broken_links import LINKS
from tests.unit.labs_broken_nodes import NODES
from tests.unit.labs_broken_serves import SERVES
from tests.unit.spec_labs import Data, labs, made

BREAKS = NODES | LINKS | SERVES
EXAMPLES = max(1, int(os.environ.get("HALOFLEET_FUZZ", "300")) // 20)
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", BREAKS)
def test_broken_on_purpose(name: str) -> None:
    change, least, topologies = BREAKS[name]

    @drawn
    @given(labs(least=least, topologies=topologies), st.randoms(use_true_random=True))
    def is_refused(data: Data, random: Random) -> None:
        where, named = change(data, random)
        with tempfile.TemporaryDirectory() as folder, pytest.raises(LabError) as caught:
            made(Path(folder), data)
        assert [error.where for error in caught.value.errors] == [where]
        assert named in caught.value.errors[0].text
        assert SECRET not in str(caught.value)

    is_refused()

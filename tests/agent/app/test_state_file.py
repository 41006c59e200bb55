"""State files hold what they were given, as JSON."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.app.state_file import read_state, write_state

_VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_KEYS = st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
_STATES = st.recursive(
    _VALUES, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner) | st.tuples(inner, inner)
)


@given(_STATES)
def test_a_state_is_written_as_json_has_it(tmp_path_factory: pytest.TempPathFactory, state: object):
    """However deep, whatever its keys are: as if it were encoded at once."""
    path = tmp_path_factory.getbasetemp() / "state.json"
    write_state(path, state)
    assert path.read_text() == json.dumps(state, separators=(",", ":"))
    assert read_state(path) == json.loads(json.dumps(state))


def test_what_is_no_json_leaves_the_old_state(tmp_path: Path):
    """Neither an object of ours nor a state that holds itself gets half a file."""
    path = tmp_path / "state.json"
    write_state(path, {"alerts": [1]})
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(TypeError):
        write_state(path, {"alerts": [1, object()]})
    with pytest.raises(ValueError, match="Circular"):
        write_state(path, {"alerts": circle})
    assert read_state(path) == {"alerts": [1]}

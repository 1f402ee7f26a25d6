"""Unexpected errors that end a pass, as reasons."""

from detnas_operator.reconcile.pass_errors import trace_id, unexpected_reason


def raised(message: str) -> Exception:
    labels: dict[str, str] = {}
    try:
        labels[message]
    except KeyError as error:
        return error
    raise AssertionError


def test_trace_id_of_the_same_place_is_the_same() -> None:
    """A status that changed at every pass would be written at every pass."""
    assert trace_id(raised("one")) == trace_id(raised("two"))
    assert trace_id(ValueError()) != trace_id(raised("one"))


def test_unexpected_reason_names_the_error_and_its_trace() -> None:
    error = raised("detnas.dev/verb")
    found = unexpected_reason(error, trace_id(error))
    assert found.code == "SearchFailed"
    assert "(KeyError: 'detnas.dev/verb')" in found.message
    assert f"trace {trace_id(error)}" in found.message
    assert "damaged" not in found.message
    assert "(AssertionError)" in unexpected_reason(AssertionError(), "0").message

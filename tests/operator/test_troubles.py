"""An error that nobody foresaw is reported as that, with where to find its trace."""

from detnas_operator.reconcile.troubles import trace_id, unexpected


def raised(message: str) -> Exception:
    labels: dict[str, str] = {}
    try:
        labels[message]
    except KeyError as error:
        return error
    raise AssertionError


def test_the_number_of_a_trace_is_the_same_each_time() -> None:
    """A status that changed at every pass would be written at every pass."""
    assert trace_id(raised("one")) == trace_id(raised("two"))
    assert trace_id(ValueError()) != trace_id(raised("one"))


def test_what_is_unknown_is_not_guessed() -> None:
    error = raised("detnas.dev/verb")
    found = unexpected(error, trace_id(error))
    assert found.reason == "SearchFailed"
    assert "(KeyError: 'detnas.dev/verb')" in found.message
    assert f"trace {trace_id(error)}" in found.message
    assert "damaged" not in found.message
    assert "(AssertionError)" in unexpected(AssertionError(), "0").message

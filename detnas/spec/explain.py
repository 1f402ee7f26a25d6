"""Explains what is wrong with a manifest: for each field its path, its value and what is right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from detnas.errors import UserError
from detnas.spec.patterns import WORDS

_SHOWN = 60
_KEY = "[key]"
_JOBS = ("spec", "jobs")


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong.

    Attributes:
        path: where, such as ``spec.search.topK``.
        message: the value found and what would be right.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ManifestError(UserError):
    """A manifest, or another file that people write, with every problem found in it."""

    def __init__(
        self, source: str, problems: Iterable[Problem], kind: str = "DetNASSearch"
    ) -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{source} is no usable {kind}:{lines}")


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Turn pydantic's findings into problems a user can act on.

    Args:
        error: what validating the manifest raised.
        model: the model it was validated against; its fields are offered for unknown ones.
    """
    found = [one for one in error.errors(include_url=False) if not _follows(one, error)]
    return tuple(Problem(_path(one["loc"]), _message(one, model)) for one in found)


def _follows(found: Any, error: ValidationError) -> bool:
    """Whether a list is too short only because its items are wrong, which are reported."""
    place = found["loc"]
    inner = (one["loc"][: len(place)] for one in error.errors() if len(one["loc"]) > len(place))
    return found["type"] == "too_short" and place in inner


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if part == _KEY:
            continue  # the key itself is the part before
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _message(found: Any, model: type[BaseModel]) -> str:
    kind, value = found["type"], found["input"]
    context: Mapping[str, Any] = found.get("ctx", {})
    if kind == "missing":
        return "missing; this field is required"
    if kind == "extra_forbidden":
        return f"unknown field, given as {_shown(value)}; {_advice(found['loc'], model)}"
    if kind == "value_error":
        return _reason(context["error"])
    if kind == "string_type":
        return _not_a_string(value)
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"{_shown(value)} is wrong; {WORDS[pattern]}"
    return f"{_shown(value)} is wrong; {_lower(found['msg'])}"


def _not_a_string(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'{value} is a number; write it as a string: "{value}"'
    if isinstance(value, dict) and len(value) == 1:
        (inner,) = value.values()
        return f"{_shown(value)} is a mapping; write a plain string, such as {inner}"
    return f"{_shown(value)} is wrong; write a string"


def _reason(error: Exception) -> str:
    """What a validator raised; another model's findings without their technical frame."""
    if not isinstance(error, ValidationError):
        return str(error)
    inner = error.errors(include_url=False)
    return "; ".join(str(one.get("ctx", {}).get("error", one["msg"])) for one in inner)


def _advice(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = _known(location[:-1], model)
    if not known:
        return "remove it"
    for_all = (*location[:2], *location[3:-1])
    if location[:2] == _JOBS and len(location) > 3 and location[-1] in _known(for_all, model):
        return f"it exists only in {_path(for_all)}, which applies to all jobs"
    close = get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _known(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    owner = _model_at(location, model)
    fields = owner.model_fields.items() if owner else ()
    return [field.alias or name for name, field in fields]


def _model_at(location: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel] | None:
    for part in location:
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        inner = _models_in(fields[part].annotation) if part in fields else []
        if not inner:
            return None
        model = inner[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""The published JSON schema is the spec's, and accepts what the spec accepts."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from detnas.spec.json_schema import manifest_schema

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted(ROOT.glob("examples/*/*.yaml"))


def test_the_published_file_is_up_to_date():
    published = json.loads((ROOT / "docs" / "detnas.schema.json").read_bytes())
    assert published == manifest_schema(), "detnas schema > docs/detnas.schema.json"


@pytest.fixture(scope="module")
def validator():
    schema = manifest_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_examples_are_accepted(validator, path):
    document = yaml.safe_load(path.read_text())
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "search", "trails"), 5, "'trails' was unexpected"),
        (("spec", "search", "trials"), "5", "is not of type 'integer'"),
        (("spec", "search", "alpha"), 0.4, "is not of type 'string'"),
        (("spec", "search", "strategy"), "joint", "is not one of"),
        (("spec", "resolutions"), ["64"], "does not match"),
    ],
)
def test_mistakes_are_marked(validator, path, value, message):
    document = yaml.safe_load((ROOT / "examples/digits/search.yaml").read_text())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    errors = [error.message for error in validator.iter_errors(document)]
    assert len(errors) == 1
    assert message in errors[0]

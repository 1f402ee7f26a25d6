"""What an upgrade changes in the plan of a search: the fine-tuning, the winner, the export."""

from pathlib import Path
from typing import Any

import pytest

from detnas.records import keys
from detnas.records.requests import DetectorUpgrade, ExportRequest, Request, StudentRequest
from detnas.records.results import DetectorResult
from detnas.records.settings import HeadKind
from detnas.records.verbs import Verb
from detnas.spec import DetNASSearch, ManifestError
from detnas.spec.loading import read_manifest
from detnas.store import Store
from detnas.store.record_format import decode_record
from tests.cluster.searches import manifest
from tests.detnas.searches.in_process import Scheduler, session_of, tiny

ENCODING = "[(16, 16, 64)], [(32, 32, 128)], [(64, 64, 256)], [(64, 64, 256)]"
BASE = {"base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 1}}}
PLAIN = {"localization": "Plain"}
TEACHER = {"config": "htc.py", "weights": "htc.pth"}
ALONE = {"teachers": {"choice": "External", "external": TEACHER}, "distillation": PLAIN}


def _spec(upgrade: dict[str, Any], **finetune: Any) -> dict[str, Any]:
    return {**BASE, **ALONE, "finetune": {"epochs": 1, "upgrade": upgrade, **finetune}}


def _upgrading(map_of_upgrade: float) -> Any:
    """Answer a fine-tuning as the trainer does: with the upgraded detector."""

    def answer(result: DetectorResult) -> DetectorResult:
        assert result.architecture is not None
        architecture = result.architecture.model_copy(update={"deformable": (2, 3, 4)})
        scores = tuple(one.model_copy(update={"map": map_of_upgrade}) for one in result.scores)
        return result.model_copy(
            update={"architecture": architecture, "scores": scores, "shape": _cascade()}
        )

    return answer


def _cascade() -> Any:
    shape = read_manifest(manifest("one"), "one").spec.detector
    return shape.model_copy(update={"head": HeadKind.CASCADE})


@pytest.mark.parametrize(("map_of_upgrade", "is_exported"), [(0.9, True), (0.1, False)])
def test_upgraded_student_is_exported_if_its_map_is_higher(
    store: Store, tmp_path: Path, map_of_upgrade: float, is_exported: bool
) -> None:
    search = tiny(store, "one", _spec({"dcn": [2, 3, 4], "cascade": True}), trials=3)
    Scheduler(tmp_path, answers={Verb.FINETUNE: _upgrading(map_of_upgrade)}).run(search)
    folder = search.requests.search
    tuning = _request(store, keys.finetune_folder(folder))
    assert isinstance(tuning, StudentRequest)
    assert tuning.upgrade == DetectorUpgrade(deformable=(2, 3, 4), cascade=True)
    assert not tuning.detector.is_cascade
    export = _request(store, keys.export_folder(folder))
    assert isinstance(export, ExportRequest)
    assert export.detector.is_cascade is is_exported
    assert bool(export.architecture.deformable) is is_exported
    if is_exported:
        assert export.base_detector == search.requests.spec.detector
    stages = session_of(search).state.final_stages
    assert stages is not None
    assert stages.winner is not None
    assert f"to {100 * map_of_upgrade:.2f} %" in stages.winner.reason


def _request(store: Store, folder: str) -> Any:
    stored = store.get(keys.request_key(folder))
    assert stored is not None
    return decode_record(stored.data, folder, Request)


def test_flops_of_an_upgraded_student_are_those_of_its_own_heads_and_offsets(
    store: Store, tmp_path: Path
) -> None:
    search = tiny(store, "one", _spec({"dcn": [2, 3, 4], "cascade": True}), trials=3)
    state = Scheduler(tmp_path, answers={Verb.FINETUNE: _upgrading(0.9)}).run(search)
    stages, scorer = state.final_stages, state.scorer
    assert stages is not None
    assert scorer is not None
    assert stages.finalists[0].tuning is not None
    tuned, architecture = stages.finalists[0].tuning, stages.finalists[0].tuning.architecture
    assert architecture is not None
    assert tuned.shape is not None
    plain = architecture.model_copy(update={"deformable": ()})
    each = ((plain, None), (architecture, None), (architecture, tuned.shape))
    costs = [scorer.score(one, tuned.scores, None, shape).flops for one, shape in each]
    assert costs == sorted(set(costs))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (_spec({}), "it changes nothing"),
        (_spec({"dcn": [3, 2]}), "list each stage once, in rising order"),
        (_spec({"dcn": [5]}), "less than or equal to 4"),
        ({**_spec({"dcn": [2]}), "base": manifest("x")["spec"]["base"]},
         "Basic blocks have no convolution"),
        ({**_spec({"dcn": [2]}), "base": {"model": "faster-rcnn-mobilenetv2-fpn", "train": {}}},
         "MobileNetV2 blocks have no convolution"),
        ({**_spec({"cascade": True}), "detector": {"head": "Cascade"}}, "is a cascade already"),
        ({**_spec({"cascade": True}), "distillation": {}}, "localization to Plain"),
        (_spec({"cascade": True}, distillation={}), "localization to Plain"),
        (_spec({"dcn": [2]}, flopsFraction="0.5"), "give either upgrade or pruning"),
    ],
)  # fmt: skip
def test_upgrade_without_meaning_is_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        _read(spec)


def _read(spec: dict[str, Any]) -> DetNASSearch:
    return read_manifest(manifest("one", spec), "one")

"""The manifest's values follow from the data set's facts and the machine."""

from dataclasses import replace

import pytest
import yaml

from detnas.fitting.budget import MARGIN
from detnas.fitting.fit import Wishes, fit
from detnas.fitting.machine import Machine
from detnas.fitting.manifest import DataPlace, manifest_text
from detnas.own_data.facts import DataFacts, Quantiles
from detnas.plan.advice import fit_warnings
from detnas.plan.dataset import SplitFacts
from detnas.plan.requests import SearchRequests
from detnas.spec import DetNASSearch, read_manifest
from tests.detnas.fitting.data_facts import COCO, facts

LAPTOP = Machine(2, seconds_per_image=0.03)
SERVER = Machine(32, ("NVIDIA H200",), seconds_per_image=0.02)
WISHES = Wishes("parts")
PLACE = DataPlace(
    "search.yaml",
    "data",
    {"train": "train.json", "val": "val.json", "test": "test.json"},
    {"train": "images", "val": "images", "test": "images"},
)


def written(data: DataFacts, machine: Machine, wishes: Wishes = WISHES) -> DetNASSearch:
    found = fit(data, machine, wishes)
    return read_manifest(yaml.safe_load(manifest_text(found, data, PLACE, wishes)), "written")


@pytest.mark.parametrize("machine", [LAPTOP, SERVER, Machine(1), Machine(64)])
@pytest.mark.parametrize(
    "data",
    [
        facts(7),
        facts(36),
        facts(150),
        facts(240),
        facts(6000),
        COCO,
        facts(300, size=(4000, 250), sides=Quantiles(0.01, 0.012, 0.015, 0.02, 0.03)),
        facts(300, size=(20, 30), ratios=Quantiles(0.05, 0.1, 1.0, 8.0, 15.0)),
    ],
    ids=["7", "36", "150", "240", "6000", "coco", "strips of specks", "tiny and slim"],
)
def test_every_manifest_is_valid_and_fits_its_data(tmp_path, data, machine):
    search = written(data, machine)
    request = SearchRequests(search, "", tmp_path).prepare()
    train = SplitFacts(data.training_images, {data.size: data.sides.p95 * max(data.size)})
    assert fit_warnings(request, train, None) == ()


def test_few_images_are_shown_more_often_so_that_a_trial_has_steps():
    few, many = (written(facts(images), LAPTOP).spec.evaluation for images in (60, 6000))
    assert few.training.iterations(60) >= 200
    assert few.epochs > many.epochs == 3


def test_a_step_that_takes_longer_makes_the_search_shorter():
    slow = replace(LAPTOP, seconds_per_image=0.2)
    quick, long = (fit(facts(), machine, Wishes("a", hours=4)) for machine in (LAPTOP, slow))
    assert quick.lengths.base > long.lengths.base
    assert quick.lengths.trials > long.lengths.trials


@pytest.mark.parametrize("hours", [0.5, 1, 4, 24, 1000])
def test_the_estimate_stays_within_the_hours_and_uses_them(hours):
    found = fit(facts(), LAPTOP, Wishes("a", hours=hours))
    assert found.notes == ()
    assert found.lengths.seconds <= MARGIN * 3600 * hours
    longest = found.lengths.trials == 100
    assert longest or found.lengths.seconds > 0.6 * MARGIN * 3600 * hours
    assert longest is (hours >= 4)


def test_too_few_hours_are_said():
    (note,) = fit(COCO, Machine(2), Wishes("a", hours=1)).notes
    assert "more than the 1 h allowed" in note


def test_coco_on_a_gpu_has_the_papers_sizes_and_epochs():
    search = written(COCO, replace(SERVER, gpus=("H200",) * 8), Wishes("a", hours=10_000)).spec
    assert search.base.train is not None
    assert (search.base.model, search.base.train.epochs) == ("faster-rcnn-r50-fpn", 24)
    assert (search.evaluation.epochs, search.search.trials) == (3, 100)
    assert search.search.parallelism == 8
    largest = search.base_resolution
    assert 1300 <= largest.width <= 1344
    assert search.detector.anchor_scale in (5, 6, 7, 8)


def test_small_objects_need_larger_images_and_smaller_anchors():
    small = facts(size=(640, 480), sides=Quantiles(0.04, 0.05, 0.06, 0.07, 0.08))
    large = facts(size=(640, 480), sides=Quantiles(0.3, 0.35, 0.4, 0.5, 0.6))
    found = [written(data, LAPTOP).spec for data in (small, large)]
    assert found[0].base_resolution.pixels > found[1].base_resolution.pixels
    assert found[0].detector.anchor_scale < found[1].detector.anchor_scale


def test_the_shape_of_the_images_is_kept():
    tall = written(facts(size=(300, 600)), LAPTOP).spec
    assert all(size.height == pytest.approx(2 * size.width, abs=24) for size in tall.resolutions)


def test_slim_objects_get_anchors_of_their_own():
    slim = facts(ratios=Quantiles(0.15, 0.4, 1.0, 3.0, 6.0))
    assert [float(r) for r in written(slim, LAPTOP).spec.detector.anchor_ratios] == [
        0.15,
        0.5,
        1,
        2,
        6,
    ]


@pytest.mark.parametrize(
    ("classes", "mirror", "flip"),
    [(("1", "7"), None, 0), (("1", "7"), True, 0.5), (("cat",), None, 0.5), (("cat",), False, 0)],
)
def test_images_are_mirrored_unless_it_changes_a_class(classes, mirror, flip):
    wishes = Wishes("a", mirror=mirror)
    assert written(facts(classes=classes), LAPTOP, wishes).spec.dataset.horizontal_flip == flip


def test_reasons_name_the_data_and_the_first_line_the_schema():
    text = manifest_text(fit(facts(150), LAPTOP, WISHES), facts(150), PLACE, WISHES)
    assert text.startswith("# yaml-language-server: $schema=detnas.schema.json\n")
    unwrapped = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    assert "three of your 150 would be 113 steps" in unwrapped
    assert max(map(len, text.splitlines())) <= 110


def test_a_named_model_is_taken_with_its_weights():
    wishes = Wishes("a", model="faster-rcnn-r18-fpn", backbone_weights="resnet18.pth")
    base = written(facts(), LAPTOP, wishes).spec.base
    assert (base.model, base.backbone_weights) == ("faster-rcnn-r18-fpn", "resnet18.pth")

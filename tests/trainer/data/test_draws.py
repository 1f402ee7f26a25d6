from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detnas.records.settings import Resolution, Training
from detnas_trainer.data.draws import BatchDraws, Groups, Sample, statistics_samples

SIZES = (Resolution(width=64, height=48), Resolution(width=96, height=96))


def _groups(*sizes: int) -> Groups:
    """Images 0, 1, … in groups of such sizes; empty groups are left out."""
    ends = np.cumsum(sizes)
    return tuple(np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True) if size)


def _draws(**changes: object) -> BatchDraws:
    settings: dict[str, object] = {
        "seed": 3,
        "groups": _groups(10),
        "batch_size": 4,
        "resolutions": SIZES,
        "flip": 0.5,
        "epochs": 80,
    }
    return BatchDraws(**{**settings, **changes})  # type: ignore[arg-type]


@given(images=st.integers(1, 40), batch=st.integers(1, 12), epochs=st.integers(1, 4))
def test_every_epoch_shows_every_image_once(images: int, batch: int, epochs: int) -> None:
    draws = _draws(groups=_groups(images), batch_size=batch, epochs=epochs)
    shown = [
        sample.image for iteration in range(draws.iterations) for sample in draws.batch(iteration)
    ]
    for epoch in range(epochs):
        assert sorted(shown[epoch * images : (epoch + 1) * images]) == list(range(images))
    assert 0 <= len(shown) - epochs * images < batch
    schedule = Training(epochs=epochs, learning_rate=Decimal("0.1"), batch_size=batch)
    assert schedule.iterations(images) == draws.iterations, "what is planned is what is done"


@given(
    landscape=st.integers(0, 40),
    portrait=st.integers(0, 40),
    batch=st.integers(1, 12),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_draws_by_orientation_show_every_image_in_batches_of_one_orientation(
    landscape: int, portrait: int, batch: int, epochs: int, seed: int
) -> None:
    groups = _groups(landscape, portrait)
    assume(groups)
    draws = _draws(groups=groups, batch_size=batch, epochs=epochs, seed=seed)
    shown = [[s.image for s in draws.batch(iteration)] for iteration in range(draws.iterations)]
    orientations = [{image < landscape for image in images} for images in shown]
    assert all(len(found) == 1 for found in orientations[:-1])
    counts = Counter(image for images in shown for image in images)
    assert sorted(counts) == list(range(landscape + portrait))
    assert min(counts.values()) >= epochs
    assert draws.iterations == -(-epochs * (landscape + portrait) // batch)
    # All along the run an image of one orientation was shown as often as one of the other.
    for done in range(1, draws.iterations):
        seen = sum(found == {False} for found in orientations[:done])
        share = sum(draws._batches[1:]) / sum(draws._batches)
        assert abs(seen - done * share) <= 1


def test_first_group_of_two_is_drawn_like_a_data_set_of_its_own() -> None:
    """So draws by orientation are those of earlier versions where all images have one."""
    alone = _draws(groups=_groups(30))
    both = _draws(groups=_groups(30, 20))
    images = [[s.image for s in both.batch(i)] for i in range(both.iterations - 1)]
    landscape = [batch for batch in images if batch[0] < 30]
    assert landscape == [[s.image for s in alone.batch(i)] for i in range(len(landscape))]


def test_epochs_have_different_orders() -> None:
    draws = _draws(batch_size=10)
    orders = {tuple(sample.image for sample in draws.batch(epoch)) for epoch in range(4)}
    assert len(orders) == 4
    assert [draws.epoch(iteration) for iteration in range(3)] == [0, 1, 2]


def test_one_size_a_batch_and_all_sizes_in_turn_at_random() -> None:
    draws = _draws()
    sizes = [{sample.resolution for sample in draws.batch(i)} for i in range(200)]
    assert all(len(batch) == 1 for batch in sizes)
    counts = Counter(next(iter(batch)) for batch in sizes)
    assert set(counts) == set(SIZES)
    assert min(counts.values()) > 60


@pytest.mark.parametrize(("flip", "least", "most"), [(0.0, 0, 0), (0.5, 330, 470), (1.0, 800, 800)])
def test_images_are_mirrored_with_the_given_probability(flip: float, least: int, most: int) -> None:
    draws = _draws(flip=flip)
    mirrored = sum(sample.flipped for i in range(200) for sample in draws.batch(i))
    assert least <= mirrored <= most


def test_any_iteration_is_drawn_without_the_ones_before() -> None:
    once = [_draws().batch(iteration) for iteration in range(12)]
    assert [_draws().batch(iteration) for iteration in reversed(range(12))] == once[::-1]
    assert [_draws(seed=4).batch(iteration) for iteration in range(12)] != once


def test_ranks_share_a_batch_out_and_agree_on_its_size() -> None:
    draws = _draws()
    parts = [draws.batch(5, rank, ranks=2) for rank in range(2)]
    assert sorted(sample.image for part in parts for sample in part) == sorted(
        sample.image for sample in draws.batch(5)
    )
    assert len({sample.resolution for part in parts for sample in part}) == 1


def test_statistics_take_different_images_evenly_over_the_sizes() -> None:
    batches = statistics_samples(seed=1, groups=_groups(50), count=9, resolutions=SIZES)
    assert [len(batch) for batch in batches] == [5, 4]
    assert [{sample.resolution for sample in batch} for batch in batches] == [{s} for s in SIZES]
    images = [sample.image for batch in batches for sample in batch]
    assert len(set(images)) == 9
    assert batches == statistics_samples(1, _groups(50), 9, SIZES)
    assert batches != statistics_samples(2, _groups(50), 9, SIZES)


def test_statistics_reach_every_size_even_of_a_tiny_data_set() -> None:
    assert statistics_samples(1, _groups(1), 1, SIZES) == [[Sample(0, size)] for size in SIZES]


def test_statistics_batches_have_one_orientation_drawn_by_its_share() -> None:
    portraits = 0
    for seed in range(400):
        for batch in statistics_samples(seed, _groups(30, 10), 8, SIZES):
            (portrait,) = {sample.image >= 30 for sample in batch}
            portraits += portrait
    assert 170 <= portraits <= 230  # a quarter of 800

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.records.settings import Resolution, Training
from detnas_trainer.data.draws import BatchDraws, Sample, statistics_samples

SIZES = (Resolution(width=64, height=48), Resolution(width=96, height=96))


def _draws(**changes: object) -> BatchDraws:
    settings: dict[str, object] = {
        "seed": 3,
        "images": 10,
        "batch_size": 4,
        "resolutions": SIZES,
        "flip": 0.5,
    }
    return BatchDraws(**{**settings, **changes})  # type: ignore[arg-type]


@given(images=st.integers(1, 40), batch=st.integers(1, 12), epochs=st.integers(1, 4))
def test_every_epoch_shows_every_image_once(images: int, batch: int, epochs: int) -> None:
    draws = _draws(images=images, batch_size=batch)
    schedule = Training(epochs=epochs, learning_rate=Decimal("0.1"), batch_size=batch)
    shown = [
        sample.image
        for iteration in range(schedule.iterations(images))
        for sample in draws.batch(iteration)
    ]
    for epoch in range(epochs):
        assert sorted(shown[epoch * images : (epoch + 1) * images]) == list(range(images))
    assert 0 <= len(shown) - epochs * images < batch


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
    batches = statistics_samples(seed=1, images=50, count=9, resolutions=SIZES)
    assert [len(batch) for batch in batches] == [5, 4]
    assert [{sample.resolution for sample in batch} for batch in batches] == [{s} for s in SIZES]
    images = [sample.image for batch in batches for sample in batch]
    assert len(set(images)) == 9
    assert batches == statistics_samples(1, 50, 9, SIZES)
    assert batches != statistics_samples(2, 50, 9, SIZES)


def test_statistics_reach_every_size_even_of_a_tiny_data_set() -> None:
    assert statistics_samples(1, 1, 1, SIZES) == [[Sample(0, size)] for size in SIZES]

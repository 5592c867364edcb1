"""The forecast of a run's end, with times that a test says."""

import pytest

from less_core.preflight.forecast import DOUBT, TARGETS, Forecast, Step

POOL = Step("pool", "pool", 1000, weight=1.0)
REPORT = Step("report", "report", 1, seconds=10)


def work(forecast: Forecast, stage: str, kind: str, units: float, pace: float, now: float, batches: int) -> float:
    """Do some batches of a stage at so many seconds a unit; return the time after them."""
    for _ in range(batches):
        now += units * pace
        forecast.did(kind, units, now)
    return now


def test_no_figure_before_there_is_a_basis_for_one() -> None:
    forecast = Forecast(0)
    assert forecast.left(5) is None
    forecast.expect([POOL, REPORT])
    forecast.begin("pool", 5)
    assert forecast.left(5) is None
    assert forecast.share(5) is None
    work(forecast, "pool", "pool", 10, 0.1, 5, batches=2)
    assert forecast.left(7) is not None


def test_rule_of_thumb_gives_a_wide_range_that_measuring_closes() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL, REPORT], seconds_a_token=0.5)
    assert forecast.left(0) == pytest.approx((510, 500 / DOUBT + 10, 500 * DOUBT + 10))
    forecast.begin("pool", 0)
    now = work(forecast, "pool", "pool", 10, 0.2, 0, batches=20)
    left = forecast.left(now)
    assert left is not None
    assert left.low == left.seconds == left.high
    assert left.seconds == pytest.approx(800 * 0.2 + 10, rel=0.1)


def test_what_an_earlier_run_measured_is_no_wide_range() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL], seconds_a_token=0.5, measured=True)
    assert forecast.left(0) == (500, 500, 500)


def test_stages_that_come_later_are_counted_from_the_start() -> None:
    forecast = Forecast(0)
    later = [Step("rerank", "rerank", 500, weight=1.0), Step("rerank", TARGETS, 100, weight=2.0)]
    forecast.expect([POOL, *later, REPORT], seconds_a_token=1, measured=True)
    assert forecast.left(0) == pytest.approx((1000 + 500 + 200 + 10,) * 3)


def test_speed_of_the_warmup_tells_about_features_by_their_weights() -> None:
    forecast = Forecast(0)
    forecast.expect([Step("warmup", "warmup", 20, weight=150.0), POOL])  # examples of 100 tokens, half as long again as the pool's
    forecast.begin("warmup", 0)
    work(forecast, "warmup", "warmup", 2, 15.0, 0, batches=10)
    forecast.end("warmup")
    left = forecast.left(300)
    assert left is not None
    assert left.seconds == pytest.approx(1000 * 15 / 150, rel=0.01)


def test_target_gradients_that_come_first_are_work_of_their_own_and_do_not_slow_the_pool() -> None:
    """Half a minute of them used to be read as the speed of the pool: 48 hours for half an hour's work."""
    forecast = Forecast(0)
    forecast.expect([POOL, Step("pool", TARGETS, 100, weight=1.0)], seconds_a_token=0.1, measured=True)
    forecast.begin("pool", 0)
    assert forecast.left(0) == pytest.approx((110,) * 3)
    now = work(forecast, "pool", TARGETS, 10, 0.1, 0, batches=10)
    now = work(forecast, "pool", "pool", 1, 0.1, now, batches=1)
    left = forecast.left(now)
    assert left is not None
    assert left.seconds == pytest.approx(999 * 0.1, rel=0.02)


def test_first_batch_of_a_stage_loads_the_model_and_tells_no_speed() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL])
    forecast.begin("pool", 0)
    forecast.did("pool", 10, 60.0)
    now = work(forecast, "pool", "pool", 10, 0.1, 60.0, batches=5)
    left = forecast.left(now)
    assert left is not None
    assert left.seconds == pytest.approx(940 * 0.1, rel=0.01)


def test_what_a_stage_expected_and_the_store_had_is_not_expected_after_its_end() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL, REPORT], seconds_a_token=1)
    forecast.begin("pool", 0)
    forecast.end("pool")
    assert forecast.left(1) == (10, 10, 10)


def test_a_stages_own_plan_replaces_what_was_expected_of_it_and_of_no_other() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL, Step("pool", TARGETS, 50, weight=1.0), REPORT], seconds_a_token=1, measured=True)
    forecast.expect([Step("pool", "pool", 30, weight=1.0)])
    assert forecast.left(0) == (40, 40, 40)


def test_stage_of_known_time_shrinks_while_it_is_at_work_and_never_below_nothing() -> None:
    forecast = Forecast(0)
    forecast.expect([REPORT])
    forecast.begin("report", 100)
    assert forecast.left(104) == (6, 6, 6)
    assert forecast.left(200) == (0, 0, 0)
    assert forecast.share(200) == 1


def test_share_is_of_the_time_and_grows_from_the_start_of_the_run() -> None:
    forecast = Forecast(100)
    forecast.expect([POOL], seconds_a_token=1, measured=True)
    assert forecast.share(100) == 0
    assert forecast.share(350) == pytest.approx(0.2)


def test_with_one_speed_the_forecast_is_right_at_every_batch() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL, REPORT], seconds_a_token=5.0)  # wrong by 25
    forecast.begin("pool", 0)
    now = 0.0
    for number in range(1, 100):
        now = work(forecast, "pool", "pool", 10, 0.2, now, batches=1)
        if now >= 20:
            left = forecast.left(now)
            assert left is not None
            assert left.seconds == pytest.approx((1000 - 10 * number) * 0.2 + 10, rel=0.25)


def test_stage_that_is_tried_again_counts_from_its_start() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL], seconds_a_token=1, measured=True)
    forecast.begin("pool", 0)
    forecast.did("pool", 900, 1)
    forecast.begin("pool", 1)
    assert forecast.left(1) == (1000, 1000, 1000)


def test_first_batch_after_loading_tells_the_speed() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL])
    forecast.begin("pool", 0)
    forecast.loaded(60)
    forecast.did("pool", 10, 61)
    left = forecast.left(61)
    assert left is not None
    assert left.seconds == pytest.approx(99)


def test_forecast_follows_a_machine_that_becomes_faster() -> None:
    forecast = Forecast(0)
    forecast.expect([POOL])
    forecast.begin("pool", 0)
    now = work(forecast, "pool", "pool", 10, 1.0, 0, batches=40)
    now = work(forecast, "pool", "pool", 10, 0.5, now, batches=40)
    left = forecast.left(now)
    assert left is not None
    assert left.seconds == pytest.approx(200 * 0.5, rel=0.35)  # the mean of all 80 batches would say 150

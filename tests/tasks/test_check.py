"""Room in the store, looked at before a warmup is trained."""

import shutil
from collections import namedtuple

import pytest

from less_core.errors import ConfigError
from less_core.refs import PreparedRef
from tasks.check import check_room, look_at_inputs, open_version
from tasks.prepare import plan_pool, plan_targets, read_pool

Usage = namedtuple("Usage", ["total", "used", "free"])
ALL = 110 * 256 * 2  # bytes of 55 examples' features at two checkpoints


def prepared(settings) -> PreparedRef:
    model, version = look_at_inputs.fn(settings).model, open_version.fn(settings)
    pools = [read_pool.fn(settings, version, pool) for pool in settings.pools]
    pool, target = plan_pool.fn(settings, version, model, pools), plan_targets.fn(settings, version, model)
    return PreparedRef(pools=pools, pool=pool, target=target)


def test_too_little_room_for_the_missing_features_is_said_before_anything_is_computed(make_settings, monkeypatch) -> None:
    settings = make_settings()
    model, found = look_at_inputs.fn(settings).model, prepared(settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2 * ALL, 2 * ALL, ALL // 2))
    with pytest.raises(ConfigError, match=r"expected .*free"):
        check_room.fn(settings, model, found, None)


def test_what_the_store_has_needs_no_room(make_settings, run_stages, monkeypatch) -> None:
    settings = make_settings()
    result = run_stages(settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2 * ALL, 2 * ALL, 1))
    check_room.fn(settings, result.model, prepared(settings), result.checkpoints.warmup)
    check_room.fn(settings, result.model, prepared(settings), None)  # the same warmup would be found again

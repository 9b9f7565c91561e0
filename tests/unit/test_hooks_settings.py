"""The PUSHGATE setting."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from django_hooks.settings import HooksSettings, hooks_settings
from pushgate import InvalidSetting


@pytest.fixture
def no_setting(settings: Settings) -> Iterator[None]:
    """No PUSHGATE at all. Of a setting taken away, and put back, Django tells nobody."""
    del settings.PUSHGATE
    hooks_settings.cache_clear()
    yield
    hooks_settings.cache_clear()


@pytest.mark.usefixtures("no_setting")
def test_defaults_need_no_setting():
    assert hooks_settings() == HooksSettings()
    assert hooks_settings().mode == "outbox"


def test_an_unknown_name_is_refused_and_the_known_ones_are_named():
    with pytest.raises(InvalidSetting, match=r"'REDIS'.*REDIS_URL"):
        HooksSettings.from_mapping({"REDIS": "redis://"})


def test_an_unknown_mode_is_refused():
    with pytest.raises(InvalidSetting, match="use outbox or on_commit"):
        HooksSettings.from_mapping({"MODE": "maybe"})


def test_a_changed_setting_is_read_again(settings: Settings):
    settings.PUSHGATE = {"NAMESPACE": "one"}
    assert hooks_settings().namespace == "one"
    settings.PUSHGATE = {"NAMESPACE": "two"}
    assert hooks_settings().namespace == "two"

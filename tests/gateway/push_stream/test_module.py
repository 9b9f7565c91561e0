"""The module's part of the configuration."""

from pathlib import Path

from tests.gateway.test_configuration import render, settings


def test_only_the_modules_used_are_loaded(tmp_path: Path) -> None:
    render(tmp_path, settings())
    files = [path.read_text(encoding="utf-8") for path in (tmp_path / "nginx").rglob("*.conf")]
    assert sum(text.count("load_module /") for text in files) == 3


def test_the_channels_to_register_are_set_by_lua_alone(tmp_path: Path) -> None:
    render(tmp_path, settings())
    text = (tmp_path / "nginx/engine/subscribe.conf").read_text(encoding="utf-8")
    assert 'set $pushgate_path "";' in text
    assert "push_stream_channels_path $pushgate_path;" in text

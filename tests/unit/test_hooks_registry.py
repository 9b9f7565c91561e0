"""Registering hooks: found by themselves, once per model, undone without a trace."""

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.signals import post_delete, post_save

from django_hooks.registry import Action, ModelHook, register, registry
from example_site.threads.models import Comment, Thread
from example_site.threads.push import CommentHook


class ThreadHook(ModelHook[Thread]):
    """Tells of threads."""

    def channels(self, instance: Thread, action: Action) -> list[str]:
        """The forum."""
        return ["forum:1"]

    def data(self, instance: Thread, action: Action) -> dict[str, object]:
        """The thread."""
        return {"id": instance.pk}


@pytest.fixture
def registered_thread():
    register(Thread)(ThreadHook)
    yield
    registry.unregister(Thread)


def test_the_push_module_of_an_app_is_found_by_itself():
    assert apps.is_installed("django_hooks")
    assert type(registry.hook_of(Comment)) is CommentHook


def test_registering_a_model_twice_names_both_hooks(registered_thread):
    class SecondHook(ThreadHook):
        """Another one."""

    with pytest.raises(ImproperlyConfigured, match=r"threads\.Thread is registered twice") as found:
        register(Thread)(SecondHook)
    assert "ThreadHook" in str(found.value)
    assert "SecondHook" in str(found.value)
    assert type(registry.hook_of(Thread)) is ThreadHook


def test_an_abstract_model_is_refused():
    class Written(models.Model):
        """No table of its own."""

        class Meta:
            abstract = True
            app_label = "threads"

    with pytest.raises(ImproperlyConfigured, match="is abstract"):
        registry.register(Written, ThreadHook)


def test_unregistering_what_is_not_registered_is_refused():
    with pytest.raises(ImproperlyConfigured, match="is not registered"):
        registry.unregister(Thread)


def test_an_unregistered_model_is_as_it_was():
    before = Thread.save_base
    register(Thread)(ThreadHook)
    assert Thread.save_base is not before
    assert post_save.has_listeners(Thread)
    registry.unregister(Thread)
    assert Thread.save_base is before
    assert "save_base" not in Thread.__dict__
    assert not post_save.has_listeners(Thread)
    assert not post_delete.has_listeners(Thread)
    assert registry.hook_of(Thread) is None


def test_a_hook_that_says_nothing_of_channels_must_be_finished():
    with pytest.raises(NotImplementedError):
        ModelHook(Thread).channels(Thread(), "created")


def test_what_is_no_hook_or_no_model_is_refused():
    with pytest.raises(ImproperlyConfigured, match="is not a hook; derive it from ModelHook"):
        register(Thread)(object)  # type: ignore[arg-type]
    with pytest.raises(ImproperlyConfigured, match="is not a model"):
        register("threads.Thread")(ThreadHook)  # type: ignore[arg-type]
    assert registry.hook_of(Thread) is None


def test_a_model_made_later_from_a_registered_one_is_connected(registered_thread: None):
    class Poll(Thread):
        """Made after its parent was registered."""

        class Meta:
            proxy = True
            app_label = "threads"

    try:
        assert post_save.has_listeners(Poll)
        assert registry.hooks_told(Poll) == (registry.hook_of(Thread),)
    finally:
        del apps.all_models["threads"]["poll"]
        apps.clear_cache()

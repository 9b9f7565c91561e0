"""The Django side of Pushgate: what is saved and deleted is told to whoever watches.

In settings: `INSTALLED_APPS += ["django_hooks"]` and `PUSHGATE = {"REDIS_URL": ...}`. In any app, a
module `push.py`, found by itself as `admin.py` is:

    from django_hooks.registry import Action, ModelHook, register

    @register(Comment)
    class CommentHook(ModelHook[Comment]):
        def channels(self, comment: Comment, action: Action) -> list[str]:
            return [f"thread:{comment.thread_id}"]

        def data(self, comment: Comment, action: Action) -> dict[str, object]:
            return {"id": comment.pk, "text": comment.text}
"""

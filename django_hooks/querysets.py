"""Bulk writes with events: `bulk_create`, `bulk_update`, `QuerySet.update`, `QuerySet.delete`.

Django sends no signals for these (but for deletes). With `objects = PushManager()`, or a queryset
class derived from `PushQuerySet`, they are told as the same writes one by one would be, in the same
transaction, in a constant number of further queries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

from django.db import NotSupportedError, connections, models, transaction
from django.db.models import Field, Model, sql
from django.db.models.constants import OnConflict

from django_hooks import wake
from django_hooks.models import OutboxRow
from django_hooks.recorder import deletions_together, event_of, record
from django_hooks.registry import Action, ModelHook, registry
from django_hooks.switch import disabled_depth

PKS_IN_A_QUERY = 10_000

ModelT = TypeVar("ModelT", bound=Model, covariant=True)


class PushQuerySet(models.QuerySet[ModelT]):
    """A queryset whose bulk writes are told of.

    A site's own queryset class derives from it, and makes its manager as usual: `from_queryset` or
    `as_manager`. Where another library brings a queryset class as well, derive from both, this one
    first.
    """

    _written_pks: list[Any] | None = None

    def bulk_create(
        self,
        objs: Iterable[ModelT],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[ModelT]:
        """Insert the instances and tell of each row that was written.

        Told of as created, from the instances, by one further query. With conflicts ignored or
        updated the rows are read back: only those that were inserted are told as created, and with
        `update_conflicts` those that were there before as updated (and all, if need be, in spite of
        another transaction that inserts the same row at the same time).

        Raises:
            NotSupportedError: conflicts are ignored or updated on a database (MySQL) that does
                not say which rows were written.
        """
        told = _hooks_told(self.model)
        objs = list(objs)
        options = {
            "ignore_conflicts": ignore_conflicts,
            "update_conflicts": update_conflicts,
            "update_fields": update_fields,
            "unique_fields": unique_fields,
        }
        if not told or not objs:
            return super().bulk_create(objs, batch_size, **options)  # type: ignore[arg-type]
        self._for_write = True
        using = self.db
        with transaction.atomic(using=using, savepoint=False):
            hooks = _left_to_us(told, using)
            if not hooks:
                return super().bulk_create(objs, batch_size, **options)  # type: ignore[arg-type]
            if not ignore_conflicts and not update_conflicts:
                created = super().bulk_create(objs, batch_size)
                record(_events(hooks, created, "created"), using)
                return created
            there = set(self._rows_in_the_way(objs, unique_fields)) if update_conflicts else set()
            if not connections[using].features.can_return_rows_from_bulk_insert:
                raise NotSupportedError(
                    f"{self.model._meta.label}: this database does not say which rows a "
                    "bulk_create with conflicts wrote, so they cannot be told of; write them "
                    "otherwise, or within hooks_disabled()"
                )
            self._written_pks = []
            try:
                result = super().bulk_create(objs, batch_size, **options)  # type: ignore[arg-type]
                written = self._written_pks
            finally:
                self._written_pks = None
            # What was there keeps the values that were not updated: told is what the rows hold.
            rows = _rows(self.model, written, using)
            new = [row for row in rows if row.pk not in there]
            changed = [row for row in rows if row.pk in there]
            concerned = [hook for hook in hooks if hook.watches(update_fields)]
            events = [*_events(hooks, new, "created"), *_events(concerned, changed, "updated")]
            record(events, using)
            return result

    def update(self, **kwargs: Any) -> int:
        """Update the rows and tell of each, as it is afterwards; three further queries.

        `bulk_update` comes this way too, batch by batch. The rows are locked first, so that those
        that are told of are those that are updated.
        """
        told = [
            hook
            for hook in _hooks_told(self.model)
            if "updated" in hook.actions and hook.watches(kwargs)
        ]
        if not told or self.query.is_sliced or self.query.combinator:
            return super().update(**kwargs)
        self._for_write = True
        using = self.db
        with transaction.atomic(using=using, savepoint=False):
            hooks = _left_to_us(told, using)
            if not hooks:
                return super().update(**kwargs)
            pks = self._lock_pks(using)
            if connections[using].features.has_select_for_update:
                # Rows that came to match since are not among the locked ones: leave them be.
                updated = sum(
                    super(PushQuerySet, self.filter(pk__in=some)).update(**kwargs)
                    for some in _parts(pks, PKS_IN_A_QUERY) or [pks]
                )
                self._result_cache = None
            else:
                updated = super().update(**kwargs)
            record(_events(hooks, _rows(self.model, pks, using), "updated"), using)
        return updated

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the rows and tell of each, and of what goes with them, by one further query."""
        if not _hooks_told(self.model):
            return super().delete()
        self._for_write = True
        using = self.db
        with transaction.atomic(using=using, savepoint=False), deletions_together(using):
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def _rows_in_the_way(
        self, objs: Sequence[ModelT], unique_fields: Collection[str] | None
    ) -> Iterable[Any]:
        """Return the pks of rows that these objects may conflict with, and perhaps of some more."""
        names = [
            getattr(self.model._meta.get_field(name), "attname", name) if name != "pk" else name
            for name in unique_fields or ()
        ]
        if not names:
            return
        _begin_to_write(self.db)
        for some in _parts(objs, _most_parameters(self.db) // len(names)):
            matches = {f"{name}__in": [getattr(obj, name) for obj in some] for name in names}
            yield from (
                _all_rows(self.model, self.db).filter(**matches).values_list("pk", flat=True)
            )

    def _insert(
        self,
        objs: Sequence[ModelT],
        fields: Sequence[Field[Any, Any]],
        returning_fields: Sequence[Field[Any, Any]] | None = None,
        raw: bool = False,
        using: str | None = None,
        on_conflict: OnConflict | None = None,
        update_fields: Sequence[Field[Any, Any]] | None = None,
        unique_fields: Sequence[Field[Any, Any]] | None = None,
    ) -> list[Any]:
        """Insert rows and, on behalf of `bulk_create`, note the pks of those that were written.

        With conflicts ignored Django asks for none, and an object's pk need not be its row's.
        """
        if self._written_pks is None:
            return super()._insert(  # type: ignore[misc,no-any-return]
                objs,
                fields,
                returning_fields,
                raw,
                using,
                on_conflict,
                update_fields,
                unique_fields,
            )
        query = sql.InsertQuery(
            self.model,
            on_conflict=on_conflict,
            update_fields=update_fields,
            unique_fields=unique_fields,
        )
        query.insert_values(fields, list(objs), raw=raw)
        asked = list(returning_fields or ())
        pk_fields = self.model._meta.pk_fields
        compiler = query.get_compiler(using=using or self.db)
        compiler.returning_fields = [*asked, *pk_fields]
        columns = [f.get_col(self.model._meta.db_table) for f in compiler.returning_fields]
        with connections[using or self.db].cursor() as cursor:
            ((statement, parameters),) = compiler.as_sql()
            cursor.execute(statement, parameters)
            rows: list[Any] = cursor.fetchall()
        converters = compiler.get_converters(columns)
        if converters:
            rows = list(compiler.apply_converters(rows, converters))
        for row in rows:
            pk = tuple(row[len(asked) :])
            self._written_pks.append(pk if len(pk) > 1 else pk[0])
        return [tuple(row[: len(asked)]) for row in rows] if asked else []

    _insert.alters_data = True  # type: ignore[attr-defined]
    _insert.queryset_only = False  # type: ignore[attr-defined]

    def _lock_pks(self, using: str) -> list[Any]:
        """Return the pks of the queryset's rows, locked where the database locks rows."""
        features = connections[using].features
        targets = self.order_by().values("pk")
        targets.query.select_for_update = False
        rows = _all_rows(self.model, using).filter(pk__in=targets).order_by("pk")
        if features.has_select_for_update:
            rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
        else:
            _begin_to_write(using)
        return list(rows.values_list("pk", flat=True))


PushManager = models.Manager.from_queryset(PushQuerySet)
"""The plain manager, with bulk writes that are told of: `objects = PushManager()`."""


def _hooks_told(model: type[Model]) -> Sequence[ModelHook[Any]]:
    return () if disabled_depth() else registry.hooks_told(model)


def _left_to_us(hooks: Sequence[ModelHook[Any]], using: str) -> list[ModelHook[Any]]:
    """Return the hooks that the database does not carry out; wake the relay for the others."""
    ours = [hook for hook in hooks if not hook.told_by_database(using)]
    if len(ours) < len(hooks):
        wake.nudge_at_commit(connections[using])
    return ours


def _events(
    hooks: Iterable[ModelHook[Any]], instances: Sequence[Model], action: Action
) -> list[str]:
    """Return what is told of the same action of many instances, in their order."""
    told = [hook for hook in hooks if action in hook.actions]
    if not instances:
        return []
    for hook in told:
        hook.prepare(instances, action)
    made = (event_of(hook, instance, action) for instance in instances for hook in told)
    return [event for event in made if event is not None]


def _all_rows(model: type[Model], using: str) -> models.QuerySet[Any]:
    """Return all rows, whatever the site's managers leave out."""
    return models.QuerySet(model, using=using)


def _rows(model: type[Model], pks: Sequence[Any], using: str) -> list[Any]:
    """Return rows as the database holds them, in the order of their pks."""
    found: list[Any] = []
    for some in _parts(pks, _most_parameters(using)):
        found += _all_rows(model, using).filter(pk__in=some).order_by("pk")
    return found


def _parts(items: Sequence[Any], length: int) -> list[Sequence[Any]]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def _most_parameters(using: str) -> int:
    return min(connections[using].features.max_query_params or PKS_IN_A_QUERY, PKS_IN_A_QUERY)


def _begin_to_write(using: str) -> None:
    """Become SQLite's writer before reading what shall be written.

    A transaction that begins as a reader cannot wait for another writer; it fails at once.
    """
    connection = connections[using]
    mode = getattr(connection, "transaction_mode", None)
    if connection.vendor == "sqlite" and mode not in {"IMMEDIATE", "EXCLUSIVE"}:
        OutboxRow.objects.using(using).filter(pk__lt=0)._raw_delete(using)

"""Books and who writes, tags, lends and likes them."""

from __future__ import annotations

import uuid

from django.db import models

from django_hooks.querysets import PushManager, PushQuerySet


class Person(models.Model):
    """Somebody who writes and reads, and has friends."""

    name = models.CharField(max_length=80)
    friends = models.ManyToManyField("self")
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A word that books are found by."""

    word = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.word


class BookQuerySet(PushQuerySet["Book"]):
    """The site's own queryset class."""

    def long(self) -> BookQuerySet:
        """Books of more than a hundred pages."""
        return self.filter(pages__gt=100)


class Book(models.Model):
    """The registered model: relations of all kinds, a unique column, children, a proxy."""

    title = models.CharField(max_length=80)
    shelf = models.CharField(max_length=80, default="")
    pages = models.IntegerField(default=0)
    isbn = models.CharField(max_length=20, unique=True, null=True)
    author = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="books")
    tags = models.ManyToManyField(Tag, related_name="books")
    readers = models.ManyToManyField(Person, through="Loan", related_name="lent")

    objects = BookQuerySet.as_manager()
    plain = models.Manager()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.title


class Loan(models.Model):
    """Who has which book: the model of a relation."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE)
    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    days = models.IntegerField(default=14)


class Chapter(models.Model):
    """Goes with its book."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="chapters")
    number = models.IntegerField()

    objects = PushManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "number"], name="one_of_a_number")]


class Atlas(Book):
    """A child with a table of its own."""

    scale = models.IntegerField(default=1000)


class Paperback(Book):
    """Another name for the same rows."""

    class Meta:
        proxy = True


class Ticket(models.Model):
    """A key that the site draws itself."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    seat = models.IntegerField(unique=True)
    guest = models.CharField(max_length=80, default="")

    objects = PushManager()

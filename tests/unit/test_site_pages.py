"""The example site's pages, as a browser without JavaScript sees them."""

import pytest
from django.core.management import call_command
from django.test import Client

from django_hooks import page
from django_hooks.models import OutboxRow
from example_site.threads import views
from example_site.threads.models import Comment, Thread
from example_site.threads.templatetags.comment_text import comment_text, hue, initial

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def cursor(monkeypatch: pytest.MonkeyPatch) -> str:
    class Cursors:
        def take(self) -> str:
            return "0123abcd.1700000000000-3"

    monkeypatch.setattr(page, "_cursors", Cursors())
    return "0123abcd.1700000000000-3"


@pytest.fixture
def thread() -> Thread:
    return Thread.objects.create(title="On bread & butter")


def test_the_list_shows_the_liveliest_thread_first(client: Client, thread: Thread):
    quiet = Thread.objects.create(title="Nobody yet")
    Comment.objects.create(thread=thread, author="Ada", text="Hello")
    shown = client.get("/").content.decode()
    assert shown.index("On bread &amp; butter") < shown.index("Nobody yet")
    assert "last word by Ada" in shown
    assert "nobody has said anything yet" in shown
    assert f'href="{quiet.get_absolute_url()}"' in shown


def test_a_thread_is_begun_by_a_form(client: Client):
    answer = client.post("/", {"title": "On cheese"})
    assert answer.status_code == 302
    assert Thread.objects.get().get_absolute_url() == answer["Location"]
    refused = client.post("/", {"title": "  "})
    assert refused.status_code == 400
    assert "is empty." in refused.content.decode()


def test_a_page_carries_where_its_stream_begins(client: Client, thread: Thread, cursor: str):
    shown = client.get(thread.get_absolute_url()).content.decode()
    assert f'data-cursor="{cursor}"' in shown
    assert f'data-channel="thread:{thread.pk}"' in shown
    assert 'data-gateway="http://127.0.0.1:8080"' in shown


def test_the_cursor_is_taken_before_the_first_query(
    client: Client, thread: Thread, monkeypatch: pytest.MonkeyPatch
):
    def say_something_and_take() -> str:
        Comment.objects.create(thread=thread, author="Ada", text="in the very last moment")
        return ""

    monkeypatch.setattr(views, "page_cursor", say_something_and_take)
    assert "in the very last moment" in client.get(thread.get_absolute_url()).content.decode()


def test_a_comment_is_posted_edited_and_deleted_by_forms(client: Client, thread: Thread):
    answer = client.post(thread.get_absolute_url(), {"author": "Ada", "text": "Hello"})
    comment = Comment.objects.get()
    assert answer["Location"] == f"{thread.get_absolute_url()}#comment-{comment.pk}"
    path = f"/comments/{comment.pk}/"
    assert "Hello" in client.get(path).content.decode()
    client.post(path, {"do": "save", "text": "Hello there"})
    comment.refresh_from_db()
    assert comment.text == "Hello there"
    assert "Hello there" in client.get(thread.get_absolute_url()).content.decode()
    assert client.post(path, {"do": "delete"})["Location"] == thread.get_absolute_url()
    assert Comment.objects.count() == 0
    assert OutboxRow.objects.count() == 3


def test_a_refused_comment_stays_in_its_form(client: Client, thread: Thread):
    answer = client.post(thread.get_absolute_url(), {"author": "", "text": "my careful words"})
    assert answer.status_code == 400
    shown = answer.content.decode()
    assert "my careful words" in shown
    assert "&quot;author&quot; is empty." in shown


def test_forms_are_guarded_against_other_sites(thread: Thread):
    client = Client(enforce_csrf_checks=True)
    answer = client.post(thread.get_absolute_url(), {"author": "Ada", "text": "Hello"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/threads/999/", "/comments/999/", "/nowhere/"])
def test_what_is_not_there_is_a_friendly_404(client: Client, path: str):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_a_long_thread_is_shown_in_pages(client: Client, thread: Thread):
    made = Comment.objects.bulk_create(
        Comment(thread=thread, author="Ada", text=f"number {number}.") for number in range(201)
    )
    shown = client.get(thread.get_absolute_url()).content.decode()
    assert "number 0." not in shown
    assert f'href="?before={made[1].pk}"' in shown
    earlier = client.get(thread.get_absolute_url(), {"before": made[1].pk}).content.decode()
    assert "number 0." in earlier
    assert "data-channel" not in earlier, "an earlier page is not live"
    assert client.get(thread.get_absolute_url(), {"before": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one", "<p>one</p>"),
        ("one\ntwo", "<p>one<br>two</p>"),
        ("one\n \n\ntwo", "<p>one</p><p>two</p>"),
        ("<b>&'\"", "<p>&lt;b&gt;&amp;&#x27;&quot;</p>"),
        (
            "see https://example.org/a?b=1&c=2.",
            '<p>see <a href="https://example.org/a?b=1&amp;c=2" rel="nofollow noopener ugc">'
            "https://example.org/a?b=1&amp;c=2</a>.</p>",
        ),
        ("javascript:alert(1)", "<p>javascript:alert(1)</p>"),
        ('https://"onmouseover="x', "<p>https://&quot;onmouseover=&quot;x</p>"),
    ],
)
def test_text_is_shown_as_text(text: str, html: str):
    assert comment_text(text) == html


def test_a_person_has_one_letter_and_one_colour():
    assert (initial("(ada)"), initial("…"), initial("émile")) == ("A", "?", "É")
    assert hue("Ada") == hue("Ada") != hue("Bo")
    assert 0 <= hue("😀 someone") < 360


def test_the_demo_is_loaded_once_and_tells_nobody(capsys: pytest.CaptureFixture[str]):
    call_command("load_demo")
    threads, comments = Thread.objects.count(), Comment.objects.count()
    assert threads == 5
    assert all(3 <= thread.comments.count() <= 12 for thread in Thread.objects.all())
    assert Thread.objects.order_by("id").first() == Thread(id=1)
    call_command("load_demo")
    assert (Thread.objects.count(), Comment.objects.count()) == (threads, comments)
    assert OutboxRow.objects.count() == 0
    # The database counts on from there, or from further on when other tests have made threads.
    assert Thread.objects.create(title="the next").pk > 5

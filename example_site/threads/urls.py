"""Pages and API of the threads."""

from django.urls import path

from example_site.threads import api, views

app_name = "threads"
urlpatterns = [
    path("", views.index, name="index"),
    path("threads/<int:thread_id>/", views.thread, name="thread"),
    path("comments/<int:comment_id>/", views.comment, name="comment"),
    path("api/threads/", api.threads, name="api-threads"),
    path("api/threads/<int:thread_id>/comments/", api.thread_comments, name="api-comments"),
    path("api/comments/<int:comment_id>/", api.comment, name="api-comment"),
]

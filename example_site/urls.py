"""The site is the threads app, and Django's admin for who runs it."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("example_site.threads.urls")),
]
handler404 = "example_site.threads.views.not_found"

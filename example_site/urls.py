"""The site is the threads app."""

from django.urls import include, path

urlpatterns = [path("", include("example_site.threads.urls"))]
handler404 = "example_site.threads.views.not_found"

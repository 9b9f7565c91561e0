"""The example site's settings, with an app of models for the tests."""

from example_site.settings import *  # noqa: F403
from example_site.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "tests.archive"]

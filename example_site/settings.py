"""Settings of the example site, all of them from the environment.

STATE_DIR          folder of the database and the development key, default `.run` in the checkout
DATABASE_URL       default `sqlite:///<STATE_DIR>/data/site.sqlite3`; `postgres://...` works as well
SITE_SECRET_KEY    Django's SECRET_KEY; without it a development key is drawn into STATE_DIR
SITE_HOSTS         host names the site answers to, separated by spaces
SITE_DEBUG         `1` shows Django's debug pages
PUSHGATE_*         where Redis is; see PUSHGATE below
PUSHGATE_MODE      `outbox`, or `on_commit`: one query less a save, and events can be lost
PUSHGATE_RETENTION_SECONDS: how long a relayed outbox row is kept, default 3600
GATEWAY_URL        what browsers connect to for the stream
SITE_RECEIPTS      share of browsers that say what they painted; needs PUSHGATE_RECEIPTS=on
"""

import os
import secrets
from pathlib import Path
from typing import Any

import dj_database_url

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = Path(os.environ.get("STATE_DIR") or ROOT / ".run").resolve()


def development_key(path: Path) -> str:
    """Return the key kept in `path`, drawing it first where there is none.

    It signs the demo's form tokens on one machine. A real site sets SITE_SECRET_KEY.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            # A hard link never replaces: of several processes that start at once, one wins.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def database() -> dict[str, Any]:
    """Return the default database, with SQLite set up for readers beside one writer."""
    path = STATE_DIR / "data" / "site.sqlite3"
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{path}"
    config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60))
    if config["ENGINE"] == "django.db.backends.sqlite3":
        path.parent.mkdir(parents=True, exist_ok=True)
        config["OPTIONS"] = {
            # A transaction that begins as a reader cannot become a writer while another one
            # writes; taking the write lock at BEGIN makes it wait instead of fail.
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    else:
        config["CONN_HEALTH_CHECKS"] = True
    return config


DEBUG = os.environ.get("SITE_DEBUG") == "1"
SECRET_KEY = os.environ.get("SITE_SECRET_KEY") or development_key(STATE_DIR / "development.key")
ALLOWED_HOSTS = (os.environ.get("SITE_HOSTS") or "localhost 127.0.0.1 [::1]").split()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_hooks",
    "example_site.threads",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "example_site.urls"
WSGI_APPLICATION = "example_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
# Served from the apps' own folders: a demo needs no collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 60

# A comment of 64 KB can be six times as long while its letters are written as JSON escapes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024

PUSHGATE = {
    "REDIS_URL": os.environ.get("PUSHGATE_REDIS_URL") or "redis://127.0.0.1:6379/0",
    "NAMESPACE": os.environ.get("PUSHGATE_NAMESPACE") or "pushgate",
    "PARTITIONS": int(os.environ.get("PUSHGATE_PARTITIONS") or 8),
    "GATEWAY_URL": os.environ.get("GATEWAY_URL") or "http://127.0.0.1:8080",
    "MODE": os.environ.get("PUSHGATE_MODE") or "outbox",
    "RETENTION_SECONDS": int(os.environ.get("PUSHGATE_RETENTION_SECONDS") or 3600),
    "RECEIPTS": float(os.environ.get("SITE_RECEIPTS") or 0),
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}

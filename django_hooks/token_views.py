"""Where a page that stays open for long renews its token:

path("pushgate/token/", django_hooks.token_views.renew, name="pushgate-token")
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from django_hooks.middleware import ask_for_cookie
from django_hooks.token_settings import token_settings


@never_cache
@require_GET
def renew(request: HttpRequest) -> HttpResponse:
    """Give a signed-in user a new cookie; 401 for nobody.

    It answers `{"valid_seconds": 300}` and never the token itself, which no script is to see.
    """
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Sign in first."}, status=401)
    ask_for_cookie(request)
    return JsonResponse({"valid_seconds": token_settings().token_seconds})

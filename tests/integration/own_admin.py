"""The addresses of a site that has an AdminSite of its own beside Django's."""

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.urls import path

from django_hooks.admin import ControlPanelAdmin
from django_hooks.models import ControlPanel

staff = AdminSite("staff")
staff.site_header = "Staff only"
staff.register(ControlPanel, ControlPanelAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("staff/", staff.urls)]

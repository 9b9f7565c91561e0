"""The control panel's permissions, and a group for each."""

from typing import Any

from django.apps import apps as installed
from django.db import migrations, models, router

GROUPS = {
    "Pushgate viewers": ("view_controlpanel",),
    "Pushgate operators": ("view_controlpanel", "operate_controlpanel"),
}
NAMES = {
    "view_controlpanel": "Can view control panel",
    "operate_controlpanel": "Can operate control panel",
}


def create_groups(apps: Any, schema_editor: Any) -> None:
    """Create the groups with their permissions, which Django itself would make only afterwards."""
    alias = schema_editor.connection.alias
    if not installed.is_installed("django.contrib.auth"):
        return
    group_model = apps.get_model("auth", "Group")
    if not router.allow_migrate_model(alias, group_model):
        return
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(alias)
        .get_or_create(app_label="django_hooks", model="controlpanel")
    )
    permissions = {
        codename: apps.get_model("auth", "Permission")
        .objects.using(alias)
        .get_or_create(content_type=content_type, codename=codename, defaults={"name": name})[0]
        for codename, name in NAMES.items()
    }
    for name, codenames in GROUPS.items():
        group, _ = group_model.objects.using(alias).get_or_create(name=name)
        group.permissions.add(*(permissions[codename] for codename in codenames))


class Migration(migrations.Migration):
    dependencies = [("django_hooks", "0002_outbox_refused_index")]
    if installed.is_installed("django.contrib.auth"):
        dependencies += [
            ("auth", "0012_alter_user_first_name_max_length"),
            ("contenttypes", "0002_remove_content_type_name"),
        ]

    operations = [
        migrations.CreateModel(
            name="ControlPanel",
            fields=[
                (
                    "part",
                    models.CharField(max_length=200, primary_key=True, serialize=False),
                ),
            ],
            options={
                "verbose_name": "control panel",
                "verbose_name_plural": "control panel",
                "managed": False,
                "default_permissions": ("view", "operate"),
            },
        ),
        # Undone, the groups stay: by then they are the site's.
        migrations.RunPython(create_groups, migrations.RunPython.noop),
    ]

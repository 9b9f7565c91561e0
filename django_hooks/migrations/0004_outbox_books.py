from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_hooks", "0003_control_panel")]

    operations = [
        migrations.AddField(
            model_name="outboxidentity",
            name="purged",
            field=models.BigIntegerField(default=0, help_text="Rows deleted once relayed."),
        ),
        migrations.AddField(
            model_name="outboxidentity",
            name="purged_until",
            field=models.BigIntegerField(default=0, help_text="The highest id among them."),
        ),
    ]

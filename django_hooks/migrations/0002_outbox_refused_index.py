from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_hooks", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="outboxrow",
            index=models.Index(
                condition=models.Q(("refused", ""), _negated=True),
                fields=["id"],
                name="outbox_refused",
            ),
        ),
    ]

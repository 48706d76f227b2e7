import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-tests")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_of_ours.urls"

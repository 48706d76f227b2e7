"""Detection of a project's kind from its files."""

from __future__ import annotations

import pytest

from container_pipeline.plan.detect import detect, python_version
from unit.table import table

FLASK = "from flask import Flask\napp = Flask(__name__)\n"


def test_a_folder_without_python_is_no_project():
    assert detect({"README.md": "hello"}, "3.12") is None


def test_unused_requirements_alone_are_not_a_project():
    assert detect({"requirements.txt": "flask==3.0.0\n"}, "3.12") is None


@table(
    ("files", "command"),
    [
        ({"app.py": FLASK}, ("gunicorn", "--preload", "--bind=0.0.0.0:PORT", "--access-logfile=-", "app:app")),
        (
            {"src/shop/web.py": FLASK},
            ("gunicorn", "--preload", "--bind=0.0.0.0:PORT", "--access-logfile=-", "shop.web:app"),
        ),
        (
            {"app.py": FLASK, "requirements.txt": "flask==3.1.0\nwaitress==3.0.2\n"},
            ("waitress-serve", "--listen=0.0.0.0:PORT", "app:app"),
        ),
        (
            {"main.py": "import fastapi\nservice = fastapi.FastAPI()\n"},
            ("uvicorn", "--host=0.0.0.0", "--port=PORT", "main:service"),
        ),
        (
            {"api/main.py": "from fastapi import FastAPI\ndef create_app():\n    return FastAPI()\n"},
            ("uvicorn", "--host=0.0.0.0", "--port=PORT", "--factory", "api.main:create_app"),
        ),
        (
            {"manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.prod")'},
            ("gunicorn", "--preload", "--bind=0.0.0.0:PORT", "--access-logfile=-", "shop.wsgi:application"),
        ),
        ({"bot.py": 'if __name__ == "__main__":\n    pass\n'}, ("python", "bot.py")),
        ({"worker/__main__.py": "print(1)\n", "worker/__init__.py": ""}, ("python", "-m", "worker")),
    ],
)
def test_how_it_is_started(files, command):
    shape = detect(files, "3.12")
    assert shape is not None
    assert shape.command == command


def test_a_program_with_its_own_server_runs_unchanged():
    text = FLASK + 'if __name__ == "__main__":\n    serve(app, port=5050)\n'
    shape = detect({"app.py": text}, "3.12")
    assert shape is not None
    assert (shape.command, shape.port, shape.adds) == (("python", "app.py"), 5050, ())


def test_flasks_development_server_is_replaced():
    text = FLASK + 'if __name__ == "__main__":\n    app.run(port=5050)\n'
    shape = detect({"app.py": text}, "3.12")
    assert shape is not None
    assert shape.command[0] == "gunicorn"


def test_a_worker_without_a_port_listens_nowhere():
    shape = detect({"worker.py": "import time\nif __name__ == '__main__':\n    time.sleep(1)\n"}, "3.12")
    assert shape is not None
    assert shape.port == 0


def test_an_existing_dockerfile_determines_the_port():
    shape = detect({"app.py": FLASK, "Dockerfile": "FROM python:3.12\nEXPOSE 9000/tcp\n"}, "3.12")
    assert shape is not None
    assert shape.port == 9000


@table(
    ("files", "manager", "listed"),
    [
        ({"requirements.txt": "-r more.txt\n", "more.txt": "flask==3\n"}, "pip", ("requirements.txt", "more.txt")),
        (
            {"requirements/prod.txt": "-r base.txt\n", "requirements/base.txt": "flask==3\n"},
            "pip",
            ("requirements/prod.txt", "requirements/base.txt"),
        ),
        ({"pyproject.toml": "[project]\nname='x'\n", "uv.lock": ""}, "uv", ("pyproject.toml", "uv.lock")),
        ({"pyproject.toml": "[tool.poetry]\n", "poetry.lock": ""}, "poetry", ("pyproject.toml", "poetry.lock")),
        ({"Pipfile": "", "Pipfile.lock": "{}"}, "pipenv", ("Pipfile", "Pipfile.lock")),
        ({"pyproject.toml": "[project]\nname='x'\n"}, "project", ("pyproject.toml",)),
        ({"pyproject.toml": "[tool.ruff]\n"}, "none", ()),
    ],
)
def test_where_dependencies_come_from(files, manager, listed):
    shape = detect({**files, "app.py": FLASK}, "3.12")
    assert shape is not None
    assert (shape.manager, shape.listed) == (manager, listed)


@table(
    ("files", "expected"),
    [
        ({}, "3.12"),
        ({".python-version": "3.10.4\n"}, "3.10"),
        ({"runtime.txt": "python-3.9.1"}, "3.9"),
        ({"pyproject.toml": 'requires-python = ">=3.9"'}, "3.12"),
        ({"pyproject.toml": 'requires-python = ">=3.13"'}, "3.13"),
        ({"pyproject.toml": 'requires-python = ">=3.9,<3.12"'}, "3.9"),
        ({"pyproject.toml": 'python = "^3.11"'}, "3.12"),
        ({"pyproject.toml": 'requires-python = "==3.11.*"'}, "3.11"),
        ({"Pipfile": 'python_version = "3.8"'}, "3.8"),
    ],
)
def test_the_python_that_it_asks_for(files, expected):
    assert python_version(files, "3.12") == expected


@pytest.mark.parametrize(("line", "compiles"), [("psycopg2==2.9.9", True), ("psycopg2-binary==2.9.9", False)])
def test_dependencies_that_need_compiling_get_a_compiler_image(line, compiles):
    shape = detect({"app.py": FLASK, "requirements.txt": line + "\n"}, "3.12")
    assert shape is not None
    assert shape.compiles is compiles

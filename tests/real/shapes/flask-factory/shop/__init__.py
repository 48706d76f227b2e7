from flask import Flask


def create_app():
    app = Flask(__name__)

    @app.get("/")
    def about():
        return {"shape": "flask-factory"}

    return app

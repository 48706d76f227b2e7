from flask import Flask

app = Flask(__name__)


@app.get("/")
def about():
    return {"shape": "flask-requirements"}

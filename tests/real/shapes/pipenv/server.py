from bottle import get, run


@get("/")
def about():
    return {"shape": "pipenv"}


if __name__ == "__main__":
    run(host="0.0.0.0", port=8081)

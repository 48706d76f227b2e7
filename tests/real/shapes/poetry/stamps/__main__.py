from bottle import route, run


@route("/")
def about():
    return {"shape": "poetry"}


run(host="0.0.0.0", port=8000)

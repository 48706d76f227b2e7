from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def about():
    return {"shape": "fastapi"}

"""A client of the server, with nothing but the standard library: `python client.py`."""

import json
import os
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SERVER = os.environ.get("SERVER", "http://localhost:8000")
TOKEN = os.environ.get("KERAS_S2S_TOKEN")


def post(path, body):
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = f"Bearer {TOKEN}"
    while True:
        try:
            return urlopen(Request(SERVER + path, json.dumps(body).encode(), headers))
        except HTTPError as error:
            if error.code != 429:
                raise RuntimeError(json.load(error)["error"]) from error
            time.sleep(int(error.headers["Retry-After"]))


def generate(texts, **options):
    """The best output for each text."""
    with post("/v1/generate", {"text": texts, **options}) as response:
        return [result["hypotheses"][0]["text"] for result in json.load(response)["results"]]


def stream(text, **options):
    """What is written so far, again and again, and at last the whole."""
    with post("/v1/generate", {"text": text, "stream": True, **options}) as response:
        for line in response:
            if line.startswith(b"event: "):
                event = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                data = json.loads(line[6:])
                if event == "error":
                    raise RuntimeError(data["error"])
                if event == "written":
                    yield data["text"]
                elif event == "result":
                    yield data["hypotheses"][0]["text"]


for answer in generate(["5 mars 2013", "March 5th, 2013"], beam_size=4):
    print(answer)
for text in stream("5 mars 2013"):
    print(text)

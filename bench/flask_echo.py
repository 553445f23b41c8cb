"""The sample as people write it in Flask: who answers, from the environment. Measured
beside echo by `bench/echo.py`; nothing else uses it.

    CLUSTER=kops POD_NAME=p flask_echo.py PORT
"""

import logging
import os
import sys

from flask import Flask, request

app = Flask(__name__)
POD, CLUSTER = os.environ["POD_NAME"], os.environ["CLUSTER"]


@app.route("/", defaults={"path": ""})
@app.route("/<path:path>")
def answer(path):
    line = f"[URL: {request.url}] on [pod: {POD}] in [cluster: {CLUSTER}]\n"
    return line, 200, {"Content-Type": "text/plain; charset=utf-8"}


if __name__ == "__main__":
    # No line for each request: the others write none either.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(host="127.0.0.1", port=int(sys.argv[1]))

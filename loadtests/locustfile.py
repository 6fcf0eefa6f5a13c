"""Locust users for the sidecar's OpenAI dialect. See README.md beside this file."""

from __future__ import annotations

import itertools
import os

from locust import FastHttpUser, between, task

from guardrail.testing import drawn_picture

SIZE = os.environ.get("LOADTEST_SIZE", "512x512")
FORMAT = os.environ.get("LOADTEST_FORMAT", "jpeg")
_SUBJECTS = ("a lighthouse at dusk", "a bowl of lemons", "a fox in the snow", "an old harbour", "a paper boat")
_BLOCKED = "a photo of a naked woman on a beach"
_UPLOAD = drawn_picture("upload", size=(512, 512), format="JPEG")
_BOUNDARY = "loadtest-boundary"
_number = itertools.count()


class OpenAIUser(FastHttpUser):
    """Somebody who makes pictures: mostly clean prompts, now and then a refused one, an edit, a moderation call."""

    wait_time = between(0.0, 0.2)

    @task(8)
    def generate(self) -> None:
        prompt = f"{_SUBJECTS[next(_number) % len(_SUBJECTS)]}, version {next(_number) % 40}"
        self._expect("generate", {"prompt": prompt, "size": SIZE, "output_format": FORMAT}, 200)

    @task(1)
    def generate_four(self) -> None:
        self._expect("generate n=4", {"prompt": _SUBJECTS[2], "n": 4, "size": SIZE, "output_format": FORMAT}, 200)

    @task(2)
    def refused(self) -> None:
        self._expect("generate, refused", {"prompt": _BLOCKED}, 400)

    @task(2)
    def moderate(self) -> None:
        with self.client.post(
            "/v1/moderations", json={"input": list(_SUBJECTS)}, name="moderate", catch_response=True
        ) as response:
            if response.status_code != 200 or len(response.json()["results"]) != len(_SUBJECTS):
                response.failure(f"status {response.status_code}")

    @task(1)
    def edit(self) -> None:
        parts = (
            b'--%b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na brighter sky\r\n'
            b'--%b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n%b\r\n--%b--\r\n"
        ) % (_BOUNDARY.encode(), _BOUNDARY.encode(), _UPLOAD, _BOUNDARY.encode())
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        with self.client.post(
            "/v1/images/edits", data=parts, headers=headers, name="edit", catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")

    def _expect(self, name: str, body: dict[str, object], status: int) -> None:
        with self.client.post("/v1/images/generations", json=body, name=name, catch_response=True) as response:
            if response.status_code != status:
                response.failure(f"status {response.status_code}")
            else:
                response.success()

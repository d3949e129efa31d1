"""Answers a form that the outbox of a browser has sent (`static/outbox.js`): by a status and a few words of JSON, not by a page.

A form takes part by `<form data-outbox="SUBJECT">`; the forms of one subject, which is an issue, are sent in their order.
Everything else about it is optional:

- a field `key`, or `?k=` in its action: the idempotency key. Without either the outbox makes one, which counts for itself only.
- `data-title`: what the list of what waits calls it; else the words of the button. Lines after the first, such as where
  somebody lives, are forgotten once it is sent.
- `data-photos="/i/ID/photo"`: where the photos of its file inputs are sent, one by one, after the form itself. Where that is
  also its action, nothing but photos is sent. File inputs have no `name`: a plain form cannot send a picture.
- `data-evidence="FIELD"`: photos are sent first, and their digests, with spaces between, are added to this field.

The outbox asks for `application/json`. It is answered with 200, or 202 for a command that is queued, and `{"to": PATH}`, the
page to show now; with `photos` and `token` too where photos may follow. Errors are the API's (`application/problem+json`):
404, 409, 412, 413 and 422 are final, and shown to whoever wrote; after any other the same is sent again, so nothing is lost.
"""

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from pages.forms import by_script
from pages.shell import onwards


def done(request: Request, to: str, *, queued: bool = False, **more: str) -> Response:
    """The answer to a form that was taken: on to the page `to`, or to the outbox where that is, and what `more` it needs."""
    if not by_script(request):
        return onwards(to)
    return JSONResponse({"to": to, **more}, 202 if queued else 200)

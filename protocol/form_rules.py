"""The rules for every form that comes in: few fields, each once, with text that can be stored."""

from typing import Final
from urllib.parse import parse_qsl

from protocol.errors import Invalid
from protocol.text_rules import unfit
from security.phone_numbers import unmarked
from texts.catalogue import Wrong

_MOST_FIELDS: Final = 40


def fields_in(body: bytes) -> dict[str, str]:
    """The fields of a form in `application/x-www-form-urlencoded`, without spaces around their values. Raises Invalid."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise Invalid(("body", Wrong("unfit"))) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid((name, Wrong("twice")))
        if (wrong := unfit(name) or unfit(unmarked(value) if name == "phone" else value)) is not None:
            raise Invalid((name, wrong))
        found[name] = value.strip()
    return found

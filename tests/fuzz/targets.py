"""The fuzz targets: the decoder of commands, the request's models, the loader of policies, the import of the
directory, the codec of payloads."""

import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from google.protobuf.message import DecodeError
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History
from temporalio.converter import DataConverter

import domain.commands as c
from api.http.middleware import MOST_BYTES, check
from api.http.requests import COMMANDS
from domain.advance import advance
from domain.commands import Undecodable
from domain.directory_csv import DirectoryError, parse
from domain.events import dump_event, load_event
from domain.issue import Issue
from domain.policy import Policy
from domain.wire import canonical, dump, dump_fields, format_time, load
from policies.loader import SHIPPED, PolicyError, load_text
from protocol.errors import Invalid
from security.codec import KEY_ID, MOST_INFLATED, PayloadCodec, encrypted
from security.namespace import NamespaceError, NamespaceKeys
from support.signers import lasting_signer
from tests.domain.casting import BODIES
from tests.domain.play import CASTING, COMPANY, FRIDAY, Stage
from tests.fuzz import mutate, typed
from tests.fuzz.run import Target
from workflows import mailbox
from workflows.mailbox import command_of

ROOT: Final = Path(__file__).resolve().parents[2]
HISTORIES: Final = ROOT / "tests" / "workflows" / "histories"
EXAMPLE: Final = ROOT / "examples" / "directory"
_CONVERTER: Final = DataConverter.default.payload_converter
_JSON: Final = {"encoding": b"json/plain"}

Signal = tuple[str, dict[str, Any]]


def _envelope(name: str, number: int, body: c.Body) -> Signal:
    actor = list(CASTING.values())[number % len(CASTING)]
    grants = [{"role": actor.role, **({"org": actor.org} if actor.org else {}), "by": "token", "compound": "garden"}]
    plain = {"id": f"c-{name}-{number}", "at": format_time(FRIDAY), "actor": dump(actor), "body": dump_fields(body)}
    return name, plain | {"grants": grants} | ({"expected_version": 2} if number % 3 == 0 else {})


def _recorded() -> list[Signal]:
    """Every signal of the golden histories, those of nobody's included."""
    found: list[Signal] = []
    for path in sorted(HISTORIES.glob("*.pb")):
        for event in History.FromString(path.read_bytes()).events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                sent = event.workflow_execution_signaled_event_attributes
                found.append((sent.signal_name, json.loads(sent.input.payloads[0].data)))
    assert found
    return found


SIGNALS: Final[Sequence[Signal]] = [
    *(
        _envelope(name, number, make(FRIDAY))
        for name, makers in BODIES.items()
        for number, make in enumerate(makers)
    ),
    *_recorded(),
]  # fmt: skip
_PLAIN: Final = [plain for _, plain in SIGNALS]


_SIGNER: Final = lasting_signer()
_SIGNED: Final = [(name, _SIGNER.sign(_SIGNER.root, "issue-1", name, plain)) for name, plain in SIGNALS]
_UNDER_SIGNATURE: Final = {
    canonical([name, {key: value for key, value in plain.items() if key != "proof"}]) for name, plain in _SIGNED
}


def _begun() -> Issue:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Arrive("complex"))
    return stage.issue


_ISSUES: Final = (Stage().issue, _begun(), Stage("demo").issue, Stage("dispute", category="dispute").issue)


def _signal(rng: Random) -> tuple[str, bytes, bool]:
    signed = rng.random() < 0.3
    name, plain = rng.choice(_SIGNED if signed else SIGNALS)
    data = mutate.encoded(rng, mutate.tree(rng, plain, _PLAIN))
    if rng.random() < 0.03:
        name = rng.choice((rng.choice(list(c.SIGNALS)), str(mutate.value(rng)), "report", "deadline_passed"))
    return name, data, signed


def _read(payload: Payload) -> dict[str, Any]:
    return _CONVERTER.from_payload(payload, dict[str, Any])


def _take_signal(given: tuple[str, bytes, bool]) -> str:
    """What is decoded is what was written, folds without an error, and is what was signed."""
    name, data, signed = given
    # Where nothing was signed, every proof is taken for a good one: so the decoder behind it is reached.
    with nullcontext() if signed else patch.object(mailbox, "check", lambda *_: None):
        command = command_of(name, [Payload(metadata=_JSON, data=data)], FRIDAY, _read, "issue-1", _SIGNER.root)
    if isinstance(command.body, Undecodable):
        canonical([command.body.signal, command.body.reason]).decode()
    else:
        plain = json.loads(data)
        assert load(type(command.body), dump_fields(command.body)) == command.body
        if signed:
            stated = canonical([name, {key: value for key, value in plain.items() if key != "proof"}])
            assert stated in _UNDER_SIGNATURE, "nobody has signed this"
    for issue in _ISSUES:
        _, events = advance(issue, [command], FRIDAY)
        for event in events:
            assert load_event(json.loads(canonical(dump_event(event)))) == event
    return "undecodable" if isinstance(command.body, Undecodable) else command.name


def _request(rng: Random) -> tuple[str, bytes]:
    name, plain = rng.choice(SIGNALS)
    return name, mutate.encoded(rng, mutate.tree(rng, plain.get("body", {}), _PLAIN))


def _take_request(given: tuple[str, bytes]) -> str:
    """A body that passes is a body of the domain, and can be sent on."""
    name, data = given
    if len(data) > MOST_BYTES or name not in COMMANDS:
        return "too large"
    try:
        check(data, "application/json")
        shape = COMMANDS[name]
        body = shape.read(shape.model.model_validate(json.loads(data) if data.strip() else {}))
    except Invalid:
        return "invalid"
    except ValidationError:
        return "unfit"
    assert load(type(body), json.loads(canonical(dump_fields(body)))) == body
    return "taken"


_PACKS: Final = [path.read_text("utf-8") for path in sorted(SHIPPED.glob("*.toml"))]


def _short(pack: str) -> str:
    """The head of a pack and its first clauses: most of what can be wrong, in a tenth of the time."""
    head, *clauses = pack.split("[[clause]]")
    return "[[clause]]".join([head, *clauses[:3]])


_SHORT: Final = [_short(pack) for pack in _PACKS]
_TOML: Final = (
    '"wd"', '"1s"', '"5sm"', '"2nd"', '"9999999999nd"', '"99999999wd"', '"0s"', "true", "-1", "0", "1e400", "nan", "inf",
    "0x7fffffffffffffffffff", "0x" + "f" * 5000, "9" * 400, "1979-05-27T07:32:00Z", "[]", "{}", '{ within = "5wd" }', "{ times = 99999999999 }",
    '"""\n"""', '["property", "property"]', '["street"]', '"property"', '"issue"', '"led"', '"\\u202e"', '"\\U0010FFFF"',
    '"00:00-24:00"', '"23:59-00:00"', '["1s", "1s"]', '["1wd", "2wd", "3wd"]', "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "'''",
)  # fmt: skip


def _pack(rng: Random) -> str:
    pack = rng.choice(_PACKS if rng.random() < 0.05 else _SHORT)
    match rng.randrange(8):
        case 0:
            return mutate.raw(rng, pack.encode()).decode("utf-8", rng.choice(("replace", "surrogateescape", "ignore")))
        case 1:
            return mutate.rows(rng, pack, '"', ("property", "street", "led", "accepted", "1s", "wd", "accept"))
        case _:
            return mutate.rows(rng, pack, " = ", _TOML)


def _take_pack(given: str) -> str:
    """A pack that is taken survives the wire, and an issue can begin under it."""
    try:
        policy = load_text(given, "pack.toml")
    except PolicyError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.reason for problem in error.problems)
        return "refused"
    assert load(Policy, json.loads(canonical(dump(policy)))) == policy
    stage = Stage(policy)
    stage.give(COMPANY, c.Accept())
    stage.let_pass(60)
    return "taken"


_SMALL: Final[Mapping[str, str]] = {
    "streets.csv": "code,name,division_code\nnorth,北街道,\nsouth,南街道,320602001\n",
    "communities.csv": "code,name,street,division_code\nelm,榆社区,north,\nfir,杉社区,south,\n",
    "grids.csv": "code,name,community\ng1,一网格,elm\n",
    "compounds.csv": "code,name,community,grid,buildings\ngarden,花园,elm,g1,12\nlake,湖畔,fir,,\n",
    "buildings.csv": "compound,code,name\ngarden,1,1幢\n",
    "operators.csv": "code,name,kind\nacme,甲物业,company\nhelpers,志愿者,volunteers\nelm-runs,自管,community\n",
    "departments.csv": "code,name,street\nworks,工务,north\n",
    "contracts.csv": "operator,compound,from,to\nacme,garden,2026-01-01,\n",
    "appointments.csv": "person,role,org,from,to\np1,property,acme,2026-01-01,\ns1,street,north,,\n",
    "bindings.csv": "place,category,policy,from,to\n*,*,12345,,\ngarden,leak,3+3+5,2026-01-01,2027-01-01\n",
}
_WHOLE: Final = {path.name: path.read_text("utf-8") for path in sorted(EXAMPLE.glob("*.csv"))}
_CELLS: Final = tuple(
    sorted(
        {cell for text in (*_SMALL.values(), *_WHOLE.values()) for line in text.split("\n") for cell in line.split(",")}
    )
)
_IDS: Final = ("12345", "3+3+5", "52022", "demo", "dispute")


def _sheets(rng: Random) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = dict(_WHOLE if rng.random() < 0.02 else _SMALL)
    for name in rng.sample(sorted(files), rng.choice((1, 1, 1, 2, 3))):
        text = str(files[name])
        match rng.randrange(8):
            case 0:
                files[name] = mutate.raw(rng, text.encode())
            case 1:
                files[name] = text.replace("\n", rng.choice(("\r", "\r\n", "\u2028", "\n\n"))).replace(
                    ",", rng.choice((",", ";", "\t", ', "'))
                )
            case 2 if rng.random() < 0.2:
                files[rng.choice((name.upper(), name + ".csv", str(mutate.value(rng)), "x.csv"))] = files.pop(name)
            case _:
                files[name] = mutate.rows(rng, text, ",", _CELLS)
    return files


def _take_sheets(given: dict[str, str | bytes]) -> str:
    """A directory that is taken answers for its places."""
    try:
        directory = parse(given, _IDS)
    except DirectoryError as error:
        assert error.problems
        assert all(str(problem).isprintable() for problem in error.problems)
        return "refused"
    for compound in directory.compounds:
        found = directory.place(compound.code, FRIDAY.date())
        assert found is not None
        directory.policy_for(compound.code, "leak", FRIDAY.date())
    return "taken"


_KEYS: Final = NamespaceKeys.new()
_OLD, _MORE = _KEYS.added()
_CODEC: Final = PayloadCodec(_MORE)
_CLEAR: Final = [
    Payload(metadata=_JSON, data=canonical(plain)) for plain in (*_PLAIN[:60], "x" * 20_000, None, {"a": ["漏水"] * 500})
]  # fmt: skip
_OURS: Final = [encrypted(_MORE, payload) for payload in _CLEAR]


@cache
def _bombs() -> list[bytes]:
    """What inflates to more than is allowed. Made when it is asked for: to compress so much takes a second."""
    return [b"\x01" + zlib.compress(bytes(size), 9, -15) for size in (MOST_INFLATED + 1, MOST_INFLATED * 16)]


Hidden = tuple[Payload, bytes | None, bool]
"""A payload, what it may open to (None: nothing), and whether it was made with the key: then it has to."""


def _payload(rng: Random) -> Hidden:
    """One of ours with bytes altered, or hostile bytes that a holder of the key has encrypted, or neither."""
    number = rng.randrange(len(_OURS))
    payload, clear = Payload(), _CLEAR[number].SerializeToString(deterministic=True)
    payload.CopyFrom(_OURS[number])
    match rng.randrange(6):
        case 0:
            plain = mutate.raw(rng, rng.choice(_CLEAR).SerializeToString())
            kind = rng.choice((b"\x00", b"\x01", b"\x02", b""))
            return _sealed(payload, kind + plain)
        case 1:
            return _sealed(
                payload, b"\x01" + mutate.raw(rng, zlib.compress(rng.choice(_CLEAR).SerializeToString(), 1, -15))
            )
        case 2 if rng.random() < 0.02:
            return _sealed(payload, rng.choice(_bombs()))
        case 3:
            name = rng.choice((KEY_ID, "encoding", str(mutate.value(rng)).encode("utf-8", "replace").decode()))
            payload.metadata[name] = mutate.raw(rng, payload.metadata.get(name, b""))
        case 4:
            payload.CopyFrom(rng.choice(_CLEAR))
            payload.data = mutate.raw(rng, payload.data)
            clear = None
        case _:
            payload.data = mutate.raw(rng, payload.data)
    return payload, clear, False


def _sealed(payload: Payload, body: bytes) -> Hidden:
    """The payload with a body made with the key, and what that stands for."""
    name, nonce = payload.metadata[KEY_ID], payload.data[:12]
    payload.data = nonce + _MORE.ciphers[name.decode()].encrypt(nonce, body, b"jiesu/1/payload" + name)
    try:
        plain = {b"\x00": bytes, b"\x01": _inflated}[body[:1]](body[1:])
        return payload, Payload.FromString(plain).SerializeToString(deterministic=True), True
    except (KeyError, ValueError, zlib.error, DecodeError):
        return payload, None, True


def _inflated(data: bytes) -> bytes:
    plain = zlib.decompress(data, -15)
    if len(plain) > MOST_INFLATED:
        raise ValueError
    return plain


def _take_payload(given: Hidden) -> str:
    """What was sealed is opened; what cannot be stays as it is, or waits for its key. Nothing becomes anything else."""
    payload, clear, is_sealed = given
    before = payload.SerializeToString(deterministic=True)
    try:
        _CODEC.decode([payload]).send(None)
    except StopIteration as done:
        (found,) = done.value
    except NamespaceError:
        assert not is_sealed, "the key is here"
        return "unknown key"
    after = found.SerializeToString(deterministic=True)
    if is_sealed:
        assert after == (before if clear is None else clear), "it is not what was sealed"
    else:
        assert after in (before, clear), "it was made up"
    return "as it was" if after == before else "opened"


TARGETS: Final = {
    target.name: target
    for target in (
        Target("commands", _signal, _take_signal),
        Target("requests", _request, _take_request),
        Target("policies", _pack, _take_pack),
        Target("directory", _sheets, _take_sheets),
        Target("payloads", _payload, _take_payload),
        *typed.TARGETS,
    )
}
SHARES: Final = {
    "commands": 300_000, "requests": 250_000, "policies": 80_000, "directory": 180_000, "payloads": 250_000,
    **typed.SHARES,
}  # fmt: skip
"""Inputs of each in one run of `make fuzz`: together more than a million."""

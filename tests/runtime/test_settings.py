"""Settings are checked whole, each fault is one line, and secrets are made once and never shown."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from runtime.settings import RATES, Settings, SettingsError, load_settings
from security.opening import prepare_keys


@pytest.fixture(autouse=True)
def no_jiesu_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("JIESU_"):
            monkeypatch.delenv(name)


def fault() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def test_defaults_are_the_embedded_ones() -> None:
    settings = load_settings()
    assert settings.home == Path(__file__).resolve().parents[2] / ".jiesu"
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8000)
    assert (settings.temporal_port, settings.temporal_ui_port) == (7233, 8233)
    assert settings.address == "127.0.0.1:7233"
    assert settings.database == f"sqlite+aiosqlite:///{settings.home}/jiesu.db"
    assert settings.embedded_temporal
    assert settings.embedded_database
    assert settings.accepts_local_tokens


def test_unknown_variables_are_named_and_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_API_PROT", "8001")
    monkeypatch.setenv("JIESU_ZZZ", "1")
    monkeypatch.setenv("JIESU_TEST_PG_URL", "postgresql://elsewhere/db")
    message = fault()
    assert "JIESU_API_PROT (did you mean JIESU_API_PORT?)" in message
    assert "JIESU_ZZZ" in message
    assert "JIESU_TEST_PG_URL" not in message


@pytest.mark.parametrize("name", ["Jiesu_Hom", "jiesu_secrets", "jiesu_api_port"])
def test_variables_in_other_case_are_named_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert name in fault()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JIESU_API_PORT", "eighty"),
        ("JIESU_API_PORT", "0"),
        ("JIESU_TEMPORAL_PORT", "65536"),
        ("JIESU_TEMPORAL_ADDRESS", "temporal"),
        ("JIESU_TEMPORAL_ADDRESS", "temporal:"),
        ("JIESU_TEMPORAL_ADDRESS", "temporal:70000"),
        ("JIESU_LOG_LEVEL", "loud"),
        ("JIESU_DATABASE_URL", "mysql://u:canary@h/d"),
        ("JIESU_DATABASE_URL", "canary"),
        ("JIESU_SECRET", "canary"),
        ("JIESU_API_HOST", "canary host"),
        ("JIESU_API_HOST", "canary\udcff"),
        ("JIESU_RATE_PER_SUBJECT", "-1"),
        ("JIESU_RATES", "canary=1/hour"),
        ("JIESU_RATES", "reveal=canary"),
        ("JIESU_RATES", "reveal=0/hour"),
        ("JIESU_ACCESS_DAYS", "182"),
        ("JIESU_LOCAL_TOKENS", "perhaps"),
        ("JIESU_ARCHIVE", "gs://canary/x"),
        ("JIESU_ARCHIVE", "/somewhere/with?canary"),
        ("JIESU_HEADS", "/somewhere/with#canary"),
        ("JIESU_PUBLIC_URL", "http://canary.example.org"),
        ("JIESU_PUBLIC_URL", "https://canary.example.org/path"),
        ("JIESU_PUBLIC_URL", "https://canary@example.org"),
        ("JIESU_EMBEDDED_PROVIDER", "perhaps"),
        ("JIESU_HEAD_RECIPIENTS", "demo-street, canary street"),
        ("JIESU_CODEC_ORIGINS", "https://canary.example/path"),
        ("JIESU_CODEC_ORIGINS", "*"),
        ("JIESU_KEY_STORE", "mysql://u:canary@h/d"),
        ("JIESU_ATTACHMENTS", "gs://canary/x"),
        ("JIESU_SIGNING_KEYS", "/somewhere/with?canary"),
        ("JIESU_OUTGOING_HOSTS", "https://canary.example"),
        ("JIESU_HOME", "/somewhere/with?question"),
        ("JIESU_HOME", "/somewhere/with\nnewline"),
    ],
)
def test_an_unusable_value_names_its_variable_and_not_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    message = fault()
    assert message.startswith(f"{name}: ")
    assert "canary" not in message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("JIESU_API_PORT", "eighty", "must be a whole number"),
        ("JIESU_API_PORT", "0", "must be 1 or more"),
        ("JIESU_API_PORT", "65536", "must be 65535 or less"),
        ("JIESU_LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("JIESU_LOCAL_TOKENS", "perhaps", "must be true or false"),
    ],
)
def test_a_fault_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    assert fault() == f"{name}: {said}"


@pytest.mark.parametrize("user", ["jiesu_keys:canary@", "jiesu:x@", ""])
@pytest.mark.parametrize("query", ["", "?sslmode=require"])
def test_keys_never_lie_in_the_read_model(monkeypatch: pytest.MonkeyPatch, user: str, query: str) -> None:
    monkeypatch.setenv("JIESU_DATABASE_URL", "postgresql://jiesu:x@db:5432/jiesu")
    monkeypatch.setenv("JIESU_KEY_STORE", f"postgres://{user}db:5432/jiesu{query}")
    assert fault() == "JIESU_KEY_STORE must be another database than JIESU_DATABASE_URL"
    monkeypatch.setenv("JIESU_KEY_STORE", f"postgres://{user}db:5432/jiesu_keys{query}")
    assert load_settings().key_store_url == f"postgresql+psycopg://{user}db:5432/jiesu_keys{query}"
    monkeypatch.delenv("JIESU_DATABASE_URL")
    monkeypatch.setenv("JIESU_KEY_STORE", f"sqlite:///{load_settings().home}/jiesu.db")
    assert "must be another database" in fault()


def test_two_faults_are_both_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_API_PORT", "x")
    monkeypatch.setenv("JIESU_METRICS_PORT", "y")
    message = fault()
    assert "JIESU_API_PORT: " in message
    assert "JIESU_METRICS_PORT: " in message


def test_the_same_port_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_API_PORT", "7233")
    assert fault() == "JIESU_API_PORT and JIESU_TEMPORAL_PORT are both 7233"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_DATABASE_URL", "")
    monkeypatch.setenv("JIESU_API_PORT", "")
    assert load_settings().embedded_database
    assert load_settings().api_port == 8000


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_gets_its_driver(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("JIESU_DATABASE_URL", f"{scheme}://u:p@h/d")
    settings = load_settings()
    assert settings.database == "postgresql+psycopg://u:p@h/d"
    assert not settings.accepts_local_tokens
    monkeypatch.setenv("JIESU_LOCAL_TOKENS", "true")
    assert load_settings().accepts_local_tokens


def test_local_tokens_are_not_accepted_beside_a_temporal_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_TEMPORAL_ADDRESS", "temporal:7233")
    settings = load_settings()
    assert settings.address == "temporal:7233"
    assert not settings.accepts_local_tokens


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"OIDC_ISSUER": "http://id.canary.org"}, "JIESU_OIDC_ISSUER must begin with https://"),
        ({"OIDC_ISSUER": "http://127.0.0.1.canary.org"}, "JIESU_OIDC_ISSUER must begin with https://"),
        (
            {"OIDC_ISSUER": "http://127.0.0.1:1", "TEMPORAL_ADDRESS": "temporal:7233"},
            "JIESU_OIDC_ISSUER must begin with https://",
        ),
        ({"OIDC_ISSUER": "https://canary", "LOCAL_TOKENS": "true"}, "JIESU_LOCAL_TOKENS and JIESU_OIDC_ISSUER exclude"),
        ({"OIDC_ISSUER": "https://canary", "OIDC_CLIENT_ID": "pages"}, "JIESU_OIDC_CLIENT_ID needs"),
        ({"PUBLIC_URL": "https://canary", "OIDC_CLIENT_ID": "pages"}, "JIESU_OIDC_CLIENT_ID needs"),
    ],
)
def test_a_way_to_sign_in_that_cannot_be_meant_is_refused(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(f"JIESU_{name}", value)
    message = fault()
    assert message.startswith(said)
    assert "canary" not in message


def test_ui_origins_default_to_the_embedded_temporal_ui(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().ui_origins == ("http://127.0.0.1:8233",)
    monkeypatch.setenv("JIESU_TEMPORAL_ADDRESS", "temporal:7233")
    assert load_settings().ui_origins == ()
    monkeypatch.setenv("JIESU_CODEC_ORIGINS", "https://temporal.example, http://ops.example:8080")
    assert load_settings().ui_origins == ("https://temporal.example", "http://ops.example:8080")


def test_an_identity_provider_takes_the_place_of_local_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().offers_provider
    monkeypatch.setenv("JIESU_OIDC_ISSUER", "https://id.example.org")
    settings = load_settings()
    assert settings.oidc_audience == "jiesu"
    assert not settings.accepts_local_tokens
    assert not settings.offers_provider


def test_id_tokens_are_for_the_client_and_never_for_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_OIDC_ISSUER", "https://id.example.org")
    monkeypatch.setenv("JIESU_PUBLIC_URL", "https://jiesu.example.org")
    monkeypatch.setenv("JIESU_OIDC_CLIENT_ID", "jiesu")
    with pytest.raises(SettingsError, match="JIESU_OIDC_AUDIENCE and JIESU_OIDC_CLIENT_ID must differ"):
        load_settings()
    monkeypatch.setenv("JIESU_OIDC_AUDIENCE", "jiesu-api")
    assert load_settings().oidc_client_id == "jiesu"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_DATABASE_URL", "postgresql://u:canary@h/d")
    monkeypatch.setenv("JIESU_SECRET", "canary" * 8)
    monkeypatch.setenv("JIESU_OIDC_CLIENT_SECRET", "canary")
    settings = load_settings()
    assert "canary" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = Settings(
        home=tmp_path,
        api_port=1234,
        metrics_port=4321,
        secret=SecretStr("s" * 40),
        local_tokens=False,
        archive="s3://bucket/prefix",
        heads=tmp_path / "elsewhere",
        head_recipients="demo-street,demo-community",
        seal_keys=tmp_path / "seal",
        ready_needs_worker=True,
        oidc_issuer="https://id.example.org",
        oidc_client_id="pages",
        oidc_client_secret=SecretStr("c" * 8),
        public_url="https://jiesu.example.org",
        embedded_provider=False,
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_archive_heads_and_keys_are_in_the_home_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JIESU_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.archive_url == (tmp_path / "archive").as_uri()
    assert settings.heads_folder == tmp_path / "heads"
    assert settings.seal_keys_folder == tmp_path / "keys" / "seal"
    assert settings.recipients == ()
    monkeypatch.setenv("JIESU_ARCHIVE", str(tmp_path / "a b"))
    monkeypatch.setenv("JIESU_HEADS", str(tmp_path / "h"))
    monkeypatch.setenv("JIESU_HEAD_RECIPIENTS", "demo-street, demo-community,demo-street")
    settings = load_settings()
    assert settings.archive_url == (tmp_path / "a b").as_uri()
    assert settings.heads_folder == tmp_path / "h"
    assert settings.recipients == ("demo-street", "demo-community")
    monkeypatch.setenv("JIESU_ARCHIVE", "s3://bucket/prefix")
    assert load_settings().archive_url == "s3://bucket/prefix"


async def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    await prepare_keys(settings, has_issues=False)
    first = settings.server_secret()
    assert len(first) >= 32
    await prepare_keys(settings, has_issues=False)
    assert Settings(home=tmp_path).server_secret() == first
    path = tmp_path / "keys" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_given_secret_is_used_and_a_shared_database_demands_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JIESU_HOME", str(tmp_path))
    monkeypatch.setenv("JIESU_DATABASE_URL", "postgresql://h/d")
    with pytest.raises(SettingsError, match="JIESU_SECRET"):
        load_settings().server_secret()
    monkeypatch.setenv("JIESU_SECRET", "s" * 32)
    assert load_settings().server_secret() == b"s" * 32
    assert not (tmp_path / "keys").exists()


def test_rates_are_changed_one_by_one_or_all_taken_away() -> None:
    told = Settings(rates="reveal=5/hour, command=off").rates_by_name
    assert told == {name: rate for name, rate in {**RATES, "reveal": "5/hour"}.items() if name != "command"}
    assert Settings().rates_by_name == RATES
    assert Settings(rates="off").rates_by_name == {}

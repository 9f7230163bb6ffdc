"""Documentation, JSON schema and code of the event source agree; configuration errors name field and remedy; passwords."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from closedloop_loop.files import FileError
from closedloop_loop.intake import collector, config, credentials, source
from closedloop_loop.intake.authentication import Access, Authenticator, parse
from closedloop_loop.intake.server import NotGzip, TooLarge, inflate
from closedloop_loop.kafka import settings as kafka_settings
from closedloop_loop.kafka import worker_config

PLUGINS = Path(__file__).parents[3] / "extensions" / "eda" / "plugins" / "event_source"
TYPES = {"string": "str", "integer": "int", "boolean": "bool", "array": "list"}


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{name}_plugin", PLUGINS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plugin() -> Any:
    return load("ves")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return config.schema(config.SourceConfig)


def agree(options: dict[str, Any], definition: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Names, types, defaults and what is required."""
    assert set(options) == set(definition["properties"])
    assert {name for name, option in options.items() if option.get("required")} == set(definition.get("required", []))
    for name, option in options.items():
        found = definition["properties"][name]
        kinds = [found, *found.get("anyOf", [])]
        reference = next((kind["$ref"].rpartition("/")[2] for kind in kinds if "$ref" in kind), None)
        if reference is not None:
            assert option["type"] == "dict", name
            agree(option["suboptions"], definitions[reference], definitions)
            continue
        assert option["type"] in {TYPES.get(kind.get("type")) for kind in kinds}, name
        assert option.get("default") == found.get("default"), name


def test_documentation_and_schema_agree(plugin: Any, schema: dict[str, Any]) -> None:
    agree(yaml.safe_load(plugin.DOCUMENTATION)["options"], schema["$defs"]["SourceConfig"], schema["$defs"])


def test_examples_are_accepted_by_schema_and_code(plugin: Any, schema: dict[str, Any]) -> None:
    examples = yaml.safe_load(plugin.EXAMPLES)
    assert examples
    for example in examples:
        arguments = example["closedloop.mobility.ves"]
        jsonschema.Draft202012Validator(schema).validate(arguments)
        assert config.from_arguments(arguments).journal == arguments["journal"]


def test_the_worker_agrees_with_its_documentation_too() -> None:
    plugin, schema = load("ves_kafka"), worker_config.schema()
    agree(yaml.safe_load(plugin.DOCUMENTATION)["options"], schema["$defs"]["WorkerConfig"], schema["$defs"])
    [example] = yaml.safe_load(plugin.EXAMPLES)
    arguments = example["closedloop.mobility.ves_kafka"]
    jsonschema.Draft202012Validator(schema).validate(arguments)
    assert worker_config.from_arguments(arguments).kafka.topic == "ves"


KAFKA = {"servers": ["localhost:9093"], "topic": "ves", "ca": "ca.pem", "username": "u", "password_file": "p"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"operations": "o.db"}, "operations: workers share their journal; give a postgresql"),
        ({"placement": "p"}, "placement needs inventory"),
        ({"kafka": {**KAFKA, "servers": ["localhost"]}}, "kafka.servers"),
        ({"kafka": {**KAFKA, "servers": []}}, "kafka.servers"),
        ({"kafka": {**KAFKA, "topic": "a b"}}, "kafka.topic"),
        ({"kafka": {**KAFKA, "password": "x"}}, "kafka.password"),
        ({"group": ""}, "group"),
        ({"policy": None}, "policy"),
    ],
)
def test_arguments_of_a_worker_are_refused_before_anything_is_read(change: dict[str, Any], told: str) -> None:
    good = {"kafka": KAFKA, "policy": "p.yml", "operations": "postgresql://db/closedloop"}
    assert worker_config.from_arguments(good).group == "closedloop"
    with pytest.raises(FileError, match=told.replace(".", r"\.")):
        worker_config.from_arguments({**good, **change})


def test_an_intake_has_a_journal_or_a_topic(tmp_path: Path) -> None:
    file = tmp_path / "ves.yml"
    for text, told in (
        ("insecure: true\n", "journal, kafka: exactly one"),
        (f"insecure: true\njournal: j\nkafka: {KAFKA}\n", "journal, kafka: exactly one"),
        (f"insecure: true\nrecord: r\nkafka: {KAFKA}\n", "record, kafka"),
    ):
        file.write_text(text)
        with pytest.raises(FileError, match=told):
            config.load(file)
    file.write_text(f"insecure: true\nkafka: {KAFKA}\n")
    found = config.load(file).kafka
    assert found is not None
    assert (found.ca, found.password_file) == (str(tmp_path / "ca.pem"), str(tmp_path / "p"))


def test_the_password_of_a_client_is_read_from_a_file_that_others_may_not_read(tmp_path: Path) -> None:
    settings = kafka_settings.resolve(msgspec.convert(KAFKA, kafka_settings.Kafka), tmp_path)
    write(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----")
    with pytest.raises(FileError, match=r"kafka\.password_file"):
        kafka_settings.check(settings)
    for text, mode, told in (("s3cret\n", 0o644, "mode"), ("\n", 0o600, "empty")):
        write(tmp_path / "p", text, mode)
        with pytest.raises(FileError, match=told) as caught:
            kafka_settings.check(settings)
        assert "s3cret" not in str(caught.value)
    write(tmp_path / "p", "s3cret\n")
    kafka_settings.check(settings)
    assert kafka_settings.read_password(settings) == "s3cret"
    write(tmp_path / "ca.pem", "nothing")
    with pytest.raises(FileError, match=r"kafka\.ca"):
        kafka_settings.check(settings)


SECURE = {"journal": "j.db", "tls": {"certificate": "c", "key": "k"}, "credentials": "p"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"journal": None}, "journal"),
        ({"port": "8443"}, "port"),
        ({"port": 65536}, "port"),
        ({"tls": None}, "tls, insecure: tls is missing"),
        ({"credentials": None}, "credentials, tls.client_ca, insecure: nobody"),
        ({"insecure": 1}, "insecure"),
        ({"tls": {"certificate": "c"}}, "tls.key"),
        ({"tokken": "x"}, "tokken"),
        ({"backlog_events": 0}, "backlog_events"),
        ({"journal": "a\0b"}, "journal"),
        ({"record": object()}, ": record: is no text"),
        ({"operations": "o.db"}, "operations needs policy"),
        ({"inventory": "i.yml", "policy": "p.yml"}, "inventory needs operations"),
        ({"placement": "p", "policy": "p.yml", "operations": "o.db"}, "placement needs inventory"),
    ],
)
def test_arguments_are_refused_before_a_port_opens(change: dict[str, Any], told: str, schema: dict[str, Any]) -> None:
    arguments = {**SECURE, **change}
    with pytest.raises(FileError, match=told.replace(".", r"\.")):
        asyncio.run(source.run(asyncio.Queue(), arguments))


def test_without_certificate_and_password_it_runs_only_when_told_so() -> None:
    assert config.from_arguments({"journal": "j", "insecure": True}).tls is None
    with pytest.raises(FileError, match="certificate"):
        config.from_arguments({"journal": "j"})
    assert config.from_arguments({"journal": "j", "tls": {"certificate": "c", "key": "k", "client_ca": "a"}}).credentials is None


def test_feedback_needs_a_rulebook_that_gives_it() -> None:
    with pytest.raises(FileError, match="feedback"):
        asyncio.run(source.run(asyncio.Queue(), {**SECURE, "feedback": True}))


def test_paths_are_relative_to_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "ves.yml"
    file.write_text("journal: a/j.db\ntls: {certificate: c.pem, key: /k.pem}\ncredentials: p\nlog_level: debug\n")
    found = config.load(file)
    assert found.journal == str(tmp_path / "a/j.db")
    assert found.tls is not None
    assert (found.tls.certificate, found.tls.key) == (str(tmp_path / "c.pem"), "/k.pem")
    with pytest.raises(FileError, match=r"c\.pem|credentials"):
        collector.check(found)


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_credentials(tmp_path: Path) -> None:
    line = credentials.line("ha-b", b"secret")
    assert "secret" not in line
    [(name, known)] = credentials.load(write(tmp_path / "a", f"# senders\n\n{line}\n")).items()
    assert name == "ha-b"
    assert known.matches(b"secret")
    assert not known.matches(b"Secret")
    for text, mode, told in (
        (line, 0o644, "mode"),
        ("", 0o600, "nobody"),
        (f"{line}\n{line}", 0o600, "line 2"),
        ("ha-b:secret", 0o600, "line 1"),
        (line.replace(":16384:", ":131073:"), 0o600, "line 1"),
    ):
        with pytest.raises(FileError, match=told):
            credentials.load(write(tmp_path / "b", text, mode))
    with pytest.raises(FileError, match="No such file"):
        credentials.load(tmp_path / "none")
    with pytest.raises(ValueError, match="colon"):
        credentials.line("a:b", b"x")


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def test_a_password_is_hashed_once_and_guesses_are_few_at_a_time() -> None:
    access = Authenticator({"ha-b": credentials.hash_password(b"secret")})
    try:
        assert await asyncio.gather(*(access.check(basic("ha-b", "secret")) for _ in range(50))) == [Access.GRANTED] * 50
        assert access.verified == 1
        for _ in range(3):
            assert await access.check(basic("ha-b", "wrong")) is Access.DENIED
        assert access.verified == 2
        guesses = await asyncio.gather(*(access.check(basic("nobody", str(number))) for number in range(40)))
        assert set(guesses) == {Access.DENIED, Access.BUSY}
        assert await access.check(basic("ha-b", "secret")) is Access.GRANTED
        for header in (None, "", "Basic", "Basic !", "Bearer x", basic("ha-b", "x" * 2000)):
            assert await access.check(header) is Access.DENIED
    finally:
        access.close()
    assert parse("basic  YTpiOmM=") == ("a", b"b:c")


def test_gzip_is_undone_within_the_limit_only() -> None:
    import gzip

    assert inflate(gzip.compress(b"x" * 100), 100) == b"x" * 100
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"x" * 101), 100)
    for body in (b"", b"x", gzip.compress(b"x")[:-1], gzip.compress(b"x") + b"y", gzip.compress(b"x") * 2):
        with pytest.raises(NotGzip):
            inflate(body, 100)


def test_a_journal_of_operations_in_a_database_is_no_path() -> None:
    found = config.from_arguments({**SECURE, "policy": "p.yml", "operations": "postgresql://db/closedloop"})
    assert found.operations == "postgresql://db/closedloop"
    assert Path(str(config.from_arguments({**SECURE, "policy": "p.yml", "operations": "o.db"}).operations)).is_absolute()

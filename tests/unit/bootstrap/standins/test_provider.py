import json

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from bootstrap.standins import values
from bootstrap.standins.provider import Provider
from bootstrap.standins.random import KINDS, RandomPassword

from .conftest import Client, Serve


@pytest.fixture
def client(serve: Serve) -> Client:
    return serve(Provider("random", [kind() for kind in KINDS]))


def test_an_unknown_type_is_refused_by_name_with_the_way_out(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.check("RandomPet", {})
    assert "random:index/randomPet:RandomPet is not served" in str(refused.value.details())
    assert "put the official pulumi-resource-random on PATH" in str(refused.value.details())


def test_a_function_is_refused_by_name_with_the_way_out(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.stub.Invoke(pb.InvokeRequest(tok="random:index/get:get"))
    assert "the function random:index/get:get is not served" in str(refused.value.details())


def test_an_unknown_property_is_a_failure_of_that_property(client: Client) -> None:
    failures = client.failures("RandomPassword", {"length": 5, "lenght": 5})
    assert list(failures) == ["lenght"]
    assert "it has keepers, length, lower" in failures["lenght"]


def test_missing_and_wrongly_typed_values_are_failures(client: Client) -> None:
    failures = client.failures("RandomPassword", {"upper": "yes"})
    assert failures["length"].startswith("length is missing")
    assert failures["upper"] == "upper is 'yes', not of type boolean"


def test_unknown_inputs_pass_the_check_and_stay_unknown(client: Client) -> None:
    checked = client.check("RandomPassword", {"length": values.UNKNOWN})
    assert not checked.failures
    assert values.plain(checked.inputs)["length"] is values.UNKNOWN


def test_check_fills_in_defaults_and_keeps_secrets(client: Client) -> None:
    checked = client.check(
        "RandomPassword", {"length": 5, "keepers": {"a": "b"}}, secrets=("keepers",)
    )
    assert values.plain(checked.inputs)["upper"] is True
    assert values.secret_names(checked.inputs) == {"keepers"}


def test_a_preview_makes_nothing_and_answers_unknown_outputs(client: Client) -> None:
    preview = client.create("RandomPassword", {"length": values.UNKNOWN}, preview=True)
    assert preview.id == ""
    outputs = values.plain(preview.properties)
    assert outputs["result"] is values.UNKNOWN
    assert outputs["bcryptHash"] is values.UNKNOWN
    assert outputs["length"] is values.UNKNOWN
    assert values.secret_names(preview.properties) == {"result", "bcryptHash"}


def test_secret_inputs_come_back_secret(client: Client) -> None:
    made = client.create("RandomString", {"length": 5, "keepers": {"a": "b"}}, secrets=("keepers",))
    assert values.secret_names(made.properties) == {"keepers"}


def test_an_engine_without_secrets_gets_plain_values(serve: Serve) -> None:
    client = serve(Provider("random", [RandomPassword()]))
    client.stub.Configure(pb.ConfigureRequest(acceptSecrets=False))
    made = client.create("RandomPassword", {"length": 5})
    assert values.secret_names(made.properties) == set()


def test_configure_declares_secrets_and_previews(client: Client) -> None:
    answer = client.stub.Configure(pb.ConfigureRequest(acceptSecrets=True))
    assert answer.acceptSecrets
    assert answer.supportsPreview
    assert client.stub.Handshake(pb.ProviderHandshakeRequest()).accept_secrets


def test_settings_that_would_be_ignored_are_refused(client: Client) -> None:
    answer = client.stub.CheckConfig(
        pb.CheckRequest(news=values.wire({"version": "1", "proxy": "x"}))
    )
    assert [f.property for f in answer.failures] == ["proxy"]


def test_refresh_keeps_the_state_and_its_secrets(client: Client) -> None:
    made = client.create("RandomPassword", {"length": 5})
    read = client.stub.Read(
        pb.ReadRequest(id="none", urn=client.urn("RandomPassword"), properties=made.properties)
    )
    assert read.id == "none"
    assert read.properties == made.properties


def test_an_import_is_refused_with_the_way_out(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.stub.Read(pb.ReadRequest(id="x", urn=client.urn("RandomPassword")))
    assert "cannot be imported" in str(refused.value.details())


def test_the_version_is_that_of_the_installed_sdk(client: Client) -> None:
    from importlib.metadata import version  # noqa: PLC0415

    assert client.stub.GetPluginInfo(empty_pb2.Empty()).version == version("pulumi-random")


def test_the_schema_lists_every_type_with_its_inputs(client: Client) -> None:
    schema = json.loads(client.stub.GetSchema(pb.GetSchemaRequest()).schema)
    assert len(schema["resources"]) == len(KINDS)
    password = schema["resources"]["random:index/randomPassword:RandomPassword"]
    assert password["requiredInputs"] == ["length"]
    assert password["inputProperties"]["upper"] == {"type": "boolean"}

"""What the forms of `prefect.yaml` are filled with: what a person changed in the UI stays when the deployments are deployed again."""

from typing import Any

from prefect import Flow, get_client
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import ValidationError, validate


async def keep_parameters(entrypoint: str, deployment: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what a deployment's form is to be filled with; a build step of `prefect deploy`.

    Args:
        entrypoint: Of the flow.
        deployment: Its name.
        parameters: That a new deployment gets, and one whose parameters the flow does not take any more.

    Returns:
        Those that the deployment has on the server, where it is there.
    """
    flow: Flow[Any, Any] = load_flow_from_entrypoint(entrypoint)
    async with get_client() as client:
        try:
            kept = (await client.read_deployment_by_name(f"{flow.name}/{deployment}")).parameters
        except ObjectNotFound:
            return parameters
    try:
        validate(kept, parameter_schema(flow).model_dump_for_openapi(), raise_on_error=True, ignore_required=True)
    except ValidationError as error:
        print(f"less-flow: the form of {deployment} is filled anew; it no longer takes what it was filled with: {error}")
        return parameters
    return kept

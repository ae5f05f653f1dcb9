"""The one Kubernetes provider every object of the platform goes through."""

import pulumi
import pulumi_kubernetes as k8s

from infra.model.environment import Environment
from infra.model.settings import KubernetesSettings


def kubernetes_provider(settings: KubernetesSettings, environment: Environment) -> k8s.Provider:
    """The provider for this stack's cluster, or one that writes manifests to a directory.

    `cluster_identifier` is always set: without it a renewed kubeconfig counts as another cluster,
    and Pulumi replaces the provider and with it every object (pulumi-kubernetes issue 4019).
    ConfigMaps and Secrets are updated in place; pods learn of it by their config hash.
    Server-side apply is on, force is off: a conflict with another owner of a field is an error.

    Raises:
        pulumi.RunError: neither the stack file nor the environment names the cluster.
    """
    identifier = settings.cluster_identifier or environment.cluster_id
    if environment.render_dir is not None:
        return k8s.Provider(
            "kubernetes",
            cluster_identifier=identifier or "rendered",
            render_yaml_to_directory=str(environment.render_dir),
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
        )
    if identifier is None:
        raise pulumi.RunError(
            "millrace:kubernetes.clusterIdentifier is not set and neither is MILLRACE_CLUSTER_ID; "
            "name the cluster in the stack file (any name that stays with the cluster for life), "
            'or run `eval "$(make -s env)"` in this shell for the cluster `make up` made'
        )
    return k8s.Provider(
        "kubernetes",
        # The kubeconfig's path comes from KUBECONFIG, so no credential enters the state.
        context=settings.context,
        cluster_identifier=identifier,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        enable_server_side_apply=True,
    )

"""A good resource of each kind, and a way to break one thing in it."""

import copy
from typing import Any

from policies.resources import Resource

POD: dict[str, Any] = {
    "metadata": {
        "labels": {"app.kubernetes.io/name": "web"},
        "annotations": {"millrace.dev/config-hash": "0123"},
    },
    "spec": {
        "serviceAccountName": "web",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "containers": [
            {
                "name": "web",
                "image": "registry:5000/team/web:1.2.3",
                "env": [{"name": "DATABASE_PASSWORD_FILE", "value": "/etc/secret"}],
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "64Mi"},
                    "limits": {"cpu": "1", "memory": "128Mi"},
                },
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    },
}

TYPES = {
    "ConfigMap": "kubernetes:core/v1:ConfigMap",
    "Deployment": "kubernetes:apps/v1:Deployment",
    "HorizontalPodAutoscaler": "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
    "Job": "kubernetes:batch/v1:Job",
    "Namespace": "kubernetes:core/v1:Namespace",
    "PodDisruptionBudget": "kubernetes:policy/v1:PodDisruptionBudget",
    "Service": "kubernetes:core/v1:Service",
    "ServiceAccount": "kubernetes:core/v1:ServiceAccount",
    "StatefulSet": "kubernetes:apps/v1:StatefulSet",
}

_SPECS: dict[str, dict[str, Any]] = {
    "Deployment": {
        "spec": {
            "replicas": 2,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": POD,
        }
    },
    "StatefulSet": {
        "spec": {
            "replicas": 1,
            "template": POD,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Delete",
                "whenScaled": "Delete",
            },
        }
    },
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {"stabilizationWindowSeconds": 300},
            },
        }
    },
    "Job": {"spec": {"template": POD}},
    "ConfigMap": {"data": {"server.properties": "listeners=CLIENT://:9092\n"}},
    "Namespace": {
        "metadata": {
            "name": "apps",
            "labels": {
                f"pod-security.kubernetes.io/{mode}": "restricted"
                for mode in ("enforce", "warn", "audit")
            },
        }
    },
    "PodDisruptionBudget": {
        "spec": {
            "minAvailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
        }
    },
    "Service": {
        "spec": {
            "selector": {"app.kubernetes.io/name": "web"},
            "ports": [{"port": 80, "targetPort": "http"}],
        }
    },
    "ServiceAccount": {"automountServiceAccountToken": False},
}

MISSING = object()
CONTAINER = "spec.template.spec.containers.0"


def good(kind: str, *, protect: bool = False) -> Resource:
    """A resource of the kind that no rule objects to."""
    props = {"metadata": {"name": "web", "namespace": "apps"}} | copy.deepcopy(_SPECS[kind])
    return Resource(TYPES[kind], "web", props, protect)


def changed(kind: str, *changes: tuple[str, object], protect: bool = False) -> Resource:
    """A good resource with values at dotted paths replaced, or removed with MISSING."""
    resource = good(kind, protect=protect)
    for path, value in changes:
        *parents, last = path.split(".")
        node: Any = resource.props
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        if value is MISSING:
            del node[last]
        elif isinstance(node, list):
            node[int(last)] = value
        else:
            node[last] = value
    return resource

"""Protection of what holds data, and of nothing else."""

import pulumi

_HOLDS_DATA = "kubernetes:apps/v1:StatefulSet"


def protect_stateful_sets(
    args: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult | None:
    """Set `protect` on StatefulSets, wherever in a component they are made.

    Not on the whole component: a certificate is replaced when it is renewed and a Job when its
    work changes, and Pulumi refuses to replace what is protected.
    """
    if args.type_ != _HOLDS_DATA:
        return None
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformationResult(props=args.props, opts=opts)


def data_options(parent: pulumi.Resource, *, protect: bool) -> pulumi.ResourceOptions:
    """Options of a component that holds data."""
    return pulumi.ResourceOptions(
        parent=parent, transformations=[protect_stateful_sets] if protect else []
    )

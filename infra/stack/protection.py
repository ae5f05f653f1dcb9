"""Protection of what holds data, and of nothing else."""

import pulumi

from infra.model.environment import Environment
from infra.model.settings import PlatformSettings

_HOLDS_DATA = ("kubernetes:apps/v1:StatefulSet", "kubernetes:core/v1:PersistentVolumeClaim")


def protect_data(
    args: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult | None:
    """Set `protect` on StatefulSets and claims, wherever in a component they are made.

    Not on the whole component: a certificate is replaced when it is renewed and a Job when its
    work changes, and Pulumi refuses to replace what is protected.
    """
    if args.type_ not in _HOLDS_DATA:
        return None
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformationResult(props=args.props, opts=opts)


class StandInError(RuntimeError):
    """A protected stack was about to be made with stand-ins; the message says what it takes."""


def refuse_standins(settings: PlatformSettings, environment: Environment, *, preview: bool) -> None:
    """Keep what is protected off a state that is not meant to be continued.

    Stand-in providers make real passwords and keys, but the state they leave is only promised to
    be read by stand-ins of the same checkout. `protect` is the setting that says a platform must
    outlive its machine; which stack has it is the stack file's affair. Renderings and previews
    make nothing that lasts.

    Raises:
        StandInError: the stack is protected, and this is an update on stand-ins.
    """
    if not (settings.protect and environment.standins):
        return
    if preview or environment.render_dir is not None:
        return
    raise StandInError(
        "millrace:protect is true, but this is Millrace's stand-in for Pulumi's Python language "
        "host, whose providers' state is for throw-away clusters only; run it with the official "
        "Pulumi CLI in a shell without the variables of make env (README, Production)"
    )


def data_options(parent: pulumi.Resource, *, protect: bool) -> pulumi.ResourceOptions:
    """Options of a component that holds data."""
    return pulumi.ResourceOptions(parent=parent, transformations=[protect_data] if protect else [])

"""The policy pack: `pulumi preview --policy-pack policies/crossguard`.

Constructing a PolicyPack starts its server, so that happens here and nowhere else.
"""

from pulumi_policy import PolicyPack

from policies.crossguard.adapter import LEVEL, policies

if __name__ == "__main__":
    PolicyPack("millrace", policies=policies(), enforcement_level=LEVEL)

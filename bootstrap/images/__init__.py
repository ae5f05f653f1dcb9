"""The images that an airgap cluster runs on, made here from Debian's packages and Maven's jars."""

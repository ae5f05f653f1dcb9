"""The clusters that `make up` can bring up: k3d (dev) and our own node container (airgap)."""

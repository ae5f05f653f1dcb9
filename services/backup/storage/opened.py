"""The storage that a spec names."""

from __future__ import annotations

from services.backup.spec import FolderSpec, ObjectStorageSpec
from services.backup.storage.folder import Folder
from services.backup.storage.storage import Storage


def open_storage(spec: FolderSpec | ObjectStorageSpec) -> Storage:
    """Nothing is asked of it yet."""
    if isinstance(spec, FolderSpec):
        return Folder(spec.path)
    # Only who has object storage loads its library.
    from services.backup.storage.objects import ObjectStorage  # noqa: PLC0415

    return ObjectStorage(spec)

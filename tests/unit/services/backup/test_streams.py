"""What goes into a backup comes out of it, in bounded memory, or not at all."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import pytest

from services.backup.encryption import new_identity, seal, unseal
from services.backup.engine import BackupError
from services.backup.spec import EncryptionSpec
from services.backup.streams import Compressing, Expanding, Measured, Nowhere

SIZE = 256 * 2**20


class Zeros:
    """A dump that compresses as well as any can: what a few bytes expand to is the danger."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1, /) -> bytes:
        taken = min(size, self.left, 2**20)
        self.left -= taken
        return bytes(taken)


@pytest.fixture
def keys(tmp_path) -> EncryptionSpec:
    key = new_identity()
    (tmp_path / "key").write_text(f"# made today\n{key}\n")
    return EncryptionSpec(recipients=[str(key.to_public())], identity_file=tmp_path / "key")


def test_a_dump_larger_than_the_memory_it_may_take_goes_through_both_ways(keys: EncryptionSpec):
    tracemalloc.start()
    stored = io.BytesIO()
    recipients = seal(Compressing(Zeros(SIZE)), stored, keys)
    stored.seek(0)
    out = Measured(Nowhere())
    expanding = Expanding(out)
    unseal(stored, expanding, recipients, keys)
    expanding.finish()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert out.size == SIZE
    assert most < 16 * 2**20


@pytest.mark.parametrize("cut", [0, 1, 10, 40])
def test_a_truncated_stream_is_not_taken_for_a_whole_one(cut: int):
    whole = gzip.compress(b"select 1;" * 1000)
    expanding = Expanding(Nowhere())
    expanding.write(whole[: len(whole) - cut])
    if cut:
        with pytest.raises(BackupError, match="truncated"):
            expanding.finish()
    else:
        expanding.finish()


def test_what_is_no_gzip_or_goes_on_after_its_end_is_refused():
    with pytest.raises(BackupError, match="not whole gzip"):
        Expanding(Nowhere()).write(b"DROP DATABASE everything")
    with pytest.raises(BackupError, match="after the end"):
        Expanding(Nowhere()).write(gzip.compress(b"x") + b"DROP")


def test_an_error_of_the_storage_is_not_hidden_by_the_encryption(keys: EncryptionSpec):
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        seal(Zeros(2**20), Full(), keys)

"""Makes a folder of what a launcher has packed. Part of programs that run on nodes, on any Python >= 3.6."""

import os
import stat


def unpack(payload: bytes, folder: str) -> None:
    """Make a folder of a packed tar, whole or not at all. What would lie outside of it is left out."""
    import io
    import shutil
    import tarfile

    beside = "%s.%s.tmp" % (folder, os.urandom(6).hex())  # unlike any of another node that shares the filesystem
    os.makedirs(beside)
    try:
        with tarfile.open(fileobj=io.BytesIO(payload), mode="r:gz") as packed:
            for member in packed:
                name = os.path.normpath(member.name)
                source = packed.extractfile(member) if member.isreg() else None
                if source is None or os.path.isabs(name) or name.split(os.sep)[0] == os.pardir:
                    continue
                path = os.path.join(beside, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink)
                os.chmod(path, stat.S_IRUSR | stat.S_IWUSR | (member.mode & 0o755))
        os.rename(beside, folder)
    except BaseException as error:  # a payload that was cut, by who was killed as it came, is no OSError
        shutil.rmtree(beside, ignore_errors=True)
        if not (isinstance(error, OSError) and os.path.isdir(folder)):  # else another launch was quicker
            raise

"""Turns errors of the operating system into a line that says what to do."""

import errno
import tempfile

_ADVICE = {
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "check its permissions, or choose another folder",
    errno.EPERM: "check its permissions, or choose another folder",
    errno.ENOSPC: "make room, or choose another folder",
    errno.EFBIG: "choose a folder whose files may be larger",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EDQUOT: "make room, or choose another folder",
}


def lacks(error: OSError) -> str | None:
    """The line for an error about memory, disk, names or permissions; None for any other error."""
    name = error.filename2 or error.filename  # Of two files the second one is written.
    if name is None and not _has_temporary_folder():
        return "no temporary folder can be written; set TMPDIR to one that can"
    if error.errno not in _ADVICE:
        return None
    where = "" if name is None else f"{name}: "
    return f"{where}{error.strerror}; {_ADVICE[error.errno]}"


def _has_temporary_folder() -> bool:
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True

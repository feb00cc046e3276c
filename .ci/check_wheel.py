"""Check that wheels hold the compiled loops of k-means, the configurations and the marks of typed packages."""

import re
import sys
import zipfile

NEEDED = (
    r"lightning_dc/kmeans/_lloyd\..*(so|pyd)$",
    r"lightning_dc/configs/dec_digits\.yaml$",
    r"lightning_dc/py\.typed$",
    r"datamodules/py\.typed$",
    r".*\.dist-info/entry_points\.txt$",
)


def main(paths: list[str]) -> None:
    """Check each wheel, and end with an error if one lacks a file or holds the tests."""
    if not paths:
        sys.exit("name the wheels to check")
    for path in paths:
        names = zipfile.ZipFile(path).namelist()
        missing = [pattern for pattern in NEEDED if not any(re.match(pattern, name) for name in names)]
        others = sorted({name.partition("/")[0] for name in names} - {"lightning_dc", "datamodules"})
        others = [name for name in others if not name.endswith(".dist-info")]
        if missing or others:
            sys.exit(f"{path} lacks {missing} and holds {others}, which does not belong there")
        print(f"{path}: {len(names)} files, nothing is missing")


if __name__ == "__main__":
    main(sys.argv[1:])

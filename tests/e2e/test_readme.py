"""The README's map of the source has a line for the files of each name in modules/, and no other."""
import re

from harness import ROOT

README = ROOT / "README.md"


def mapped():
    """The names in the map: pairs of folder and name, as they stand there."""
    code = re.search(r"\n## The source\n.*?\n```\n(.*?)\n```\n", README.read_text(), re.DOTALL)
    assert code, "README.md: no block of code below 'The source'"
    folder, pairs = None, []
    for line in code[1].splitlines():
        found = re.match(r"(?:modules/(\w+)/|    (\w+)) +\S", line)
        if not line.startswith(" "):
            folder = found and found[1]
        elif folder:
            assert found, f"README.md: the map's line {line!r} is not '    NAME  what it is'"
            pairs.append((folder, found[2]))
    return pairs


def names():
    """The tree: pairs of folder and name of source files and headers."""
    return {(path.parent.name, path.stem) for path in (ROOT / "modules").glob("*/*.[ch]")}


def files_of(pair):
    """For a message: modules/net/loop.[ch]."""
    return "modules/{}/{}.[ch]".format(*pair)


def test_map_names_each_file_once():
    pairs, there = mapped(), names()
    wrong = [
        *(f"has no line for {files_of(pair)}" for pair in sorted(there - set(pairs))),
        *(f"names {files_of(pair)}, which does not exist" for pair in sorted(set(pairs) - there)),
        *(f"names {files_of(pair)} twice" for pair in sorted(set(pairs)) if pairs.count(pair) > 1),
    ]
    assert there and not wrong, "the map in README.md (The source): " + "; ".join(wrong)

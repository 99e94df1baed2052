#!/usr/bin/env python3
"""judge_walks.py SCHEMA_WALKS: answers that glint's grammars wrote, judged by the Python package
jsonschema. Prints `N passed, N failed`."""
import json
import subprocess
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError:
    print("SKIPPED: the Python package jsonschema is not installed (tools/setup test)")
    sys.exit(77)

COUNT, SEED = 2000, 1


def as_python_reads_it(schema):
    """Patterns are ECMA-262's, where \\s matches U+FEFF too."""
    return json.loads(json.dumps(schema).replace("\\\\s", "[\\\\s\\ufeff]"))


def no_duplicates(pairs):
    members = dict(pairs)
    assert len(members) == len(pairs), "a name comes twice"
    return members


def main():
    lines = subprocess.run([sys.argv[1], str(COUNT), str(SEED)], capture_output=True,
                           check=True).stdout.split(b"\n")[:-1]
    failed = 0
    for line in lines:
        try:
            pair = json.loads(line.decode(), object_pairs_hook=no_duplicates)
            validator = Draft202012Validator(
                as_python_reads_it(pair["schema"]), format_checker=Draft202012Validator.FORMAT_CHECKER)
            errors = [error.message for error in validator.iter_errors(pair["answer"])]
        except (ValueError, AssertionError) as error:
            errors = [str(error)]
        if errors:
            failed += 1
            print(f"{line.decode(errors='replace')[:600]}\n  {errors[0][:200]}")
    print(f"{len(lines) - failed} passed, {failed} failed")
    return 1 if failed or len(lines) != COUNT else 0


if __name__ == "__main__":
    sys.exit(main())

"""Holds every document under a folder against the schemas, and some that are wrong: check_schema.py ORG.json NODE.json FOLDER"""

import json
import pathlib
import sys
import tomllib

from jsonschema import Draft202012Validator

org, node = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:3])
for schema in (org, node):
    Draft202012Validator.check_schema(schema)
org, node = Draft202012Validator(org), Draft202012Validator(node)

documents = 0
for path in sorted(pathlib.Path(sys.argv[3]).rglob("*.toml")):
    schema = {"org.toml": org, "posthouse.toml": node}.get(path.name)
    if schema is None:
        continue
    for error in schema.iter_errors(tomllib.loads(path.read_text())):
        sys.exit(f"{path}: {error.message} at {list(error.absolute_path)}")
    documents += 1
if documents < 5:
    sys.exit(f"only {documents} documents under {sys.argv[3]}")
print(f"{documents} documents are valid")

GOOD = [
    (org, ""),
    (org, '[[receive_connector]]\nname = "in"\nlisten = "0.0.0.0:25"\nmessage_size_max = 1000000\n'),
    (org, '[[receive_connector]]\nname = "in"\nlisten = ["0.0.0.0:25"]\nmessage_size_max = "36 mb"\npermissions = "users"\n'),
    (org, '[retry]\ninterval = "0"\nexpire_after = "2D"\n'),
    (node, 'name = "mx1"\n[log]\nlevel = "warn"\n'),
]
BAD = [
    (org, 'postmastr = "a@b"\n'),
    (org, '[[receive_connector]]\nlisten = ["0.0.0.0:25"]\n'),
    (org, '[[receive_connector]]\nname = "in"\nlisten = ["0.0.0.0:25"]\nprotocol = "uucp"\n'),
    (org, '[[receive_connector]]\nname = "in"\nlisten = ["0.0.0.0:25"]\nrecipients_max = 0\n'),
    (org, '[[receive_connector]]\nname = "in"\nlisten = [25]\n'),
    (org, '[[receive_connector]]\nname = "in"\nlisten = ["0.0.0.0:25"]\nmessage_size_max = "big"\n'),
    (org, '[receive_connector]\nname = "in"\n'),
    (org, '[retry]\ninterval = 5\n'),
    (org, '[retry]\ninterval = "5 minutes"\n'),
    (org, '[[user]]\nname = "a"\n'),
    (node, '[log]\nlevel = "loud"\n'),
    (node, '[peers]\nlisten = "0.0.0.0:2526"\n'),
]
for schema, text in GOOD:
    errors = [error.message for error in schema.iter_errors(tomllib.loads(text))]
    if errors:
        sys.exit(f"refused though it is right: {text!r}: {errors}")
for schema, text in BAD:
    if schema.is_valid(tomllib.loads(text)):
        sys.exit(f"taken though it is wrong: {text!r}")
print(f"{len(BAD)} wrong ones are refused")

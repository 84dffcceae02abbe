"""Verifies the signature of a message that has passed through: dkim_verify.py FOLDER MESSAGE."""
import sys
from pathlib import Path

import dkim

folder = Path(sys.argv[1])
message = Path(sys.argv[2]).read_bytes()
if b"\r\n" not in message[:200]:
    message = message.replace(b"\n", b"\r\n")
record = (folder / "record").read_bytes()
if not dkim.verify(message, dnsfunc=lambda name, **_: record):
    raise SystemExit("the signature does not verify")
original = (folder / "signed.eml").read_bytes()
if not message.endswith(original):
    raise SystemExit("the message differs from the original behind the trace headers")
print("verified")

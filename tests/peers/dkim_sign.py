"""Makes a DKIM key, writes a signed message and the key's TXT record: dkim_sign.py FOLDER."""
import sys
from pathlib import Path

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

folder = Path(sys.argv[1])
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
private = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
import base64

(folder / "record").write_text("v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode())
body = b"".join(b"Line %d with trailing blanks  \t\r\n.\r\n..\r\n" % n for n in range(200)) + b"\xc3\xa9\xff\r\n\r\n\r\n"
message = (
    b"From: Alice <alice@signed.example>\r\nTo: bob@submit.test\r\nSubject: signed,\r\n  folded   oddly\r\n"
    b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <signed@signed.example>\r\nX-Odd:no blank\r\n\r\n" + body)
signature = dkim.sign(message, b"s1", b"signed.example", private, canonicalize=(b"simple", b"simple"),
                      include_headers=[b"from", b"to", b"subject", b"date", b"message-id", b"x-odd"])
(folder / "signed.eml").write_bytes(signature + message)
print("signed")
